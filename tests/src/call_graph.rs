//! Who calls whom in an image for a Cortex-M, and how much stack that takes: read from the program that is flashed.
//!
//! ```text
//!  symbols ─ functions ─ instructions ─┬─ what a function takes off the stack
//!                                      ├─ whom it calls by name
//!                                      └─ whether it calls by a pointer: any function whose address is taken
//! ```
//!
//! Everything errs on the side of more: all that a function pushes counts, wherever in it, and a jump to another
//! function counts as a call. Only the instructions that compilers use for this are known; in QEMU, boards that train
//! were seen to stay below what is found here.

use object::elf::EF_ARM_ABI_FLOAT_HARD;
use object::read::elf::ElfFile32;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use std::collections::{BTreeMap, BTreeSet};

/// What a Cortex-M pushes for an interrupt: eight words, and a ninth where the stack was not aligned.
const EXCEPTION_LEN: u64 = 9 * 4;
/// The same of one with a floating point unit: 18 words more.
const FLOAT_EXCEPTION_LEN: u64 = EXCEPTION_LEN + 18 * 4;
/// The vectors before those of interrupts: the stack, then fifteen exceptions.
const STACK_VECTOR_LEN: usize = 4;

/// A function of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// Its name, without hashes.
    pub name: String,
    /// Bytes that it takes off the stack itself.
    pub frame_len: u64,
    /// Addresses of the functions that it calls by name.
    calls: BTreeSet<u64>,
    /// It calls by a pointer.
    points: bool,
    /// Where it moves the stack pointer by what cannot be read here.
    unreadable: Option<u64>,
}

/// The functions of an image by their addresses.
#[derive(Clone, Debug)]
pub struct CallGraph {
    functions: BTreeMap<u64, Function>,
    /// Those whose address is taken.
    pointed_at: BTreeSet<u64>,
    /// Those that stand in the vector table, but for the first, which is called on a reset.
    handlers: BTreeSet<u64>,
    reset: u64,
    exception_len: u64,
    /// Bytes that the linker script reserves for the stack.
    pub stack_len: u64,
}

/// A way down the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descent {
    /// Bytes of stack at its end.
    pub len: u64,
    /// The functions on it, with what each takes.
    pub path: Vec<(String, u64)>,
}

impl CallGraph {
    /// Reads an image.
    ///
    /// # Panics
    /// If it is not an image of one of our boards.
    pub fn read(elf: &[u8]) -> Self {
        let file = ElfFile32::<object::Endianness>::parse(elf).expect("an ELF file");
        let image = Image::open(&file);
        let mut functions = BTreeMap::new();
        let mut pointed_at: BTreeSet<u64> =
            image.words().filter_map(|w| image.pointed(w)).collect();
        for (&start, (name, end)) in &image.names {
            let mut reader = Reader { image: &image, start, end: *end, found: Function::default() };
            pointed_at.extend(reader.read());
            reader.found.name.clone_from(name);
            functions.insert(start, reader.found);
        }
        let vectors: Vec<u64> = image.vectors.iter().filter_map(|&w| image.pointed(w)).collect();
        let symbol = |name| {
            let found = file.symbols().find(|symbol| symbol.name() == Ok(name));
            found.unwrap_or_else(|| panic!("{name} is in every image")).address()
        };
        Self {
            functions,
            pointed_at,
            reset: vectors[0],
            handlers: vectors[1..].iter().copied().collect(),
            exception_len: if image.floats { FLOAT_EXCEPTION_LEN } else { EXCEPTION_LEN },
            stack_len: symbol("_stack_start") - symbol("_stack_end"),
        }
    }

    /// Names of the functions that panic, and of those that call them.
    pub fn panics(&self) -> BTreeSet<&str> {
        let is_panic = |name: &str| {
            ["rust_begin_unwind", "core::panicking", "panic_fmt"].iter().any(|p| name.contains(p))
        };
        let panicking: BTreeSet<u64> =
            self.functions.iter().filter(|(_, f)| is_panic(&f.name)).map(|(&at, _)| at).collect();
        let callers = self.functions.iter().filter(|(_, f)| !f.calls.is_disjoint(&panicking));
        let callers = callers.map(|(_, function)| function.name.as_str());
        callers.chain(panicking.iter().map(|at| self.functions[at].name.as_str())).collect()
    }

    /// The deepest way down the stack: from the reset on, and an interrupt at the end of it. Interrupts of one
    /// priority do not interrupt each other.
    ///
    /// # Errors
    /// A function that calls itself, or is called by what it calls, or takes an unknown number of bytes off the stack.
    pub fn deepest(&self) -> Result<Descent, String> {
        let mut known = BTreeMap::new();
        let mut main = self.descend(self.reset, &mut vec![], &mut known)?;
        let handlers: Result<Vec<_>, _> =
            self.handlers.iter().map(|&at| self.descend(at, &mut vec![], &mut known)).collect();
        let interrupt = handlers?.into_iter().max_by_key(|descent| descent.len);
        let interrupt = interrupt.unwrap_or(Descent { len: 0, path: vec![] });
        main.len += self.exception_len + interrupt.len;
        main.path.push(("an interrupt".into(), self.exception_len));
        main.path.extend(interrupt.path);
        Ok(main)
    }

    fn descend(
        &self,
        at: u64,
        above: &mut Vec<u64>,
        known: &mut BTreeMap<u64, Descent>,
    ) -> Result<Descent, String> {
        if let Some(descent) = known.get(&at) {
            return Ok(descent.clone());
        }
        let function = &self.functions[&at];
        if above.contains(&at) {
            return Err(format!("{} calls itself", function.name));
        }
        if let Some(at) = function.unreadable {
            return Err(format!("{} moves its stack pointer at {at:#x}", function.name));
        }
        above.push(at);
        let pointed_at = self.pointed_at.iter().filter(|_| function.points);
        let mut deepest = Descent { len: 0, path: vec![] };
        for &callee in function.calls.iter().chain(pointed_at) {
            let descent = self.descend(callee, above, known)?;
            if descent.len > deepest.len {
                deepest = descent;
            }
        }
        above.pop();
        deepest.len += function.frame_len;
        deepest.path.insert(0, (function.name.clone(), function.frame_len));
        known.insert(at, deepest.clone());
        Ok(deepest)
    }
}

/// What is in the file.
struct Image<'f> {
    /// Start of each function, its name and its end.
    names: BTreeMap<u64, (String, u64)>,
    /// Sections with code: address and bytes.
    code: Vec<(u64, &'f [u8])>,
    /// Sections with data: address and bytes.
    data: Vec<(u64, &'f [u8])>,
    /// Addresses of words that the linker filled with addresses.
    relocated: BTreeSet<u64>,
    vectors: Vec<u32>,
    /// Where code and where data begins among the instructions: true is code.
    marks: BTreeMap<u64, bool>,
    floats: bool,
}

impl<'f> Image<'f> {
    fn open(file: &ElfFile32<'f>) -> Self {
        let mut image = Self {
            names: BTreeMap::new(),
            code: vec![],
            data: vec![],
            relocated: BTreeSet::new(),
            vectors: vec![],
            marks: BTreeMap::new(),
            floats: false,
        };
        for symbol in file.symbols() {
            let name = symbol.name().unwrap_or_default();
            if symbol.kind() == SymbolKind::Text && symbol.size() > 0 {
                let start = symbol.address() & !1;
                let name = format!("{:#}", rustc_demangle::demangle(name));
                image.names.insert(start, (name, start + symbol.size()));
            } else if name.starts_with("$t") || name.starts_with("$d") {
                image.marks.insert(symbol.address(), name.starts_with("$t"));
            }
        }
        for section in file.sections() {
            let (name, bytes) = (section.name().unwrap_or_default(), section.data());
            let bytes = bytes.unwrap_or_default();
            let relocated = section.relocations().map(|(at, _)| at);
            match name {
                ".vector_table" => image.vectors = words_of(&bytes[STACK_VECTOR_LEN..]).collect(),
                ".rodata" | ".data" => {
                    image.data.push((section.address(), bytes));
                    image.relocated.extend(relocated);
                }
                _ if section.kind() == SectionKind::Text => {
                    image.code.push((section.address(), bytes));
                    image.relocated.extend(relocated);
                }
                // Those for debugging have offsets in place of addresses.
                _ => {}
            }
        }
        // Only a core with a floating point unit has code that pushes its registers, or its context to save.
        image.floats = file.elf_header().e_flags.get(file.endian()).0 & EF_ARM_ABI_FLOAT_HARD != 0;
        assert!(!image.relocated.is_empty(), "images are linked with their relocations");
        image
    }

    /// The start of the function that a word points at: addresses of code are odd.
    fn pointed(&self, word: u32) -> Option<u64> {
        let start = u64::from(word & !1);
        (word & 1 == 1 && self.names.contains_key(&start)).then_some(start)
    }

    /// All words that are pointers: in data, and among the instructions.
    fn words(&self) -> impl Iterator<Item = u32> {
        let sections = self.data.iter().chain(&self.code);
        let words = sections.flat_map(|&(start, bytes)| words_of(bytes).zip((start..).step_by(4)));
        words.filter(|(_, at)| self.relocated.contains(at)).map(|(word, _)| word)
    }

    fn is_code(&self, address: u64) -> bool {
        self.marks.range(..=address).next_back().is_none_or(|(_, &is_code)| is_code)
    }

    fn half_word(&self, address: u64) -> Option<u32> {
        let (start, bytes) = self
            .code
            .iter()
            .find(|(start, bytes)| (*start..*start + bytes.len() as u64).contains(&address))?;
        let bytes = bytes.get((address - start) as usize..)?.first_chunk::<2>()?;
        Some(u16::from_le_bytes(*bytes).into())
    }

    fn word(&self, address: u64) -> Option<u32> {
        Some(self.half_word(address)? | self.half_word(address + 2)? << 16)
    }

    /// The function at an address.
    fn function_at(&self, address: u64) -> Option<u64> {
        let (&start, (_, end)) = self.names.range(..=address).next_back()?;
        (address < *end).then_some(start)
    }
}

fn words_of(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word))
}

/// Reads the instructions of a function.
struct Reader<'i, 'f> {
    image: &'i Image<'f>,
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
            if !self.image.is_code(address) {
                address += 2;
                continue;
            }
            let first = self.image.half_word(address).expect("a function is in its section");
            if first >> 11 < 0b11101 {
                self.narrow(address, first, &mut constants);
                address += 2;
            } else {
                let second = self.image.half_word(address + 2).expect("the instruction is whole");
                self.wide(address, first, second);
                pointed_at.extend(
                    halves(first, second, &mut constants).and_then(|word| self.image.pointed(word)),
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
                constants[(code >> 8 & 7) as usize] = self.image.word(place);
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
        let next = self.image.half_word(address + len).unwrap_or(0);
        // pop, a wide pop, vpop
        if next & 0xfe00 != 0xbc00 && next != 0xe8bd && next & 0xffbf != 0xecbd {
            self.found.unreadable = Some(address);
        }
    }

    /// A call, or a jump, which is one if it leads out of the function.
    fn jump(&mut self, address: u64, offset: i64) {
        let target = (address + 4).wrapping_add_signed(offset);
        if let Some(callee) = self.image.function_at(target)
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

fn sign_extend(value: u32, bits: u32) -> i64 {
    let shift = i64::BITS - bits;
    i64::from(value) << shift >> shift
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

    #[test]
    fn offsets_are_signed() {
        assert_eq!([sign_extend(0xffe, 12), sign_extend(0x7fe, 12)], [-2, 2046]);
    }
}
