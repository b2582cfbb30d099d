//! A board that gets any recorder commands and samples, and loses power at any write.

use super::worker::command;
use crate::flash::Flash;
use crate::frames;
use crate::host::emit;
use crate::recording::{CHANNELS, ScriptedRecorder};
use arbitrary::{Result, Unstructured};
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::recorder::features;
use smidgen_firmware::recorder::window::Window;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::frame::Context;
use smidgen_protocol::message::{BROADCAST, Command, Down, Outcome, Records, Up};
use smidgen_protocol::recipe::{ROW_LEN_MAX, Recipe};

/// Maximum number of events for one board.
const EVENTS_MAX: usize = 60;
const IDENTITY: u64 = 0x1234;

/// A sequence of events. The board does not panic, answers every command, and its rows are those of the samples that it
/// took, after a power cut also without the change that was cut.
pub fn recordings(input: &[u8]) {
    let mut u = Unstructured::new(input);
    let mut bench = Bench::new(Flash::new(2), vec![]);
    for _ in 0..EVENTS_MAX {
        if u.is_empty() || bench.happen(&mut u).is_err() {
            break;
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    recording: u16,
    class: String,
    is_test: bool,
    values: Vec<i16>,
}

/// The recording that must be open.
struct Open {
    number: u16,
    recipe: Recipe,
    class: String,
    is_test: bool,
    samples_max: u32,
    /// Number of samples and gaps.
    taken: u32,
    /// The samples since the latest gap.
    stretch: Vec<[i16; CHANNELS]>,
}

struct Bench {
    worker: Worker<Vec<u64>>,
    recorder: ScriptedRecorder,
    /// The rows that are not discarded, as they must be.
    rows: Vec<Row>,
    open: Option<Open>,
}

impl Bench {
    fn new(flash: Flash, rows: Vec<Row>) -> Self {
        let board = Board { name: "fuzzed", identity: IDENTITY };
        let mut worker = Worker::new::<Objectives>(board, vec![0; 64]);
        worker.enable_recorder();
        Self { worker, recorder: ScriptedRecorder::new(flash), rows, open: None }
    }

    /// Draws one event.
    fn happen(&mut self, u: &mut Unstructured) -> Result<()> {
        let before = self.rows.clone();
        match u.int_in_range(0..=7)? {
            0 => {
                let mut flash = self.recorder.flash().clone();
                // A row takes some twenty changes, a page 256.
                flash.cut_after(u.int_in_range(0..=300)?);
                *self = Self::new(flash, before.clone());
            }
            1..=3 => self.obey(command(u)?),
            _ => {
                let sample = u.arbitrary::<[i16; CHANNELS]>()?;
                let gap = u.int_in_range(1..=40)?;
                for t in 1..=u.int_in_range(0..=30i16)? {
                    let before = self.rows.clone();
                    self.take((t != gap).then(|| sample.map(|value| value.wrapping_mul(t))));
                    self.check(before);
                }
            }
        }
        self.check(before);
        Ok(())
    }

    /// Compares the rows with those that must be there. Where the power failed, starts the board again.
    fn check(&mut self, before: Vec<Row>) {
        let mut flash = self.recorder.flash().clone();
        if flash.is_cut() {
            flash.restore_power();
            let after = std::mem::take(&mut self.rows);
            *self = Self::new(flash, vec![]);
            self.rows = self.found();
            assert!(self.rows == before || self.rows == after, "a cut leaves all or nothing");
        }
        assert_eq!(self.found(), self.rows);
        assert_eq!(self.recorder.remote.is_recording(), self.open.is_some());
    }

    /// The rows that the board has.
    fn found(&self) -> Vec<Row> {
        let store = self.recorder.remote.store();
        let name = |class| store.classes().find(|of| of.0 == class).expect("a class").1.to_owned();
        let rows = store.rows().filter(|row| !row.is_discarded).map(|row| Row {
            recording: row.recording,
            class: name(row.class),
            is_test: row.is_test,
            values: store.values_of(&row).to_vec(),
        });
        let mut rows: Vec<_> = rows.collect();
        rows.reverse();
        rows
    }

    fn obey(&mut self, command: Command) {
        let latest = self.rows.last().map_or(0, |row| row.recording);
        let latest = self.open.as_ref().map_or(latest, |open| open.number);
        let message = Down::Record { echo: 7, identity: IDENTITY, command };
        self.worker.receive(&emit(message, BROADCAST, &[], Context::SETUP));
        let (answers, _) = self.recorder.serve(&mut self.worker, &mut Objectives);
        let [answer] = &answers[..] else { panic!("{command:?} has {} answers", answers.len()) };
        let payload = frames::payload(answer, &Context::SETUP).expect("an intact answer");
        let Ok((Up::Records(records), [])) = Up::parse(&payload) else { panic!("{payload:?}") };
        assert_eq!(records.echo, 7);
        if records.outcome == Outcome::Done || self.recorder.flash().is_cut() {
            self.carry_out(command, latest, &records);
        }
    }

    /// What a command does that is not refused; the board may have lost power meanwhile.
    fn carry_out(&mut self, command: Command, latest: u16, records: &Records) {
        match command {
            Command::Status => {}
            Command::Start { recipe, class, is_test, samples, .. } => {
                if self.open.is_none() && records.is_open {
                    let (number, class) = (records.recording, class.to_owned());
                    let (taken, stretch) = (0, vec![]);
                    let samples_max = samples;
                    self.open =
                        Some(Open { number, recipe, class, is_test, samples_max, taken, stretch });
                }
            }
            Command::Stop { .. } => self.open = None,
            Command::Discard { recording } if recording == latest => {
                self.rows.retain(|row| row.recording != recording);
                self.open = None;
            }
            Command::Discard { .. } => {}
            Command::Clear { .. } => {
                self.rows.clear();
                self.open = None;
            }
        }
    }

    /// Lets the sensor deliver a sample, or lose one.
    fn take(&mut self, sample: Option<[i16; CHANNELS]>) {
        let Some(open) = &mut self.open else { return };
        open.taken += 1;
        match sample {
            Some(sample) => open.stretch.push(sample),
            None => open.stretch.clear(),
        }
        let row = sample.and_then(|_| open.row());
        let is_whole = open.taken == open.samples_max;
        self.recorder.feed([sample]);
        let is_full = row.is_some() && !self.recorder.remote.is_recording();
        let is_kept = self.recorder.flash().is_cut() || self.found().len() > self.rows.len();
        let has_room = self.recorder.remote.store().room() > 0;
        assert!(row.is_none() || is_kept || !has_room, "a row is lost");
        self.rows.extend(row.filter(|_| is_kept));
        if is_whole || is_full {
            self.open = None;
        }
    }
}

impl Open {
    /// The row that the latest sample completes.
    fn row(&self) -> Option<Row> {
        let (window, hop) = (usize::from(self.recipe.window), usize::from(self.recipe.hop));
        let more = self.stretch.len().checked_sub(window)?;
        if more % hop != 0 {
            return None;
        }
        let mut memory = vec![0; self.recipe.window_len()];
        let mut ring = Window::new(&mut memory);
        ring.start(&self.recipe).expect("room");
        let (last, first) = self.stretch[more..].split_last()?;
        first.iter().for_each(|sample| assert!(ring.push(sample).is_none()));
        let mut row = [0; ROW_LEN_MAX];
        let values = features::row(&ring.push(last)?, self.recipe.features, &mut row).to_vec();
        let Self { number: recording, class, is_test, .. } = self;
        Some(Row { recording: *recording, class: class.clone(), is_test: *is_test, values })
    }
}
