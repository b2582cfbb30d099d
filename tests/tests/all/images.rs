//! Static checks of the images of boards: they contain no panic, their stacks are deep enough, and they have the memory
//! that is documented.

use embedded_storage::nor_flash::NorFlash;
use object::{Object, ObjectSegment, ObjectSymbol};
use smidgen::boards::board::{BOARDS, Board, RecorderMemory};
use smidgen::boards::image;
use smidgen::run::experiment::Experiment;
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::recorder::store::{Mapped, RamFlash, Store};
use smidgen_firmware::worker::memory_len;
use smidgen_protocol::message::{Configure, Ticket};
use smidgen_protocol::recipe::{Features, Recipe};
use smidgen_tests::call_graph::CallGraph;
use smidgen_tests::conformance::experiment;
use smidgen_tests::emulation::image_of;
use smidgen_tests::flash::Flash;
use std::collections::BTreeMap;
use std::fs;

/// The size of an image may differ from the documented one by this many KiB, since compilers differ.
const SLACK_KIB: u64 = 6;
/// Bytes of a `static_cell` around the samples of a window.
const CELL_LEN: usize = 2;
/// Bytes by which a board may have more memory than the table of boards says.
const MEMORY_SLACK: u64 = 512;

fn call_graph(board: &Board, test: &str) -> Option<CallGraph> {
    let (_, image) = image_of(board.name, test)?;
    Some(CallGraph::read(&fs::read(image).unwrap()))
}

/// Returns whether a function may panic: on a Pico the crates of USB, the clocks of its HAL, and the functions of the
/// core library that they call. A panic restarts the board.
fn may_panic(board: &Board, name: &str) -> bool {
    let excused = ["core::", "<core::", "__rustc::rust_begin_unwind", "rp2040_hal::clocks::"];
    let is_excused = excused.iter().any(|start| name.starts_with(start)) || name.contains("usb");
    board.package == "pico" && is_excused
}

#[test]
fn no_image_can_panic() {
    for board in BOARDS {
        let Some(graph) = call_graph(board, "no_image_can_panic") else { return };
        let mut panics = graph.panics();
        panics.retain(|name| !may_panic(board, name));
        assert!(panics.is_empty(), "{} can panic: {panics:#?}", board.name);
    }
}

#[test]
fn a_program_that_can_panic_is_found() {
    let test = "a_program_that_can_panic_is_found";
    let Some((board, _)) = image_of("mps2-m3", test) else { return };
    let build = |name| image::build_example(board, name).unwrap_or_else(|error| panic!("{error}"));
    // They measure what comments and pages claim; nothing else builds them.
    ["recorder", "seal"].into_iter().for_each(|name| drop(build(name)));
    let program = build("panic");
    let graph = CallGraph::read(&fs::read(program).unwrap());
    for culprit in ["rust_begin_unwind", "panic::checked", "panic::__cortex_m_rt_main"] {
        let panics = graph.panics();
        assert!(panics.iter().any(|name| name.contains(culprit)), "{culprit}: {panics:#?}");
    }
}

#[test]
fn every_stack_is_deep_enough() {
    for board in BOARDS {
        let Some(graph) = call_graph(board, "every_stack_is_deep_enough") else { return };
        let deepest = graph.deepest().unwrap_or_else(|cycle| panic!("{}: {cycle}", board.name));
        println!("{}: {} of {} bytes of stack", board.name, deepest.len, graph.stack_len);
        deepest.path.iter().for_each(|(name, len)| println!("{len:>8} {name}"));
        assert!(deepest.len <= graph.stack_len, "the stack of {} is too small", board.name);
    }
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
struct Room {
    experiment: Experiment,
    /// Bytes of the data without rows, and of each row.
    data_len: (usize, usize),
}

impl Room {
    fn new() -> Self {
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

#[test]
fn documented_memory_is_that_of_the_images() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../firmware/boards/README.md");
    let page = fs::read_to_string(path).unwrap();
    let (mut wrong, room) = (vec![], Room::new());
    for board in BOARDS {
        let test = "documented_memory_is_that_of_the_images";
        let Some((_, image)) = image_of(board.name, test) else { return };
        let memory = Memory::read(&fs::read(image).unwrap());
        let worker = memory.between("__sheap", "_ram_end");
        let range = board.memory_len as u64..board.memory_len as u64 + MEMORY_SLACK;
        assert!(
            range.contains(&worker),
            "the image of {} leaves {worker} bytes for the worker: write that, or up to {MEMORY_SLACK} less, as its \
             `memory_len` in host/src/boards/board.rs",
            board.name
        );
        let cells = match &board.recorder {
            Some(recorder) => memory.recorder_cells(board, recorder),
            None => ["–"; 3].map(str::to_owned),
        };
        let kib = memory.image_len.div_ceil(1024);
        let [rows, columns] = room.of(board.memory_len);
        let rest = format!(
            " of {} | {} | {:.1} | {rows} | {columns} | {} |",
            memory.between("_flash_start", "_flash_end") / 1024,
            memory.between("_stack_end", "_stack_start"),
            board.memory_len as f64 / 1024.0,
            cells.join(" | "),
        );
        let start = format!("| `{}` | ", board.name);
        let documented = page
            .lines()
            .find_map(|line| line.strip_prefix(&start)?.strip_suffix(&rest)?.parse::<u64>().ok());
        if documented.is_none_or(|documented| documented.abs_diff(kib) > SLACK_KIB) {
            wrong.push(format!("{start}{kib}{rest}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "the table of firmware/boards/README.md needs these rows:\n{}",
        wrong.join("\n")
    );
}
