//! The body of a worker on a byte stream: a serial port on a board, a socket or a pty elsewhere.

use crate::journal::Journal;
use crate::objective::ObjectiveSet;
use crate::worker::Worker;
use embedded_io::{Read, Write};
use smidgen_protocol::frame::FRAME_LEN_MAX;

/// Bytes that are taken from the port at once.
const READ_LEN_MAX: usize = 64;

/// Serves the host until the stream ends.
///
/// `port` blocks in `read` until a byte is there; while the gradient is computed it must keep what arrives, at least
/// one frame. On an error of the port the worker keeps its state: count what the receiver lost
/// ([`Worker::count_overrun`]) and call `run` again.
///
/// What the `journal` shall keep it is given before an acknowledgement or an update is sent: until then the host waits for that, so
/// that a flash may stop the board. If it takes longer than the host's timeout, which follows earlier answers and may be as short as
/// 20 ms, the host repeats its question; what of that is lost costs a repetition more. A board without a journal passes `()`.
pub fn run<P: Read + Write, M: AsRef<[u64]> + AsMut<[u64]>, R: ObjectiveSet>(
    port: &mut P,
    worker: &mut Worker<M>,
    objectives: &mut R,
    journal: &mut impl Journal,
) -> Result<(), P::Error> {
    let mut bytes = [0; READ_LEN_MAX];
    loop {
        sync_journal(worker, journal);
        transmit(port, worker)?;
        if let Some(request) = worker.gradient_request() {
            let loss = objectives.evaluate_named(request);
            worker.gradient_ready(loss);
            continue;
        }
        match port.read(&mut bytes)? {
            0 => return Ok(()),
            len => worker.receive(&bytes[..len.min(READ_LEN_MAX)]),
        }
    }
}

/// Hands new data and local state to the journal, and restores local state that the worker asks for.
///
/// Call it before computing a gradient and before sending: an update must not leave before the state behind it is stored.
pub fn sync_journal<M: AsRef<[u64]> + AsMut<[u64]>>(
    worker: &mut Worker<M>,
    journal: &mut impl Journal,
) {
    while let Some(chunk) = worker.poll_data_chunk() {
        journal.store_data(&chunk);
    }
    if let Some(request) = worker.local_state_request() {
        let exponent = journal.load_local_state(request);
        worker.local_state_ready(exponent);
    }
    if let Some(local) = worker.poll_local_state() {
        journal.store_local_state(&local);
    }
}

/// Sends what there is to send. Not inlined: its frame would lie on the stack while a gradient is computed.
#[inline(never)]
fn transmit<P: Write, M: AsRef<[u64]> + AsMut<[u64]>>(
    port: &mut P,
    worker: &mut Worker<M>,
) -> Result<(), P::Error> {
    let mut frame = [0; FRAME_LEN_MAX];
    while let Some(len) = worker.poll_transmit(&mut frame) {
        port.write_all(&frame[..len.min(FRAME_LEN_MAX)])?;
        port.flush()?;
    }
    Ok(())
}
