//! A byte stream inside this process, for a worker in another thread.

use super::stream::{POLL, Reader, WRITE_POLL, Writer};
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// Maximum number of writes in flight in one direction.
const PIECES_MAX: usize = 64;

/// Returns two ends of a stream. Bytes written at one end are read at the other, complete and in order.
///
/// A worker runs on an end through `embedded_io_adapters::std::FromStd`; the host uses [`End::into_halves`].
pub fn loopback() -> (End, End) {
    let (down, up) = (sync_channel(PIECES_MAX), sync_channel(PIECES_MAX));
    (End::new(up.1, down.0), End::new(down.1, up.0))
}

/// One end of a [`loopback`]. When it is dropped, the other end reads end of file.
#[derive(Debug)]
pub struct End {
    /// Reads the bytes of the other end.
    pub incoming: Incoming,
    /// Writes bytes for the other end.
    pub outgoing: Outgoing,
}

impl End {
    fn new(chunks: Receiver<Vec<u8>>, outgoing: SyncSender<Vec<u8>>) -> Self {
        let incoming = Incoming { chunks, unread: io::Cursor::default(), timeout: None };
        Self { incoming, outgoing: Outgoing { chunks: outgoing, waits: true } }
    }

    /// Returns the halves for a [`Link`](super::Link), with the time-outs [`POLL`] and [`WRITE_POLL`].
    pub fn into_halves(mut self) -> (Reader, Writer) {
        self.incoming.timeout = Some(POLL);
        self.outgoing.waits = false;
        (Box::new(self.incoming), Box::new(self.outgoing))
    }
}

/// The reading half, which blocks until there are bytes or the other end is dropped.
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

/// The writing half, which blocks until there is space or the other end is dropped.
#[derive(Debug)]
pub struct Outgoing {
    chunks: SyncSender<Vec<u8>>,
    waits: bool,
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An empty chunk would be read as end of file.
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
    fn bytes_arrive_in_order_in_pieces_of_any_size() {
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
    fn dropped_end_is_end_of_file() {
        let (mut host, mut board) = loopback();
        board.write_all(b"last words").unwrap();
        drop(board);
        let mut bytes = vec![];
        host.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"last words");
        assert_eq!(host.write(b"hello").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn end_is_an_embedded_io_stream() {
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
    fn halves_for_a_link_time_out() {
        let (host, _board) = loopback();
        let (mut reader, _writer) = host.into_halves();
        assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn full_loopback_refuses_writes() {
        let (host, mut board) = loopback();
        let (_reader, mut writer) = host.into_halves();
        let refusal = (0..=PIECES_MAX).find_map(|_| writer.write(b"ping").err());
        assert_eq!(refusal.unwrap().kind(), io::ErrorKind::WouldBlock);
        board.read_exact(&mut [0; 4]).unwrap();
        writer.write_all(b"pong").unwrap();
    }
}
