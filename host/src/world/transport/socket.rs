//! Sockets of emulators and serial servers.

use super::stream::{Address, Stream, TransportError};
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

/// Time-out of a TCP connection attempt, per address of the host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn open_tcp(endpoint: &str) -> Result<Box<dyn Stream>, TransportError> {
    connect_tcp(endpoint).map_err(|error| explain(Address::Tcp(endpoint.into()), error))
}

fn connect_tcp(endpoint: &str) -> io::Result<Box<dyn Stream>> {
    let stream = connect_first(endpoint)?;
    // Nagle's algorithm would delay a frame until the previous one is acknowledged.
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(Box::new(stream))
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

pub(super) fn open_unix(path: &Path) -> Result<Box<dyn Stream>, TransportError> {
    connect_unix(path).map_err(|error| explain(Address::Unix(path.into()), error))
}

fn connect_unix(path: &Path) -> io::Result<Box<dyn Stream>> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_nonblocking(true)?;
    Ok(Box::new(stream))
}

fn explain(address: Address, source: io::Error) -> TransportError {
    match source.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            TransportError::NotListening(address)
        }
        _ => TransportError::Socket { address, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_port_without_a_server_is_not_listening() {
        // Port 1 is reserved and no longer used.
        let error = open_tcp("127.0.0.1:1").err().unwrap();
        assert!(matches!(error, TransportError::NotListening(_)), "{error}");
        assert_eq!(
            error.to_string(),
            "nothing listens at tcp:127.0.0.1:1; start the emulator or the serial server there first"
        );
    }

    #[test]
    fn other_errors_of_a_socket_are_shown() {
        let error = explain(Address::Unix("/run/x".into()), io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            error.to_string(),
            "cannot connect to unix:/run/x: permission denied; \
             check the address and your permissions"
        );
    }

    #[test]
    fn missing_or_abandoned_unix_socket_is_not_listening() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("board.sock");
        assert!(matches!(open_unix(&path), Err(TransportError::NotListening(_))));
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(matches!(open_unix(&path), Err(TransportError::NotListening(_))));
    }
}
