//! Boards in threads that record from a scripted sensor, on loopback sockets.

use super::boards::listener;
use embedded_io::{ErrorType, Read, ReadReady, Write};
use embedded_io_adapters::std::FromStd;
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::recorder::Recorder;
use smidgen_firmware::recorder::sensor::{Sensor, Unfit};
use smidgen_firmware::recorder::store::{RamFlash, Store};
use smidgen_firmware::remote::RemoteRecorder;
use smidgen_firmware::run::run_recorder;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::recipe::Recipe;
use smidgen_protocol::seal::{BOOT_LEN, Key, WorkerSeal};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Number of channels of the sensor.
pub(crate) const CHANNELS: usize = 3;
/// Number of samples of an activity.
pub(crate) const PERIOD: usize = 20;
/// Values of samples that a board has memory for.
const WINDOW_LEN_MAX: usize = 60;

/// A board that records.
#[derive(Clone)]
pub(crate) struct RecordingBoard {
    pub identity: u64,
    /// Words of memory of the worker.
    pub memory: usize,
    /// Words of memory for rows.
    pub words: usize,
    /// Samples of the sensor, again and again in every recording; none for a board without a sensor.
    pub samples: Vec<[i16; CHANNELS]>,
    /// What the sensor measures now: which part of `samples`, each of [`PERIOD`] samples, is repeated.
    pub activity: Option<Arc<AtomicUsize>>,
    /// Number of samples until the sensor has no more; then it waits.
    pub count: usize,
    /// The sensor loses samples before each of these, counted over all recordings.
    pub gaps: Vec<usize>,
    /// As `count`, but raised by a test.
    pub due: Option<Arc<AtomicUsize>>,
    /// Number of samples that the sensor has given.
    pub taken: Arc<AtomicUsize>,
    /// The first connection is closed instead of this write.
    pub cut: Option<usize>,
    /// Its power fails whenever a connection ends.
    pub forgets: bool,
    /// Full scale of its sensor, in thousandths; 0 if unknown.
    pub full_scale: u32,
    /// The highest rate of its sensor, in samples per 1000 s.
    pub rate_max: u32,
    /// Key of its image.
    pub key: Option<[u8; 32]>,
}

impl RecordingBoard {
    /// A board with room for some hundred rows, whose sensor never ends.
    pub(crate) fn new(identity: u64) -> Self {
        let samples = vec![[100, -200, 300], [400, 500, -600], [-70, 80, 90], [1, 2, 3]];
        Self {
            identity,
            memory: 1 << 14,
            words: 1024,
            samples,
            activity: None,
            count: usize::MAX,
            gaps: vec![],
            due: None,
            taken: Arc::default(),
            cut: None,
            forgets: false,
            full_scale: 0,
            rate_max: u32::MAX,
            key: None,
        }
    }

    /// Serves connections, one after the other, as a board on a serial server: rows and state stay. Returns the
    /// address.
    pub(crate) fn serve(self) -> String {
        let (listener, address) = listener();
        thread::spawn(move || {
            let mut writes_left = self.cut;
            loop {
                self.live(&listener, &mut writes_left);
            }
        });
        address
    }

    /// Serves connections until its power fails.
    fn live(&self, listener: &TcpListener, writes_left: &mut Option<usize>) {
        let board = Board { name: "recording", identity: self.identity };
        let mut worker = Worker::new::<Objectives>(board, vec![0; self.memory]);
        if let Some(key) = self.key {
            let key = Key::new(&key).expect("a strong key");
            worker.seal(WorkerSeal::new(key, [5; BOOT_LEN]));
        }
        let (mut rows, mut samples) = (vec![u64::MAX; self.words], [0; WINDOW_LEN_MAX]);
        let store = Store::open(RamFlash::new(&mut rows)).expect("a region of whole pages");
        let recorder = Recorder::new(store, &mut samples);
        let script = Script { board: self.clone() };
        let mut recorder = RemoteRecorder::new(recorder, script);
        while let Ok((stream, _)) = listener.accept() {
            // It ends with or without an error when the host closes the connection.
            let _ = run_recorder(
                &mut Line { stream: FromStd::new(stream), writes_left: writes_left.take() },
                &mut worker,
                &mut Objectives,
                &mut (),
                &mut recorder,
            );
            if self.forgets {
                return;
            }
        }
    }
}

struct Script {
    board: RecordingBoard,
}

impl Sensor for Script {
    type Error = ();

    fn channels(&self) -> usize {
        if self.board.samples.is_empty() { 0 } else { CHANNELS }
    }

    fn full_scale(&self, _channel: usize) -> u32 {
        self.board.full_scale
    }

    fn accept(&mut self, recipe: &Recipe) -> Result<(), Unfit> {
        match recipe.rate_millihertz > self.board.rate_max {
            _ if self.channels() != usize::from(recipe.channels) => Err(Unfit::Channels),
            true => Err(Unfit::Rate),
            false => Ok(()),
        }
    }

    fn poll(&mut self, sample: &mut [i16]) -> Result<bool, ()> {
        // A thousand samples a second, at most.
        thread::sleep(Duration::from_millis(1));
        let board = &mut self.board;
        let taken = board.taken.load(Ordering::Relaxed);
        let due = board.due.as_ref().map(|due| due.load(Ordering::Relaxed));
        if taken >= due.unwrap_or(board.count) {
            return Ok(false);
        }
        if board.gaps.first() == Some(&taken) {
            board.gaps.remove(0);
            return Err(());
        }
        let place = match &board.activity {
            Some(activity) => activity.load(Ordering::Relaxed) * PERIOD + taken % PERIOD,
            None => taken % board.samples.len(),
        };
        sample.copy_from_slice(&board.samples[place]);
        board.taken.store(taken + 1, Ordering::Relaxed);
        Ok(true)
    }
}

/// A stream that tells whether bytes have arrived.
struct Line {
    stream: FromStd<TcpStream>,
    writes_left: Option<usize>,
}

impl ErrorType for Line {
    type Error = std::io::Error;
}

impl ReadReady for Line {
    fn read_ready(&mut self) -> Result<bool, Self::Error> {
        let stream = self.stream.inner();
        stream.set_nonblocking(true)?;
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        match peeked {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        self.stream.read(buffer)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        if let Some(left) = &mut self.writes_left {
            *left = left.checked_sub(1).ok_or(std::io::ErrorKind::BrokenPipe)?;
        }
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        self.stream.flush()
    }
}
