//! Plain binary files: the contents of flash from the lowest address on.

/// Content of erased flash.
const ERASED: u8 = 0xFF;
/// Longest file; no supported board has more flash.
const LEN_MAX: usize = 64 << 20;

/// Returns the file for contents of flash at these addresses, or `None` if they are too far apart.
pub(super) fn file(parts: &[(u32, &[u8])]) -> Option<Vec<u8>> {
    let parts = || parts.iter().filter(|(_, bytes)| !bytes.is_empty());
    let start = parts().map(|&(address, _)| address as usize).min()?;
    let end = parts().map(|&(address, bytes)| address as usize + bytes.len()).max()?;
    let mut file = vec![ERASED; end.checked_sub(start).filter(|&len| len <= LEN_MAX)?];
    for &(address, bytes) in parts() {
        let first = address as usize - start;
        file[first..first + bytes.len()].copy_from_slice(bytes);
    }
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gap_reads_as_erased_flash() {
        let parts: [(u32, &[u8]); 3] = [(0x0800_0004, &[3]), (0x0800_0000, &[1, 2]), (0, &[])];
        assert_eq!(file(&parts), Some(vec![1, 2, 0xFF, 0xFF, 3]));
    }

    #[test]
    fn parts_that_are_far_apart_have_no_file() {
        assert_eq!(file(&[(0, &[1]), (0x0800_0000, &[2])]), None);
        assert_eq!(file(&[]), None);
    }
}
