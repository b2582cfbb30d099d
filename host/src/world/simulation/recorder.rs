//! The recorder of a simulated board.

use crate::problem::dataset::recordings::{Recording, WorkerRecordings};
use smidgen_firmware::objective::Evaluator;
use smidgen_firmware::recorder::Recorder;
use smidgen_firmware::recorder::sensor::Sensor;
use smidgen_firmware::recorder::store::{RamFlash, Store};
use smidgen_firmware::remote::RemoteRecorder;
use smidgen_firmware::worker::Worker;
use smidgen_protocol::frame::{Context, FRAME_LEN_MAX};
use smidgen_protocol::message::{BROADCAST, Command, Down};
use smidgen_protocol::recipe::Recipe;
use std::convert::Infallible;

/// Identity of the worker that gets the commands.
pub(super) const IDENTITY: u64 = 1;

/// The recorder of a board. Its memory lives as long as the process, as that of a board does.
pub(super) type BoardRecorder = RemoteRecorder<'static, RamFlash<'static>, Playback>;

/// A sensor that has recorded samples, all of them due.
#[derive(Debug)]
pub(super) struct Playback {
    channels: usize,
    samples: Vec<i16>,
    next: usize,
}

impl Sensor for Playback {
    type Error = Infallible;

    fn channels(&self) -> usize {
        self.channels
    }

    fn poll(&mut self, sample: &mut [i16]) -> Result<bool, Infallible> {
        let next = self.samples.get(self.next..).and_then(|rest| rest.get(..sample.len()));
        let is_due = next.is_some_and(|next| !next.is_empty());
        if let Some(next) = next.filter(|_| is_due) {
            sample.copy_from_slice(next);
            self.next += next.len();
        }
        Ok(is_due)
    }
}

/// Returns a recorder that has recorded these samples, by the commands of a host to a worker.
pub(super) fn recorded<R: Evaluator>(
    recipe: &Recipe,
    recordings: &WorkerRecordings,
    mut worker: Worker<Vec<u64>>,
    objectives: &mut R,
) -> BoardRecorder {
    let rows = RamFlash::new(recordings.store(recipe).leak());
    let store = Store::open(rows).expect("whole words");
    let sensor = Playback { channels: recipe.channels.into(), samples: vec![], next: 0 };
    let window = vec![0; recipe.window_len()].leak();
    let mut recorder = RemoteRecorder::new(Recorder::new(store, window), sensor);
    worker.enable_recorder();
    // Every recording has a row, so the board counts it.
    for (recording, Recording { class, is_test, samples }) in (1..).zip(&recordings.recordings) {
        let is_test = *is_test;
        let begin = Command::Start { recording, recipe: *recipe, class, is_test, samples: 0 };
        command(&mut worker, &mut recorder, objectives, begin);
        let sensor = recorder.sensor_mut();
        (sensor.samples, sensor.next) = (samples.clone(), 0);
        while recorder.poll() {}
        command(&mut worker, &mut recorder, objectives, Command::Stop { recording });
    }
    recorder
}

/// Sends a command. What it leads to shows in the checksum of the rows, without which the board refuses its data.
fn command<R: Evaluator>(
    worker: &mut Worker<Vec<u64>>,
    recorder: &mut BoardRecorder,
    objectives: &mut R,
    command: Command<'_>,
) {
    let mut frame = [0; FRAME_LEN_MAX];
    let message = Down::Record { echo: 0, identity: IDENTITY, command };
    let len = message.emit(BROADCAST, &[], &Context::SETUP, &mut frame);
    worker.receive(&frame[..len]);
    recorder.serve(worker, objectives, &mut frame);
}
