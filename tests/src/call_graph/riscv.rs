//! Images for a 32-bit RISC-V.
//!
//! ```text
//!  lui, auipc + addi ──> the address of a function ─┬─ jalr at once: a call by name
//!                                                   └─ else it is taken
//!  lui + addi ──> a table of places in the same function, and jr: a jump within it
//! ```
//!
//! The start-up code is in assembly. It passes the functions that it calls to itself by pointers, so a function whose
//! address it takes counts as called by it. A jump to the start of the program begins a new stack.

mod instruction;

use super::image::{Image, words_of};
use super::{Found, Function};
use instruction::{FRAME, Operation, RA, SP, is_wide, narrow, wide};
use object::elf::{R_RISCV_HI20, R_RISCV_PCREL_HI20, STT_NOTYPE};
use object::read::elf::ElfFile32;
use object::{Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SymbolFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The start-up code's functions for interrupts.
const HANDLERS: [&str; 2] = ["_vector_table", "_start_trap"];
/// The start-up code's functions that call those in its tables, and the tables.
const DISPATCHERS: [&str; 3] =
    ["_start_trap_rust", "_dispatch_core_interrupt", "_dispatch_exception"];
const TABLES: [&str; 2] = ["__CORE_INTERRUPTS", "__EXCEPTIONS"];

/// Reads an image.
pub(super) fn read(file: &ElfFile32, mut image: Image) -> Found {
    let assembly = assembly(file, &image);
    image.names.extend(assembly.clone());
    let reset = file.entry();
    let code = Code {
        uppers: uppers(file),
        tables: tables(file),
        pointers: pointers(&image),
        assembly: assembly.into_keys().collect(),
        image,
        reset,
    };
    let mut pointed_at: BTreeSet<u64> = code.functions_at(0..u64::MAX).collect();
    let mut functions = BTreeMap::new();
    for (&start, (name, end)) in &code.image.names {
        let mut reader = Reader::new(&code, start..*end);
        reader.read(name);
        pointed_at.extend(reader.taken);
        functions.insert(start, Function { name: name.clone(), ..reader.found });
    }
    let named = |name: &str| functions.iter().find(|(_, f)| f.name == name).map(|(&at, _)| at);
    let handlers: BTreeSet<u64> = HANDLERS.into_iter().filter_map(named).collect();
    // The core is told the address of its handlers; the program does not call them.
    let pointed_at = &pointed_at - &handlers;
    // The core pushes nothing by itself.
    Found { functions, pointed_at, handlers, reset, exception_len: 0 }
}

/// The functions in assembly, which have neither a type nor a length: start, name and end.
fn assembly(file: &ElfFile32, image: &Image) -> BTreeMap<u64, (String, u64)> {
    let is_code = |address: u64| image.half_word(address).is_some();
    let labels = file.symbols().filter_map(|symbol| {
        let (name, address) = (symbol.name().ok()?, symbol.address());
        let SymbolFlags::Elf { st_info, .. } = symbol.flags() else { return None };
        // Compilers name places within functions so, and linkers the ends of sections and of memory.
        let is_other = name.starts_with(['.', '$']) || name.starts_with("__");
        let is_other = is_other || symbol.section_index().is_none();
        let is_function = st_info.st_type() == STT_NOTYPE && !is_other;
        let is_new = is_code(address) && image.function_at(address).is_none();
        (is_function && is_new).then(|| (address, name.to_owned()))
    });
    let labels: BTreeMap<_, _> = labels.collect();
    let starts: BTreeSet<u64> = labels.keys().chain(image.names.keys()).copied().collect();
    let ends = image.code.iter().map(|(start, bytes)| start + bytes.len() as u64);
    let bounds: BTreeSet<u64> = starts.into_iter().chain(ends).collect();
    let end = |start| *bounds.range(start + 1..).next().expect("code ends after it");
    labels.into_iter().map(|(start, name)| (start, (name, end(start)))).collect()
}

/// What instructions that load the upper half of an address refer to.
fn uppers(file: &ElfFile32) -> BTreeMap<u64, u64> {
    let relocations = file.sections().flat_map(|section| section.relocations());
    let upper = relocations.filter_map(|(at, relocation)| {
        let RelocationFlags::Elf { r_type } = relocation.flags() else { return None };
        let RelocationTarget::Symbol(symbol) = relocation.target() else { return None };
        let is_upper = [R_RISCV_HI20, R_RISCV_PCREL_HI20].contains(&r_type);
        let address = file.symbol_by_index(symbol).ok()?.address();
        is_upper.then(|| (at, address.wrapping_add_signed(relocation.addend())))
    });
    upper.collect()
}

/// The start-up code's tables of functions.
fn tables(file: &ElfFile32) -> Vec<Range<u64>> {
    let tables = file.symbols().filter(|s| s.name().is_ok_and(|name| TABLES.contains(&name)));
    tables.map(|table| table.address()..table.address() + table.size()).collect()
}

/// The words in data that are pointers, by their addresses.
fn pointers(image: &Image) -> BTreeMap<u64, u64> {
    let words = |&(start, bytes): &(u64, _)| (start..).step_by(4).zip(words_of(bytes));
    let all = image.data.iter().flat_map(words);
    let pointers = all.filter(|(at, _)| image.relocated.contains(at));
    pointers.map(|(at, word)| (at, word.into())).collect()
}

/// The program.
struct Code<'f> {
    image: Image<'f>,
    uppers: BTreeMap<u64, u64>,
    tables: Vec<Range<u64>>,
    pointers: BTreeMap<u64, u64>,
    assembly: BTreeSet<u64>,
    reset: u64,
}

impl Code<'_> {
    fn is_function(&self, address: u64) -> bool {
        self.image.names.contains_key(&address)
    }

    /// The functions that pointers in a part of the data point at.
    fn functions_at(&self, part: Range<u64>) -> impl Iterator<Item = u64> {
        let pointers = self.pointers.range(part).map(|(_, &pointer)| pointer);
        pointers.filter(|&pointer| self.is_function(pointer))
    }
}

/// Reads the instructions of a function.
struct Reader<'c, 'f> {
    code: &'c Code<'f>,
    place: Range<u64>,
    /// What registers hold, where that is a constant, and the address of the instruction that gave it to them.
    constants: [Option<(u32, u64)>; 32],
    /// Number of jumps by tables that are still to come.
    jumps: usize,
    /// The functions whose addresses it takes.
    taken: BTreeSet<u64>,
    found: Function,
}

impl<'c, 'f> Reader<'c, 'f> {
    fn new(code: &'c Code<'f>, place: Range<u64>) -> Self {
        let within = place.start + 1..place.end;
        let is_place = |table: &u64| code.pointers.get(table).is_some_and(|at| within.contains(at));
        let jumps = code.uppers.range(place.clone()).filter(|(_, table)| is_place(table)).count();
        let (constants, taken, found) = ([None; 32], BTreeSet::new(), Function::default());
        Self { code, place, constants, jumps, taken, found }
    }

    fn is_assembly(&self) -> bool {
        self.code.assembly.contains(&self.place.start)
    }

    /// Reads all.
    fn read(&mut self, name: &str) {
        let (mut address, mut last) = (self.place.start, Operation::Return);
        while address < self.place.end {
            let half_word = self.code.image.half_word(address).expect("it is in its section");
            let (len, operation) = if is_wide(half_word) {
                (4, wide(address, self.code.image.word(address).expect("it is whole")))
            } else {
                (2, narrow(address, half_word))
            };
            self.step(address, operation, address + len);
            last = operation;
            address += len;
        }
        let goes_on = !matches!(
            last,
            Operation::Return
                | Operation::Jump { links: false, is_branch: false, .. }
                | Operation::Indirect { links: false, .. }
        );
        if self.is_assembly() {
            self.found.points = false;
            self.found.calls.append(&mut self.taken);
            if goes_on {
                self.leave(address, false);
            }
        }
        if DISPATCHERS.contains(&name) {
            self.found.points = false;
            let tables = self.code.tables.iter().cloned();
            self.found.calls.extend(tables.flat_map(|table| self.code.functions_at(table)));
        }
    }

    /// An instruction, which ends at `end`.
    fn step(&mut self, address: u64, operation: Operation, end: u64) {
        if let Some(&target) = self.code.uppers.get(&address)
            && self.code.is_function(target)
        {
            self.taken.insert(target);
        }
        match operation {
            Operation::Set { to: SP, .. } => self.cannot_read(address),
            Operation::Set { to, value } => self.set(to, Some(value), end),
            Operation::Add { to: SP, from: SP, value } => self.move_stack(value),
            Operation::Add { to: SP, from, .. } => {
                // From the frame pointer, a function gives back.
                if from != FRAME {
                    self.cannot_read(address);
                }
            }
            Operation::Add { to, from, value } => {
                let sum = self.constant(from).map(|constant| constant.wrapping_add(value));
                self.set(to, sum, end);
            }
            Operation::Sum { to, left, right, is_difference } => {
                let term = self.constant(right).map(|term| match is_difference {
                    true => term.wrapping_neg(),
                    false => term,
                });
                match (to == SP && left == SP, term) {
                    (true, Some(term)) => self.move_stack(term),
                    (true, None) => self.cannot_read(address),
                    (false, _) => self.other(address, to, end),
                }
            }
            Operation::Jump { target, links, .. } => {
                self.leave(target, links);
                if links {
                    self.constants = [None; 32];
                }
            }
            Operation::Indirect { from, offset, links } => {
                self.indirect(address, (from, offset), links);
            }
            Operation::Return => {}
            Operation::Other { to } => self.other(address, to, end),
        }
    }

    fn constant(&self, register: usize) -> Option<u32> {
        self.constants[register].map(|(constant, _)| constant)
    }

    fn set(&mut self, register: usize, value: Option<u32>, end: u64) {
        self.constants[register] = value.map(|value| (value, end)).filter(|_| register != 0);
    }

    /// An instruction writes what is not a constant.
    fn other(&mut self, address: u64, register: usize, end: u64) {
        if register == SP {
            self.cannot_read(address);
        }
        self.set(register, None, end);
    }

    fn move_stack(&mut self, value: u32) {
        self.found.frame_len += u64::from(value.cast_signed().min(0).unsigned_abs());
    }

    /// The stack pointer moves by an unknown number; in assembly a new stack begins.
    fn cannot_read(&mut self, address: u64) {
        if !self.is_assembly() {
            self.found.unreadable = Some(address);
        }
    }

    /// A jump by a register: a call by name, where the instruction before it has made the address; a return; a jump
    /// by a table; or a call by a pointer.
    fn indirect(&mut self, address: u64, (from, offset): (usize, u32), links: bool) {
        match self.constants[from] {
            Some((constant, made)) if made == address => {
                let target = u64::from(constant.wrapping_add(offset));
                self.taken.remove(&target);
                self.leave(target, links);
            }
            _ if !links && from == RA => {}
            _ if !links && self.jumps > 0 => self.jumps -= 1,
            _ => self.found.points = true,
        }
        if links {
            self.constants = [None; 32];
        }
    }

    /// A call, or a jump, which is one if it leads out of the function.
    fn leave(&mut self, target: u64, links: bool) {
        let Some(callee) = self.code.image.function_at(target) else { return };
        // A function that jumps to its own start has given back what it took.
        let is_within = callee == self.place.start && !links;
        if !is_within && callee != self.code.reset {
            self.found.calls.insert(callee);
        }
    }
}
