//! What frames of a round begin with, before a body. Their [`Kind`] is context, so it takes no byte.

use crate::counters::Reject;
use crate::frame::{self, Context, Draft, FRAME_LEN_MAX, Kind};
use crate::message::{Head, Loss};
use serde::{Deserialize, Serialize};

/// Starts a round, whose number is in the context of the frame. Its body is the model, its change, or the change of the
/// sum. Answered by the update.
///
/// ```
/// use smidgen_protocol::counters::Counters;
/// use smidgen_protocol::frame::{Context, Deframer, FRAME_LEN_MAX};
/// use smidgen_protocol::round::Start;
///
/// let context = Context { session: 7, worker: 1, round: 3, ..Context::SETUP };
/// let (start, mut wire) = (Start { from: 0, pace: 5 }, [0; FRAME_LEN_MAX]);
/// let len = start.draft(&[0xe0], &context, &mut wire).close();
///
/// let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
/// let frame = deframer.feed(&wire[..len], &mut counters).1.unwrap();
/// let (payload, context) = frame.check_any(Start::contexts(context)).unwrap();
/// assert_eq!(Start::parse(context.kind, payload), Ok((start, &[0xe0][..])));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// First coordinate that the body may contain; earlier ones came in [`Down::Part`](crate::message::Down::Part)s.
    pub from: u32,
    /// [Pace](crate::step::Rule::paced) of the step that leads to the round.
    pub pace: u8,
}

impl Start {
    /// The kinds of its frames: without and with a head.
    pub const KINDS: [Kind; 2] = [Kind::Round, Kind::Start];

    /// The contexts that a frame may have.
    pub fn contexts(context: Context) -> impl Iterator<Item = Context> {
        Self::KINDS.into_iter().map(move |kind| Context { kind, ..context })
    }

    /// Writes a draft of a frame.
    pub fn draft<'o>(
        self,
        body: &[u8],
        context: &Context,
        out: &'o mut [u8; FRAME_LEN_MAX],
    ) -> Draft<'o> {
        let kind = if self == Self::default() { Kind::Round } else { Kind::Start };
        frame::draft(&Context { kind, ..*context }, false, out, |payload| {
            if kind == Kind::Start {
                let written = postcard::serialize_with_flavor(&self, Head(payload));
                debug_assert!(written.is_ok(), "writing to a payload does not fail");
            }
            payload.push(body);
        })
    }

    /// Parses a payload into start and body.
    pub fn parse(kind: Kind, payload: &[u8]) -> Result<(Self, &[u8]), Reject> {
        match kind {
            Kind::Round => Ok((Self::default(), payload)),
            Kind::Start => postcard::take_from_bytes(payload).map_err(|_| Reject::Unparsable),
            Kind::Message | Kind::Update | Kind::Anew | Kind::Part => Err(Reject::Unparsable),
        }
    }
}

/// A frame of an update. Its body is the update of the round in the context, from the coordinate in the context on.
///
/// ```
/// use smidgen_protocol::counters::{Counters, Reject};
/// use smidgen_protocol::frame::{Context, Deframer, FRAME_LEN_MAX};
/// use smidgen_protocol::round::{LossChange, Update};
///
/// let context = Context { session: 7, worker: 1, round: 3, ..Context::SETUP };
/// let (update, mut wire) = (Update::Last(LossChange::between(1000, 900)), [0; FRAME_LEN_MAX]);
/// let len = update.draft(&[0xe0], &context, &mut wire).close();
///
/// let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
/// let (_, frame) = deframer.feed(&wire[..len], &mut counters);
/// let frame = frame.unwrap();
/// let (payload, of) = frame.check_any(Update::contexts(context)).unwrap();
/// assert_eq!(Update::parse(of.kind, payload), Ok((update, &[0xe0][..])));
/// // In another round, the same frame fails its check.
/// let another = Context { round: 4, ..context };
/// assert_eq!(frame.check_any(Update::contexts(another)), Err(Reject::Checksum));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Incomplete; [`Down::More`](crate::message::Down::More) asks for the rest.
    Part,
    /// The rest, with the change of f_i since the last round that the worker took part in.
    Last(LossChange),
    /// As [`Update::Last`], with g_i set to zero before the update is applied.
    Anew(LossChange),
}

impl Update {
    /// The contexts that a frame may have.
    pub fn contexts(context: Context) -> impl Iterator<Item = Context> {
        let kinds = [Kind::Update, Kind::Anew, Kind::Part];
        kinds.into_iter().map(move |kind| Context { kind, ..context })
    }

    /// Writes a draft of a frame.
    pub fn draft<'o>(
        self,
        body: &[u8],
        context: &Context,
        out: &'o mut [u8; FRAME_LEN_MAX],
    ) -> Draft<'o> {
        let (kind, change) = match self {
            Self::Part => (Kind::Part, None),
            Self::Last(change) => (Kind::Update, Some(change)),
            Self::Anew(change) => (Kind::Anew, Some(change)),
        };
        frame::draft(&Context { kind, ..*context }, false, out, |payload| {
            if let Some(LossChange(code)) = change {
                payload.push(&code.to_le_bytes());
            }
            payload.push(body);
        })
    }

    /// Parses a payload into update and body.
    pub fn parse(kind: Kind, payload: &[u8]) -> Result<(Self, &[u8]), Reject> {
        let with_loss = |update: fn(LossChange) -> Self| {
            let (&code, body) = payload.split_first().ok_or(Reject::Unparsable)?;
            Ok((update(LossChange(code.cast_signed())), body))
        };
        match kind {
            Kind::Update => with_loss(Self::Last),
            Kind::Anew => with_loss(Self::Anew),
            Kind::Part => Ok((Self::Part, payload)),
            Kind::Message | Kind::Round | Kind::Start => Err(Reject::Unparsable),
        }
    }
}

/// The change of a loss in one byte: a sign and a number with three significant bits.
///
/// Both ends add it to the same loss, so its error does not accumulate: the next change makes up for it.
///
/// ```
/// use smidgen_protocol::round::LossChange;
///
/// let change = LossChange::between(1000, 900);
/// assert_eq!(change.after(1000), 904);
/// assert_eq!(LossChange::between(904, 900).after(904), 900);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossChange(i8);

impl LossChange {
    /// The change that brings `before` nearest to `now`, which are [mantissas](Loss::mantissa) of losses.
    ///
    /// A loss that was cut to the largest one arrives as that.
    #[must_use]
    pub fn between(before: i32, now: i32) -> Self {
        let distance = now.abs_diff(before);
        // Three bits are kept; rounding may carry into the next power of two, which has the next code.
        let dropped = (u32::BITS - distance.leading_zeros()).saturating_sub(3);
        let kept = (distance + (1 << dropped >> 1)) >> dropped;
        let nearest = 4 * dropped + kept;
        let signed = |code: u32| {
            let code = code.min(i8::MAX.unsigned_abs().into()) as i8;
            Self(if now < before { -code } else { code })
        };
        let is_cut = now.abs() >= Loss::MAX && signed(nearest).after(before) != now;
        signed(nearest + u32::from(is_cut))
    }

    /// The loss after the change; at most [`Loss::MAX`] in magnitude.
    #[must_use]
    pub fn after(self, before: i32) -> i32 {
        let code = u32::from(self.0.unsigned_abs());
        // Codes below 8 are themselves.
        let dropped = (code / 4).saturating_sub(1);
        let distance = u64::from(code - 4 * dropped) << dropped;
        let change = if self.0 < 0 { -(distance as i64) } else { distance as i64 };
        (i64::from(before) + change).clamp(-i64::from(Loss::MAX), Loss::MAX.into()) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn change_is_nearest_and_its_error_is_made_up_for(losses in prop::collection::vec(-Loss::MAX..=Loss::MAX, 1..20)) {
            let mut held = 0;
            for now in losses {
                let distance = now.abs_diff(held);
                let after = LossChange::between(held, now).after(held);
                prop_assert!(after.abs_diff(now) <= distance / 8 || now.abs() == Loss::MAX, "{held} {now} {after}");
                held = after;
                // A loss that stays is exact after few rounds.
                let settled = (0..10).fold(held, |held, _| LossChange::between(held, now).after(held));
                prop_assert_eq!(settled, now);
            }
        }

        #[test]
        fn any_byte_is_a_change(code: i8, before in -Loss::MAX..=Loss::MAX) {
            prop_assert!(LossChange(code).after(before).abs() <= Loss::MAX);
        }

        #[test]
        fn cut_losses_arrive_as_cut(before in -Loss::MAX..=Loss::MAX) {
            for cut in [Loss::MAX, -Loss::MAX] {
                prop_assert_eq!(LossChange::between(before, cut).after(before), cut);
            }
        }
    }
}
