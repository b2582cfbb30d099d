//! A recorder under the commands of the host.
//!
//! ```text
//!  host ── Record ──> Worker ── command ──> RemoteRecorder ── sample ──> Recorder
//!       <── Records ──        <── rows ────
//! ```

mod watch;

use crate::objective::Evaluator;
use crate::recorder::sensor::{Sensor, Unfit};
use crate::recorder::store::{Mapped, Row, Store, StoreError};
use crate::recorder::window::TooLong;
use crate::recorder::{PollError, Recorder, RecorderError};
use crate::worker::{RecordRequest, Worker, rows};
use embedded_storage::nor_flash::NorFlash;
use smidgen_protocol::frame::FRAME_LEN_MAX;
use smidgen_protocol::message::{
    CLASSES_LEN_MAX, COLUMNS_LEN_MAX, ClassRecords, Command, MeanSquare, Outcome, RecordRefusal,
    Records, set_column_bits,
};
use smidgen_protocol::recipe::{Features, Recipe};
pub use watch::Indicator;
use watch::Watch;

/// Recipe of a store without rows, which the first recording replaces.
const ANY_RECIPE: Recipe =
    Recipe { channels: 1, window: 1, hop: 1, features: Features::DEFAULT, rate_millihertz: 1 };

/// Columns whose squares are added up in one pass over the rows: all of three channels by default. Those of more do not
/// fit a small stack.
const COLUMNS_AT_ONCE: usize = 9;

/// A recorder and its sensor, which record as the host commands, and meanwhile classify windows by the worker's model.
///
/// Call [`RemoteRecorder::serve`] after every [`Worker::receive`] until it returns `None`, and [`RemoteRecorder::poll`]
/// and [`RemoteRecorder::watch`] as often as samples are due. [`run_recorder`](crate::run::run_recorder) does all.
#[derive(Debug)]
pub struct RemoteRecorder<'m, F, S, I = ()> {
    recorder: Recorder<'m, F>,
    sensor: S,
    indicator: I,
    watch: Watch,
    open: Option<Open>,
    /// The number that the host gave the open recording, or the latest one since a boot.
    asked: Option<u16>,
    /// Reason why the latest recording ended before it had its samples.
    ended: Option<RecordRefusal>,
}

/// The open recording.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Its number in the store, which is not the one asked for if the store was cleared for it.
    number: u16,
    /// Number of samples at which it ends; 0 if it does not.
    samples: u32,
}

impl<'m, F: NorFlash + Mapped, S: Sensor> RemoteRecorder<'m, F, S> {
    /// Creates a recorder without an open recording.
    pub fn new(recorder: Recorder<'m, F>, sensor: S) -> Self {
        Self::with_indicator(recorder, sensor, ())
    }
}

impl<'m, F: NorFlash + Mapped, S: Sensor, I: Indicator> RemoteRecorder<'m, F, S, I> {
    /// Creates a recorder without an open recording on a board that shows what it does.
    pub fn with_indicator(recorder: Recorder<'m, F>, sensor: S, indicator: I) -> Self {
        let watch = Watch::NONE;
        Self { recorder, sensor, indicator, watch, open: None, asked: None, ended: None }
    }

    /// The rows.
    pub fn store(&self) -> &Store<F> {
        self.recorder.store()
    }

    /// Starts a recording at the press of a button, or ends the open one; returns whether one was started.
    ///
    /// It has the recipe of the rows on the board, also of discarded ones, or `recipe` without rows.
    pub fn toggle<M: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        worker: &mut Worker<M>,
        recipe: &Recipe,
        class: &str,
    ) -> bool {
        if self.is_recording() {
            self.end(Some(RecordRefusal::Stopped));
            return false;
        }
        let has_rows = self.store().rows().next().is_some();
        let recipe = self.store().recipe().filter(|_| has_rows).copied().unwrap_or(*recipe);
        if self.sensor.accept(&recipe).is_err() {
            return false;
        }
        let has_begun = self.begin(self.next(), &recipe, class, false, 0).is_ok();
        if has_begun {
            worker.rows_changed();
        }
        has_begun
    }

    /// The sensor.
    pub fn sensor_mut(&mut self) -> &mut S {
        &mut self.sensor
    }

    /// What shows what the board does.
    pub fn indicator(&self) -> &I {
        &self.indicator
    }

    /// Returns whether a recording is open, so that samples are due.
    pub fn is_recording(&self) -> bool {
        self.open.is_some()
    }

    /// Takes a sample, if one is due and a recording is open. The last sample or a full store ends the recording.
    ///
    /// Returns whether there was anything to take.
    // Not inlined, so that the row is not on the stack while a gradient is computed.
    #[inline(never)]
    pub fn poll(&mut self) -> bool {
        let Some(open) = self.open else { return false };
        let before = self.recorder.progress();
        let polled = self.recorder.poll(&mut self.sensor);
        let progress = self.recorder.progress();
        let is_whole = open.samples != 0 && progress.samples >= open.samples;
        match polled {
            Err(PollError::Recorder(error)) => self.end(Some(refusal(error))),
            Ok(_) | Err(PollError::Sensor(_)) if is_whole => self.end(None),
            Ok(_) | Err(PollError::Sensor(_)) => {}
        }
        progress != before || polled.is_err()
    }

    /// Has the main loop woken once a sample may be due; returns `false` if it must poll instead.
    pub fn wake(&mut self) -> bool {
        self.sensor.wake()
    }

    /// Carries out what the host asks about rows; returns the length of the answer in `out`, if there is one.
    ///
    /// Other answers come from [`Worker::poll_transmit`].
    pub fn serve<M: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        worker: &mut Worker<M>,
        objectives: &mut impl Evaluator,
        out: &mut [u8; FRAME_LEN_MAX],
    ) -> Option<usize> {
        self.prepare(worker, objectives);
        self.answer(worker, out)
    }

    /// The first half of [`RemoteRecorder::serve`], which needs a deep stack and no frame: lets the worker look at the
    /// rows if it asks to.
    #[inline(never)]
    pub fn prepare<M: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        worker: &mut Worker<M>,
        objectives: &mut impl Evaluator,
    ) {
        if worker.awaits_store() {
            // Rows that are trained on do not change.
            if worker.awaits_rows() {
                self.end(Some(RecordRefusal::Stopped));
            }
            worker.serve_rows(self.store(), objectives);
        }
    }

    /// The second half of [`RemoteRecorder::serve`].
    pub fn answer<M: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        worker: &mut Worker<M>,
        out: &mut [u8; FRAME_LEN_MAX],
    ) -> Option<usize> {
        let answer = self.answer_command(worker, out);
        // Before the answer leaves, so that samples that follow it are seen.
        if self.watch.follow(worker) {
            self.indicator.show(None);
        }
        if !self.is_recording() {
            self.watch.begin(&mut self.recorder, &mut self.sensor);
        }
        answer.or_else(|| {
            let echo = worker.live_request()?;
            let live = self.watch.live(echo, &self.sensor, self.is_recording());
            worker.live_ready(&live, out)
        })
    }

    /// Returns whether live windows are classified, so that samples are due.
    pub fn is_watching(&self) -> bool {
        !self.is_recording() && self.watch.is_on()
    }

    /// Takes a sample, if one is due and live windows are classified, and classifies the window that it completes.
    ///
    /// Returns whether there was anything to take.
    // Not inlined, so that the row is not on the stack while a gradient is computed.
    #[inline(never)]
    pub fn watch<M: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        worker: &mut Worker<M>,
        objectives: &mut impl Evaluator,
    ) -> bool {
        if !self.is_watching() {
            return false;
        }
        let Self { recorder, sensor, indicator, watch, .. } = self;
        let before = watch.progress();
        if let Some(class) = watch.look(recorder, sensor, worker, objectives) {
            indicator.show(Some(class));
        }
        watch.progress() != before
    }

    fn answer_command<M: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        worker: &mut Worker<M>,
        out: &mut [u8; FRAME_LEN_MAX],
    ) -> Option<usize> {
        let request = worker.record_request()?;
        let mut have_rows_changed = false;
        let outcome = match self.execute(request.command(), &mut have_rows_changed) {
            Ok(()) => Outcome::Done,
            Err(refusal) => Outcome::Refused(refusal),
        };
        let (mut classes, mut columns) = ([0; CLASSES_LEN_MAX], [0; COLUMNS_LEN_MAX]);
        let records = self.records(&request, outcome, &mut classes, &mut columns);
        worker.records_ready(&records, have_rows_changed, out)
    }

    fn begin(
        &mut self,
        asked: u16,
        recipe: &Recipe,
        class: &str,
        is_test: bool,
        samples: u32,
    ) -> Result<(), RecorderError> {
        self.watch.interrupt();
        self.recorder.begin(recipe, class, is_test)?;
        self.sensor.start();
        (self.asked, self.ended) = (Some(asked), None);
        self.open = Some(Open { number: self.next(), samples });
        self.indicator.record(true);
        Ok(())
    }

    /// Ends the recording, if one is open, for a reason or because it is whole.
    fn end(&mut self, reason: Option<RecordRefusal>) {
        self.recorder.end();
        self.close(reason);
    }

    fn close(&mut self, reason: Option<RecordRefusal>) {
        if self.open.take().is_some() {
            self.ended = reason;
            self.indicator.record(false);
        }
    }

    fn execute(&mut self, command: Command, has_changed: &mut bool) -> Result<(), RecordRefusal> {
        let open = self.open.map_or(0, |open| open.number);
        match command {
            Command::Status => self.ended.map_or(Ok(()), Err),
            Command::Start { recording, .. } if self.open.is_some() || recording != self.next() => {
                let is_repeated = self.asked == Some(recording);
                if is_repeated { Ok(()) } else { Err(RecordRefusal::Recording) }
            }
            Command::Start { recording, recipe, class, is_test, samples } => {
                self.sensor.accept(&recipe).map_err(unfit)?;
                self.begin(recording, &recipe, class, is_test, samples).map_err(refusal)?;
                *has_changed = true;
                Ok(())
            }
            Command::Stop { recording } if open != 0 && open != recording => {
                Err(RecordRefusal::Recording)
            }
            Command::Stop { .. } => {
                self.end(Some(RecordRefusal::Stopped));
                Ok(())
            }
            Command::Discard { recording } => self.discard(recording, has_changed),
            Command::Clear { recording } => self.clear(recording, has_changed),
        }
    }

    fn discard(&mut self, recording: u16, has_changed: &mut bool) -> Result<(), RecordRefusal> {
        let latest = self.latest();
        if recording > latest {
            return Ok(());
        }
        if recording < latest {
            let is_discarded = |row: Row| row.is_discarded;
            let mut rows = self.store().rows().filter(|row| row.recording == recording);
            let known = rows.next().is_none_or(is_discarded);
            return if known { Ok(()) } else { Err(RecordRefusal::Recording) };
        }
        // Without the end of the recording in the store, which would leave nothing to discard.
        self.close(Some(RecordRefusal::Stopped));
        let discarded = self.recorder.store_mut().discard();
        *has_changed = match discarded {
            Ok(rows) => rows > 0,
            // What was written may count later.
            Err(error) => error == StoreError::Flash,
        };
        discarded.map(drop).map_err(store_refusal)
    }

    fn clear(&mut self, recording: u16, has_changed: &mut bool) -> Result<(), RecordRefusal> {
        let recipe = self.store().recipe().copied();
        let has_rows = self.is_recording() || self.store().rows().next().is_some();
        if !has_rows && self.store().is_empty() {
            return Ok(());
        }
        if recording != self.latest() && (has_rows || recipe.is_none()) {
            return Err(RecordRefusal::Recording);
        }
        *has_changed = true;
        self.end(Some(RecordRefusal::Stopped));
        self.recorder.store_mut().clear(&recipe.unwrap_or(ANY_RECIPE)).map_err(store_refusal)
    }

    /// Number of the open recording, or of the latest that is not discarded; 0 without one.
    fn latest(&self) -> u16 {
        let recorded = || self.store().rows().find(|row| !row.is_discarded);
        match self.open {
            Some(open) => open.number,
            None => recorded().map_or(0, |row| row.recording),
        }
    }

    /// Number of the next recording.
    fn next(&self) -> u16 {
        let latest = self.store().rows().next().map_or(0, |row| row.recording);
        latest.saturating_add(1)
    }

    fn records<'l>(
        &self,
        request: &RecordRequest,
        outcome: Outcome,
        classes: &'l mut [u8; CLASSES_LEN_MAX],
        columns: &'l mut [u8; COLUMNS_LEN_MAX],
    ) -> Records<'l> {
        let store = self.store();
        let records = Records {
            outcome,
            channels: u8::try_from(self.sensor.channels()).unwrap_or(u8::MAX),
            recipe: store.recipe().copied(),
            recording: self.latest(),
            next: self.next(),
            is_open: self.is_recording(),
            progress: self.recorder.progress(),
            room: store.room(),
            ..Records::none(request.echo)
        };
        // Reading all rows takes long, and samples are due.
        if self.is_recording() {
            return records;
        }
        Records {
            discarded: store.counts().iter().map(|count| count.discarded).sum(),
            checksum: rows::checksum(store),
            classes: list_classes(store, classes),
            columns: list_columns(store, columns),
            ..records
        }
    }
}

/// The classes in the order of their numbers; a damaged one has no name.
fn list_classes<'l, F: NorFlash + Mapped>(
    store: &Store<F>,
    list: &'l mut [u8; CLASSES_LEN_MAX],
) -> &'l [u8] {
    let counts = store.counts();
    let count = store.classes().map(|(class, _)| usize::from(class) + 1).max().unwrap_or(0);
    let mut len = 0;
    for (class, counts) in counts.iter().enumerate().take(count) {
        let name = store.classes().find(|&(number, _)| usize::from(number) == class);
        let class = ClassRecords {
            name: name.map_or("", |(_, name)| name),
            training: counts.training,
            test: counts.test,
        };
        let place = list.get_mut(len..).unwrap_or_default();
        len += class.emit(place).unwrap_or(0);
    }
    list.get(..len).unwrap_or_default()
}

/// The bits of all columns over the rows to train on.
fn list_columns<'l, F: NorFlash + Mapped>(
    store: &Store<F>,
    list: &'l mut [u8; COLUMNS_LEN_MAX],
) -> &'l [u8] {
    let len = store.recipe().map_or(0, Recipe::row_len);
    for first in (0..len).step_by(COLUMNS_AT_ONCE) {
        let mut squares = [MeanSquare::default(); COLUMNS_AT_ONCE];
        for row in store.rows().filter(|row| !row.is_discarded && !row.is_test) {
            let values = store.values_of(&row).get(first..).unwrap_or_default();
            squares.iter_mut().zip(values).for_each(|(square, &value)| square.add(value));
        }
        for (column, square) in (first..len).zip(squares) {
            set_column_bits(list, column, square.bits());
        }
    }
    list.get(..len.div_ceil(2)).unwrap_or_default()
}

fn refusal(error: RecorderError) -> RecordRefusal {
    match error {
        RecorderError::Store(error) => store_refusal(error),
        RecorderError::Window(TooLong { need, room }) => RecordRefusal::Window { need, room },
        RecorderError::Channels { .. } => RecordRefusal::Channels,
    }
}

fn unfit(reason: Unfit) -> RecordRefusal {
    match reason {
        Unfit::Channels => RecordRefusal::Channels,
        Unfit::Rate => RecordRefusal::Rate,
    }
}

fn store_refusal(error: StoreError) -> RecordRefusal {
    match error {
        StoreError::Recipe(_) => RecordRefusal::Recipe,
        StoreError::OtherRecipe => RecordRefusal::OtherRecipe,
        StoreError::RowsFull => RecordRefusal::RowsFull,
        StoreError::ClassesFull => RecordRefusal::ClassesFull,
        StoreError::RecordingsFull => RecordRefusal::RecordingsFull,
        StoreError::DiscardsFull => RecordRefusal::DiscardsFull,
        StoreError::ClassName => RecordRefusal::Class,
        StoreError::NoRecording => RecordRefusal::Recording,
        StoreError::Foreign => RecordRefusal::Foreign,
        StoreError::TooSmall | StoreError::Region => RecordRefusal::TooSmall,
        // The recorder prepares the store and passes on whole rows, so only its memory can be at fault.
        StoreError::Blank
        | StoreError::NotRecording
        | StoreError::RowLength
        | StoreError::Flash => RecordRefusal::Flash,
    }
}
