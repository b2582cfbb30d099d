//! Why a board does not carry out a request.

use super::rows::advice;
use crate::world::interface::WorldError;
use smidgen_aggregator::{Identity, Reason};
use smidgen_protocol::message::RecordRefusal;

/// Reasons why a board does not carry out a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// It does not answer, or the user requested a stop.
    #[error(transparent)]
    World(#[from] WorldError),
    /// Its firmware does not belong to this host.
    #[error("{place}: {reason}")]
    Firmware {
        /// Its place.
        place: String,
        /// What is different.
        reason: Reason,
    },
    /// Another board answers on its link.
    #[error(
        "{place}: {found} answers instead of {expected}; connect the former board, or start anew with this one"
    )]
    Stranger {
        /// The place.
        place: String,
        /// The board that was there before.
        expected: Identity,
        /// The board that is there now.
        found: Identity,
    },
    /// It refuses a command.
    #[error("{place}: {}", advice(*.refusal))]
    Refused {
        /// Its place.
        place: String,
        /// The reason.
        refusal: RecordRefusal,
    },
}
