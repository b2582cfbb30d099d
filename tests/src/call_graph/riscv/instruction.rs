//! Instructions of RV32IMAC, as far as they move the stack pointer, make addresses or leave a function.

use super::super::image::sign_extend;

/// Registers by their numbers.
pub(super) const RA: usize = 1;
pub(super) const SP: usize = 2;
pub(super) const FRAME: usize = 8;

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// A register gets a constant.
    Set { to: usize, value: u32 },
    /// A register gets another one plus a constant.
    Add { to: usize, from: usize, value: u32 },
    /// A register gets the sum of two, or their difference.
    Sum { to: usize, left: usize, right: usize, is_difference: bool },
    /// A jump, which is a call if it links, and is taken always if it is not a branch.
    Jump { target: u64, links: bool, is_branch: bool },
    /// A jump to the address in a register plus a constant, which is a call if it links.
    Indirect { from: usize, offset: u32, links: bool },
    /// The return from an interrupt.
    Return,
    /// Any other, with the register that it writes; register 0 holds 0 for ever.
    Other { to: usize },
}

/// Bits `low` to `high` of an instruction.
fn bits(code: u32, high: u32, low: u32) -> u32 {
    code >> low & ((1 << (high - low + 1)) - 1)
}

/// The signed number in the lowest bits of a value.
fn signed(value: u32, len: u32) -> u32 {
    sign_extend(value, len) as u32
}

/// A register of those that a field of three bits can name.
fn short(code: u32, low: u32) -> usize {
    8 + bits(code, low + 2, low) as usize
}

/// Returns whether the instruction that starts with this half word has 32 bits.
pub(super) fn is_wide(half_word: u32) -> bool {
    half_word & 3 == 3
}

/// Reads an instruction of 32 bits.
pub(super) fn wide(address: u64, code: u32) -> Operation {
    let (to, left, right) = (bits(code, 11, 7), bits(code, 19, 15), bits(code, 24, 20));
    let [to, left, right] = [to, left, right].map(|register| register as usize);
    let immediate = signed(bits(code, 31, 20), 12);
    let upper = code & 0xffff_f000;
    let jump = |offset: u32, len, links, is_branch| {
        let target = address.wrapping_add_signed(sign_extend(offset, len));
        Operation::Jump { target, links, is_branch }
    };
    match (bits(code, 6, 0), bits(code, 14, 12)) {
        // lui, auipc
        (0x37, _) => Operation::Set { to, value: upper },
        (0x17, _) => Operation::Set { to, value: (address as u32).wrapping_add(upper) },
        // addi
        (0x13, 0) if left == 0 => Operation::Set { to, value: immediate },
        (0x13, 0) => Operation::Add { to, from: left, value: immediate },
        // add, sub
        (0x33, 0) if matches!(bits(code, 31, 25), 0 | 0x20) => {
            Operation::Sum { to, left, right, is_difference: bits(code, 31, 25) != 0 }
        }
        // jal
        (0x6f, _) => {
            let offset = bits(code, 31, 31) << 20
                | bits(code, 19, 12) << 12
                | bits(code, 20, 20) << 11
                | bits(code, 30, 21) << 1;
            jump(offset, 21, to != 0, false)
        }
        // jalr
        (0x67, _) => Operation::Indirect { from: left, offset: immediate, links: to != 0 },
        // Branches
        (0x63, _) => {
            let offset = bits(code, 31, 31) << 12
                | bits(code, 7, 7) << 11
                | bits(code, 30, 25) << 5
                | bits(code, 11, 8) << 1;
            jump(offset, 13, false, true)
        }
        // mret
        _ if code == 0x3020_0073 => Operation::Return,
        // Stores and fences have something else in place of the register.
        (0x23 | 0x0f, _) => Operation::Other { to: 0 },
        _ => Operation::Other { to },
    }
}

/// Reads an instruction of 16 bits.
pub(super) fn narrow(address: u64, code: u32) -> Operation {
    let (to, other) = (bits(code, 11, 7) as usize, bits(code, 6, 2) as usize);
    let immediate = signed(bits(code, 12, 12) << 5 | bits(code, 6, 2), 6);
    let jump = |offset: u32, len, links, is_branch| {
        let target = address.wrapping_add_signed(sign_extend(offset, len));
        Operation::Jump { target, links, is_branch }
    };
    match (bits(code, 1, 0), bits(code, 15, 13)) {
        // c.addi4spn
        (0, 0) => {
            let value = bits(code, 10, 7) << 6
                | bits(code, 12, 11) << 4
                | bits(code, 5, 5) << 3
                | bits(code, 6, 6) << 2;
            Operation::Add { to: short(code, 2), from: SP, value }
        }
        // c.lw; the others of its group store
        (0, 2) => Operation::Other { to: short(code, 2) },
        (0, _) => Operation::Other { to: 0 },
        // c.addi
        (1, 0) => Operation::Add { to, from: to, value: immediate },
        // c.jal, c.j
        (1, function @ (1 | 5)) => {
            let offset = bits(code, 12, 12) << 11
                | bits(code, 8, 8) << 10
                | bits(code, 10, 9) << 8
                | bits(code, 6, 6) << 7
                | bits(code, 7, 7) << 6
                | bits(code, 2, 2) << 5
                | bits(code, 11, 11) << 4
                | bits(code, 5, 3) << 1;
            jump(offset, 12, function == 1, false)
        }
        // c.li
        (1, 2) => Operation::Set { to, value: immediate },
        // c.addi16sp
        (1, 3) if to == SP => {
            let value = bits(code, 12, 12) << 9
                | bits(code, 4, 3) << 7
                | bits(code, 5, 5) << 6
                | bits(code, 2, 2) << 5
                | bits(code, 6, 6) << 4;
            Operation::Add { to, from: SP, value: signed(value, 10) }
        }
        // c.lui
        (1, 3) => Operation::Set { to, value: immediate << 12 },
        // Shifts, and arithmetic of two registers
        (1, 4) => Operation::Other { to: short(code, 7) },
        // c.beqz, c.bnez
        (1, _) => {
            let offset = bits(code, 12, 12) << 8
                | bits(code, 6, 5) << 6
                | bits(code, 2, 2) << 5
                | bits(code, 11, 10) << 3
                | bits(code, 4, 3) << 1;
            jump(offset, 9, false, true)
        }
        // c.jr, c.mv, c.ebreak, c.jalr, c.add
        (2, 4) => match (bits(code, 12, 12), to, other) {
            (0, from, 0) => Operation::Indirect { from, offset: 0, links: false },
            (0, _, _) => Operation::Add { to, from: other, value: 0 },
            (_, 0, 0) => Operation::Other { to: 0 },
            (_, from, 0) => Operation::Indirect { from, offset: 0, links: true },
            _ => Operation::Sum { to, left: to, right: other, is_difference: false },
        },
        // c.slli, c.lwsp; the others of the group store
        (2, 0 | 2) => Operation::Other { to },
        _ => Operation::Other { to: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instructions as a disassembler prints them, at address 0x1000.
    #[test]
    fn instructions_are_those_of_a_disassembler() {
        let add = |to, from, value: i32| Operation::Add { to, from, value: value as u32 };
        let jump = |target, links, is_branch| Operation::Jump { target, links, is_branch };
        for (code, expected) in [
            (0xfc01_0113, add(SP, SP, -64)),      // addi sp, sp, -64
            (0x7139, add(SP, SP, -64)),           // c.addi16sp sp, -64
            (0x1141, add(SP, SP, -16)),           // c.addi sp, -16
            (0x6161, add(SP, SP, 80)),            // c.addi16sp sp, 80
            (0x0808, add(10, SP, 16)),            // c.addi4spn a0, sp, 16
            (0x842a, add(FRAME, 10, 0)),          // c.mv s0, a0
            (0x40a1_0133, sum(SP, SP, 10, true)), // sub sp, sp, a0
            (0x912a, sum(SP, SP, 10, false)),     // c.add sp, a0
            (0x0000_1537, Operation::Set { to: 10, value: 1 << 12 }), // lui a0, 1
            (0x6505, Operation::Set { to: 10, value: 1 << 12 }), // c.lui a0, 1
            (0x557d, Operation::Set { to: 10, value: u32::MAX }), // c.li a0, -1
            (0x0000_8097, Operation::Set { to: RA, value: 0x9000 }), // auipc ra, 8
            (0x0200_00ef, jump(0x1020, true, false)), // jal ra, 32
            (0xffdf_f06f, jump(0x0ffc, false, false)), // jal zero, -4
            (0xbffd, jump(0x0ffe, false, false)), // c.j -2
            (0x2005, jump(0x1020, true, false)),  // c.jal 32
            (0x00b5_0463, jump(0x1008, false, true)), // beq a0, a1, 8
            (0xc501, jump(0x1008, false, true)),  // c.beqz a0, 8
            (0x0220_8067, Operation::Indirect { from: RA, offset: 34, links: false }),
            (0x8082, Operation::Indirect { from: RA, offset: 0, links: false }), // c.jr ra
            (0x9702, Operation::Indirect { from: 14, offset: 0, links: true }),  // c.jalr a4
            (0x3020_0073, Operation::Return),                                    // mret
            (0x0001_2503, Operation::Other { to: 10 }),                          // lw a0, 0(sp)
            (0x00a1_2023, Operation::Other { to: 0 }),                           // sw a0, 0(sp)
            (0x4502, Operation::Other { to: 10 }),                               // c.lwsp a0, 0(sp)
            (0x4188, Operation::Other { to: 10 }),                               // c.lw a0, 0(a1)
        ] {
            let found = if is_wide(code) { wide(0x1000, code) } else { narrow(0x1000, code) };
            assert_eq!(found, expected, "{code:#x}");
        }
    }

    fn sum(to: usize, left: usize, right: usize, is_difference: bool) -> Operation {
        Operation::Sum { to, left, right, is_difference }
    }
}
