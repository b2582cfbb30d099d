//! Live windows: what a board sees by the model that it holds, while it does not record.

use super::RemoteRecorder;
use crate::objective::{Classes, ObjectiveSet};
use crate::recorder::Progress;
use crate::recorder::sensor::Sensor;
use crate::recorder::store::Mapped;
use crate::worker::Worker;
use embedded_storage::nor_flash::NorFlash;
use smidgen_protocol::message::{Live, LiveState, Seen, Ticket};
use smidgen_protocol::recipe::{ROW_LEN_MAX, Recipe};

/// Shows what a board does, by an LED or a matrix of them. `()` shows nothing.
pub trait Indicator {
    /// Shows the class of the latest window.
    fn show(&mut self, class: u8, name: &str);

    /// Shows that a recording began or ended.
    fn record(&mut self, is_recording: bool);
}

impl Indicator for () {
    fn show(&mut self, _class: u8, _name: &str) {}

    fn record(&mut self, _is_recording: bool) {}
}

/// The model that is watched by, and what it saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// [`Worker::model_number`]
    model: Option<u32>,
    recipe: Option<Recipe>,
    state: LiveState,
    progress: Progress,
    latest: Option<Classes>,
    /// The window is that of the model, not of a recording.
    has_window: bool,
}

impl Watch {
    pub(super) const NONE: Self = Self {
        model: None,
        recipe: None,
        state: LiveState::NoModel,
        progress: Progress { samples: 0, rows: 0, gaps: 0 },
        latest: None,
        has_window: false,
    };

    /// Notes that a recording uses the window.
    pub(super) fn interrupt(&mut self) {
        self.has_window = false;
    }
}

impl<F: NorFlash + Mapped, S: Sensor, I: Indicator> RemoteRecorder<'_, F, S, I> {
    /// Returns whether live windows are classified, so that samples are due.
    pub fn is_watching(&self) -> bool {
        !self.is_recording() && self.watch.has_window && self.watch.state == LiveState::Watching
    }

    /// Takes a sample, if one is due and live windows are classified, and classifies the window that it completes.
    // Not inlined, so that the row is not on the stack while a gradient is computed.
    #[inline(never)]
    pub fn watch<M: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        worker: &mut Worker<M>,
        objectives: &mut impl ObjectiveSet,
    ) {
        let Some(recipe) = self.watch.recipe.filter(|_| self.is_watching()) else { return };
        let mut row = [0; ROW_LEN_MAX];
        let Self { recorder, sensor, watch, .. } = self;
        let Some(row) = recorder.look(sensor, &recipe, &mut watch.progress, &mut row) else {
            return;
        };
        if let Some(classes) = worker.classify(row, objectives) {
            watch.latest = Some(classes);
            self.indicator.show(classes.class, worker.class_name(classes.class));
        }
    }

    /// Follows a change of the worker's model, and begins with windows where nothing is in the way.
    pub(super) fn follow<M: AsRef<[u64]> + AsMut<[u64]>>(&mut self, worker: &Worker<M>) {
        let model = worker.model_number();
        if self.watch.model != model {
            self.watch = Watch { model, recipe: worker.recipe(), ..Watch::NONE };
        }
        if !self.is_recording() && !self.watch.has_window {
            self.watch.has_window = true;
            self.watch.state = self.start_watch();
        }
    }

    fn start_watch(&mut self) -> LiveState {
        let Some(recipe) = &self.watch.recipe else { return LiveState::NoModel };
        if self.sensor.accept(recipe).is_err() {
            return LiveState::Channels;
        }
        match self.recorder.watch(recipe) {
            Ok(()) => {
                self.sensor.start();
                LiveState::Watching
            }
            Err(too_long) => {
                let [need, room] = [too_long.need, too_long.room]
                    .map(|len| u32::try_from(len).unwrap_or(u32::MAX));
                LiveState::Window { need, room }
            }
        }
    }

    /// What the board sees; the worker adds the name of the class.
    pub(super) fn live(&self, echo: Ticket) -> Live<'static> {
        let Watch { recipe, progress, latest, .. } = self.watch;
        let is_paused = self.is_recording() && recipe.is_some();
        Live {
            echo,
            state: if is_paused { LiveState::Recording } else { self.watch.state },
            channels: u8::try_from(self.sensor.channels()).unwrap_or(u8::MAX),
            recipe,
            samples: progress.samples,
            gaps: progress.gaps,
            windows: progress.rows,
            latest: latest.map(|Classes { class, score, exponent, .. }| Seen {
                class,
                name: "",
                score,
                exponent,
            }),
        }
    }
}
