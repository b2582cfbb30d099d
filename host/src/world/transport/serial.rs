//! Serial ports, and what tells one USB board from another.

use super::{Address, POLL, Reader, TransportError, WRITE_POLL, Writer};
use rustix::fs::{OFlags, fcntl_setfl};
use serialport::{ErrorKind, SerialPort, SerialPortInfo, SerialPortType, TTYPort, UsbPortInfo};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

pub(super) fn open(port: &str, baud: u32) -> Result<(Reader, Writer), TransportError> {
    open_halves(port, baud).map_err(|error| explain(port, baud, error))
}

fn open_halves(port: &str, baud: u32) -> serialport::Result<(Reader, Writer)> {
    let reader = open_native(port, baud)?;
    let mut writer = reader.try_clone()?;
    writer.set_timeout(WRITE_POLL)?;
    Ok((Box::new(reader), Box::new(writer)))
}

fn builder(port: &str, baud: u32) -> serialport::SerialPortBuilder {
    // Many USB boards send nothing before the host has raised DTR.
    serialport::new(port, baud).timeout(POLL).dtr_on_open(true)
}

/// Opens a port whose descriptor does not block: it waits in `poll` only. On a blocking descriptor, serialport's `write`
/// would wait in the kernel until the last byte found room, and a read would wait if another process took its bytes.
fn open_native(port: &str, baud: u32) -> serialport::Result<Box<dyn SerialPort>> {
    let stream = builder(port, baud).open_native()?;
    set_nonblocking(&stream)?;
    Ok(Box::new(stream))
}

#[expect(unsafe_code)]
fn set_nonblocking(port: &TTYPort) -> io::Result<()> {
    // SAFETY: the port owns its descriptor and outlives this borrow; serialport does not lend it safely.
    let descriptor = unsafe { BorrowedFd::borrow_raw(port.as_raw_fd()) };
    Ok(fcntl_setfl(descriptor, OFlags::NONBLOCK)?)
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

/// What tells one USB board from another, taken while it is there: its serial number, vendor and product.
///
/// Boards without a serial number are all alike, so those are known by their port alone.
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

/// The port at which the board with this identity is now.
pub(super) fn port_of<'p>(identity: &UsbPortInfo, listed: &'p [SerialPortInfo]) -> Option<&'p str> {
    listed.iter().find(|info| usb(info) == Some(identity)).map(|info| info.port_name.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::is_not_yet;
    use super::*;

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
    fn a_board_is_found_again_by_its_identity() {
        let (before, other) = (board("/dev/ttyACM0", "A"), board("/dev/ttyACM0", "B"));
        let identity = usb(&before).unwrap();
        let after = board("/dev/ttyACM1", "A");
        assert_eq!(port_of(identity, &[other.clone(), after.clone()]), Some("/dev/ttyACM1"));
        assert_eq!(port_of(identity, &[other]), None, "another board took its old port");
    }

    #[test]
    fn a_missing_port_says_where_to_look() {
        let error = open("/dev/smidgen-no-such-port", 115_200).err().unwrap();
        assert_eq!(
            error.to_string(),
            "the serial port /dev/smidgen-no-such-port does not exist; \
             `smidgen ports` lists the ports that are there"
        );
    }

    #[test]
    fn each_refusal_has_its_sentence() {
        let told = |kind| explain("COM3", 31_250, serialport::Error::new(kind, "no")).to_string();
        let forbidden = told(ErrorKind::Io(io::ErrorKind::PermissionDenied));
        assert!(forbidden.starts_with("you may not open COM3; on Linux, join the group"));
        let other = "cannot use COM3 at 31250 baud: no; \
            check the cable, and whether the port can do this rate";
        assert_eq!(told(ErrorKind::Unknown), other);
    }

    #[test]
    fn a_file_is_not_a_serial_port() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = open(file.path().to_str().unwrap(), 115_200).err().unwrap();
        assert!(matches!(error, TransportError::NotASerialPort(_)), "{error}");
    }

    #[test]
    fn a_port_in_use_is_busy() {
        let (_master, slave) = serialport::TTYPort::pair().unwrap();
        let name = slave.name().unwrap();
        let _first = open(&name, 115_200).unwrap();
        let error = open(&name, 115_200).err().unwrap();
        assert!(matches!(error, TransportError::Busy(_)), "{error}");
    }

    #[test]
    fn a_port_that_nobody_drains_refuses_instead_of_hanging() {
        let (_master, slave) = serialport::TTYPort::pair().unwrap();
        let (mut reader, mut writer) = open(&slave.name().unwrap(), 115_200).unwrap();
        let (sender, refusal) = std::sync::mpsc::channel();
        // In a thread of its own: should a write hang, this test must not.
        std::thread::spawn(move || {
            // Writes that find room for a part of them only: those are the ones that would wait.
            let full = (0..1000).find_map(|_| writer.write(&[0x55; 4096]).err());
            sender.send(full.expect("no terminal buffers four megabytes")).unwrap();
        });
        let patience = std::time::Duration::from_secs(10);
        assert!(is_not_yet(&refusal.recv_timeout(patience).expect("the write hangs")));
        assert!(is_not_yet(&reader.read(&mut [0]).unwrap_err()), "nothing was sent to us");
    }
}
