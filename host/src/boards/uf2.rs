//! UF2 files, which a Raspberry Pi Pico or Pico 2 accepts on the drive that it presents: blocks of 512 bytes, each with a
//! page of flash and its address (<https://github.com/microsoft/uf2>).

use std::collections::BTreeMap;

/// Family of the RP2040. A boot loader ignores blocks of other families.
pub(super) const RP2040: u32 = 0xE48B_FF56;
/// Family of programs for the Arm cores of the RP2350, in the secure world.
pub(super) const RP2350: u32 = 0xE48B_FF59;

const MAGIC_START: [u32; 2] = [0x0A32_4655, 0x9E5D_5157];
const MAGIC_END: u32 = 0x0AB1_6F30;
/// The block names a family.
const FLAG_FAMILY: u32 = 0x2000;
const BLOCK_LEN: usize = 512;
/// Bytes before the page.
const HEADER_LEN: usize = 32;
const PAGE_LEN: usize = 256;
/// What the flash erases at once. The boot loader may lose pages of a sector that a file has only in part (erratum
/// RP2040-E14).
const SECTOR_LEN: usize = 4096;
/// Content of erased flash.
const ERASED: u8 = 0xFF;

/// Returns the file for contents of flash at these addresses, for a family of chips.
pub(super) fn file<'a>(parts: impl IntoIterator<Item = (u32, &'a [u8])>, family: u32) -> Vec<u8> {
    let sectors = sectors(parts);
    let pages: Vec<_> = sectors
        .iter()
        .flat_map(|(&address, sector)| {
            (address..).step_by(PAGE_LEN).zip(sector.chunks_exact(PAGE_LEN))
        })
        .collect();
    let count = pages.len() as u32;
    (0..)
        .zip(pages)
        .flat_map(|(index, (address, page))| block((index, count), (address, page), family))
        .collect()
}

/// Returns all sectors that have contents, by their addresses.
fn sectors<'a>(
    parts: impl IntoIterator<Item = (u32, &'a [u8])>,
) -> BTreeMap<u32, [u8; SECTOR_LEN]> {
    let mut sectors = BTreeMap::new();
    for (start, bytes) in parts {
        for (address, &byte) in (start..).zip(bytes) {
            let place = address as usize % SECTOR_LEN;
            let sector = sectors.entry(address - place as u32).or_insert([ERASED; SECTOR_LEN]);
            sector[place] = byte;
        }
    }
    sectors
}

fn block(
    (index, count): (u32, u32),
    (address, page): (u32, &[u8]),
    family: u32,
) -> [u8; BLOCK_LEN] {
    let [first, second] = MAGIC_START;
    let header = [first, second, FLAG_FAMILY, address, PAGE_LEN as u32, index, count, family];
    let mut block = [0; BLOCK_LEN];
    for (place, word) in block.chunks_exact_mut(size_of::<u32>()).zip(header) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    block[HEADER_LEN..][..PAGE_LEN].copy_from_slice(page);
    block[BLOCK_LEN - size_of::<u32>()..].copy_from_slice(&MAGIC_END.to_le_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(block: &[u8], index: usize) -> u32 {
        u32::from_le_bytes(block[4 * index..][..4].try_into().unwrap())
    }

    #[test]
    fn file_has_whole_sectors_in_numbered_blocks() {
        let parts = [(0x1000_0100, &[1, 2][..]), (0x1000_0102, &[3]), (0x1000_2FFF, &[4, 5])];
        let file = file(parts, RP2040);
        let blocks: Vec<_> = file.chunks(BLOCK_LEN).collect();
        assert_eq!(blocks.len(), 3 * SECTOR_LEN / PAGE_LEN);
        let addresses =
            [0x1000_0000, 0x1000_2000, 0x1000_3000].map(|start| (start..start + 4096).step_by(256));
        for ((index, block), address) in (0..).zip(&blocks).zip(addresses.into_iter().flatten()) {
            let [count, family] = [48, 0xE48B_FF56];
            let header = [0x0A32_4655, 0x9E5D_5157, 0x2000, address, 256, index, count, family];
            assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(|index| word(block, index)), header);
            assert_eq!(word(block, 127), 0x0AB1_6F30);
        }
        let page = |index: usize| &blocks[index][32..][..256];
        assert_eq!(page(0), [ERASED; 256]);
        assert_eq!(page(1)[..4], [1, 2, 3, ERASED]);
        assert_eq!((page(31)[255], page(32)[0], page(32)[1]), (4, 5, ERASED));
    }
}
