//! Images for a Cortex-M.

use super::image::{Image, sign_extend, words_of};
use super::{Found, Function};
use object::elf::EF_ARM_ABI_FLOAT_HARD;
use object::read::elf::ElfFile32;
use object::{Object, ObjectSection, ObjectSymbol};
use std::collections::{BTreeMap, BTreeSet};

/// What a Cortex-M pushes for an interrupt: eight words, and a ninth where the stack was not aligned.
const EXCEPTION_LEN: u64 = 9 * 4;
/// The same of one with a floating point unit: 18 words more.
const FLOAT_EXCEPTION_LEN: u64 = EXCEPTION_LEN + 18 * 4;
/// The vectors before those of interrupts: the stack, then fifteen exceptions.
const STACK_VECTOR_LEN: usize = 4;

/// Reads an image.
pub(super) fn read(file: &ElfFile32, image: Image) -> Found {
    let code = Code { image, marks: marks(file) };
    let mut functions = BTreeMap::new();
    let mut pointed_at: BTreeSet<u64> =
        code.image.words().filter_map(|w| code.pointed(w)).collect();
    for (&start, (name, end)) in &code.image.names {
        let mut reader = Reader { code: &code, start, end: *end, found: Function::default() };
        pointed_at.extend(reader.read());
        reader.found.name.clone_from(name);
        functions.insert(start, reader.found);
    }
    let table = file.section_by_name(".vector_table").expect("every image has vectors");
    let vectors = table.data().expect("they are in the file");
    let vectors: Vec<u64> =
        words_of(&vectors[STACK_VECTOR_LEN..]).filter_map(|w| code.pointed(w)).collect();
    // Only a core with a floating point unit has code that pushes its registers, or its context to save.
    let floats = file.elf_header().e_flags.get(file.endian()).0 & EF_ARM_ABI_FLOAT_HARD != 0;
    Found {
        functions,
        pointed_at,
        reset: vectors[0],
        handlers: vectors[1..].iter().copied().collect(),
        exception_len: if floats { FLOAT_EXCEPTION_LEN } else { EXCEPTION_LEN },
    }
}

/// Where code and where data begins among the instructions: true is code.
fn marks(file: &ElfFile32) -> BTreeMap<u64, bool> {
    let marks = file.symbols().filter_map(|symbol| {
        let name = symbol.name().ok()?;
        let is_mark = name.starts_with("$t") || name.starts_with("$d");
        is_mark.then(|| (symbol.address(), name.starts_with("$t")))
    });
    marks.collect()
}

/// The program.
struct Code<'f> {
    image: Image<'f>,
    marks: BTreeMap<u64, bool>,
}

impl Code<'_> {
    /// The start of the function that a word points at: addresses of code are odd.
    fn pointed(&self, word: u32) -> Option<u64> {
        let start = u64::from(word & !1);
        (word & 1 == 1 && self.image.names.contains_key(&start)).then_some(start)
    }

    fn is_code(&self, address: u64) -> bool {
        self.marks.range(..=address).next_back().is_none_or(|(_, &is_code)| is_code)
    }
}

/// Reads the instructions of a function.
struct Reader<'i, 'f> {
    code: &'i Code<'f>,
    start: u64,
    end: u64,
    found: Function,
}

impl Reader<'_, '_> {
    /// Reads all; returns the functions whose addresses it makes of two halves.
    fn read(&mut self) -> Vec<u64> {
        let mut address = self.start;
        // What registers hold, where that is a constant.
        let mut constants = [None; 16];
        let mut pointed_at = vec![];
        while address < self.end {
            if !self.code.is_code(address) {
                address += 2;
                continue;
            }
            let first = self.code.image.half_word(address).expect("a function is in its section");
            if first >> 11 < 0b11101 {
                self.narrow(address, first, &mut constants);
                address += 2;
            } else {
                let second =
                    self.code.image.half_word(address + 2).expect("the instruction is whole");
                self.wide(address, first, second);
                pointed_at.extend(
                    halves(first, second, &mut constants).and_then(|word| self.code.pointed(word)),
                );
                address += 4;
            }
        }
        pointed_at
    }

    /// An instruction of 16 bits.
    fn narrow(&mut self, address: u64, code: u32, constants: &mut [Option<u32>; 16]) {
        match code {
            // push
            _ if code & 0xfe00 == 0xb400 => self.take(4 * (code & 0x1ff).count_ones()),
            // sub sp, #
            _ if code & 0xff80 == 0xb080 => self.take(4 * (code & 0x7f)),
            // ldr r, [pc, #]
            _ if code & 0xf800 == 0x4800 => {
                let place = ((address + 4) & !3) + u64::from(code & 0xff) * 4;
                constants[(code >> 8 & 7) as usize] = self.code.image.word(place);
            }
            // add sp, r: a large frame, by a negative constant
            _ if code & 0xff87 == 0x4485 => match constants[(code >> 3 & 15) as usize] {
                Some(constant) => self.take(constant.cast_signed().min(0).unsigned_abs()),
                None => self.cannot_read(address, 2),
            },
            // mov sp, r: by a constant, another stack begins
            _ if code & 0xff87 == 0x4685 && constants[(code >> 3 & 15) as usize].is_none() => {
                self.cannot_read(address, 2);
            }
            // blx r, and bx r but for the return
            _ if code & 0xff87 == 0x4780 => self.found.points = true,
            // b
            _ if code & 0xf800 == 0xe000 => self.jump(address, sign_extend(code << 1, 12)),
            // b on a condition
            _ if code & 0xf000 == 0xd000 && code & 0xf00 < 0xe00 => {
                self.jump(address, sign_extend(code << 1, 9));
            }
            _ => {}
        }
    }

    /// An instruction of 32 bits.
    fn wide(&mut self, address: u64, first: u32, second: u32) {
        let immediate = (first & 0x400) << 1 | (second & 0x7000) >> 4 | second & 0xff;
        let writes_sp = second & 0xf00 == 0xd00;
        match first {
            // push
            0xe92d => self.take(4 * second.count_ones()),
            // str r, [sp, #-n]!
            0xf84d if second & 0xf00 == 0xd00 => self.take(second & 0xff),
            // strd r, r, [sp, #-n]!
            0xe96d => self.take(4 * (second & 0xff)),
            // vpush
            _ if first & 0xffbf == 0xed2d => self.take(4 * (second & 0xff)),
            // sub sp, sp, #
            _ if first & 0xfbef == 0xf1ad && writes_sp => self.take(expanded(immediate)),
            _ if first & 0xfbff == 0xf2ad && writes_sp => self.take(immediate),
            // add sp, sp, #: it gives back
            _ if (first & 0xfbef == 0xf10d || first & 0xfbff == 0xf20d) && writes_sp => {}
            // any other result in sp, of an immediate and of registers
            _ if first & 0xf800 == 0xf000 && second & 0x8000 == 0 && writes_sp => {
                self.cannot_read(address, 4);
            }
            _ if first & 0xfe00 == 0xea00 && writes_sp => self.cannot_read(address, 4),
            // bl, b, b on a condition
            _ if first & 0xf800 == 0xf000 && second & 0x8000 != 0 => {
                let s = first >> 10 & 1;
                let (i1, i2) = (!(second >> 13 ^ s) & 1, !(second >> 11 ^ s) & 1);
                let low = (second & 0x7ff) << 1;
                if second & 0x1000 != 0 {
                    let offset = s << 24 | i1 << 23 | i2 << 22 | (first & 0x3ff) << 12 | low;
                    self.jump(address, sign_extend(offset, 25));
                } else if first & 0x380 != 0x380 {
                    let (j1, j2) = (second >> 13 & 1, second >> 11 & 1);
                    let offset = s << 20 | j2 << 19 | j1 << 18 | (first & 0x3f) << 12 | low;
                    self.jump(address, sign_extend(offset, 21));
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, len: u32) {
        self.found.frame_len += u64::from(len);
    }

    /// An instruction of `len` bytes moves the stack pointer by an unknown number. Before a function ends it gives
    /// back.
    fn cannot_read(&mut self, address: u64, len: u64) {
        let next = self.code.image.half_word(address + len).unwrap_or(0);
        // pop, a wide pop, vpop
        if next & 0xfe00 != 0xbc00 && next != 0xe8bd && next & 0xffbf != 0xecbd {
            self.found.unreadable = Some(address);
        }
    }

    /// A call, or a jump, which is one if it leads out of the function.
    fn jump(&mut self, address: u64, offset: i64) {
        let target = (address + 4).wrapping_add_signed(offset);
        if let Some(callee) = self.code.image.function_at(target)
            && (callee != self.start || target == self.start)
        {
            self.found.calls.insert(callee);
        }
    }
}

/// A constant that is made of two halves, once the upper one comes.
fn halves(first: u32, second: u32, constants: &mut [Option<u32>; 16]) -> Option<u32> {
    let register = (second >> 8 & 15) as usize;
    let half = (first & 15) << 12 | (first & 0x400) << 1 | (second & 0x7000) >> 4 | second & 0xff;
    if second & 0x8000 != 0 {
        return None;
    }
    match first & 0xfbf0 {
        0xf240 => constants[register] = Some(half),
        0xf2c0 => {
            constants[register] = Some(constants[register].unwrap_or(0) | half << 16);
            return constants[register];
        }
        _ => {}
    }
    None
}

/// An immediate of twelve bits that stands for a word.
fn expanded(immediate: u32) -> u32 {
    let byte = immediate & 0xff;
    match immediate >> 8 {
        0 => byte,
        1 => byte << 16 | byte,
        2 => byte << 24 | byte << 8,
        3 => byte * 0x0101_0101,
        _ => (0x80 | immediate & 0x7f).rotate_right(immediate >> 7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immediates_stand_for_words() {
        assert_eq!([0x0ab, 0x1ab, 0x3ab].map(expanded), [0xab, 0x00ab_00ab, 0xabab_abab]);
        // sub.w sp, sp, #1024 and #848
        assert_eq!([0xe80, 0xf54].map(expanded), [1024, 848]);
    }
}
