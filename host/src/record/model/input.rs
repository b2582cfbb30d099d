//! The input of a model.

use crate::problem::dataset::{DIMENSION_MAX, Preparation};
use serde::{Deserialize, Serialize};
use smidgen_protocol::recipe::RecipeError;

/// What turns a row of the user into the features of the objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Input {
    /// Columns of a table, or features of windows.
    Columns(Preparation),
    /// Hidden units of frozen layers on columns of a table.
    Units(Preparation),
}

/// The known kinds of an [`Input`].
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Columns,
    Units,
}

impl Input {
    /// Returns the input that prepares rows in this way.
    pub fn of(preparation: Preparation) -> Self {
        match preparation.layers.is_empty() {
            true => Self::Columns(preparation),
            false => Self::Units(preparation),
        }
    }

    /// Returns what prepares rows.
    pub const fn preparation(&self) -> &Preparation {
        match self {
            Self::Columns(preparation) | Self::Units(preparation) => preparation,
        }
    }

    /// Returns whether it has columns, with names and scales for all or none.
    pub(super) fn has_valid_columns(&self) -> bool {
        let preparation = self.preparation();
        let count = preparation.column_count;
        let is_whole = |len: usize| len == 0 || len == count;
        (1..=DIMENSION_MAX).contains(&count)
            && preparation.dimension() <= DIMENSION_MAX
            && is_whole(preparation.names.len())
            && is_whole(preparation.scaling.len())
            && preparation.scaling.iter().all(|scaling| {
                scaling.centre.is_finite() && scaling.scale.is_finite() && scaling.scale != 0.0
            })
            && (preparation.windows.as_ref())
                .is_none_or(|windows| windows.column_names() == preparation.names)
    }

    /// Returns the name of a field of its windows that is invalid.
    pub(super) fn invalid_window_field(&self) -> Option<&'static str> {
        let windows = self.preparation().windows.as_ref()?;
        Some(match windows.check().err()? {
            RecipeError::Channels => "channels or full scales",
            RecipeError::Window => "window",
            RecipeError::Hop => "hop",
            RecipeError::Features => "features",
            RecipeError::Rate => "rate",
        })
    }

    /// Returns whether it has the layers of its kind, which fit valid columns.
    pub(super) fn has_valid_layers(&self) -> bool {
        let preparation = self.preparation();
        let mut layers = preparation.layers.iter().zip(preparation.widths());
        match self {
            Self::Columns(_) => preparation.layers.is_empty(),
            Self::Units(_) => {
                !preparation.layers.is_empty()
                    && preparation.windows.is_none()
                    && layers.all(|(layer, inputs)| layer.is_valid(inputs))
            }
        }
    }
}
