//! Opens the stream of an address, and makes room for many.

use super::stream::{Address, Stream, TransportError};
use super::{serial, socket};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a run has open besides its links: records, emulators, a compiler.
const OTHER_FILES: u64 = 256;

/// Raises the limit of open files of this process to what `links` links need, as far as the system allows it.
pub(crate) fn make_room(links: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = links as u64 + OTHER_FILES;
    let allowed = maximum.map_or(needed, |maximum| needed.min(maximum));
    if current.is_some_and(|current| current < allowed) {
        // What is missing is reported by the link that cannot be opened.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum });
    }
}

/// Opens the stream to a board. A serial port is set to 8 data bits, no parity, one stop bit and no flow control at
/// `baud` bit/s.
///
/// Opening a serial port resets many boards, so the first frame may be lost and must be repeated.
pub(super) fn open(address: &Address, baud: u32) -> Result<Box<dyn Stream>, TransportError> {
    match address {
        Address::Serial(port) => serial::open(port, baud),
        Address::Unix(path) => socket::open_unix(path),
        Address::Tcp(endpoint) => socket::open_tcp(endpoint),
    }
}
