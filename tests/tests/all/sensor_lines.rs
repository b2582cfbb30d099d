//! Emulated boards with samples on a second serial line make the rows of the library, and keep them over a reset.

use smidgen::world::emulator::{Emulator, Feeder};
use smidgen_firmware::recorder::Recorder;
use smidgen_firmware::recorder::store::Store;
use smidgen_protocol::counters::Counters;
use smidgen_protocol::digest::Draws;
use smidgen_protocol::frame::{Context, Deframer};
use smidgen_protocol::message::{
    BROADCAST, ClassRecords, Command, Down, Outcome, Progress, RecordRefusal, Records, Up,
};
use smidgen_protocol::recipe::{Features, Recipe};
use smidgen_protocol::recorded::RowsChecksum;
use smidgen_tests::emulation::{start, tested};
use smidgen_tests::flash::Flash;
use smidgen_tests::frames::frame;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

const CHANNELS: usize = 6;
const RECIPE: Recipe = Recipe {
    channels: CHANNELS as u8,
    window: 50,
    hop: 25,
    features: Features::from_bits(0b11_1111),
    rate_millihertz: 10_000,
};
/// Classes, whether they are held out, and samples of recordings.
const RECORDINGS: [(&str, bool, usize); 4] =
    [("rest", false, 140), ("run", false, 75), ("rest", true, 60), ("run", false, 800)];
/// Time-out of an answer, after which the question is repeated.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time for an emulated board to take samples.
const PROGRESS_TIME_MAX: Duration = Duration::from_secs(60);

/// The line of an emulated board, for recorder commands.
struct Commander {
    line: UnixStream,
    echo: u16,
}

impl Commander {
    fn connect(emulator: &Emulator) -> Self {
        let line = UnixStream::connect(emulator.socket()).unwrap();
        line.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { line, echo: 0 }
    }

    /// The payload of the answer to a command.
    fn ask(&mut self, command: Command) -> Vec<u8> {
        self.echo += 1;
        let question = Down::Record { echo: self.echo, identity: 1, command };
        let question = frame(|out| question.emit(BROADCAST, &[], &Context::SETUP, out));
        let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
        let mut bytes = [0; 4096];
        for _ in 0..20 {
            self.line.write_all(&question).unwrap();
            loop {
                let mut rest = match self.line.read(&mut bytes) {
                    Ok(0) => panic!("the board's emulator has ended"),
                    Ok(len) => &bytes[..len],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                };
                while !rest.is_empty() {
                    let (after, frame) = deframer.feed(rest, &mut counters);
                    rest = after;
                    let payload =
                        frame.as_ref().and_then(|frame| frame.check(&Context::SETUP).ok());
                    if let Some(payload) = payload
                        && records(payload).is_some_and(|records| records.echo == self.echo)
                    {
                        return payload.to_vec();
                    }
                }
            }
        }
        panic!("{command:?} is not answered");
    }

    /// Carries out a command that the board must accept.
    fn command(&mut self, command: Command) {
        let answer = self.ask(command);
        let outcome = records(&answer).unwrap().outcome;
        assert_eq!(outcome, Outcome::Done, "{command:?}");
    }

    /// Asks for the state until a recording has got so far.
    fn wait(&mut self, is_reached: impl Fn(&Progress) -> bool) -> Progress {
        let started = Instant::now();
        loop {
            let answer = self.ask(Command::Status);
            let progress = records(&answer).unwrap().progress;
            if is_reached(&progress) {
                return progress;
            }
            assert!(started.elapsed() < PROGRESS_TIME_MAX, "the board has come to {progress:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn records(payload: &[u8]) -> Option<Records<'_>> {
    match Up::parse(payload) {
        Ok((Up::Records(records), [])) => Some(records),
        _ => None,
    }
}

/// Noise, of another magnitude for each channel and recording.
fn samples(recording: usize) -> Vec<[i16; CHANNELS]> {
    let mut draws = Draws::new(recording as u64);
    let mut value = |channel: usize| {
        let bits = 16 - (channel + recording) as u32;
        (draws.below(1 << bits) as i32 - (1 << (bits - 1))) as i16
    };
    (0..RECORDINGS[recording].2).map(|_| std::array::from_fn(&mut value)).collect()
}

/// The rows of the library.
fn expected() -> Store<Flash> {
    let mut window = [0; CHANNELS * 50];
    let mut recorder = Recorder::new(Store::open(Flash::new(96)).unwrap(), &mut window);
    for (recording, (class, is_test, _)) in RECORDINGS.into_iter().enumerate() {
        recorder.begin(&RECIPE, class, is_test).unwrap();
        samples(recording).iter().for_each(|sample| {
            recorder.sample(sample).unwrap();
        });
        recorder.end();
    }
    Store::open(recorder.store().flash().clone()).unwrap()
}

fn assert_rows(payload: &[u8], store: &Store<Flash>, board: &str) {
    let found = records(payload).unwrap();
    let mut checksum = RowsChecksum::default();
    store.rows().for_each(|row| checksum.add(store.values_of(&row), row.class, row.is_test));
    assert_eq!(found.checksum, checksum.value(), "{board}");
    let counts = store.counts();
    let classes = store.classes().map(|(class, name)| {
        let counts = counts[usize::from(class)];
        ClassRecords { name, training: counts.training, test: counts.test }
    });
    assert!(found.classes().eq(classes), "{board}: {found:?}");
    assert_eq!((found.recipe, found.recording), (Some(RECIPE), 4), "{board}");
}

#[test]
fn rows_from_samples_on_a_line_are_those_of_the_library() {
    let test = "rows_from_samples_on_a_line_are_those_of_the_library";
    let store = expected();
    for board in tested(test).into_iter().filter(|board| board.has_sensor_line()) {
        let Some(mut emulators) = start(&[board.name], test) else { return };
        let mut commander = Commander::connect(&emulators[0]);
        let mut feeder = Feeder::connect(&emulators[0]).unwrap();
        for (recording, (class, is_test, count)) in (1..).zip(RECORDINGS) {
            commander.command(Command::Start {
                recording,
                recipe: RECIPE,
                class,
                is_test,
                samples: 0,
            });
            let samples = samples(usize::from(recording) - 1);
            feeder.feed(samples.iter().map(|sample| &sample[..])).unwrap();
            let progress = commander.wait(|progress| progress.samples as usize >= count);
            assert_eq!((progress.samples as usize, progress.gaps), (count, 0), "{}", board.name);
            commander.command(Command::Stop { recording });
        }
        assert_rows(&commander.ask(Command::Status), &store, board.name);

        emulators[0].reset().unwrap();
        assert_rows(&commander.ask(Command::Status), &store, board.name);

        emulators[0].restart().unwrap();
        let answer = Commander::connect(&emulators[0]).ask(Command::Status);
        if !board.keeps_memory() {
            let rows = records(&answer).unwrap();
            assert_eq!((rows.recipe, rows.recording), (None, 0), "{}: RAM is lost", board.name);
        } else {
            assert_rows(&answer, &store, board.name);
        }
    }
}

/// A sample that the sensor loses is a gap, and so is one with another number of channels.
#[test]
fn gap_on_a_line_is_counted() {
    let Some(emulators) = start(&["mps2-m3"], "gap_on_a_line_is_counted") else { return };
    let mut commander = Commander::connect(&emulators[0]);
    let mut feeder = Feeder::connect(&emulators[0]).unwrap();
    commander.command(Command::Start {
        recording: 1,
        recipe: RECIPE,
        class: "a",
        is_test: false,
        samples: 0,
    });
    let samples = samples(0);
    let (before, after) = samples.split_at(60);
    feeder.feed(before.iter().map(|sample| &sample[..])).unwrap();
    feeder.skip();
    feeder.feed(after.iter().map(|sample| &sample[..])).unwrap();
    // Of another number of channels.
    feeder.feed([&before[0][..5]]).unwrap();
    let count = samples.len() as u32 + 2;
    let progress = commander.wait(|progress| progress.samples >= count);
    let rows = RECIPE.rows(60) + RECIPE.rows(80);
    assert_eq!(progress, Progress { samples: count, rows, gaps: 2 });
}

#[test]
fn board_without_a_sensor_line_is_named() {
    let Some(emulators) = start(&["microbit"], "board_without_a_sensor_line_is_named") else {
        return;
    };
    let error = Feeder::connect(&emulators[0]).unwrap_err().to_string();
    assert!(
        error.starts_with("the emulator gives the board microbit no line for a sensor"),
        "{error}"
    );
}

/// QEMU has the bus of a micro:bit's accelerometer, which answers with constants, and its flash.
#[test]
fn microbit_keeps_rows_of_its_accelerometer_over_a_reset() {
    let test = "microbit_keeps_rows_of_its_accelerometer_over_a_reset";
    let Some(mut emulators) = start(&["microbit"], test) else { return };
    let mut commander = Commander::connect(&emulators[0]);
    let recipe = Recipe {
        channels: 3,
        window: 10,
        hop: 5,
        features: Features::DEFAULT,
        rate_millihertz: 100_000,
    };
    for (recipe, refusal) in [
        (Recipe { channels: 6, ..recipe }, RecordRefusal::Channels),
        (Recipe { rate_millihertz: 100_001, ..recipe }, RecordRefusal::Rate),
    ] {
        let start =
            Command::Start { recording: 1, recipe, class: "still", is_test: false, samples: 0 };
        let answer = commander.ask(start);
        assert_eq!(records(&answer).unwrap().outcome, Outcome::Refused(refusal));
    }
    // The flash of QEMU is not erased, as that of a board after another program.
    commander.command(Command::Clear { recording: 0 });
    commander.command(Command::Start {
        recording: 1,
        recipe,
        class: "still",
        is_test: false,
        samples: 0,
    });
    commander.wait(|progress| progress.rows >= 3);
    commander.command(Command::Stop { recording: 1 });
    let before = commander.ask(Command::Status);
    emulators[0].reset().unwrap();
    let after = commander.ask(Command::Status);
    let [before, after] = [&before, &after].map(|payload| records(payload).unwrap());
    assert_eq!((before.channels, before.recipe, before.recording), (3, Some(recipe), 1));
    assert_eq!(before.classes().map(|class| class.name).collect::<Vec<_>>(), ["still"]);
    assert_eq!((after.checksum, after.classes), (before.checksum, before.classes));
}

/// Time that the processor has spent on an emulator, in units of 10 ms.
fn processor_time(emulator: &Emulator) -> u64 {
    let folder = emulator.socket().parent();
    let is_meant = |process: &PathBuf| {
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        name.starts_with("qemu") && fs::read_link(process.join("cwd")).ok().as_deref() == folder
    };
    let mut processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let process = processes.find(is_meant).expect("a process of QEMU");
    let stat = fs::read_to_string(process.join("stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
fn board_sleeps_between_samples() {
    const SECONDS: u64 = 2;
    const HERTZ: u32 = 10;
    for board in ["mps2-m3", "mps2-m33", "mps3-m55", "stm32f405", "microbit", "stm32l475"] {
        let Some(emulators) = start(&[board], "board_sleeps_between_samples") else { return };
        let mut commander = Commander::connect(&emulators[0]);
        commander.command(Command::Clear { recording: 0 });
        let has_line = emulators[0].board().has_sensor_line();
        let mut feeder = has_line.then(|| Feeder::connect(&emulators[0]).unwrap());
        let recipe = Recipe { channels: 3, rate_millihertz: HERTZ * 1000, ..RECIPE };
        let (class, is_test, samples) = ("still", false, 0);
        commander.command(Command::Start { recording: 1, recipe, class, is_test, samples });
        let before = processor_time(&emulators[0]);
        let count = SECONDS as u32 * HERTZ;
        for _ in 0..count {
            thread::sleep(Duration::from_secs(1) / HERTZ);
            feeder.iter_mut().for_each(|feeder| feeder.feed([&[1, 2, 3][..]]).unwrap());
        }
        let spent = processor_time(&emulators[0]) - before;
        assert!(spent < SECONDS * 100 / 2, "{board} works for {spent} of {} units", SECONDS * 100);
        let progress = commander.wait(|progress| progress.samples >= count);
        assert_eq!(progress.gaps, 0, "{board}");
    }
}
