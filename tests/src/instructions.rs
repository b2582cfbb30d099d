//! The instructions that a board spends, counted by QEMU, and the page that documents them.
//!
//! The program `instructions` of the package `mps2` prints its counts. It is built as images are, for three cores.

use crate::emulation::{image_of, present, skip};
use object::{Object, ObjectSection};
use smidgen::boards::board::Board;
use smidgen::boards::image;
use smidgen::boards::qemu::System;
use smidgen::units::program::output;
use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

/// The page with documented counts.
pub const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
/// What a developer runs after a change of the counts.
pub const COMMAND: &str = "cargo bench -p smidgen-tests --bench instructions -- --write";

/// The lines of the page around its counts.
const MARKS: [&str; 2] = ["<!-- instructions -->\n", "<!-- end of instructions -->\n"];
/// The words around the compiler on the page.
const COMPILER: [&str; 2] = ["Compiler: ", ".\n"];
/// The board whose compiler and emulator are used.
const BOARD: &str = "mps2-m3";

/// A core, and the machine that runs its code.
struct Core {
    name: &'static str,
    target: &'static str,
    machine: &'static str,
}

/// A Cortex-M3 runs the same instructions as a Cortex-M0, and more.
const CORES: [Core; 3] = [
    Core { name: "Cortex-M0", target: "thumbv6m-none-eabi", machine: "mps2-an385" },
    Core { name: "Cortex-M3", target: "thumbv7m-none-eabi", machine: "mps2-an385" },
    Core { name: "Cortex-M4F", target: "thumbv7em-none-eabihf", machine: "mps2-an386" },
];

/// What a piece of work costs on each core.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The work.
    pub work: String,
    /// What its instructions are counted per.
    pub unit: String,
    /// Instructions per unit, by core.
    pub counts: [f64; CORES.len()],
}

/// Counts of all work, and the compiler that built it.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// As the compiler names itself.
    pub compiler: String,
    /// The work, in the order in which it is printed.
    pub rows: Vec<Row>,
}

impl Counts {
    /// Builds the program for each core, and counts. Without a compiler or an emulator, a line on standard error says
    /// that `test` is skipped.
    ///
    /// # Panics
    /// If the program cannot be built, or does not do what it should.
    pub fn count(test: &str) -> Option<Self> {
        let (board, _) = image_of(BOARD, test)?;
        let mut compiler = String::new();
        let mut printed = vec![];
        for core in &CORES {
            let board = Board { target: core.target, emulation: None, ..*board };
            let built = present(image::build_example(&board, "instructions"));
            let program = match built.unwrap_or_else(|error| panic!("{}: {error}", core.name)) {
                Ok(program) => program,
                Err(why) => {
                    skip(test, core.name, &why);
                    return None;
                }
            };
            compiler = compiler_of(&fs::read(&program).expect("it was built"));
            printed.push(printed_by(core, &program));
        }
        Some(Self::of(compiler, &printed))
    }

    /// Puts what the program printed for each core side by side.
    fn of(compiler: String, printed: &[String]) -> Self {
        let lines = printed[0].lines().filter(|line| line.contains('|')).count();
        let row = |line: usize| {
            let cells: Vec<_> = printed.iter().map(|text| cells(nth(text, line))).collect();
            let [work, unit, ..] = cells[0][..] else { panic!("{:?} is no case", cells[0]) };
            assert!(cells.iter().all(|cells| cells[..2] == [work, unit]), "{cells:?}");
            let counts = [0, 1, 2].map(|core| number(cells[core][2]) / number(cells[core][3]));
            Row { work: work.into(), unit: unit.into(), counts }
        };
        Self { compiler, rows: (0..lines).map(row).collect() }
    }

    /// Reads the counts of a page.
    pub fn parse(page: &str) -> Option<Self> {
        let (_, block, _) = split(page, MARKS)?;
        let (_, compiler, table) = split(block, COMPILER)?;
        let row = |line: &str| {
            let cells = cells(line.strip_prefix("| ")?.strip_suffix(" |")?);
            let [work, unit, counts @ ..] = &cells[..] else { return None };
            let counts: Vec<f64> = counts.iter().filter_map(|count| count.parse().ok()).collect();
            Some(Row {
                work: (*work).into(),
                unit: (*unit).into(),
                counts: counts.try_into().ok()?,
            })
        };
        Some(Self { compiler: compiler.into(), rows: table.lines().filter_map(row).collect() })
    }

    /// Returns the page with these counts, and what is said about them, in place of those that it has.
    pub fn written_into(&self, page: &str, about: &str) -> Option<String> {
        let (before, _, after) = split(page, MARKS)?;
        let [start, end] = MARKS;
        Some(format!("{before}{start}\n{about}{self}\n{end}{after}"))
    }
}

impl Display for Counts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [before, after] = COMPILER;
        write!(f, "{before}{}{after}\n| work | per", self.compiler)?;
        CORES.iter().try_for_each(|core| write!(f, " | {}", core.name))?;
        writeln!(f, " |\n|---|---|{}", "---|".repeat(CORES.len()))?;
        for Row { work, unit, counts } in &self.rows {
            write!(f, "| {work} | {unit}")?;
            counts.iter().try_for_each(|&count| write!(f, " | {}", shown(count)))?;
            writeln!(f, " |")?;
        }
        Ok(())
    }
}

/// A count with four digits or more.
fn shown(count: f64) -> String {
    let digits = 3 - count.log10().clamp(0.0, 3.0) as usize;
    format!("{count:.digits$}")
}

/// Splits a text at the first of each mark, one after the other.
fn split<'t>(text: &'t str, [start, end]: [&str; 2]) -> Option<(&'t str, &'t str, &'t str)> {
    let (before, rest) = text.split_once(start)?;
    let (between, after) = rest.split_once(end)?;
    Some((before, between, after))
}

fn cells(line: &str) -> Vec<&str> {
    line.split(" | ").collect()
}

fn nth(text: &str, line: usize) -> &str {
    text.lines().nth(line).unwrap_or_default()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// The compiler of an image, as it names itself in it.
fn compiler_of(elf: &[u8]) -> String {
    let file = object::File::parse(elf).expect("an ELF file");
    let comment = file.section_by_name(".comment").expect("compilers name themselves");
    let comment = String::from_utf8_lossy(comment.data().expect("a section"));
    let mut names = comment.split('\0');
    let name = names.find_map(|name| name.strip_prefix("rustc version "));
    format!("rustc {}", name.expect("it is Rust's"))
}

/// What the program prints for a core.
fn printed_by(core: &Core, program: &Path) -> String {
    let system = System::Arm;
    let qemu = env::var_os(system.variable()).filter(|name| !name.is_empty());
    let mut command = Command::new(qemu.unwrap_or_else(|| system.program().into()));
    command.args(["-M", core.machine, "-icount", "shift=0", "-no-reboot", "-display", "none"]);
    command.args(["-monitor", "none", "-serial", "stdio", "-kernel"]).arg(program);
    let out = output(command.stdin(Stdio::null())).unwrap_or_else(|error| panic!("{error}"));
    let printed = String::from_utf8_lossy(&out.stdout).replace('\r', "");
    assert!(printed.ends_with("done\n"), "{}: {printed} {:?}", core.name, out.stderr);
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_they_are_written() {
        let printed = [
            "a | byte | 10 | 4\nb, long | row | 2000000 | 3\ndone\n",
            "a | byte | 5 | 4\nb, long | row | 1000 | 3\ndone\n",
            "a | byte | 1 | 4\nb, long | row | 10 | 3\ndone\n",
        ];
        let counts = Counts::of("rustc 1.2.3 (x y)".into(), &printed.map(str::to_owned));
        assert_eq!(counts.rows[0].counts, [2.5, 1.25, 0.25]);
        let page = format!("# Title\n\n{}old\n{}\nThe end.\n", MARKS[0], MARKS[1]);
        let written = counts.written_into(&page, "About.\n").unwrap();
        assert!(written.starts_with("# Title\n\n<!--") && written.ends_with("-->\n\nThe end.\n"));
        assert!(written.contains("| b, long | row | 666667 | 333.3 | 3.333 |\n"), "{written}");
        let read = Counts::parse(&written).unwrap();
        assert_eq!((&read.compiler, read.rows.len()), (&counts.compiler, 2));
        assert_eq!(read.rows[0], counts.rows[0]);
        assert_eq!(Counts::parse(&read.written_into(&page, "").unwrap()), Some(read));
        assert_eq!((Counts::parse("none"), counts.written_into("none", "")), (None, None));
    }
}
