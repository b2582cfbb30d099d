//! A byte stream that never leaves the process: for a worker in a thread beside the host.

use super::{POLL, Reader, WRITE_POLL, Writer};
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// Pieces that may be on their way in one direction.
const PIECES_MAX: usize = 64;

/// Two ends of one stream: what is written at one is read at the other, whole and in order.
///
/// A worker library runs on an end through `embedded_io_adapters::std::FromStd`; the host takes
/// [`End::into_halves`].
pub fn loopback() -> (End, End) {
    let (down, up) = (sync_channel(PIECES_MAX), sync_channel(PIECES_MAX));
    (End::new(up.1, down.0), End::new(down.1, up.0))
}

/// One end of a [`loopback`]. When it is dropped, the other reads its end of file.
#[derive(Debug)]
pub struct End {
    /// Reads what the other end wrote.
    pub incoming: Incoming,
    /// Writes what the other end shall read.
    pub outgoing: Outgoing,
}

impl End {
    fn new(chunks: Receiver<Vec<u8>>, outgoing: SyncSender<Vec<u8>>) -> Self {
        let incoming = Incoming { chunks, unread: io::Cursor::default(), timeout: None };
        Self { incoming, outgoing: Outgoing { chunks: outgoing, waits: true } }
    }

    /// The halves as a [`Link`](super::Link) wants them: a read says "not yet" after [`POLL`], a write after [`WRITE_POLL`].
    pub fn into_halves(mut self) -> (Reader, Writer) {
        self.incoming.timeout = Some(POLL);
        self.outgoing.waits = false;
        (Box::new(self.incoming), Box::new(self.outgoing))
    }
}

/// The reading half: waits for bytes until there are some, or until the other end is dropped.
#[derive(Debug)]
pub struct Incoming {
    chunks: Receiver<Vec<u8>>,
    unread: io::Cursor<Vec<u8>>,
    timeout: Option<Duration>,
}

impl Incoming {
    fn next_chunk(&self) -> Result<Vec<u8>, RecvTimeoutError> {
        match self.timeout {
            Some(timeout) => self.chunks.recv_timeout(timeout),
            None => self.chunks.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread.position() == self.unread.get_ref().len() as u64 {
            self.unread = match self.next_chunk() {
                Ok(chunk) => io::Cursor::new(chunk),
                Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::TimedOut.into()),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            };
        }
        self.unread.read(buffer)
    }
}

/// The writing half: waits until there is room, or until the other end is dropped.
#[derive(Debug)]
pub struct Outgoing {
    chunks: SyncSender<Vec<u8>>,
    waits: bool,
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An empty chunk would be read as the end of file.
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.waits {
            self.chunks.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            return Ok(bytes.len());
        }
        match self.chunks.try_send(bytes.to_vec()) {
            Ok(()) => Ok(bytes.len()),
            Err(TrySendError::Disconnected(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(TrySendError::Full(_)) => {
                thread::sleep(WRITE_POLL);
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.incoming.read(buffer)
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_in_order_whatever_the_pieces() {
        let (mut host, mut board) = loopback();
        host.write_all(b"one ").unwrap();
        host.write_all(b"").unwrap();
        host.write_all(b"two").unwrap();
        let mut bytes = [0; 7];
        board.read_exact(&mut bytes[..2]).unwrap();
        board.read_exact(&mut bytes[2..]).unwrap();
        assert_eq!(&bytes, b"one two");
    }

    #[test]
    fn a_dropped_end_is_the_end_of_file() {
        let (mut host, mut board) = loopback();
        board.write_all(b"last words").unwrap();
        drop(board);
        let mut bytes = vec![];
        host.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"last words");
        assert_eq!(host.write(b"hello").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn an_end_is_an_embedded_io_stream() {
        use embedded_io::{Read, Write};
        use embedded_io_adapters::std::FromStd;
        let (host, board) = loopback();
        let (mut host, mut board) = (FromStd::new(host), FromStd::new(board));
        host.write_all(b"ping").unwrap();
        let mut bytes = [0; 4];
        board.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"ping");
    }

    #[test]
    fn halves_for_a_link_do_not_wait_for_ever() {
        let (host, _board) = loopback();
        let (mut reader, _writer) = host.into_halves();
        assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_full_loopback_takes_no_more() {
        let (host, mut board) = loopback();
        let (_reader, mut writer) = host.into_halves();
        let refusal = (0..=PIECES_MAX).find_map(|_| writer.write(b"ping").err());
        assert_eq!(refusal.unwrap().kind(), io::ErrorKind::WouldBlock);
        board.read_exact(&mut [0; 4]).unwrap();
        writer.write_all(b"pong").unwrap();
    }
}
