//! Messages between host and worker, in postcard's encoding.
//!
//! ```text
//! down:  address (varint u16) ‖ Down ‖ body        up:  Up ‖ body
//! ```
//!
//! The body is the rest of the payload. The host alone starts exchanges: every message down is answered by one message
//! up, and the host repeats a message that stays unanswered. A request with a *ticket* is carried out once and
//! answered each time it arrives. Frames of [rounds](crate::round) are no messages: their [`Context`] has their round and
//! their kind, so neither a tag nor a ticket travels.

mod columns;
mod configure;
mod fields;
mod live;
mod records;

use crate::counters::Reject;
use crate::frame::{
    self, Context, Draft, FRAME_LEN_MAX, GREETING_LEN_MAX, HEAD_LEN_MAX, PAYLOAD_LEN_MAX, Payload,
};
use crate::vector::Ratio;
pub use columns::{COLUMNS_LEN_MAX, MeanSquare, set_column_bits};
pub use configure::{Configure, Downlink, Init, Regulariser};
pub use fields::{Exponents, Known, Loss, Part, Refusal, Ticket};
pub use live::{Live, LiveState, Seen};
use postcard::ser_flavors::Flavor;
use postcard_schema::Schema;
use postcard_schema::key::Key;
pub use records::{
    CLASS_NAME_LEN_MAX, CLASSES_LEN_MAX, CLASSES_MAX, ClassRecords, Command, Outcome, Progress,
    ROW_COUNT_MAX, RecordRefusal, Records,
};
use serde::{Deserialize, Serialize};

/// Version of the wire format, compared before anything else.
pub const VERSION: u16 = 3;

/// Digest of the types of all messages. Builds with different digests are incompatible.
pub const SCHEMA: [u8; 8] = {
    let down = Key::for_path::<Down<'static>>("smidgen/down").to_bytes();
    let up = Key::for_path::<Up<'static>>("smidgen/up").to_bytes();
    (u64::from_le_bytes(down) ^ u64::from_le_bytes(up).rotate_left(1)).to_le_bytes()
};

/// The address of all workers on a line, and of a worker without an address.
pub const BROADCAST: u16 = 0;
/// Longest board name and longest list of objectives in a message, in bytes.
pub const NAME_LEN_MAX: usize = 48;
const _: () = assert!(2 * NAME_LEN_MAX + 125 <= GREETING_LEN_MAX, "the longest Ready fits a frame");
const _: () = assert!(
    CLASSES_LEN_MAX + COLUMNS_LEN_MAX + 71 <= PAYLOAD_LEN_MAX,
    "the longest Records fits a frame"
);

/// A message of the host.
///
/// ```
/// use smidgen_protocol::counters::Counters;
/// use smidgen_protocol::frame::{Context, Deframer, FRAME_LEN_MAX};
/// use smidgen_protocol::message::{Down, Part};
///
/// let (context, mut wire) = (Context::downlink(7), [0; FRAME_LEN_MAX]);
/// let message = Down::Part { ticket: 3, part: Part::Model, from: 0, until: 64 };
/// let len = message.emit(1, &[0xe0], &context, &mut wire);
///
/// let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
/// let frame = deframer.feed(&wire[..len], &mut counters).1.unwrap();
/// let payload = frame.check(&context).unwrap();
/// assert_eq!(Down::parse(payload), Ok((1, message, &[0xe0][..])));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Down<'a> {
    /// Asks for identity and state. Frozen in all versions, as are the first three fields of [`Ready`].
    Hello {
        /// [`VERSION`] of the host.
        version: u16,
        /// [`SCHEMA`] of the host.
        schema: [u8; 8],
        /// Returned in [`Ready`], which distinguishes the answer from a late one.
        echo: Ticket,
    },
    /// Opens a session. Answered by [`Up::Ack`] with the bytes of data held, all or 0, or by [`Up::Refused`].
    Configure(#[serde(borrow)] Configure<'a>),
    /// Body: the worker's data from `offset` on. Answered by [`Up::Ack`] with the bytes held so far; the last chunk may
    /// be answered by [`Up::Refused`].
    Data {
        /// Ticket of this request.
        ticket: Ticket,
        /// Bytes before this chunk.
        offset: u32,
    },
    /// Evaluates f_i at x with the given exponents, without a change of state. Answered by [`Up::Range`].
    Probe {
        /// Ticket of this request.
        ticket: Ticket,
        /// Exponents to evaluate with.
        exponents: Exponents,
    },
    /// Sets exponents; x, g_i, the sum and other state are rounded to them. Answered by [`Up::Ack`] with 0.
    Announce {
        /// Ticket of this request.
        ticket: Ticket,
        /// The new exponents.
        exponents: Exponents,
        /// Step size over the number of workers, γ/n, at pace 0.
        gamma_n: Ratio,
    },
    /// Body (described, from index `from`): coordinates `from..until` of a vector. Absent ones are zero, or unchanged
    /// for changes. Answered by [`Up::Ack`] with `until`.
    Part {
        /// Ticket of this request.
        ticket: Ticket,
        /// The vector.
        part: Part,
        /// First coordinate.
        from: u32,
        /// One beyond the last coordinate.
        until: u32,
    },
    /// Starts `round` at the current x: round 0, or the round of a restored worker. Answered by the update.
    Begin {
        /// Ticket of this request.
        ticket: Ticket,
        /// Round t.
        round: u32,
        /// What host and worker know of the rounds before.
        known: Known,
    },
    /// Asks for the update of the round in the context again, from coordinate `from` on.
    More {
        /// First coordinate to send.
        from: u32,
    },
    /// Asks for a bound of the smoothness constant of f_i, before any update. Answered by [`Up::Curvature`], or by
    /// [`Up::Refused`] if the objective has none.
    Curvature {
        /// Ticket of this request.
        ticket: Ticket,
    },
    /// Commands the recorder of a board. Answered by [`Up::Records`].
    Record {
        /// Returned in [`Records`].
        echo: Ticket,
        /// Identity of the addressed board.
        identity: u64,
        /// The command.
        #[serde(borrow)]
        command: Command<'a>,
    },
    /// Counts the rows held out on the board that the model classifies correctly. Answered by [`Up::Score`], or by
    /// [`Up::Refused`] if the data are not rows on the board or the objective has no classes.
    Score {
        /// Ticket of this request.
        ticket: Ticket,
    },
    /// Asks what the board sees live. Answered by [`Up::Live`].
    Live {
        /// Returned in [`Live`].
        echo: Ticket,
        /// Identity of the addressed board.
        identity: u64,
    },
    /// Keeps the model, so that the board has it after a power cut. Answered by [`Up::Ack`] with 1, or with 0 if the
    /// board has no place for it; or by [`Up::Refused`] if the data have no recipe.
    Keep {
        /// Ticket of this request.
        ticket: Ticket,
    },
}

/// Identity and state of a worker.
///
/// ```
/// use smidgen_protocol::message::*;
/// # use smidgen_protocol::{counters::Counters, frame::*};
/// let message = Up::Ready(Ready {
///     version: VERSION,
///     schema: SCHEMA,
///     echo: 7,
///     board: "microbit",
///     identity: 0x1234,
///     memory: 8192,
///     objectives: "logistic softmax",
///     session: 0,
///     opened: 0,
///     model_digest: 0,
///     estimator_digest: 0,
///     rejected: [0; 9],
///     overruns: 0,
///     saturated: 0,
/// });
/// let mut wire = [0; FRAME_LEN_MAX];
/// let len = message.emit(&[], &Context::SETUP, &mut wire);
/// # let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
/// # let frame = deframer.feed(&wire[..len], &mut counters).1.unwrap();
/// # let payload = frame.check(&Context::SETUP).unwrap();
/// assert_eq!(greeting(payload), Some((VERSION, SCHEMA)));
/// assert_eq!(Up::parse(payload), Ok((message, &[][..])));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Ready<'a> {
    /// [`VERSION`] of the worker.
    pub version: u16,
    /// [`SCHEMA`] of the worker.
    pub schema: [u8; 8],
    /// `echo` of the `Hello` that this answers.
    pub echo: Ticket,
    /// Kind of board.
    pub board: &'a str,
    /// Serial number of the board, constant across reboots.
    pub identity: u64,
    /// Memory for vectors, data and scratch, in bytes.
    pub memory: u32,
    /// Names of the objectives that the worker can compute, separated by spaces.
    pub objectives: &'a str,
    /// Current session; 0 after a boot.
    pub session: u32,
    /// Ticket of the [`Configure`] that opened the session. An unknown ticket reveals a reboot.
    pub opened: Ticket,
    /// Digest of the model.
    pub model_digest: u64,
    /// Digest of the estimator.
    pub estimator_digest: u64,
    /// Dropped frames, in the order of [`Reject::ALL`].
    pub rejected: [u32; Reject::COUNT],
    /// Number of times the receiver lost bytes.
    pub overruns: u32,
    /// Mantissas clamped to their range.
    pub saturated: u32,
}

/// A message of a worker.
///
/// ```
/// use smidgen_protocol::counters::{Counters, Reject};
/// use smidgen_protocol::frame::{Context, Deframer, FRAME_LEN_MAX};
/// use smidgen_protocol::message::Up;
///
/// let context = Context { session: 7, worker: 1, ..Context::SETUP };
/// let (message, mut wire) = (Up::Ack { ticket: 3, value: 64 }, [0; FRAME_LEN_MAX]);
/// let len = message.emit(&[], &context, &mut wire);
///
/// let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
/// let (_, frame) = deframer.feed(&wire[..len], &mut counters);
/// let frame = frame.unwrap();
/// assert_eq!(Up::parse(frame.check(&context).unwrap()), Ok((message, &[][..])));
/// // In another session, the same frame fails its check.
/// assert_eq!(frame.check(&Context { session: 8, ..context }), Err(Reject::Checksum));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Up<'a> {
    /// Answers [`Down::Hello`].
    Ready(#[serde(borrow)] Ready<'a>),
    /// A request was carried out.
    Ack {
        /// Its ticket.
        ticket: Ticket,
        /// Defined by the request.
        value: u32,
    },
    /// Answers [`Down::Probe`].
    Range {
        /// Ticket of the request.
        ticket: Ticket,
        /// Largest magnitude of a gradient mantissa.
        gradient_max: u32,
        /// Loss mantissa.
        loss: Loss,
    },
    /// A request cannot be carried out.
    Refused {
        /// Its ticket.
        ticket: Ticket,
        /// Reason.
        refusal: Refusal,
    },
    /// Answers [`Down::Curvature`].
    Curvature {
        /// Ticket of the request.
        ticket: Ticket,
        /// L̂_i: ‖∇f_i(x) − ∇f_i(y)‖ ≤ L̂_i ‖x − y‖ for all x and y, regulariser included.
        l_i: Ratio,
    },
    /// Answers [`Down::Record`].
    Records(#[serde(borrow)] Records<'a>),
    /// Answers [`Down::Score`].
    Score {
        /// Ticket of the request.
        ticket: Ticket,
        /// Number of rows held out, of the classes of the run.
        rows: u32,
        /// Number of them whose class is the model's.
        right: u32,
    },
    /// Answers [`Down::Live`].
    Live(#[serde(borrow)] Live<'a>),
}

impl<'a> Down<'a> {
    /// Writes a plain frame for `address` into `out`; returns its length.
    pub fn emit(
        &self,
        address: u16,
        body: &[u8],
        context: &Context,
        out: &mut [u8; FRAME_LEN_MAX],
    ) -> usize {
        self.draft(address, body, context, out).close()
    }

    /// Writes a draft of a frame for `address` into `out`, to be closed plain or sealed.
    pub fn draft<'o>(
        &self,
        address: u16,
        body: &[u8],
        context: &Context,
        out: &'o mut [u8; FRAME_LEN_MAX],
    ) -> Draft<'o> {
        draft(&(address, self), self.scope().is_greeting(), body, context, out)
    }

    /// Parses a payload into address, message and body.
    pub fn parse(payload: &'a [u8]) -> Result<(u16, Self, &'a [u8]), Reject> {
        let ((address, message), body) =
            postcard::take_from_bytes(payload).map_err(|_| Reject::Unparsable)?;
        Ok((address, message, body))
    }

    /// The ticket of a request.
    pub const fn ticket(&self) -> Option<Ticket> {
        match *self {
            Self::Hello { .. } | Self::Record { .. } | Self::Live { .. } | Self::More { .. } => {
                None
            }
            Self::Configure(Configure { ticket, .. })
            | Self::Data { ticket, .. }
            | Self::Probe { ticket, .. }
            | Self::Announce { ticket, .. }
            | Self::Part { ticket, .. }
            | Self::Begin { ticket, .. }
            | Self::Curvature { ticket }
            | Self::Score { ticket }
            | Self::Keep { ticket } => Some(ticket),
        }
    }

    /// Returns whether frames of this message are checked in [`Context::SETUP`], since both sides may share no session.
    pub const fn is_setup(&self) -> bool {
        self.scope().is_setup()
    }

    /// Returns whether the context of this message's frames contains a round.
    pub const fn is_of_round(&self) -> bool {
        self.scope().is_round()
    }

    const fn scope(&self) -> Scope {
        match self {
            Self::Hello { .. } => Scope::Greeting,
            Self::Configure(_) | Self::Record { .. } | Self::Live { .. } => Scope::Setup,
            Self::Data { .. }
            | Self::Probe { .. }
            | Self::Announce { .. }
            | Self::Part { .. }
            | Self::Begin { .. }
            | Self::Curvature { .. }
            | Self::Score { .. }
            | Self::Keep { .. } => Scope::Session,
            Self::More { .. } => Scope::Round,
        }
    }
}

impl<'a> Up<'a> {
    /// Writes a plain frame into `out`; returns its length.
    pub fn emit(&self, body: &[u8], context: &Context, out: &mut [u8; FRAME_LEN_MAX]) -> usize {
        self.draft(body, context, out).close()
    }

    /// Writes a draft of a frame into `out`, to be closed plain or sealed.
    pub fn draft<'o>(
        &self,
        body: &[u8],
        context: &Context,
        out: &'o mut [u8; FRAME_LEN_MAX],
    ) -> Draft<'o> {
        draft(self, self.scope().is_greeting(), body, context, out)
    }

    /// Parses a payload into message and body.
    pub fn parse(payload: &'a [u8]) -> Result<(Self, &'a [u8]), Reject> {
        postcard::take_from_bytes(payload).map_err(|_| Reject::Unparsable)
    }

    /// Returns whether frames of this message are checked in [`Context::SETUP`].
    pub const fn is_setup(&self) -> bool {
        self.scope().is_setup()
    }

    const fn scope(&self) -> Scope {
        match self {
            Self::Ready(_) => Scope::Greeting,
            Self::Records(_) | Self::Live(_) => Scope::Setup,
            Self::Ack { .. }
            | Self::Range { .. }
            | Self::Refused { .. }
            | Self::Curvature { .. }
            | Self::Score { .. } => Scope::Session,
        }
    }
}

/// The context that both sides of a message share.
#[derive(Clone, Copy)]
enum Scope {
    /// None; the frame has room for the salt of a seal.
    Greeting,
    /// None.
    Setup,
    /// The session.
    Session,
    /// The session and a round.
    Round,
}

impl Scope {
    const fn is_greeting(self) -> bool {
        match self {
            Self::Greeting => true,
            Self::Setup | Self::Session | Self::Round => false,
        }
    }

    const fn is_setup(self) -> bool {
        match self {
            Self::Greeting | Self::Setup => true,
            Self::Session | Self::Round => false,
        }
    }

    const fn is_round(self) -> bool {
        match self {
            Self::Round => true,
            Self::Greeting | Self::Setup | Self::Session => false,
        }
    }
}

/// Version and schema of an [`Up::Ready`] of any version, even if the rest of it cannot be parsed.
///
/// `None` for version 0, which does not exist: a [`Down::Hello`] that the line echoes parses as version 0.
pub fn greeting(payload: &[u8]) -> Option<(u16, [u8; 8])> {
    let ((tag, version, schema), _) =
        postcard::take_from_bytes::<(u32, u16, [u8; 8])>(payload).ok()?;
    (tag == 0 && version != 0).then_some((version, schema))
}

fn draft<'o>(
    message: &impl Serialize,
    is_greeting: bool,
    body: &[u8],
    context: &Context,
    out: &'o mut [u8; FRAME_LEN_MAX],
) -> Draft<'o> {
    frame::draft(context, is_greeting, out, |payload| {
        let written = postcard::serialize_with_flavor(message, Head(payload));
        debug_assert!(written.is_ok(), "writing to a payload does not fail");
        debug_assert!(body.is_empty() || payload.written() <= HEAD_LEN_MAX);
        payload.push(body);
    })
}

/// Lets postcard write a message straight into its frame.
pub(crate) struct Head<'p, 'b>(pub(crate) &'p mut Payload<'b>);

impl Flavor for Head<'_, '_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.push(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
