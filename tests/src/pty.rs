//! A serial line without hardware: a pseudo-terminal, with a board's end and a port that the host can open.

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_setfd};
use serialport::{SerialPort, TTYPort};
use smidgen::world::transport::{Address, is_not_yet};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Time-out of the board's end, so that a test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// A board's end and the port, both raw.
///
/// # Panics
/// If the system has no pseudo-terminal left.
pub fn pair() -> (Board, Port) {
    let (board, port) = TTYPort::pair().expect("the system has a pseudo-terminal for us");
    let path = port.name().expect("a pseudo-terminal has a path");
    for end in [&board, &port] {
        configure(end).expect("a pseudo-terminal can be configured");
    }
    (Board { line: board, path: path.clone(), patience: PATIENCE }, Port { path, _line: port })
}

/// Makes the descriptor non-blocking, so that it waits in `poll` only, and keeps emulators from inheriting it.
fn configure(end: &TTYPort) -> io::Result<()> {
    // SAFETY: the port owns its descriptor and outlives this borrow; serialport does not lend it safely.
    let descriptor = unsafe { BorrowedFd::borrow_raw(end.as_raw_fd()) };
    fcntl_setfl(descriptor, OFlags::NONBLOCK)?;
    Ok(fcntl_setfd(descriptor, FdFlags::CLOEXEC)?)
}

/// The board's end: what a UART is to a board.
///
/// A read waits for bytes. It ends with `Ok(0)` when the [`Port`] is dropped and the host has closed it too, and
/// fails after a minute of silence. `embedded_io_adapters::std::FromStd` makes it a port for a worker.
#[derive(Debug)]
pub struct Board {
    line: TTYPort,
    path: String,
    patience: Duration,
}

impl Board {
    /// Repeats an operation that would block until it succeeds, fails, or takes too long.
    fn insist(
        &mut self,
        what: &str,
        mut attempt: impl FnMut(&mut TTYPort) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let start = Instant::now();
        while start.elapsed() < self.patience {
            match attempt(&mut self.line) {
                Err(error) if is_not_yet(&error) => {}
                result => return result,
            }
        }
        let (path, seconds) = (&self.path, self.patience.as_secs_f32());
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the host has {what} nothing at {path} for {seconds} s"),
        ))
    }
}

impl Read for Board {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.insist("written", |line| line.read(buffer)) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            result => result,
        }
    }
}

impl Write for Board {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.insist("read", |line| line.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps the line up while the host opens and closes it, like a cable. Dropping it unplugs the cable.
#[derive(Debug)]
pub struct Port {
    path: String,
    _line: TTYPort,
}

impl Port {
    /// The address of the board for the host.
    pub fn address(&self) -> Address {
        Address::Serial(self.path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smidgen::world::transport::{LinkEvent, Links};
    use std::thread;

    #[test]
    fn every_byte_passes_both_ways_and_the_port_can_be_opened_again() {
        let (mut board, port) = pair();
        let every: Vec<u8> = (0..=255).collect();
        for _ in 0..2 {
            let mut links = Links::open_all(&[port.address()], 115_200).unwrap();
            links.write(0, &every, Duration::from_millis(250)).unwrap();
            let mut received = [0; 256];
            board.read_exact(&mut received).unwrap();
            assert_eq!(received, every[..]);
            board.write_all(&received).unwrap();
            let mut heard = vec![];
            while heard.len() < every.len() {
                match links.receive(PATIENCE).unwrap() {
                    (0, LinkEvent::Bytes(bytes)) => heard.extend_from_slice(&bytes),
                    event => panic!("{event:?}"),
                }
            }
            assert_eq!(heard, every);
        }
    }

    #[test]
    fn a_pulled_cable_ends_the_board_and_the_link() {
        let (mut board, port) = pair();
        let mut links = Links::open_all(&[port.address()], 115_200).unwrap();
        let waiting = thread::spawn(move || board.read(&mut [0]));
        drop(port);
        assert_eq!(links.receive(Duration::from_millis(100)), None, "the link has nothing to say");
        drop(links);
        assert_eq!(waiting.join().unwrap().unwrap(), 0);
    }

    #[test]
    fn silence_fails_with_a_reason_instead_of_hanging() {
        let (mut board, port) = pair();
        board.patience = Duration::from_millis(300);
        let error = board.read(&mut [0]).unwrap_err();
        let Address::Serial(path) = port.address() else { unreachable!("a pty is a serial port") };
        assert_eq!(error.to_string(), format!("the host has written nothing at {path} for 0.3 s"));
        let full = (0..1000).find_map(|_| board.write(&[0x55; 4096]).err());
        let error = full.expect("no terminal buffers four megabytes");
        assert_eq!(error.to_string(), format!("the host has read nothing at {path} for 0.3 s"));
    }
}
