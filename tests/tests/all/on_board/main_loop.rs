//! The main loop of a board that records.

use super::*;
use embedded_io::{ErrorType, Read, ReadReady, Write};
use smidgen_firmware::journal::FlashJournal;
use smidgen_firmware::run::run_recorder;
use smidgen_protocol::counters::Counters;
use smidgen_protocol::frame::{Deframer, Draft, FRAME_LEN_MAX};
use smidgen_protocol::message::{SCHEMA, VERSION};
use smidgen_protocol::seal::{BOOT_LEN, HostSeal, Key, WorkerSeal};
use smidgen_tests::flash::{DATA_PAGES, PAGES};

/// A port that ends with its input, and is quiet before it for a number of samples.
#[derive(Default)]
pub(super) struct Port {
    input: Vec<u8>,
    output: Vec<u8>,
    quiet: usize,
}

impl ErrorType for Port {
    type Error = std::convert::Infallible;
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, Self::Error> {
        let is_quiet = self.quiet > 0;
        self.quiet = self.quiet.saturating_sub(1);
        Ok(!is_quiet)
    }
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        let len = self.input.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.input[..len]);
        self.input.drain(..len);
        Ok(len)
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Both ends of the line of a board that runs its main loop.
pub(super) struct Line {
    pub port: Port,
    pub worker: Worker<Vec<u64>>,
    pub recorder: ScriptedRecorder,
    pub journal: FlashJournal<Flash>,
    pub seal: Option<HostSeal>,
}

impl Line {
    /// Sends a message once the board has taken `quiet` samples. Returns the payload of the answer.
    pub(super) fn ask(&mut self, message: Down, quiet: usize) -> Vec<u8> {
        self.ask_in(&Context::SETUP, &Context::SETUP, message, &[], quiet)
    }

    /// Sends a message with a body in a context. Returns the payload of the answer in another.
    pub(super) fn ask_in(
        &mut self,
        down: &Context,
        up: &Context,
        message: Down,
        body: &[u8],
        quiet: usize,
    ) -> Vec<u8> {
        let mut out = [0; FRAME_LEN_MAX];
        let draft: Draft = message.draft(BROADCAST, body, down, &mut out);
        let len = match &mut self.seal {
            Some(seal) => seal.close(draft, || [7; 16]).expect("a link"),
            None => draft.close(),
        };
        self.port = Port { input: out[..len].to_vec(), output: vec![], quiet };
        let Ok(()) = run_recorder(
            &mut self.port,
            &mut self.worker,
            &mut Objectives,
            &mut self.journal,
            &mut self.recorder.remote,
        );
        let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
        let (rest, frame) = deframer.feed(&self.port.output, &mut counters);
        assert!(rest.is_empty(), "there is more than one answer");
        let frame = frame.expect("an answer");
        let frame = match &mut self.seal {
            Some(seal) => seal.open(frame).expect("a sealed answer"),
            None => frame,
        };
        frame.check(up).expect("an intact answer").to_vec()
    }
}

#[test]
fn main_loop_records_while_the_line_is_quiet_plain_and_sealed() {
    let mut answers = vec![];
    for is_sealed in [false, true] {
        let mut worker = Worker::new::<Objectives>(BOARD, vec![0; MEMORY / 8]);
        let key = Key::new(&[9; 32]).expect("a key");
        if is_sealed {
            worker.seal(WorkerSeal::new(key.clone(), [5; BOOT_LEN]));
        }
        let (port, recorder) = (Port::default(), ScriptedRecorder::new(Flash::new(4)));
        let seal = is_sealed.then(|| HostSeal::new(key));
        let journal = FlashJournal::open(Flash::new(PAGES), DATA_PAGES, &mut []);
        let mut line = Line { port, worker, recorder, journal, seal };
        let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 1 };
        assert!(matches!(Up::parse(&line.ask(hello, 0)), Ok((Up::Ready(_), []))));
        let command = |command| Down::Record { echo: 2, identity: BOARD.identity, command };
        let start = Command::Start {
            recording: 1,
            recipe: RECIPE,
            class: "walk",
            is_test: false,
            samples: 0,
        };
        assert_eq!(records(&line.ask(command(start), 0)).outcome, Outcome::Done);
        let mut samples = samples(2, 60, 1);
        samples.insert(35, None);
        line.recorder.remote.sensor_mut().samples.extend(samples);
        // The second frame of the recording arrives when 50 samples and a gap are taken.
        let progress = records(&line.ask(command(Command::Status), 51)).progress;
        assert_eq!((progress.samples, progress.rows, progress.gaps), (51, 2, 1));
        assert!(records(&line.ask(command(Command::Stop { recording: 1 }), 10)).progress.rows == 3);
        let status = line.ask(command(Command::Status), 0);
        assert_eq!(line.recorder.rows(false).len(), 3);
        answers.push(status);
    }
    assert_eq!(answers[0], answers[1]);
}
