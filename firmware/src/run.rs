//! The loop that runs a worker on a byte stream: a serial port on a board, a socket or pseudo-terminal elsewhere.

use crate::journal::Journal;
use crate::objective::Evaluator;
use crate::recorder::sensor::Sensor;
use crate::recorder::store::Mapped;
use crate::remote::{Indicator, RemoteRecorder};
use crate::worker::Worker;
use embedded_io::{Read, ReadReady, Write};
use embedded_storage::nor_flash::NorFlash;
use smidgen_protocol::frame::FRAME_LEN_MAX;

/// Maximum number of bytes per read from the port.
const READ_LEN_MAX: usize = 64;

/// Serves the host until the stream ends.
///
/// `port` must block in `read` until a byte arrives, and buffer at least one frame while a gradient is computed. After
/// an error of the port the worker keeps its state: count bytes lost by the receiver ([`Worker::count_overrun`]) and
/// call `run` again.
///
/// The `journal` is written before the acknowledgement or update that depends on it is sent. The host waits for that
/// answer meanwhile, so a flash may stall the processor. If writing takes longer than the host's time-out, which adapts
/// to earlier answers and is at least 20 ms, the host repeats its request. A board without a journal passes `()`.
pub fn run<P: Read + Write, M: AsRef<[u64]> + AsMut<[u64]>, R: Evaluator>(
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
            // Send the update before reading on, since the host waits for it.
            continue;
        }
        match port.read(&mut bytes)? {
            // The stream has ended; that of a serial port never does.
            0 => return Ok(()),
            len => worker.receive(&bytes[..len.min(READ_LEN_MAX)]),
        }
    }
}

/// As [`run`], on a board that records: takes samples while no byte has arrived, for a recording or for live windows.
///
/// Where an interrupt of the sensor ends the wait in `read`, as [`Sensor::wake`] says, the board sleeps between
/// samples: `read` then returns 0, this function returns, and the caller calls it again. After a boot call
/// [`Worker::restore_model`] first.
///
/// A gradient takes longer than a sample, so a board either records or trains on its own rows; live windows that it
/// delays have a gap.
pub fn run_recorder<P, M, R, F, S, I>(
    port: &mut P,
    worker: &mut Worker<M>,
    objectives: &mut R,
    journal: &mut impl Journal,
    recorder: &mut RemoteRecorder<'_, F, S, I>,
) -> Result<(), P::Error>
where
    P: Read + ReadReady + Write,
    M: AsRef<[u64]> + AsMut<[u64]>,
    R: Evaluator,
    F: NorFlash + Mapped,
    S: Sensor,
    I: Indicator,
{
    worker.enable_recorder();
    loop {
        recorder.prepare(worker, objectives);
        transmit_records(port, worker, recorder)?;
        sync_journal(worker, journal);
        transmit(port, worker)?;
        if compute(worker, objectives, recorder) {
            continue;
        }
        let is_sampling = recorder.is_recording() || recorder.is_watching();
        if is_sampling && !port.read_ready()? {
            let has_sampled = recorder.poll() || recorder.watch(worker, objectives);
            if has_sampled || !recorder.wake() {
                continue;
            }
        }
        if !receive(port, worker)? {
            return Ok(());
        }
    }
}

// The steps are not inlined, so that the stack has room for one of them at a time.

/// Computes the pending gradient; returns whether there was one.
#[inline(never)]
fn compute<M, R, F, S, I>(
    worker: &mut Worker<M>,
    objectives: &mut R,
    recorder: &RemoteRecorder<'_, F, S, I>,
) -> bool
where
    M: AsRef<[u64]> + AsMut<[u64]>,
    R: Evaluator,
    F: NorFlash + Mapped,
    S: Sensor,
    I: Indicator,
{
    worker.compute_with(recorder.store(), |request| objectives.evaluate_named(request))
}

/// Passes received bytes to the worker; returns `false` at the end of the stream.
#[inline(never)]
fn receive<P: Read, M: AsRef<[u64]> + AsMut<[u64]>>(
    port: &mut P,
    worker: &mut Worker<M>,
) -> Result<bool, P::Error> {
    let mut bytes = [0; READ_LEN_MAX];
    let len = port.read(&mut bytes)?;
    worker.receive(&bytes[..len.min(READ_LEN_MAX)]);
    Ok(len > 0)
}

/// Sends the answers of the recorder.
#[inline(never)]
fn transmit_records<P, M, F, S, I>(
    port: &mut P,
    worker: &mut Worker<M>,
    recorder: &mut RemoteRecorder<'_, F, S, I>,
) -> Result<(), P::Error>
where
    P: Write,
    M: AsRef<[u64]> + AsMut<[u64]>,
    F: NorFlash + Mapped,
    S: Sensor,
    I: Indicator,
{
    let mut frame = [0; FRAME_LEN_MAX];
    while let Some(len) = recorder.answer(worker, &mut frame) {
        port.write_all(&frame[..len.min(FRAME_LEN_MAX)])?;
        port.flush()?;
    }
    Ok(())
}

/// Stores new data, local state and a model to keep in the journal, and loads local state that the worker requests.
///
/// Call it before computing a gradient and before sending, so that no update leaves before the local state that belongs
/// to it is stored.
// Not inlined, so that its stack is free again while a gradient is computed.
#[inline(never)]
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
    if let Some(model) = worker.model_to_keep() {
        let is_kept = journal.store_model(&model);
        worker.model_kept(is_kept);
    }
}

/// Sends all pending frames.
// Not inlined, so that the frame is not on the stack while a gradient is computed.
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
