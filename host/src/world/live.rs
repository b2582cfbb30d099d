//! What a board sees live.

use smidgen_protocol::message::{Live, LiveState};
use smidgen_protocol::recipe::Recipe;

/// What a board sees live, as [`Live`].
#[derive(Clone, Debug, PartialEq)]
pub struct LiveView {
    /// Whether the board classifies live windows.
    pub state: LiveState,
    /// Number of channels of the sensor; 0 without one.
    pub channels: u8,
    /// For each of them the value of sample 2^15 in its unit, g or °/s; `None` if the board does not know it.
    pub full_scales: Vec<Option<f64>>,
    /// Recipe of the model; `None` without a model.
    pub recipe: Option<Recipe>,
    /// Number of samples since the board got its model.
    pub samples: u32,
    /// Number of gaps between them.
    pub gaps: u32,
    /// Number of windows that were classified.
    pub windows: u32,
    /// The latest window: its class and score; `None` before the first.
    pub latest: Option<(String, f64)>,
}

impl From<&Live<'_>> for LiveView {
    fn from(live: &Live) -> Self {
        let score = |mantissa: i64, exponent: i32| mantissa as f64 * f64::from(-exponent).exp2();
        let known = |&thousandths: &u32| (thousandths > 0).then(|| f64::from(thousandths) / 1000.0);
        let full_scales = live.full_scales.iter().map(known).take(live.channels.into());
        Self {
            state: live.state,
            channels: live.channels,
            full_scales: full_scales.collect(),
            recipe: live.recipe,
            samples: live.samples,
            gaps: live.gaps,
            windows: live.windows,
            latest: live
                .latest
                .map(|seen| (seen.name.to_owned(), score(seen.score, seen.exponent))),
        }
    }
}

impl LiveView {
    /// Says why the board sees nothing, and what to do; `None` if it watches or will.
    pub fn obstacle(&self) -> Option<String> {
        let channels = self.channels;
        Some(match self.state {
            LiveState::Watching | LiveState::Recording => return None,
            LiveState::Unsupported => {
                "its firmware does not record; flash the image of a board with a sensor".into()
            }
            LiveState::NoModel => {
                "it holds no model of recordings; put one there with `smidgen load`".into()
            }
            LiveState::Channels => {
                let needed = self.recipe.map_or(0, |recipe| recipe.channels);
                format!(
                    "its sensor has {channels} channels, but the model needs {needed}; load a model that was trained on \
                     rows of such a sensor"
                )
            }
            LiveState::Rate => {
                "its sensor is not sampled as often as the model needs; load a model that was trained on rows of a lower \
                 rate"
                    .into()
            }
            LiveState::Window { need, room } => format!(
                "a window of the model has {need} values, but the board has room for {room}; train one with shorter \
                 windows"
            ),
        })
    }
}
