//! The sensor of an emulated board that plays recordings at their rate, again and again.
//!
//! ```text
//!  cue ──> connect ──> rest ──> sample, sample, … gap, sample, … ──> rest … at the next cue
//! ```
//!
//! While the board does not read, the line is full and the sensor stands still: no sample is lost.

use crate::world::transport::is_not_yet;
use rustix::net::sockopt::set_socket_send_buffer_size;
use smidgen_firmware::recorder::stream;
use smidgen_protocol::frame::FRAME_LEN_MAX;
use std::convert::Infallible;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Bytes of no frame. A board that begins to read drops what has arrived: these, and no sample.
const REST: [u8; 16] = [0; 16];
/// Writes of [`REST`] that a line which is not read has no room for.
const RESTS_MAX: usize = 64;
/// Wait before a lost line is opened again, and time-out of a write.
const POLL: Duration = Duration::from_millis(50);
/// Time for a board that has begun to read to drop what has arrived.
const SETTLING: Duration = Duration::from_millis(100);
/// Size of the line's buffer, in which few samples fit; systems raise it to their minimum.
const BUFFER_LEN: usize = 1024;
/// A sample that is late by less shortens the wait for the next ones.
const LATENESS_MAX: Duration = Duration::from_millis(20);

/// A sensor, whose thread ends when this value is dropped.
#[derive(Debug)]
pub struct Player {
    cues: Option<Sender<Cue>>,
    thread: Option<JoinHandle<()>>,
}

impl Player {
    /// Starts a sensor at the socket of a board's line for it. It rests until it is told what to [play](Self::play).
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(socket: PathBuf, channels: usize, period: Duration) -> io::Result<Self> {
        let (sender, cues) = channel();
        let run = move || run(&socket, channels, period, &cues);
        let thread = Builder::new().spawn(run)?;
        Ok(Self { cues: Some(sender), thread: Some(thread) })
    }

    /// Plays recordings from the first one, instead of those before; rests if there are none. The returned channel
    /// closes once the board gets no more samples of those before.
    pub fn play(&self, recordings: Vec<Vec<i16>>) -> Receiver<Infallible> {
        let (changed, changes) = channel();
        // The thread lives as long as this value.
        let _ = self.cues.as_ref().map(|cues| cues.send(Cue { recordings, changed }));
        changes
    }
}

/// Recordings to play from now on.
struct Cue {
    recordings: Vec<Vec<i16>>,
    /// Dropped when no others are in the line.
    changed: Sender<Infallible>,
}

impl Drop for Player {
    fn drop(&mut self) {
        drop(self.cues.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Why a sensor stops playing.
enum Halt {
    /// It is to play others.
    Cue(Cue),
    /// The line is lost: the board has no power.
    Lost,
    /// It is to end.
    End,
}

fn run(socket: &Path, channels: usize, period: Duration, cues: &Receiver<Cue>) {
    let (mut recordings, mut changed) = (vec![], None);
    loop {
        // Connecting anew drops the samples that are still in the line.
        let line = Line::connect(socket, cues);
        drop(changed.take());
        let halt = match line {
            Ok(mut line) => line.play(&recordings, channels, period),
            Err(_) => Err(Halt::Lost),
        };
        let Err(halt) = halt;
        let next = match halt {
            Halt::Cue(cue) => Ok(cue),
            Halt::End => return,
            Halt::Lost => cues.recv_timeout(POLL),
        };
        match next {
            Ok(cue) => (recordings, changed) = (cue.recordings, Some(cue.changed)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The line of a sensor.
struct Line<'c> {
    stream: UnixStream,
    cues: &'c Receiver<Cue>,
}

impl<'c> Line<'c> {
    fn connect(socket: &Path, cues: &'c Receiver<Cue>) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_write_timeout(Some(POLL))?;
        set_socket_send_buffer_size(&stream, BUFFER_LEN)?;
        Ok(Self { stream, cues })
    }

    fn play(
        &mut self,
        recordings: &[Vec<i16>],
        channels: usize,
        period: Duration,
    ) -> Result<Infallible, Halt> {
        while recordings.is_empty() {
            self.wait(Duration::from_secs(60))?;
        }
        self.rest()?;
        let (mut number, mut due) = (0u16, Instant::now());
        let mut frame = [0; FRAME_LEN_MAX];
        loop {
            for recording in recordings {
                for sample in recording.chunks(channels) {
                    self.wait(due.saturating_duration_since(Instant::now()))?;
                    let len = stream::emit(number, sample, &mut frame);
                    self.write(&frame[..len])?;
                    number = number.wrapping_add(1);
                    let now = Instant::now();
                    due = (due + period).max(now.checked_sub(LATENESS_MAX).unwrap_or(now));
                }
                // No window spans two recordings.
                number = number.wrapping_add(1);
            }
        }
    }

    /// Waits until the board reads the line: fills it, and waits for room.
    fn rest(&mut self) -> Result<(), Halt> {
        for _ in 0..RESTS_MAX {
            match self.stream.write(&REST) {
                Ok(_) => {}
                Err(error) if is_not_yet(&error) => {
                    self.write(&REST)?;
                    break;
                }
                Err(_) => return Err(Halt::Lost),
            }
        }
        self.wait(SETTLING)
    }

    /// Writes bytes once the line has room for them.
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Halt> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(Halt::Lost),
                Ok(len) => bytes = &bytes[len..],
                Err(error) if is_not_yet(&error) => self.wait(Duration::ZERO)?,
                Err(_) => return Err(Halt::Lost),
            }
        }
        Ok(())
    }

    /// Waits, unless there is a cue.
    fn wait(&self, time: Duration) -> Result<(), Halt> {
        match self.cues.recv_timeout(time) {
            Ok(cue) => Err(Halt::Cue(cue)),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Halt::End),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smidgen_protocol::counters::Counters;
    use smidgen_protocol::frame::{Context, Deframer};
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    /// Reads frames of samples: numbers and values, as many as asked for.
    fn frames(line: &mut UnixStream, count: usize) -> Vec<(u16, i16)> {
        let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
        let mut found = vec![];
        let mut byte = [0];
        while found.len() < count && line.read(&mut byte).unwrap() > 0 {
            let (_, frame) = deframer.feed(&byte, &mut counters);
            let context = Context { worker: u16::MAX, ..Context::SETUP };
            let Some(Ok([n0, n1, v0, v1])) = frame.as_ref().map(|it| it.check(&context)) else {
                continue;
            };
            found.push((u16::from_le_bytes([*n0, *n1]), i16::from_le_bytes([*v0, *v1])));
        }
        found
    }

    #[test]
    fn recordings_are_played_from_the_first_sample_with_gaps_and_without_loss() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sensor");
        let listener = UnixListener::bind(&socket).unwrap();
        let player = Player::start(socket, 1, Duration::from_micros(100)).unwrap();
        drop(listener.accept().unwrap());

        let changes = player.play(vec![vec![1, 2], vec![3]]);
        let (mut line, _) = listener.accept().unwrap();
        assert!(changes.recv().is_err(), "it closes");
        // The line is full long before.
        std::thread::sleep(Duration::from_millis(300));
        let one_turn = [(0, 1), (1, 2), (3, 3)];
        let expected: Vec<_> =
            (0..200u16).flat_map(|turn| one_turn.map(|(n, v)| (5 * turn + n, v))).collect();
        assert_eq!(frames(&mut line, 300), expected[..300]);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(frames(&mut line, 300), expected[300..]);

        drop(player.play(vec![vec![7; 9]]));
        let (mut line, _) = listener.accept().unwrap();
        assert_eq!(frames(&mut line, 2), [(0, 7), (1, 7)]);
        // The power of the board fails.
        drop(line);
        let (mut line, _) = listener.accept().unwrap();
        assert_eq!(frames(&mut line, 1), [(0, 7)]);
        drop(player);
    }
}
