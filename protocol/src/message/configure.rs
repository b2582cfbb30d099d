//! What a run is, as a worker hears of it.

use super::fields::{Part, Ticket};
use crate::batch::Batch;
use crate::method::{Budget, Compressor, Method, Participation};
use crate::vector::Ratio;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// What g_i⁰ is (paper, initialisation of EF21).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Init {
    /// g_i⁰ = ∇f_i(x⁰): update 0 holds all coordinates with 32 bits each.
    Full,
    /// g_i⁰ = C(∇f_i(x⁰)): update 0 is like any other.
    Compressed,
    /// g_i⁰ = 0: update 0 is empty.
    Zero,
}

impl Init {
    /// What the update of `round` may hold, where others hold `budget`.
    pub const fn budget(self, round: u32, dimension: u32, budget: Budget) -> Budget {
        match (round, self) {
            (0, Self::Full) => Budget::all(dimension),
            (0, Self::Zero) => Budget { k: 0, ..budget },
            _ => budget,
        }
    }
}

/// How a worker learns the model of the next round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Downlink {
    /// The model itself travels.
    Dense,
    /// What changed in Σ g_i travels, and the worker takes the step itself.
    Sparse,
    /// A change of the model travels: compressed, the model is the host's w (EF21-P).
    Model,
}

impl Downlink {
    /// What the body of a round is.
    pub const fn part(self) -> Part {
        match self {
            Self::Dense => Part::Model,
            Self::Sparse => Part::SumChange,
            Self::Model => Part::ModelChange,
        }
    }
}

/// What is added to the loss of the data, over all coordinates of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Regulariser {
    /// λ Σ x²/(1 + x²), the nonconvex one of the EF21 papers.
    Nonconvex,
    /// (λ/2) Σ x².
    L2,
}

/// A worker's part in a run.
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
    /// The run, not 0: from here on it is part of every frame's context.
    pub session: u32,
    /// The board that is meant, by its identity.
    pub identity: u64,
    /// The worker's address, `1..=n`.
    pub worker: u16,
    /// Dimension d.
    pub dimension: u32,
    /// Coordinates an update may hold, K.
    pub k: u32,
    /// Bits of a mantissa in an update, 2..=32.
    pub value_bits: u8,
    /// The first estimator.
    pub init: Init,
    /// What is sent of a gradient.
    pub method: Method,
    /// How it is compressed.
    pub compressor: Compressor,
    /// What ∇f_i is multiplied with before it meets the grid: 1/(n w_i) in EF21-W.
    pub scale: Ratio,
    /// Who takes part in a round; the others answer with an empty update.
    pub participation: Participation,
    /// Which of its rows a worker looks at in a round.
    pub batch: Batch,
    /// How the model comes.
    pub downlink: Downlink,
    /// η of the heavy ball; 0 for none.
    pub momentum: Ratio,
    /// Weight of the l1 norm times the number of workers; 0 for none.
    pub l1_n: Ratio,
    /// Name of the objective.
    pub objective: &'a str,
    /// What is added to the loss of the data.
    pub regulariser: Regulariser,
    /// Its weight λ.
    pub lambda: Ratio,
    /// Where the model starts, see [`start`](crate::start): 0 is x⁰ = 0.
    pub start_seed: u32,
    /// Bytes of data that the host will send.
    pub data_len: u32,
    /// Their CRC-32.
    pub data_checksum: u32,
}

impl Configure<'_> {
    /// What updates may hold after the first.
    pub const fn budget(&self) -> Budget {
        Budget { k: self.k, value_bits: self.value_bits, compressor: self.compressor }
    }
}
