//! A ZIP archive whose entries are stored as they are.

use crc::{CRC_32_ISO_HDLC, Crc};

const CHECK: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
/// Version 1.0 of the format.
const VERSION: u16 = 10;
/// 1 January 1980, the first date that the format has.
const DATE: u16 = 1 << 5 | 1;

/// An archive of less than 4 GiB.
#[derive(Default)]
pub(super) struct Archive {
    entries: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
}

impl Archive {
    /// Appends a file.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) {
        let (offset, fields) = (self.entries.len() as u32, fields(name, content));
        self.entries.extend(b"PK\x03\x04");
        self.entries.extend(&fields);
        self.entries.extend(name.bytes());
        self.entries.extend(content);
        self.directory.extend(b"PK\x01\x02");
        self.directory.extend(VERSION.to_le_bytes());
        self.directory.extend(&fields);
        // No comment, the first disk, no attributes.
        self.directory.extend([0; 10]);
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name.bytes());
        self.count += 1;
    }

    /// Returns the bytes of the archive.
    pub(super) fn finish(self) -> Vec<u8> {
        let (offset, len) = (self.entries.len() as u32, self.directory.len() as u32);
        let mut bytes = self.entries;
        bytes.extend(self.directory);
        bytes.extend(b"PK\x05\x06");
        // The directory is on the first disk as well, with all entries.
        bytes.extend([0; 4]);
        bytes.extend([self.count; 2].into_iter().flat_map(u16::to_le_bytes));
        bytes.extend(len.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        // No comment.
        bytes.extend([0; 2]);
        bytes
    }
}

/// Returns the fields that an entry has before its content and in the directory.
fn fields(name: &str, content: &[u8]) -> Vec<u8> {
    let len = (content.len() as u32).to_le_bytes();
    [
        &VERSION.to_le_bytes()[..],
        // No flags, no compression, midnight.
        &[0; 6],
        &DATE.to_le_bytes(),
        &CHECK.checksum(content).to_le_bytes(),
        &len,
        &len,
        &(name.len() as u16).to_le_bytes(),
        // No further fields.
        &[0; 2],
    ]
    .concat()
}
