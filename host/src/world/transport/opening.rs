//! Opens the stream of an address.

use super::stream::{Address, Reader, TransportError, Writer};
use super::{serial, socket};

/// Opens the stream to a board. A serial port is set to 8 data bits, no parity, one stop bit and no flow control at
/// `baud` bit/s.
///
/// Opening a serial port resets many boards, so the first frame may be lost and must be repeated.
pub fn open(address: &Address, baud: u32) -> Result<(Reader, Writer), TransportError> {
    match address {
        Address::Serial(port) => serial::open(port, baud),
        Address::Unix(path) => socket::open_unix(path),
        Address::Tcp(endpoint) => socket::open_tcp(endpoint),
    }
}
