//! What a client asks and hears.

use smidgen_aggregator::Reason;
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::{Context, Frame};
use smidgen_protocol::message::{BROADCAST, Down, Up, greeting};
use smidgen_protocol::seal::HostSeal;

/// A request, with what both ends know of its session.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// Address of the worker.
    pub address: u16,
    /// The message.
    pub message: Down<'r>,
    /// Its body.
    pub body: &'r [u8],
    /// Context of the request.
    pub context: Context,
    /// Context of the answer.
    pub answer: Context,
}

impl<'r> Request<'r> {
    /// A request outside a session.
    pub fn setup(message: Down<'r>) -> Self {
        let context = Context::SETUP;
        Self { address: BROADCAST, message, body: &[], context, answer: context }
    }
}

/// What a frame contains.
pub(super) enum Heard<T> {
    /// The answer.
    Answer(T),
    /// The identification of firmware that does not belong to this host.
    Other(Reason),
}

/// Opens a frame, and passes its message to `answer`.
pub(super) fn take<T>(
    frame: Frame,
    seal: Option<&mut HostSeal>,
    request: &Request,
    answer: &mut impl FnMut(&Up, &[u8]) -> Option<T>,
) -> Result<Heard<T>, Reject> {
    let frame = match seal {
        Some(seal) => seal.open(frame)?,
        None => frame,
    };
    let is_session = Up::parse(frame.unchecked()).is_ok_and(|(message, _)| !message.is_setup());
    let payload = frame.check(if is_session { &request.answer } else { &Context::SETUP })?;
    if let Some((version, schema)) = greeting(payload)
        && let Some(reason) = Reason::of_versions(version, schema)
    {
        return Ok(Heard::Other(reason));
    }
    let (message, body) = Up::parse(payload)?;
    answer(&message, body).map(Heard::Answer).ok_or(Reject::Unexpected)
}
