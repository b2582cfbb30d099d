//! Reading of text files up to a limit. Errors name the likely encoding of text that is not UTF-8.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use thiserror::Error;

/// Number of bytes read at a time.
const PIECE_LEN: u64 = 1 << 16;
/// The byte-order mark, an invisible character that some editors write at the beginning of a text.
pub const MARK: char = '\u{feff}';

/// Reasons why a text cannot be read.
#[derive(Debug, Error)]
pub enum TextError {
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It is too long.
    #[error("it has more than {0} bytes")]
    Long(u64),
    /// A line is too long.
    #[error("line {line} has more than {limit} bytes")]
    LongLine {
        /// The line, counted from 1.
        line: usize,
        /// Maximum length in bytes.
        limit: usize,
    },
    /// It is not UTF-8 text.
    #[error(transparent)]
    Encoding(#[from] Encoding),
}

/// The likely encoding of bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Encoding {
    /// UTF-16: two or four bytes per character.
    #[error("it is UTF-16 text; save it as UTF-8, for instance with `iconv -f UTF-16 -t UTF-8`")]
    Utf16,
    /// One byte per character.
    #[error(
        "it is not UTF-8 (see line {line}) but probably Latin-1 or Windows-1252; save it as UTF-8, for instance with \
         `iconv -f WINDOWS-1252 -t UTF-8`"
    )]
    Latin1 {
        /// The first line with such a character, counted from 1.
        line: usize,
    },
    /// Not text.
    #[error("it is not text; if it is compressed, decompress it first")]
    Binary,
}

/// Limits on the size of a text.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum total length in bytes.
    pub len: u64,
    /// Maximum length of a line in bytes.
    pub line_len: usize,
}

/// Reads text from a file or pipe, and stops as soon as it is known not to be text or exceeds the limits.
///
/// # Errors
/// If it is not text within the limits.
pub fn read(path: &Path, limits: Limits) -> Result<String, TextError> {
    read_from(File::open(path)?, limits)
}

/// Like [`read`], from an open file.
///
/// # Errors
/// As [`read`].
pub fn read_from(mut file: impl Read, limits: Limits) -> Result<String, TextError> {
    let (mut bytes, mut line, mut line_start) = (Vec::new(), 1, 0);
    loop {
        let seen = bytes.len();
        if (&mut file).take(PIECE_LEN).read_to_end(&mut bytes)? == 0 {
            break;
        }
        // A device may have no end. A zero byte shows early that it is not text.
        if bytes[seen..].contains(&0) {
            return Err(encoding(&bytes).into());
        }
        for end in (seen..bytes.len()).filter(|&at| bytes[at] == b'\n') {
            (line, line_start) = (line + 1, end + 1);
        }
        if bytes.len() - line_start > limits.line_len {
            return Err(TextError::LongLine { line, limit: limits.line_len });
        }
        if bytes.len() as u64 > limits.len {
            return Err(TextError::Long(limits.len));
        }
    }
    String::from_utf8(bytes).map_err(|error| encoding(error.as_bytes()).into())
}

/// Converts bytes to text.
///
/// # Errors
/// If they are not UTF-8 text.
pub fn utf8(bytes: &[u8]) -> Result<&str, Encoding> {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(encoding(bytes)),
    }
}

/// Returns the likely encoding of bytes that are not UTF-8 text.
fn encoding(bytes: &[u8]) -> Encoding {
    let is_marked = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    if is_marked || is_every_other_zero(bytes) {
        return Encoding::Utf16;
    }
    let is_text = |byte: &u8| *byte >= 0x20 || byte.is_ascii_whitespace();
    match str::from_utf8(bytes) {
        Err(error) if bytes.iter().all(is_text) => {
            let before = &bytes[..error.valid_up_to()];
            Encoding::Latin1 { line: 1 + before.iter().filter(|&&byte| byte == b'\n').count() }
        }
        _ => Encoding::Binary,
    }
}

/// Returns whether the bytes begin like ASCII text in UTF-16.
fn is_every_other_zero(bytes: &[u8]) -> bool {
    let pairs = bytes.as_chunks::<2>().0;
    let pairs = &pairs[..pairs.len().min(8)];
    let is_ascii = |byte: u8| byte != 0 && byte.is_ascii();
    pairs.len() > 1
        && (pairs.iter().all(|&[low, high]| is_ascii(low) && high == 0)
            || pairs.iter().all(|&[high, low]| high == 0 && is_ascii(low)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const LIMITS: Limits = Limits { len: 1 << 20, line_len: 1 << 17 };

    fn of(bytes: &[u8]) -> Result<String, TextError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, bytes).unwrap();
        read(&path, LIMITS)
    }

    #[test]
    fn likely_encoding_is_named() {
        let utf16 = |encode: fn(u16) -> [u8; 2], mark: &str| {
            let text = format!("{mark}1 1:0.5\n");
            text.encode_utf16().flat_map(encode).collect::<Vec<u8>>()
        };
        for mark in ["", "\u{feff}"] {
            for bytes in [utf16(u16::to_le_bytes, mark), utf16(u16::to_be_bytes, mark)] {
                assert_eq!(utf8(&bytes), Err(Encoding::Utf16), "{bytes:?}");
                assert!(
                    matches!(of(&bytes), Err(TextError::Encoding(Encoding::Utf16))),
                    "{bytes:?}"
                );
            }
        }
        assert_eq!(utf8(b"k = 4\nout = \"\xfcber\"\n"), Err(Encoding::Latin1 { line: 2 }));
        assert_eq!(utf8(b"\x1f\x8b\x08\x00"), Err(Encoding::Binary));
        assert_eq!(utf8(b"\x1f\x8b\x08\x01"), Err(Encoding::Binary));
        assert_eq!(utf8(b"text\0"), Err(Encoding::Binary));
        assert_eq!(utf8("über".as_bytes()), Ok("über"));
        assert_eq!(of("über\n".as_bytes()).unwrap(), "über\n");
    }

    #[test]
    fn text_beyond_the_limits_is_refused() {
        assert!(matches!(of(&[b'\n'; (1 << 20) + 1]), Err(TextError::Long(_))));
        let long = [b"1\n".as_slice(), &[b'1'; 1 << 18]].concat();
        assert!(matches!(of(&long), Err(TextError::LongLine { line: 2, .. })));
    }

    #[test]
    fn devices_and_pipes_are_read_like_files() {
        let zeros = read(Path::new("/dev/zero"), LIMITS);
        assert!(matches!(zeros, Err(TextError::Encoding(Encoding::Binary))));
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        crate::units::files::tests::make_pipe(&pipe);
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::write(pipe, "1 1:1\n".repeat(1 << 14))
        });
        assert_eq!(read(&pipe, LIMITS).unwrap().len(), 6 << 14);
        writer.join().unwrap().unwrap();
    }
}
