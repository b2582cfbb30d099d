//! What a board sees live: the classes of the windows of its sensor, by the model that it holds.

use super::fields::Ticket;
use crate::recipe::{CHANNELS_MAX, Recipe};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Whether a board classifies live windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum LiveState {
    /// It does.
    Watching,
    /// It will once the open recording ends.
    Recording,
    /// The board cannot record.
    Unsupported,
    /// The board holds no model for a recipe.
    NoModel,
    /// The sensor has another number of channels than the recipe.
    Channels,
    /// The window does not fit in memory.
    Window {
        /// Values required.
        need: u32,
        /// Values available.
        room: u32,
    },
    /// The sensor is not sampled as often as the recipe says.
    Rate,
}

/// What a board sees live.
///
/// Numbers count from when the board got its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Live<'a> {
    /// `echo` of the request that this answers.
    pub echo: Ticket,
    /// Whether the board classifies live windows.
    pub state: LiveState,
    /// Number of channels of the sensor; 0 without one.
    pub channels: u8,
    /// For each of them the value of sample 2^15, in thousandths of its unit; 0 if unknown.
    pub full_scales: [u32; CHANNELS_MAX],
    /// Recipe of the model; `None` without a model.
    pub recipe: Option<Recipe>,
    /// Number of samples, missed ones included.
    pub samples: u32,
    /// Number of gaps between samples.
    pub gaps: u32,
    /// Number of windows that were classified.
    pub windows: u32,
    /// The latest window; `None` before the first.
    #[serde(borrow)]
    pub latest: Option<Seen<'a>>,
}

/// A window, as the model sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Seen<'a> {
    /// The run's number of its class.
    pub class: u8,
    /// Name of the class.
    pub name: &'a str,
    /// Mantissa of its score: the largest, or the margin of class 1.
    pub score: i64,
    /// Exponent of the score.
    pub exponent: i32,
}

impl Live<'_> {
    /// The answer of a board that cannot record.
    pub const fn none(echo: Ticket) -> Self {
        Self {
            echo,
            state: LiveState::Unsupported,
            channels: 0,
            full_scales: [0; CHANNELS_MAX],
            recipe: None,
            samples: 0,
            gaps: 0,
            windows: 0,
            latest: None,
        }
    }
}
