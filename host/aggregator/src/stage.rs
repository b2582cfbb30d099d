//! The stages of a worker, one exchange each.

use smidgen_protocol::message::{Part, Up};

/// The stages, in the order in which they follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Hello → Ready.
    #[default]
    Greet,
    /// Configure → Ack.
    Configure,
    /// Data → Ack, until all bytes are held. `furthest` is the most that the worker has confirmed.
    Load { held: u32, furthest: u32 },
    /// Curvature → Curvature, where the step size depends on what workers report.
    Curvature,
    /// Probe → Range.
    Probe,
    /// Announce → Ack.
    Announce,
    /// Part → Ack, from the mirror and the model, after a reboot. `furthest` is the most that the worker has confirmed.
    Restore { part: Part, from: u32, furthest: u32 },
    /// Begin → Update.
    Begin,
    /// Part → Ack, the downlink of a round that does not fit one frame.
    Part(usize),
    /// Round → Update.
    Round,
    /// More → Update.
    More,
    /// Hello → Ready, whose digests are compared.
    Verify,
    /// Part or Announce → Ack, where boards hold out rows and the model of the run is not that of the last round.
    Handover(Handover),
    /// Score → Score, where boards hold out rows.
    Score,
    /// Keep → Ack, after the score: the board classifies live windows by the model.
    Keep,
    /// No exchange is open: the others are waited for.
    Idle,
}

/// The steps by which a board gets the model of an earlier round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handover {
    /// The coordinates of the model, cut to the exponent of the last round; a change to a finer one saturates none.
    /// `furthest` is the most that the worker has confirmed.
    Cut { from: u32, furthest: u32 },
    /// The exponent of the model.
    Announce,
    /// Its coordinates.
    Model { from: u32, furthest: u32 },
}

impl Handover {
    /// The first coordinates, cut.
    pub(crate) const BEGIN_CUT: Self = Self::Cut { from: 0, furthest: 0 };
    /// The first coordinates.
    pub(crate) const BEGIN: Self = Self::Model { from: 0, furthest: 0 };
}

impl Stage {
    /// The first stage of restoring a vector.
    pub(crate) fn restore(part: Part) -> Self {
        Self::Restore { part, from: 0, furthest: 0 }
    }

    /// The most bytes or coordinates that the worker has confirmed, where it is filled.
    pub(crate) fn furthest(self) -> Option<u32> {
        match self {
            Self::Load { furthest, .. }
            | Self::Restore { furthest, .. }
            | Self::Handover(Handover::Cut { furthest, .. } | Handover::Model { furthest, .. }) => {
                Some(furthest)
            }
            Self::Handover(Handover::Announce)
            | Self::Greet
            | Self::Configure
            | Self::Curvature
            | Self::Probe
            | Self::Announce
            | Self::Begin
            | Self::Part(_)
            | Self::Round
            | Self::More
            | Self::Verify
            | Self::Score
            | Self::Keep
            | Self::Idle => None,
        }
    }

    /// The worker must pass over its rows before it answers.
    pub(crate) fn evaluates(self) -> bool {
        match self {
            Self::Curvature | Self::Probe | Self::Begin | Self::Round | Self::Score => true,
            Self::Greet
            | Self::Configure
            | Self::Load { .. }
            | Self::Announce
            | Self::Restore { .. }
            | Self::Part(_)
            | Self::More
            | Self::Verify
            | Self::Handover(_)
            | Self::Keep
            | Self::Idle => false,
        }
    }

    /// The answer is an update.
    pub(crate) fn awaits_update(self) -> bool {
        match self {
            Self::Begin | Self::Round | Self::More => true,
            Self::Greet
            | Self::Configure
            | Self::Load { .. }
            | Self::Curvature
            | Self::Probe
            | Self::Announce
            | Self::Restore { .. }
            | Self::Part(_)
            | Self::Verify
            | Self::Handover(_)
            | Self::Score
            | Self::Keep
            | Self::Idle => false,
        }
    }

    /// The worker identifies itself, and receives its configuration and data: it needs nothing of the present round.
    pub(crate) fn precedes_restoration(self) -> bool {
        match self {
            Self::Greet | Self::Configure | Self::Load { .. } => true,
            Self::Curvature
            | Self::Probe
            | Self::Announce
            | Self::Restore { .. }
            | Self::Begin
            | Self::Part(_)
            | Self::Round
            | Self::More
            | Self::Verify
            | Self::Handover(_)
            | Self::Score
            | Self::Keep
            | Self::Idle => false,
        }
    }

    /// The request is a Hello.
    pub(crate) fn greets(self) -> bool {
        match self {
            Self::Greet | Self::Verify => true,
            Self::Configure
            | Self::Load { .. }
            | Self::Curvature
            | Self::Probe
            | Self::Announce
            | Self::Restore { .. }
            | Self::Begin
            | Self::Part(_)
            | Self::Round
            | Self::More
            | Self::Handover(_)
            | Self::Score
            | Self::Keep
            | Self::Idle => false,
        }
    }

    /// The request has a ticket.
    pub(crate) fn has_ticket(self) -> bool {
        match self {
            Self::Configure
            | Self::Load { .. }
            | Self::Curvature
            | Self::Probe
            | Self::Announce
            | Self::Restore { .. }
            | Self::Begin
            | Self::Part(_)
            | Self::Handover(_)
            | Self::Score
            | Self::Keep => true,
            Self::Greet | Self::Round | Self::More | Self::Verify | Self::Idle => false,
        }
    }

    /// The worker may refuse the request.
    fn may_be_refused(self) -> bool {
        match self {
            Self::Configure | Self::Load { .. } | Self::Curvature | Self::Score => true,
            Self::Greet
            | Self::Probe
            | Self::Announce
            | Self::Restore { .. }
            | Self::Begin
            | Self::Part(_)
            | Self::Round
            | Self::More
            | Self::Verify
            | Self::Handover(_)
            | Self::Keep
            | Self::Idle => false,
        }
    }

    /// A message with a ticket answers the request of this stage.
    pub(crate) fn is_answered_by(self, message: &Up) -> bool {
        match message {
            Up::Ack { .. } => self.has_ticket() && !self.evaluates(),
            Up::Range { .. } => self == Self::Probe,
            Up::Curvature { .. } => self == Self::Curvature,
            Up::Score { .. } => self == Self::Score,
            Up::Refused { .. } => self.may_be_refused(),
            Up::Ready(_) | Up::Records(_) | Up::Live(_) => false,
        }
    }
}
