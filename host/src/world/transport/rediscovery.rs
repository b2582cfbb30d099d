//! Port rediscovery: finds a serial port that has vanished and may come back under another name.

use super::opening::open;
use super::serial;
use super::stream::{Address, Stream, TransportError};
use crate::world::ports;
use serialport::{SerialPortInfo, UsbPortInfo};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// Serial ports in use by the links of a run, so that a link that searches for its port does not take another link's.
///
/// A port whose USB board has a serial number is found by that number, under any name. Any other port is searched under
/// its old name, then among ports that have appeared since it was lost and that no other link uses. Such a port is a
/// guess, on which the board must identify itself.
pub struct Rediscovery {
    list: Box<dyn Fn() -> Vec<SerialPortInfo> + Send + Sync>,
    in_use: Mutex<BTreeSet<String>>,
}

impl Default for Rediscovery {
    /// Searches the ports of this computer.
    fn default() -> Self {
        Self::over(|| ports::list().unwrap_or_default())
    }
}

impl Rediscovery {
    /// Searches the ports that `list` returns.
    pub fn over(list: impl Fn() -> Vec<SerialPortInfo> + Send + Sync + 'static) -> Self {
        Self { list: Box::new(list), in_use: Mutex::default() }
    }

    fn in_use(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.in_use.lock().expect("no panic while locked")
    }

    fn names(&self) -> BTreeSet<String> {
        (self.list)().into_iter().map(|info| info.port_name).collect()
    }
}

/// A stream that was found.
pub(super) struct Found {
    pub stream: Box<dyn Stream>,
    /// Its address.
    pub address: Address,
    /// True if another board may be there.
    pub is_guess: bool,
}

/// The search for the stream of one link.
pub(super) struct Search {
    rediscovery: Arc<Rediscovery>,
    address: Address,
    baud: u32,
    /// The serial port that it uses.
    port: Option<String>,
    /// Identity of the USB board, if it has a serial number.
    usb: Option<UsbPortInfo>,
    /// Ports that existed when its own was lost, and later ones that were rejected.
    excluded: BTreeSet<String>,
}

impl Search {
    pub(super) fn new(rediscovery: Arc<Rediscovery>, address: Address, baud: u32) -> Self {
        let (port, usb, excluded) = (None, None, BTreeSet::new());
        Self { rediscovery, address, baud, port, usb, excluded }
    }

    pub(super) fn begin(&mut self) -> Result<Box<dyn Stream>, TransportError> {
        let Some(port) = self.address.port() else {
            return open(&self.address, self.baud);
        };
        let stream = serial::open(port, self.baud)?;
        let name = real_name(port);
        self.usb = serial::usb_identity(&name, &(self.rediscovery.list)());
        self.rediscovery.in_use().insert(name.clone());
        self.port = Some(name);
        Ok(stream)
    }

    /// Releases a lost stream. The ports that exist now are not the one that will come back.
    pub(super) fn lose(&mut self) {
        self.free();
        self.excluded = self.rediscovery.names();
    }

    /// Releases a wrong guess, which is not tried again until its port has vanished.
    pub(super) fn reject(&mut self) {
        self.excluded.extend(self.port.clone());
        self.free();
    }

    /// Gives the port back.
    pub(super) fn free(&mut self) {
        if let Some(port) = self.port.take() {
            self.rediscovery.in_use().remove(&port);
        }
    }

    /// Opens the stream if it is found now.
    pub(super) fn attempt(&mut self) -> Option<Found> {
        let Some(port) = self.address.port() else {
            let stream = open(&self.address, self.baud).ok()?;
            return Some(Found { stream, address: self.address.clone(), is_guess: false });
        };
        let (port, listed) = (port.to_owned(), (self.rediscovery.list)());
        if let Some(usb) = &self.usb {
            let now = serial::port_of(usb, &listed)?.to_owned();
            return self.try_port(&now, false);
        }
        self.try_port(&port, false).or_else(|| self.guess(&listed))
    }

    /// Tries ports that have appeared since the stream was lost.
    fn guess(&mut self, listed: &[SerialPortInfo]) -> Option<Found> {
        let there = |port: &String| listed.iter().any(|info| info.port_name == *port);
        self.excluded.retain(there);
        let appeared: Vec<_> = listed
            .iter()
            .map(|info| info.port_name.clone())
            .filter(|port| !self.excluded.contains(port))
            .collect();
        appeared.iter().find_map(|port| self.try_port(port, true))
    }

    fn try_port(&mut self, port: &str, is_guess: bool) -> Option<Found> {
        let name = real_name(port);
        // Locked while it opens the port, so that no other link opens the same one.
        let mut in_use = self.rediscovery.in_use();
        if in_use.contains(&name) {
            return None;
        }
        let stream = serial::open(port, self.baud).ok()?;
        in_use.insert(name.clone());
        self.port = Some(name);
        Some(Found { stream, address: Address::Serial(port.into()), is_guess })
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.free();
    }
}

/// Returns the real name of a port, to which names such as /dev/serial/by-id/… are links. A port whose real name is not
/// UTF-8 keeps its given name.
fn real_name(port: &str) -> String {
    let path = Path::new(port).canonicalize().ok();
    path.and_then(|path| path.into_os_string().into_string().ok()).unwrap_or_else(|| port.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::{ffi::OsStr, fs};

    #[test]
    fn port_is_compared_by_its_real_name() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let link = folder.join("by-id");
        for (target, expected) in [
            // The control character would be escaped in a message, but not here.
            (&b"port\x1b7"[..], folder.join("port\x1b7")),
            (b"port\xff", link.clone()),
        ] {
            let port = folder.join(OsStr::from_bytes(target));
            fs::write(&port, "").unwrap();
            symlink(&port, &link).unwrap();
            assert_eq!(real_name(link.to_str().unwrap()), expected.to_str().unwrap());
            fs::remove_file(&link).unwrap();
        }
    }
}
