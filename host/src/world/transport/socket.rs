//! Sockets: what emulators and serial servers offer in place of a serial port.

use super::{Address, POLL, Reader, TransportError, WRITE_POLL, Writer};
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

/// How long a TCP connection may take to be made, for each address that the host's name has.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn open_tcp(endpoint: &str) -> Result<(Reader, Writer), TransportError> {
    connect_tcp(endpoint).map_err(|error| explain(Address::Tcp(endpoint.into()), error))
}

fn connect_tcp(endpoint: &str) -> io::Result<(Reader, Writer)> {
    let stream = connect_first(endpoint)?;
    // A frame must not wait for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(POLL))?;
    stream.set_write_timeout(Some(WRITE_POLL))?;
    Ok((Box::new(stream.try_clone()?), Box::new(stream)))
}

fn connect_first(endpoint: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in endpoint.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub(super) fn open_unix(path: &Path) -> Result<(Reader, Writer), TransportError> {
    connect_unix(path).map_err(|error| explain(Address::Unix(path.into()), error))
}

fn connect_unix(path: &Path) -> io::Result<(Reader, Writer)> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_read_timeout(Some(POLL))?;
    stream.set_write_timeout(Some(WRITE_POLL))?;
    Ok((Box::new(stream.try_clone()?), Box::new(stream)))
}

fn explain(address: Address, source: io::Error) -> TransportError {
    match source.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            TransportError::NobodyListens(address)
        }
        _ => TransportError::Socket { address, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_listens_where_no_server_is() {
        // Port 1 is reserved, and long since used by nobody.
        let error = open_tcp("127.0.0.1:1").err().unwrap();
        assert!(matches!(error, TransportError::NobodyListens(_)), "{error}");
        assert_eq!(
            error.to_string(),
            "nothing listens at tcp:127.0.0.1:1; start the emulator or the serial server there first"
        );
    }

    #[test]
    fn what_else_keeps_a_socket_from_being_connected_is_passed_on() {
        let error = explain(Address::Unix("/run/x".into()), io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            error.to_string(),
            "cannot connect to unix:/run/x: permission denied; \
             check the address, and whether you may use it"
        );
    }

    #[test]
    fn nobody_listens_at_a_missing_or_abandoned_unix_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("board.sock");
        assert!(matches!(open_unix(&path), Err(TransportError::NobodyListens(_))));
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(matches!(open_unix(&path), Err(TransportError::NobodyListens(_))));
    }
}
