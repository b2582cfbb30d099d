//! Where a store has its parts.

/// Unit of the layout in bytes, a multiple of the unit of writes.
pub(super) const BLOCK_LEN: usize = 8;
/// Length of the part of the header that says the recipe.
pub(super) const RECIPE_LEN: usize = 24;
/// Offset of the mark of a store that is being cleared.
pub(super) const MARK: usize = RECIPE_LEN;
/// Length of the header.
pub(super) const HEADER_LEN: usize = MARK + BLOCK_LEN;

/// Offset of the place of a row.
pub(super) fn row_offset(stride: usize, index: u32) -> Option<usize> {
    HEADER_LEN.checked_add((index as usize).checked_mul(stride)?)
}

/// The bytes of the place of a row.
pub(super) fn row(bytes: &[u8], stride: usize, index: u32) -> Option<&[u8]> {
    bytes.get(row_offset(stride, index)?..)?.get(..stride)
}

/// Offset of the last of `places` places of the log, which starts at the end of the region.
pub(super) fn entry_offset(capacity: usize, places: u32) -> Option<usize> {
    let end = capacity / BLOCK_LEN * BLOCK_LEN;
    end.checked_sub((places as usize).checked_mul(BLOCK_LEN)?)
}

/// Returns whether flash is as after an erasure.
pub(super) fn is_erased(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0xff)
}
