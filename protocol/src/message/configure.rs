//! The configuration of a worker for a run.

use super::fields::{Part, Ticket};
use crate::batch::Batch;
use crate::method::{Budget, Compressor, Method, Participation};
use crate::vector::Ratio;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// The initial estimator g_i⁰ (EF21 paper, initialisation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Init {
    /// g_i⁰ = ∇f_i(x⁰): update 0 contains all coordinates with 32 bits each.
    Full,
    /// g_i⁰ = C(∇f_i(x⁰)): update 0 is an ordinary update.
    Compressed,
    /// g_i⁰ = 0: update 0 is empty.
    Zero,
}

impl Init {
    /// Limits of the update of `round`, for a run with `budget`.
    pub const fn budget(self, round: u32, dimension: u32, budget: Budget) -> Budget {
        if round > 0 {
            return budget;
        }
        match self {
            Self::Full => Budget::all(dimension),
            Self::Compressed => budget,
            Self::Zero => Budget { k: 0, ..budget },
        }
    }
}

/// Encoding of the model on the downlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Downlink {
    /// The model.
    Dense,
    /// The change of Σ g_i; the worker performs the step.
    Sparse,
    /// A compressed change of the model; workers then hold the host's w (EF21-P).
    Model,
}

impl Downlink {
    /// Every kind of downlink.
    pub const ALL: [Self; 3] = [Self::Dense, Self::Sparse, Self::Model];

    /// The vector that the body of a round writes to.
    pub const fn part(self) -> Part {
        match self {
            Self::Dense => Part::Model,
            Self::Sparse => Part::SumChange,
            Self::Model => Part::ModelChange,
        }
    }

    /// Returns whether workers perform the server's step themselves, from Σ g_i.
    pub const fn workers_step(self) -> bool {
        match self {
            Self::Sparse => true,
            Self::Dense | Self::Model => false,
        }
    }

    /// Returns whether the model that workers hold differs from the server's x.
    pub const fn has_worker_model(self) -> bool {
        match self {
            Self::Model => true,
            Self::Dense | Self::Sparse => false,
        }
    }
}

/// Regulariser added to the loss of the data, over all coordinates of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Regulariser {
    /// λ Σ x²/(1 + x²), the nonconvex regulariser of the EF21 papers.
    Nonconvex,
    /// (λ/2) Σ x².
    L2,
}

/// Configuration of a worker for a run.
///
/// ```
/// use smidgen_protocol::batch::Batch;
/// use smidgen_protocol::message::*;
/// use smidgen_protocol::method::{Compressor, Method, Participation};
/// # use smidgen_protocol::{counters::Counters, frame::*, vector::Ratio};
/// let message = Down::Configure(Configure {
///     ticket: 1,
///     session: 7,
///     identity: 0x1234,
///     worker: 1,
///     dimension: 64,
///     k: 4,
///     value_bits: 8,
///     init: Init::Full,
///     method: Method::Ef21,
///     compressor: Compressor::TopK,
///     scale: Ratio::ONE,
///     participation: Participation::FULL,
///     batch: Batch::FULL,
///     momentum: Ratio::default(),
///     l1_n: Ratio::default(),
///     downlink: Downlink::Sparse,
///     objective: "logistic",
///     regulariser: Regulariser::Nonconvex,
///     lambda: Ratio { mantissa: 1 << 30, exponent: 33 },
///     start_seed: 0,
///     data_len: 0,
///     data_checksum: 0,
/// });
/// let mut wire = [0; FRAME_LEN_MAX];
/// let len = message.emit(BROADCAST, &[], &Context::SETUP, &mut wire);
/// # let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
/// # let frame = deframer.feed(&wire[..len], &mut counters).1.unwrap();
/// # let payload = frame.check(&Context::SETUP).unwrap();
/// assert_eq!(Down::parse(payload), Ok((BROADCAST, message, &[][..])));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Configure<'a> {
    /// Ticket of this request.
    pub ticket: Ticket,
    /// The session, not 0; part of every later frame's context.
    pub session: u32,
    /// Identity of the addressed board.
    pub identity: u64,
    /// The worker's address, `1..=n`.
    pub worker: u16,
    /// Dimension d.
    pub dimension: u32,
    /// Maximum number of coordinates in an update, K.
    pub k: u32,
    /// Bits of a mantissa in an update, 2..=32.
    pub value_bits: u8,
    /// Initial estimator.
    pub init: Init,
    /// The method.
    pub method: Method,
    /// The compressor.
    pub compressor: Compressor,
    /// Factor of ∇f_i, applied before rounding: 1/(n w_i) in EF21-W.
    pub scale: Ratio,
    /// Partial participation; other workers answer with an empty update.
    pub participation: Participation,
    /// Minibatches.
    pub batch: Batch,
    /// Encoding of the model on the downlink.
    pub downlink: Downlink,
    /// η of heavy-ball momentum; 0 for none.
    pub momentum: Ratio,
    /// Weight of the l1 norm times the number of workers; 0 for none.
    pub l1_n: Ratio,
    /// Name of the objective.
    pub objective: &'a str,
    /// Regulariser.
    pub regulariser: Regulariser,
    /// Weight λ of the regulariser.
    pub lambda: Ratio,
    /// Seed of the initial model, see [`start`](crate::start); 0 for x⁰ = 0.
    pub start_seed: u32,
    /// Length of the data in bytes.
    pub data_len: u32,
    /// CRC-32 of the data.
    pub data_checksum: u32,
}

impl Configure<'_> {
    /// Limits of updates after the first.
    pub const fn budget(&self) -> Budget {
        Budget { k: self.k, value_bits: self.value_bits, compressor: self.compressor }
    }
}
