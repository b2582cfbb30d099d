//! Byte streams: what they can do, their addresses and errors.

use crate::units::shown::shown;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs};

/// An open byte stream that never waits: a read without data and a write without space fail with `WouldBlock`.
///
/// A read of `Ok(0)` means that the peer has closed the stream. A write may accept only a part of the bytes. The
/// descriptor tells when either is worth another attempt.
pub trait Stream: Read + Write + AsFd + Send {}

impl<T: Read + Write + AsFd + Send> Stream for T {}

/// Address of a board.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A serial port: `/dev/ttyACM0`, `COM3`.
    Serial(String),
    /// A unix-domain socket, as of an emulator: `unix:/path/to/socket`, or the path of one that exists.
    Unix(PathBuf),
    /// A TCP port, as of a serial server (ser2net) or an emulator: `tcp:host:port`.
    Tcp(String),
}

/// Reasons why a text is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text is empty.
    #[error(
        "the address is empty; give a serial port such as /dev/ttyACM0, unix:PATH or tcp:HOST:PORT"
    )]
    Empty,
    /// `unix:` without a path.
    #[error("`unix:` lacks the path of the socket; write unix:PATH")]
    NoPath,
    /// `tcp:` without a host, or without a port from 0 to 65535.
    #[error("`{0}` lacks a host or a port number; write tcp:HOST:PORT")]
    NoHostAndPort(String),
    /// Another prefix, such as `usb:` or `udp:`.
    #[error(
        "unknown kind of address `{0}:`; give a serial port such as /dev/ttyACM0, unix:PATH or tcp:HOST:PORT"
    )]
    UnknownKind(String),
    /// Not UTF-8, and neither the path of a socket nor a link to a port.
    #[error("`{0}` is not UTF-8 and leads to no serial port; write unix:PATH if it is a socket")]
    NotText(String),
}

impl Address {
    /// Returns the name of its serial port. A board may come back at another port.
    pub(crate) fn port(&self) -> Option<&str> {
        match self {
            Self::Serial(port) => Some(port),
            Self::Unix(_) | Self::Tcp(_) => None,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.split_once(':') {
            _ if text.is_empty() => Err(AddressError::Empty),
            Some(("unix", "")) => Err(AddressError::NoPath),
            Some(("unix", path)) => Ok(Self::Unix(path.into())),
            Some(("tcp", endpoint)) if has_host_and_port(endpoint) => {
                Ok(Self::Tcp(endpoint.into()))
            }
            Some(("tcp", _)) => Err(AddressError::NoHostAndPort(text.into())),
            // Device paths may contain colons (/dev/serial/by-path/…), but do not begin with a lower-case word.
            Some((kind, _)) if kind.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                Err(AddressError::UnknownKind(kind.into()))
            }
            _ => Ok(Self::Serial(text.into())),
        }
    }
}

impl TryFrom<OsString> for Address {
    type Error = AddressError;

    fn try_from(text: OsString) -> Result<Self, AddressError> {
        if fs::metadata(&text).is_ok_and(|file| file.file_type().is_socket()) {
            return Ok(Self::Unix(text.into()));
        }
        match text.to_str() {
            Some(text) => text.parse(),
            None => not_text(&text),
        }
    }
}

/// Parses an address that is not UTF-8: the path of a socket, or a link to a serial port, whose real name is UTF-8.
fn not_text(address: &OsStr) -> Result<Address, AddressError> {
    use std::os::unix::ffi::OsStrExt;
    if let Some(path) = address.as_bytes().strip_prefix(b"unix:") {
        return Ok(Address::Unix(OsStr::from_bytes(path).into()));
    }
    let port = Path::new(address).canonicalize().ok();
    let port = port.and_then(|port| port.into_os_string().into_string().ok());
    port.map(Address::Serial).ok_or_else(|| AddressError::NotText(shown(address).to_string()))
}

fn has_host_and_port(endpoint: &str) -> bool {
    endpoint
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(port) => write!(f, "{}", shown(port)),
            Self::Unix(path) => write!(f, "unix:{}", shown(path)),
            Self::Tcp(endpoint) => write!(f, "tcp:{}", shown(endpoint)),
        }
    }
}

/// Reasons why a stream cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The serial port does not exist.
    #[error(
        "the port {0} does not exist; `smidgen ports` lists serial ports, and `smidgen boards` starts boards with ports"
    )]
    NoSuchPort(Address),
    /// The file is not a serial port.
    #[error("{0} is not a serial port; `smidgen ports` lists the existing ports")]
    NotASerialPort(Address),
    /// The operating system denies access.
    #[error(
        "no permission to open {0}; on Linux, join its group (`sudo usermod -aG dialout $USER`) and log in again"
    )]
    PermissionDenied(Address),
    /// Another process has opened the port.
    #[error("{0} is in use; close the program that has opened it, such as a serial monitor")]
    Busy(Address),
    /// No process listens on the socket.
    #[error("nothing listens at {0}; start the emulator or the serial server there first")]
    NotListening(Address),
    /// The system does not watch the streams.
    #[error(
        "cannot wait for bytes of boards ({0}); end other programs, raise the limit of open files (`ulimit -n`), or \
         use fewer boards"
    )]
    NoPoll(io::Error),
    /// Any other error of a serial port.
    #[error(
        "cannot use {address} at {baud} baud: {source}; check the cable, and whether the port supports this rate"
    )]
    Serial {
        /// The port.
        address: Address,
        /// The requested rate, in bit/s.
        baud: u32,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Any other error of a socket.
    #[error("cannot connect to {address}: {source}; check the address and your permissions")]
    Socket {
        /// The socket.
        address: Address,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Returns whether an error of a read or write means "not yet".
pub fn is_not_yet(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_round_trips() {
        for (text, address) in [
            ("/dev/ttyACM0", Address::Serial("/dev/ttyACM0".into())),
            ("COM3", Address::Serial("COM3".into())),
            (
                "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0",
                Address::Serial("/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0".into()),
            ),
            ("unix:/run/board.sock", Address::Unix("/run/board.sock".into())),
            ("tcp:localhost:4000", Address::Tcp("localhost:4000".into())),
            ("tcp:[::1]:4000", Address::Tcp("[::1]:4000".into())),
        ] {
            assert_eq!(text.parse(), Ok(address.clone()));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn path_of_a_socket_needs_no_prefix() {
        let directory = tempfile::tempdir().unwrap();
        let [socket, link, file] = ["1", "a:link", "file"].map(|name| directory.path().join(name));
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::os::unix::fs::symlink(&socket, &link).unwrap();
        fs::write(&file, "").unwrap();
        let address = |path: &Path| Address::try_from(OsString::from(path)).unwrap();
        for path in [&socket, &link] {
            assert_eq!(address(path), Address::Unix(path.clone()));
        }
        assert_eq!(address(&file), Address::Serial(file.to_str().unwrap().into()));
    }

    #[test]
    fn invalid_address_is_refused_with_a_reason() {
        for (text, error) in [
            ("", AddressError::Empty),
            ("unix:", AddressError::NoPath),
            ("tcp:localhost", AddressError::NoHostAndPort("tcp:localhost".into())),
            ("tcp::4000", AddressError::NoHostAndPort("tcp::4000".into())),
            ("tcp:localhost:70000", AddressError::NoHostAndPort("tcp:localhost:70000".into())),
            ("usb:2e8a:000a", AddressError::UnknownKind("usb".into())),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error));
        }
    }
}
