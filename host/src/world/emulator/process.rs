//! One emulated board: its process and its sockets.

use super::command::{CONTROL, LINE, SENSOR, find, log, spawn};
use super::failure::{EmulatorError, Failure, START_TIMEOUT, last_line, tail};
use super::folder::Folder;
use crate::boards::board::Board;
use crate::units::interrupt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// Name of the link to the socket of its line while that is shown.
const SHOWN: &str = "port";
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Stage of an emulator.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// Started at this time, without a socket yet.
    Starting(Instant),
    /// Its socket was first seen at this time.
    Open(Instant),
}

/// The sockets of a board.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// Name of the board.
    pub board: &'static str,
    /// The line to the host.
    pub host: PathBuf,
    /// The line of the sensor, if it has one.
    pub sensor: Option<PathBuf>,
}

/// An emulated board. The emulator ends when this value is dropped or this process ends.
#[derive(Debug)]
pub struct Emulator {
    board: &'static Board,
    image: File,
    identity: u64,
    /// Number of channels of its sensor, if the board is told it.
    channels: Option<u8>,
    folder: Folder,
    pub(super) socket: PathBuf,
    pub(super) process: Child,
    pub(super) stage: Stage,
}

impl Emulator {
    /// Checks that boards of this kind can be started, and removes directories that killed processes left.
    pub fn check(board: &Board) -> Result<(), EmulatorError> {
        find(board)?;
        Folder::new()?.remove_abandoned();
        Ok(())
    }

    /// Starts a board with an image and an identity, and waits until its socket accepts connections.
    ///
    /// The image may be an unnamed file. It is not written, but its position changes, so that emulators must not
    /// share one.
    pub fn start(board: &'static Board, image: File, identity: u64) -> Result<Self, EmulatorError> {
        Self::start_with(board, image, identity, None)
    }

    /// Like [`start`](Self::start), and tells the board how many channels its sensor has.
    pub fn start_with(
        board: &'static Board,
        image: File,
        identity: u64,
        channels: Option<u8>,
    ) -> Result<Self, EmulatorError> {
        find(board)?;
        let folder = Folder::new()?;
        let socket = folder.path().join(LINE);
        let process = spawn(board, &image, (identity, channels), folder.path())?;
        let stage = Stage::Starting(Instant::now());
        let mut emulator =
            Self { board, image, identity, channels, folder, socket, process, stage };
        emulator.wait_for_socket()?;
        Ok(emulator)
    }

    /// Returns the board.
    pub fn board(&self) -> &'static Board {
        self.board
    }

    /// Returns the socket of its serial line, which serves one connection at a time.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the socket of the line of its sensor, if it has one, for a `Feeder`.
    pub fn sensor_socket(&self) -> Option<PathBuf> {
        self.board.has_sensor_line().then(|| self.folder.path().join(SENSOR))
    }

    /// Returns the sockets of its lines.
    pub(super) fn lines(&self) -> Lines {
        let (board, host) = (self.board.name, self.socket.clone());
        Lines { board, host, sensor: self.sensor_socket() }
    }

    /// Returns a path to its socket that exists while it is [shown](Self::show).
    pub fn shown_socket(&self) -> PathBuf {
        self.folder.path().join(SHOWN)
    }

    /// Shows its socket, so that a link finds it.
    ///
    /// # Errors
    /// If its folder cannot be written.
    pub fn show(&self) -> io::Result<()> {
        symlink(LINE, self.shown_socket())
    }

    /// Hides its socket: a link that looks for it waits.
    pub(super) fn hide(&self) -> io::Result<()> {
        fs::remove_file(self.shown_socket())
    }

    /// Returns its failure, if there is one, without waiting.
    pub fn failure(&mut self) -> Option<Failure> {
        let open = match self.stage {
            // Checked first: the emulator may have opened the socket and ended since.
            Stage::Starting(_) if self.socket.exists() => Stage::Open(Instant::now()),
            stage => stage,
        };
        self.stage = open;
        self.exit().or_else(|| match self.stage {
            Stage::Starting(since) => {
                (since.elapsed() > START_TIMEOUT).then_some(Failure::NoSocket)
            }
            Stage::Open(_) => None,
        })
    }

    fn exit(&mut self) -> Option<Failure> {
        let status = self.process.try_wait().transpose()?.map_or_else(
            |error| format!("an unknown status ({error})"),
            |status| status.to_string(),
        );
        let log = tail(&log(self.folder.path())).unwrap_or_default();
        let uptime = match self.stage {
            Stage::Starting(_) => None,
            Stage::Open(since) => Some(since.elapsed()),
        };
        Some(Failure::Ended { status, last_line: last_line(&log), uptime })
    }

    /// Powers the board off, which clears its RAM but for the memory that an emulator keeps in a file. Does nothing to a board
    /// that is off.
    pub fn kill(&mut self) {
        // All three fail only if the emulator has ended by itself. The watch ends last, since this process may be killed at any
        // moment, but before `wait`: that frees its process id, and closes standard input, on which the watch would
        // kill whatever has the id by then.
        let _ = self.process.kill();
        if let Some(mut watchman) = self.process.stdin.take() {
            let _ = watchman.write_all(b"\n");
        }
        let _ = self.process.wait();
    }

    /// Powers the board off and on again, with the same image, identity and socket, and waits until the socket accepts
    /// connections.
    pub fn restart(&mut self) -> Result<(), EmulatorError> {
        self.start_again()?;
        self.wait_for_socket()
    }

    /// Like [`restart`](Self::restart), but without waiting: the socket opens later, or [`failure`](Self::failure)
    /// returns the failure.
    pub fn start_again(&mut self) -> Result<(), EmulatorError> {
        self.kill();
        if self.socket.exists() {
            fs::remove_file(&self.socket)?;
        }
        let told = (self.identity, self.channels);
        self.process = spawn(self.board, &self.image, told, self.folder.path())?;
        self.stage = Stage::Starting(Instant::now());
        Ok(())
    }

    /// Resets the board: its worker starts anew, its flash keeps its contents.
    pub fn reset(&mut self) -> Result<(), EmulatorError> {
        let mut control = UnixStream::connect(self.folder.path().join(CONTROL))?;
        control.set_read_timeout(Some(START_TIMEOUT))?;
        let mut answers = BufReader::new(control.try_clone()?).lines();
        for command in ["qmp_capabilities", "system_reset"] {
            writeln!(control, r#"{{"execute": "{command}"}}"#)?;
            // A greeting precedes the first answer, and events may come in between.
            let done = |line: &io::Result<String>| match line {
                Ok(line) => line.contains(r#""return""#),
                Err(_) => true,
            };
            answers.find(done).unwrap_or(Err(io::ErrorKind::UnexpectedEof.into()))?;
        }
        Ok(())
    }

    fn wait_for_socket(&mut self) -> Result<(), EmulatorError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while UnixStream::connect(&self.socket).is_err() {
            let is_late = Instant::now() > deadline;
            if let Some(failure) = self.failure().or(is_late.then_some(Failure::NoSocket)) {
                return Err(EmulatorError::Failed { board: self.board.name, failure });
            }
            interrupt::check()?;
            thread::sleep(POLL_INTERVAL);
        }
        self.stage = Stage::Open(Instant::now());
        Ok(())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::command::tests::watched_process;
    use super::*;

    /// An emulator that never opens its socket.
    pub(crate) fn starting() -> Emulator {
        let folder = Folder::new().unwrap();
        let socket = folder.path().join(LINE);
        let (board, image) = (Board::find("mps2-m3").unwrap(), tempfile::tempfile().unwrap());
        let (process, stage) = (watched_process(), Stage::Starting(Instant::now()));
        Emulator { board, image, identity: 1, channels: None, folder, socket, process, stage }
    }

    pub(crate) fn ago(duration: Duration) -> Instant {
        Instant::now().checked_sub(duration).expect("the machine runs for longer")
    }

    #[test]
    fn socket_must_open_within_the_time_out() {
        let mut emulator = starting();
        assert_eq!(emulator.failure(), None);
        emulator.stage = Stage::Starting(ago(2 * START_TIMEOUT));
        assert_eq!(emulator.failure(), Some(Failure::NoSocket));
        fs::write(&emulator.socket, "").unwrap();
        assert_eq!(emulator.failure(), None);
        fs::remove_file(&emulator.socket).unwrap();
        assert_eq!(emulator.failure(), None, "it was open before");
        emulator.kill();
        let Some(Failure::Ended { status, last_line, uptime }) = emulator.failure() else {
            panic!("the emulator has not ended")
        };
        assert_eq!([&*status, &*last_line], ["signal: 9 (SIGKILL)", "without a message"]);
        assert!(uptime.is_some());
    }

    #[test]
    fn emulator_that_ends_without_a_socket_has_no_uptime() {
        let mut emulator = starting();
        emulator.kill();
        assert!(matches!(emulator.failure(), Some(Failure::Ended { uptime: None, .. })));
        // The socket of an emulator that was not observed meanwhile stays.
        fs::write(&emulator.socket, "").unwrap();
        assert!(matches!(emulator.failure(), Some(Failure::Ended { uptime: Some(_), .. })));
    }
}
