//! Serial ports, and the identity of USB boards.

use super::stream::{Address, Stream, TransportError};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use serialport::{ErrorKind, SerialPortInfo, SerialPortType, TTYPort, UsbPortInfo};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

pub(super) fn open(port: &str, baud: u32) -> Result<Box<dyn Stream>, TransportError> {
    open_native(port, baud).map_err(|error| explain(port, baud, error))
}

fn open_native(port: &str, baud: u32) -> serialport::Result<Box<dyn Stream>> {
    // Many USB boards send nothing until the host raises DTR.
    let port = Port(serialport::new(port, baud).dtr_on_open(true).open_native()?);
    fcntl_setfl(&port, OFlags::NONBLOCK).map_err(io::Error::from)?;
    Ok(Box::new(port))
}

/// An open port, which is read and written without serialport: that would wait.
struct Port(TTYPort);

impl AsFd for Port {
    #[expect(unsafe_code)]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the port owns its descriptor and outlives this borrow. serialport has no safe way to borrow it.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        rustix::io::read(&*self, buffer).map_err(lost)
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        rustix::io::write(&*self, bytes).map_err(lost)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the error of a port; one that is unplugged has several.
fn lost(error: Errno) -> io::Error {
    match error {
        Errno::IO | Errno::NODEV | Errno::NXIO => io::ErrorKind::BrokenPipe.into(),
        error => error.into(),
    }
}

fn explain(port: &str, baud: u32, error: serialport::Error) -> TransportError {
    let address = Address::Serial(port.into());
    match error.kind {
        ErrorKind::Io(io::ErrorKind::NotFound) => TransportError::NoSuchPort(address),
        ErrorKind::Io(io::ErrorKind::PermissionDenied) => TransportError::PermissionDenied(address),
        ErrorKind::NoDevice => TransportError::Busy(address),
        _ if std::fs::metadata(port).is_ok_and(|file| file.is_file() || file.is_dir()) => {
            TransportError::NotASerialPort(address)
        }
        _ => TransportError::Serial { address, baud, source: error.into() },
    }
}

/// Returns the identity of the USB board at a port: its serial number, vendor and product.
///
/// Boards without a serial number cannot be distinguished, so they have none.
pub(super) fn usb_identity(port: &str, listed: &[SerialPortInfo]) -> Option<UsbPortInfo> {
    let info = listed.iter().find(|info| info.port_name == port)?;
    usb(info).filter(|usb| usb.serial_number.is_some()).cloned()
}

fn usb(info: &SerialPortInfo) -> Option<&UsbPortInfo> {
    match &info.port_type {
        SerialPortType::UsbPort(usb) => Some(usb),
        _ => None,
    }
}

/// Returns the current port of the board with this identity.
pub(super) fn port_of<'p>(identity: &UsbPortInfo, listed: &'p [SerialPortInfo]) -> Option<&'p str> {
    listed.iter().find(|info| usb(info) == Some(identity)).map(|info| info.port_name.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::is_not_yet;
    use super::*;
    use serialport::SerialPort;

    fn board(port: &str, serial_number: &str) -> SerialPortInfo {
        let usb = UsbPortInfo {
            vid: 0x2e8a,
            pid: 0x000a,
            serial_number: Some(serial_number.into()),
            manufacturer: Some("Raspberry Pi".into()),
            product: Some("Pico".into()),
            interface: Some(0),
        };
        SerialPortInfo { port_name: port.into(), port_type: SerialPortType::UsbPort(usb) }
    }

    #[test]
    fn board_is_found_by_its_identity_at_another_port() {
        let (before, other) = (board("/dev/ttyACM0", "A"), board("/dev/ttyACM0", "B"));
        let identity = usb(&before).unwrap();
        let after = board("/dev/ttyACM1", "A");
        assert_eq!(port_of(identity, &[other.clone(), after.clone()]), Some("/dev/ttyACM1"));
        assert_eq!(port_of(identity, &[other]), None, "another board has its old port");
    }

    #[test]
    fn missing_port_is_refused_with_advice() {
        let error = open("/dev/smidgen-no-such-port", 115_200).err().unwrap();
        assert_eq!(
            error.to_string(),
            "the port /dev/smidgen-no-such-port does not exist; `smidgen ports` lists serial ports, and \
             `smidgen boards` starts boards with ports"
        );
    }

    #[test]
    fn errors_have_their_own_sentences() {
        let told = |kind| explain("COM3", 31_250, serialport::Error::new(kind, "no")).to_string();
        let forbidden = told(ErrorKind::Io(io::ErrorKind::PermissionDenied));
        assert!(forbidden.starts_with("no permission to open COM3; on Linux, join its group"));
        let other = "cannot use COM3 at 31250 baud: no; \
            check the cable, and whether the port supports this rate";
        assert_eq!(told(ErrorKind::Unknown), other);
    }

    #[test]
    fn regular_file_is_not_a_serial_port() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = open(file.path().to_str().unwrap(), 115_200).err().unwrap();
        assert!(matches!(error, TransportError::NotASerialPort(_)), "{error}");
    }

    #[test]
    fn port_in_use_is_busy() {
        let (_master, slave) = serialport::TTYPort::pair().unwrap();
        let name = slave.name().unwrap();
        let _first = open(&name, 115_200).unwrap();
        let error = open(&name, 115_200).err().unwrap();
        assert!(matches!(error, TransportError::Busy(_)), "{error}");
    }

    #[test]
    fn write_to_a_full_port_times_out() {
        let (_master, slave) = serialport::TTYPort::pair().unwrap();
        let mut port = open(&slave.name().unwrap(), 115_200).unwrap();
        let (sender, refusal) = std::sync::mpsc::channel();
        // In another thread, so that this test fails instead of hanging with the write.
        std::thread::spawn(move || {
            // Only a write that is accepted in part would block.
            let full = (0..1000).find_map(|_| port.write(&[0x55; 4096]).err());
            let full = full.expect("the buffer is smaller than four megabytes");
            sender.send((full, port)).unwrap();
        });
        let patience = std::time::Duration::from_secs(10);
        let (full, mut port) = refusal.recv_timeout(patience).expect("the write hangs");
        assert!(is_not_yet(&full));
        assert!(is_not_yet(&port.read(&mut [0]).unwrap_err()), "nothing was sent");
    }
}
