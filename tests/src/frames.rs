//! Frames as a test sends and reads them, and the answers of a worker without a line.

use smidgen_firmware::objective::ObjectiveSet;
use smidgen_firmware::worker::Worker;
use smidgen_protocol::counters::Counters;
use smidgen_protocol::frame::{Context, Deframer, FRAME_LEN_MAX, Frame, emit};
use std::iter;

/// The frame that `emit` writes.
pub fn frame(emit: impl FnOnce(&mut [u8; FRAME_LEN_MAX]) -> usize) -> Vec<u8> {
    let mut out = [0; FRAME_LEN_MAX];
    let len = emit(&mut out);
    out[..len].to_vec()
}

/// A frame with any payload, valid in the context.
pub fn framed(context: &Context, payload: &[u8]) -> Vec<u8> {
    frame(|out| emit(context, out, |frame| frame.push(payload)))
}

/// The payload of the only frame in `wire`, if it is valid in the context.
///
/// # Panics
/// If `wire` is not one frame.
pub fn payload(wire: &[u8], context: &Context) -> Option<Vec<u8>> {
    deframed(wire, |frame| frame.check(context).ok().map(<[u8]>::to_vec))
}

/// The payload of the only frame in `wire`, and the first of the contexts that it is valid in.
///
/// # Panics
/// If `wire` is not one frame.
pub fn payload_of_any(
    wire: &[u8],
    contexts: impl Iterator<Item = Context>,
) -> Option<(Vec<u8>, Context)> {
    deframed(wire, |frame| {
        let (payload, context) = frame.check_any(contexts).ok()?;
        Some((payload.to_vec(), context))
    })
}

/// The payload of the only frame in `wire`, whatever its context.
///
/// # Panics
/// If `wire` is not one frame.
pub fn unchecked_payload(wire: &[u8]) -> Vec<u8> {
    deframed(wire, |frame| frame.unchecked().to_vec())
}

fn deframed<T>(wire: &[u8], take: impl FnOnce(Frame) -> T) -> T {
    let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
    let (rest, frame) = deframer.feed(wire, &mut counters);
    assert!(rest.is_empty(), "there is more than a frame");
    take(frame.expect("a whole frame"))
}

/// The frames that a worker has to send.
pub fn transmitted(worker: &mut Worker<Vec<u64>>) -> Vec<Vec<u8>> {
    let mut out = [0; FRAME_LEN_MAX];
    iter::from_fn(|| worker.poll_transmit(&mut out).map(|len| out[..len].to_vec())).collect()
}

/// The frames with which a worker answers received bytes, after it has computed what they request.
pub fn answers(
    worker: &mut Worker<Vec<u64>>,
    objectives: &mut impl ObjectiveSet,
    received: &[u8],
) -> Vec<Vec<u8>> {
    worker.receive(received);
    compute(worker, objectives);
    transmitted(worker)
}

/// Computes the gradient that a worker requests. Returns whether it requested one.
pub fn compute(worker: &mut Worker<Vec<u64>>, objectives: &mut impl ObjectiveSet) -> bool {
    let Some(request) = worker.gradient_request() else { return false };
    let loss = objectives.evaluate_named(request);
    worker.gradient_ready(loss);
    true
}
