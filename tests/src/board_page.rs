//! The rows of `firmware/boards/README.md` that follow from images: their memory and their stacks.

use crate::call_graph::CallGraph;
use crate::conformance::experiment;
use crate::flash::Flash;
use embedded_storage::nor_flash::NorFlash;
use object::{Object, ObjectSegment, ObjectSymbol};
use smidgen::boards::board::{Board, RecorderMemory};
use smidgen::run::experiment::Experiment;
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::recorder::store::{Mapped, RamFlash, Store};
use smidgen_firmware::worker::memory_len;
use smidgen_protocol::message::{Configure, Ticket};
use smidgen_protocol::recipe::{Features, Recipe};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The size of an image may differ from the documented one by this many KiB, since compilers differ.
const SLACK_KIB: u64 = 6;
/// Bytes of a `static_cell` around the samples of a window.
const CELL_LEN: usize = 2;
/// Bytes by which a board may have more memory than the table of boards says.
const MEMORY_SLACK: u64 = 512;
/// How the heads of the tables begin.
const MEMORY_HEAD: &str = "| board | image, of flash";
const STACK_HEAD: &str = "| board | reserved | deepest |";

/// Path of the page.
pub fn path() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../firmware/boards/README.md").into()
}

/// The row of a board in the table of memory.
#[derive(Debug)]
pub struct MemoryRow {
    /// Its first cell.
    start: String,
    /// KiB of the image.
    kib: u64,
    /// The cells after that number.
    rest: String,
}

impl MemoryRow {
    /// Computes it from an image.
    ///
    /// # Errors
    /// If the table of boards says another size of memory: a sentence with what it should say.
    ///
    /// # Panics
    /// If the image is damaged, or has another recorder than the table of boards says.
    pub fn of(board: &Board, elf: &[u8], room: &Room) -> Result<Self, String> {
        let memory = Memory::read(elf);
        let worker = memory.between("__sheap", "_ram_end");
        let range = board.memory_len as u64..board.memory_len as u64 + MEMORY_SLACK;
        if !range.contains(&worker) {
            return Err(format!(
                "the image of {} leaves {worker} bytes for the worker: write that, or up to {MEMORY_SLACK} less, as its \
                 `memory_len` in host/src/boards/board.rs",
                board.name
            ));
        }
        let cells = match &board.recorder {
            Some(recorder) => memory.recorder_cells(board, recorder),
            None => ["–"; 3].map(str::to_owned),
        };
        let [rows, columns] = room.of(board.memory_len);
        let rest = format!(
            " of {} | {} | {:.1} | {rows} | {columns} | {} |",
            memory.between("_flash_start", "_flash_end") / 1024,
            memory.between("_stack_end", "_stack_start"),
            board.memory_len as f64 / 1024.0,
            cells.join(" | "),
        );
        let kib = memory.image_len.div_ceil(1024);
        Ok(Self { start: format!("| `{}` | ", board.name), kib, rest })
    }

    /// Returns whether a page has it, with about the same size of the image.
    pub fn is_in(&self, page: &str) -> bool {
        let kib = |line: &str| {
            line.strip_prefix(&self.start)?.strip_suffix(&self.rest)?.parse::<u64>().ok()
        };
        let documented = page.lines().find_map(kib);
        documented.is_some_and(|documented| documented.abs_diff(self.kib) <= SLACK_KIB)
    }

    /// As the page has it.
    pub fn text(&self) -> String {
        format!("{}{}{}", self.start, self.kib, self.rest)
    }
}

/// Returns the page with the rows of a board, which replace earlier ones.
///
/// # Errors
/// A sentence, if a row cannot be computed or has no table.
pub fn with_rows(page: &str, board: &Board, elf: &[u8], room: &Room) -> Result<String, String> {
    let graph = CallGraph::read(elf);
    let deepest = graph.deepest().map_err(|cycle| format!("{}: {cycle}", board.name))?;
    let stack = format!("| `{}` | {} | {} |", board.name, graph.stack_len, deepest.len);
    let memory = MemoryRow::of(board, elf, room)?.text();
    let page = with_row(page, MEMORY_HEAD, board.name, &memory);
    let page = page.and_then(|page| with_row(&page, STACK_HEAD, board.name, &stack));
    page.ok_or_else(|| {
        format!("{} has no table that begins with {MEMORY_HEAD} or {STACK_HEAD}", path().display())
    })
}

/// Returns a page with a row in the table whose head starts so: in place of the board's, or as the last one.
fn with_row(page: &str, head: &str, name: &str, row: &str) -> Option<String> {
    let mut lines: Vec<_> = page.lines().collect();
    let first = lines.iter().position(|line| line.starts_with(head))?;
    let len = lines[first..].iter().take_while(|line| line.starts_with('|')).count();
    let start = format!("| `{name}` |");
    match lines[first..first + len].iter_mut().find(|line| line.starts_with(&start)) {
        Some(line) => *line = row,
        None => lines.insert(first + len, row),
    }
    Some(lines.join("\n") + "\n")
}

/// Where images have their parts.
struct Memory {
    symbols: BTreeMap<String, u64>,
    image_len: u64,
    /// Bytes for the samples of a window.
    window_len: Option<u64>,
}

impl Memory {
    fn read(elf: &[u8]) -> Self {
        let file = object::File::parse(elf).unwrap();
        let symbols = file.symbols().filter_map(|s| Some((s.name().ok()?.to_owned(), s.address())));
        // What is flashed: data in RAM are copied from flash.
        let image_len = file.segments().map(|segment| segment.file_range().1).sum();
        let window = file.symbols().find(|s| s.name().is_ok_and(|name| name.contains("6WINDOW")));
        Self {
            symbols: symbols.collect(),
            image_len,
            window_len: window.map(|symbol| symbol.size()),
        }
    }

    fn between(&self, start: &str, end: &str) -> u64 {
        self.symbols[end] - self.symbols[start]
    }

    /// Number of rows of the default features of this many channels, of one class.
    fn rows_of(&self, recorder: &RecorderMemory, channels: u8) -> u32 {
        let recipe = recipe(channels);
        let len = self.between("_rows_start", "_rows_end") as usize;
        // The unit of writes of flash differs from that of RAM.
        if recorder.row_unit == Flash::WRITE_SIZE {
            room(Store::open(Flash::new(len / 1024)).unwrap(), &recipe)
        } else {
            let mut memory = vec![u64::MAX; len / 8];
            room(Store::open(RamFlash::new(&mut memory)).unwrap(), &recipe)
        }
    }

    /// Checks a recorder against the table of boards; returns the cells of the page about it.
    fn recorder_cells(&self, board: &Board, recorder: &RecorderMemory) -> [String; 3] {
        let rows_len = self.between("_rows_start", "_rows_end");
        assert_eq!(recorder.rows_len as u64, rows_len, "{}", board.name);
        let window_len = 2 * recorder.window_len + CELL_LEN;
        assert_eq!(Some(window_len as u64), self.window_len, "{}", board.name);
        let rows = [3, 6].map(|channels| {
            let recipe = recipe(channels);
            let (rows, some) = (self.rows_of(recorder, channels) as usize, 20);
            assert!(recorder.holds(&recipe, rows - some), "{}", board.name);
            assert!(!recorder.holds(&recipe, rows + some), "{}", board.name);
            rows.to_string()
        });
        let [three, six] = rows;
        [(rows_len / 1024).to_string(), three, six]
    }
}

/// The default features of this many channels.
fn recipe(channels: u8) -> Recipe {
    Recipe { channels, window: 1, hop: 1, features: Features::DEFAULT, rate_millihertz: 10_000 }
}

fn room<F: NorFlash + Mapped>(mut store: Store<F>, recipe: &Recipe) -> u32 {
    store.prepare(recipe).unwrap();
    store.begin("class", false).unwrap();
    store.room()
}

/// What a worker holds of the digits, by the options of a run.
#[derive(Debug)]
pub struct Room {
    experiment: Experiment,
    /// Bytes of the data without rows, and of each row.
    data_len: (usize, usize),
}

impl Room {
    /// The default options: logistic regression with the sparse downlink.
    pub fn of_digits() -> Self {
        let of = |rows| experiment(&format!("--dataset digits --workers 1 --rows {rows}"));
        let len = |experiment: &Experiment| experiment.setup.shares[0].data.len();
        let (ten, hundred) = (of(10), of(100));
        let row_len = (len(&hundred) - len(&ten)).div_ceil(90);
        Self { data_len: (len(&ten) - 10 * row_len, row_len), experiment: ten }
    }

    /// Bytes that a worker needs for this many columns and rows.
    fn need(&self, dimension: usize, rows: usize) -> usize {
        let (head, row) = self.data_len;
        let configure = self.experiment.setup.configuration(0, Ticket::default(), 0);
        let columns = configure.dimension as usize;
        let data_len = (head + rows * row * dimension / columns) as u32;
        memory_len::<Objectives>(&Configure { dimension: dimension as u32, data_len, ..configure })
    }

    /// The most rows of the digits, and the most columns of ten rows of such features, in this memory.
    fn of(&self, memory_len: usize) -> [usize; 2] {
        let columns = self.experiment.setup.dimension as usize;
        let largest = |need: &dyn Fn(usize) -> usize| {
            let (mut fits, mut fails) = (0, memory_len);
            while fails - fits > 1 {
                let middle = fits.midpoint(fails);
                *if need(middle) <= memory_len { &mut fits } else { &mut fails } = middle;
            }
            fits
        };
        [largest(&|rows| self.need(columns, rows)), largest(&|dimension| self.need(dimension, 10))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_replaces_that_of_its_board() {
        let page = "| board | image, of flash |\n|---|---|\n| `a` | 1 |\n\n| `b` | 2 |\n";
        let with = |name, row| with_row(page, MEMORY_HEAD, name, row);
        assert_eq!(with("a", "| `a` | 9 |"), Some(page.replace("1 |", "9 |")));
        let added = page.replace("1 |\n", "1 |\n| `b` | 3 |\n");
        assert_eq!(with("b", "| `b` | 3 |"), Some(added));
        assert_eq!(with_row(page, STACK_HEAD, "a", "| `a` | 9 |"), None);
    }

    #[test]
    fn size_of_an_image_may_differ_a_little() {
        let row = MemoryRow { start: "| `a` | ".into(), kib: 100, rest: " of 128 | 8192 |".into() };
        let page =
            |kib: u64| MemoryRow { start: row.start.clone(), kib, rest: row.rest.clone() }.text();
        assert!(row.is_in(&page(94)) && row.is_in(&page(106)));
        assert!(!row.is_in(&page(93)) && !row.is_in(&page(107)));
        assert!(!row.is_in(&page(100).replace("8192", "4096")));
    }
}
