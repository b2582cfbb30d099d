//! Who calls whom in an image of a board, and how much stack that takes: read from the program that is flashed.
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

mod image;
mod riscv;
mod thumb;

use image::Image;
use object::read::elf::ElfFile32;
use object::{Architecture, Object, ObjectSymbol};
use std::collections::{BTreeMap, BTreeSet};

/// A function of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Function {
    /// Its name, without hashes.
    name: String,
    /// Bytes that it takes off the stack itself.
    frame_len: u64,
    /// Addresses of the functions that it calls by name.
    calls: BTreeSet<u64>,
    /// It calls by a pointer.
    points: bool,
    /// Where it moves the stack pointer by what cannot be read here.
    unreadable: Option<u64>,
}

/// What an instruction set tells of an image.
#[derive(Clone, Debug)]
struct Found {
    /// The functions by their addresses.
    functions: BTreeMap<u64, Function>,
    /// Those whose address is taken.
    pointed_at: BTreeSet<u64>,
    /// Those that interrupts and exceptions call.
    handlers: BTreeSet<u64>,
    /// The one that is called on a reset.
    reset: u64,
    /// Bytes that the core itself pushes for an interrupt.
    exception_len: u64,
}

/// The functions of an image and their calls.
#[derive(Clone, Debug)]
pub struct CallGraph {
    found: Found,
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
        let found = match file.architecture() {
            Architecture::Arm => thumb::read(&file, image),
            Architecture::Riscv32 => riscv::read(&file, image),
            other => panic!("no board has the instruction set {other:?}"),
        };
        let symbol = |name| {
            let found = file.symbols().find(|symbol| symbol.name() == Ok(name));
            found.unwrap_or_else(|| panic!("{name} is in every image")).address()
        };
        Self { found, stack_len: symbol("_stack_start") - symbol("_stack_end") }
    }

    /// Names of the functions that panic, and of those that call them, directly or through the core library.
    pub fn panics(&self) -> BTreeSet<&str> {
        let functions = &self.found.functions;
        let is_panic = |name: &str| {
            ["rust_begin_unwind", "core::panicking", "panic_fmt"].iter().any(|p| name.contains(p))
        };
        let panicking = functions.iter().filter(|(_, f)| is_panic(&f.name));
        let mut panicking: BTreeSet<u64> = panicking.map(|(&at, _)| at).collect();
        let mut names: BTreeSet<&str> =
            panicking.iter().map(|at| functions[at].name.as_str()).collect();
        loop {
            let callers = functions.iter().filter(|(_, f)| !f.calls.is_disjoint(&panicking));
            let callers: Vec<_> = callers.collect();
            names.extend(callers.iter().map(|(_, function)| function.name.as_str()));
            // A function of the core library panics for its caller, such as an index out of range.
            let of_core = callers.iter().filter(|(_, function)| function.name.contains("core::"));
            let before = panicking.len();
            panicking.extend(of_core.map(|&(&at, _)| at));
            if panicking.len() == before {
                return names;
            }
        }
    }

    /// The deepest way down the stack: from the reset on, and an interrupt at the end of it. Interrupts of one
    /// priority do not interrupt each other.
    ///
    /// # Errors
    /// A function that calls itself, or is called by what it calls, or takes an unknown number of bytes off the stack.
    pub fn deepest(&self) -> Result<Descent, String> {
        let mut known = BTreeMap::new();
        let mut main = self.descend(self.found.reset, &mut vec![], &mut known)?;
        let handlers: Result<Vec<_>, _> = self
            .found
            .handlers
            .iter()
            .map(|&at| self.descend(at, &mut vec![], &mut known))
            .collect();
        let interrupt = handlers?.into_iter().max_by_key(|descent| descent.len);
        let interrupt = interrupt.unwrap_or(Descent { len: 0, path: vec![] });
        main.len += self.found.exception_len + interrupt.len;
        main.path.push(("an interrupt".into(), self.found.exception_len));
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
        let function = &self.found.functions[&at];
        if above.contains(&at) {
            return Err(format!("{} calls itself", function.name));
        }
        if let Some(at) = function.unreadable {
            return Err(format!("{} moves its stack pointer at {at:#x}", function.name));
        }
        above.push(at);
        let pointed_at = self.found.pointed_at.iter().filter(|_| function.points);
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
