//! Live windows: what a board sees by the model that it holds, while it does not record.

use crate::objective::{Classes, Evaluator};
use crate::recorder::Recorder;
use crate::recorder::sensor::{Sensor, Unfit};
use crate::recorder::store::Mapped;
use crate::recorder::window::TooLong;
use crate::worker::Worker;
use core::array;
use embedded_storage::nor_flash::NorFlash;
use smidgen_protocol::message::{Live, LiveState, Progress, Seen, Ticket};
use smidgen_protocol::recipe::{ROW_LEN_MAX, Recipe};

/// Lights that show what a board does. `()` has none.
pub trait Indicator {
    /// Shows the class of the latest window; `None` if the model has seen none.
    fn show(&mut self, class: Option<u8>);

    /// Shows that a recording began or ended.
    fn record(&mut self, is_recording: bool);
}

impl Indicator for () {
    fn show(&mut self, _class: Option<u8>) {}

    fn record(&mut self, _is_recording: bool) {}
}

/// The classification of live windows by a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// [`Worker::model_number`]
    model: Option<u32>,
    recipe: Option<Recipe>,
    state: LiveState,
    progress: Progress,
    latest: Option<Classes>,
    /// Whether it has begun, or what was in the way, is known for this model since the last recording.
    is_known: bool,
}

impl Watch {
    pub(super) const NONE: Self = Self {
        model: None,
        recipe: None,
        state: LiveState::NoModel,
        progress: Progress { samples: 0, rows: 0, gaps: 0 },
        latest: None,
        is_known: false,
    };

    /// Notes that a recording uses the window.
    pub(super) fn interrupt(&mut self) {
        self.is_known = false;
    }

    /// How far it has got since the board got its model.
    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    /// Live windows are classified, unless a recording is open.
    pub(super) fn is_on(&self) -> bool {
        self.is_known && matches!(self.state, LiveState::Watching)
    }

    /// Notes a change of the worker's model; returns whether there was one.
    pub(super) fn follow<M: AsRef<[u64]> + AsMut<[u64]>>(&mut self, worker: &Worker<M>) -> bool {
        let model = worker.model_number();
        let has_changed = self.model != model;
        if has_changed {
            *self = Self { model, recipe: worker.recipe(), ..Self::NONE };
        }
        has_changed
    }

    /// Begins with windows, unless it has or something is in the way.
    pub(super) fn begin<F: NorFlash + Mapped>(
        &mut self,
        recorder: &mut Recorder<'_, F>,
        sensor: &mut impl Sensor,
    ) {
        if !self.is_known {
            self.is_known = true;
            self.state = start(self.recipe.as_ref(), recorder, sensor);
        }
    }

    /// Takes a sample, if one is due, and classifies the window that it completes. Returns its class.
    pub(super) fn look<F: NorFlash + Mapped, M: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        recorder: &mut Recorder<'_, F>,
        sensor: &mut impl Sensor,
        worker: &mut Worker<M>,
        objectives: &mut impl Evaluator,
    ) -> Option<u8> {
        let recipe = self.recipe?;
        let mut row = [0; ROW_LEN_MAX];
        let row = recorder.look(sensor, &recipe, &mut self.progress, &mut row)?;
        let classes = worker.classify(row, objectives)?;
        self.latest = Some(classes);
        Some(classes.class)
    }

    /// What the board sees; the worker adds the name of the class.
    pub(super) fn live(
        &self,
        echo: Ticket,
        sensor: &impl Sensor,
        is_recording: bool,
    ) -> Live<'static> {
        let channels = sensor.channels();
        let Self { recipe, progress, latest, .. } = *self;
        let is_paused = is_recording && recipe.is_some();
        Live {
            echo,
            state: if is_paused { LiveState::Recording } else { self.state },
            channels: u8::try_from(channels).unwrap_or(u8::MAX),
            full_scales: array::from_fn(|channel| {
                if channel < channels { sensor.full_scale(channel) } else { 0 }
            }),
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

fn start<F: NorFlash + Mapped>(
    recipe: Option<&Recipe>,
    recorder: &mut Recorder<'_, F>,
    sensor: &mut impl Sensor,
) -> LiveState {
    let Some(recipe) = recipe else { return LiveState::NoModel };
    match sensor.accept(recipe) {
        Ok(()) => {}
        Err(Unfit::Channels) => return LiveState::Channels,
        Err(Unfit::Rate) => return LiveState::Rate,
    }
    match recorder.watch(recipe) {
        Ok(()) => {
            sensor.start();
            LiveState::Watching
        }
        Err(TooLong { need, room }) => LiveState::Window { need, room },
    }
}
