//! Byte streams to boards: serial ports, sockets, and channels inside this process.
//!
//! ```text
//!  Address ── open ──► (Reader, Writer)         serial · socket
//!                            │
//!  loopback ─────────────────┤                  the same, without leaving the process
//!                            ▼
//!                           Link                a thread that reads, and opens again what was lost,
//!                                               which a Lookout finds
//! ```
//!
//! Nothing here knows what the bytes mean. Every read and write comes back within a bounded time, whatever
//! the operating system or the other end does.

use crate::units::shown::shown;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

mod link;
mod lookout;
mod loopback;
mod serial;
mod socket;

pub use link::{Chunk, Link, LinkEvent, Links};
pub use lookout::Lookout;
pub use loopback::{End, Incoming, Outgoing, loopback};

/// The half of a byte stream that hears the board.
///
/// A read that finds nothing within [`POLL`] fails with `TimedOut` or `WouldBlock`, which means "not yet";
/// `Ok(0)` means that the other end has closed.
pub type Reader = Box<dyn Read + Send>;

/// The half of a byte stream that speaks to the board. A write may take a part only, or fail as a read does, after
/// [`WRITE_POLL`].
pub type Writer = Box<dyn Write + Send>;

/// How long a single read may wait before it says "not yet".
pub const POLL: Duration = Duration::from_millis(50);

/// How long a single write may wait before it says "not yet": short, since the writer serves other boards as well.
pub const WRITE_POLL: Duration = Duration::from_millis(5);

/// Where a board is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A serial port: `/dev/ttyACM0`, `COM3`.
    Serial(String),
    /// A unix-domain socket, as emulators offer it: `unix:/path/to/socket`.
    Unix(PathBuf),
    /// A TCP port, as serial servers (ser2net) and emulators offer it: `tcp:host:port`.
    Tcp(String),
}

/// Why a text is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing was given.
    #[error(
        "the address is empty; give a serial port such as /dev/ttyACM0, unix:PATH or tcp:HOST:PORT"
    )]
    Empty,
    /// `unix:` and nothing more.
    #[error("`unix:` lacks the path of the socket; write unix:PATH")]
    NoPath,
    /// `tcp:` without a host, or without a port between 0 and 65535.
    #[error("`{0}` lacks a host or a port number; write tcp:HOST:PORT")]
    NoHostAndPort(String),
    /// `usb:…`, `udp:…`
    #[error(
        "unknown kind of address `{0}:`; give a serial port such as /dev/ttyACM0, unix:PATH or tcp:HOST:PORT"
    )]
    UnknownKind(String),
    /// Bytes that are neither the path of a socket nor a link to a port.
    #[error("`{0}` is not UTF-8 and leads to no serial port; write unix:PATH if it is a socket")]
    NotText(String),
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
            // Device paths may contain colons (/dev/serial/by-path/…), but start with no plain word.
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
        match text.to_str() {
            Some(text) => text.parse(),
            None => not_text(&text),
        }
    }
}

/// An address that is not UTF-8: the path of a socket, or a link to a serial port, whose own name is text.
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

/// Why a stream could not be opened, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No such serial port.
    #[error("the serial port {0} does not exist; `smidgen ports` lists the ports that are there")]
    NoSuchPort(Address),
    /// A file, but not one of a serial port.
    #[error("{0} is not a serial port; `smidgen ports` lists the ports that are there")]
    NotASerialPort(Address),
    /// The operating system forbids it.
    #[error(
        "you may not open {0}; on Linux, join the group that owns it (`sudo usermod -aG dialout $USER`) and log in again"
    )]
    PermissionDenied(Address),
    /// Someone else has the port.
    #[error(
        "{0} is in use; close the other program that talks to the board, perhaps a serial monitor"
    )]
    Busy(Address),
    /// Nobody answers where a socket should be.
    #[error("nothing listens at {0}; start the emulator or the serial server there first")]
    NobodyListens(Address),
    /// The system has no thread for a link.
    #[error(
        "the system gives no thread to listen to a board ({0}); end other programs, raise the limit (`ulimit -u`), or use fewer \
         boards"
    )]
    NoThread(io::Error),
    /// Anything else that keeps a serial port from being used.
    #[error(
        "cannot use {address} at {baud} baud: {source}; check the cable, and whether the port can do this rate"
    )]
    Serial {
        /// The port.
        address: Address,
        /// The rate asked for, in bit/s.
        baud: u32,
        /// What the operating system says.
        source: io::Error,
    },
    /// Anything else that keeps a socket from being connected.
    #[error("cannot connect to {address}: {source}; check the address, and whether you may use it")]
    Socket {
        /// The socket.
        address: Address,
        /// What the operating system says.
        source: io::Error,
    },
}

/// Opens the stream to a board: 8 data bits, no parity, one stop bit and no flow control at `baud` bit/s on a
/// serial port; sockets have no baud rate.
///
/// Opening a serial port resets many boards: the first frame may be lost and must be repeated.
pub fn open(address: &Address, baud: u32) -> Result<(Reader, Writer), TransportError> {
    match address {
        Address::Serial(port) => serial::open(port, baud),
        Address::Unix(path) => socket::open_unix(path),
        Address::Tcp(endpoint) => socket::open_tcp(endpoint),
    }
}

/// Whether an error of a read or write only says "not yet".
fn is_not_yet(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
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
    fn a_wrong_address_is_explained() {
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
