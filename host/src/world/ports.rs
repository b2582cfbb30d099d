//! The serial ports of this computer.

use crate::units::shown::shown;
use serialport::{SerialPortInfo, SerialPortType, UsbPortInfo};
use std::fmt::Write;

/// The serial ports could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list the serial ports: {0}; give the name of a port, such as /dev/ttyACM0 or COM3")]
pub struct PortsError(#[from] serialport::Error);

/// Advice for a user without a serial port.
pub const NONE_FOUND: &str = "No serial port found: plug a board in, with a cable that carries data and not \
    only power; on Linux, `dmesg` shows whether the computer has detected it.";

/// Lists the present serial ports by name.
pub fn list() -> Result<Vec<SerialPortInfo>, PortsError> {
    // serialport panics if this directory does not exist, as in some containers.
    if cfg!(target_os = "linux") && !std::path::Path::new("/sys/class/tty").is_dir() {
        return Ok(vec![]);
    }
    let mut ports = serialport::available_ports()?;
    ports.sort_by(|a, b| a.port_name.cmp(&b.port_name));
    Ok(ports)
}

/// Returns a table for the terminal, one line per port, or [`NONE_FOUND`] without ports.
pub fn table(ports: &[SerialPortInfo]) -> String {
    if ports.is_empty() {
        return NONE_FOUND.to_owned() + "\n";
    }
    let head = ["PORT", "USB ID", "PRODUCT", "MANUFACTURER", "SERIAL NUMBER"].map(String::from);
    let rows: Vec<_> = std::iter::once(head).chain(ports.iter().map(row)).collect();
    let mut table = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            write!(line, "{cell:width$}  ").expect("writing to a string");
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

fn row(port: &SerialPortInfo) -> [String; 5] {
    let name = shown(&port.port_name).to_string();
    match &port.port_type {
        SerialPortType::UsbPort(UsbPortInfo {
            vid,
            pid,
            product,
            manufacturer,
            serial_number,
            ..
        }) => {
            let text = |text: &Option<String>| shown(text.as_deref().unwrap_or("-")).to_string();
            let id = format!("{vid:04x}:{pid:04x}");
            [name, id, text(product), text(manufacturer), text(serial_number)]
        }
        _ => [name, "-".into(), "-".into(), "-".into(), "-".into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_shows_known_fields() {
        let pico = UsbPortInfo {
            vid: 0x2e8a,
            pid: 0x000a,
            serial_number: Some("E661".into()),
            manufacturer: Some("Raspberry Pi".into()),
            product: None,
            interface: Some(0),
        };
        let ports = [
            ("/dev/ttyACM0", SerialPortType::UsbPort(pico)),
            ("/dev/ttyS0", SerialPortType::Unknown),
        ]
        .map(|(name, port_type)| SerialPortInfo { port_name: name.into(), port_type });
        assert_eq!(
            table(&ports),
            "PORT          USB ID     PRODUCT  MANUFACTURER  SERIAL NUMBER\n\
             /dev/ttyACM0  2e8a:000a  -        Raspberry Pi  E661\n\
             /dev/ttyS0    -          -        -             -\n"
        );
    }

    #[test]
    fn table_without_ports_gives_advice() {
        assert!(table(&[]).contains("plug a board in"));
    }

    #[test]
    fn listing_never_panics_and_sorts() {
        let ports = list().unwrap();
        assert!(ports.is_sorted_by_key(|port| port.port_name.clone()));
    }
}
