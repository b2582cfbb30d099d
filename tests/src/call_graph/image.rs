//! What is in the file of an image, whatever its instruction set.

use object::read::elf::ElfFile32;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use std::collections::{BTreeMap, BTreeSet};

/// What is in the file.
pub(super) struct Image<'f> {
    /// Start of each function, its name and its end.
    pub(super) names: BTreeMap<u64, (String, u64)>,
    /// Sections with code: address and bytes.
    pub(super) code: Vec<(u64, &'f [u8])>,
    /// Sections with data: address and bytes.
    pub(super) data: Vec<(u64, &'f [u8])>,
    /// Addresses of words that the linker filled with addresses.
    pub(super) relocated: BTreeSet<u64>,
}

impl<'f> Image<'f> {
    pub(super) fn open(file: &ElfFile32<'f>) -> Self {
        let mut image =
            Self { names: BTreeMap::new(), code: vec![], data: vec![], relocated: BTreeSet::new() };
        for symbol in file.symbols() {
            let name = symbol.name().unwrap_or_default();
            if symbol.kind() == SymbolKind::Text && symbol.size() > 0 {
                let start = symbol.address() & !1;
                let name = format!("{:#}", rustc_demangle::demangle(name));
                image.names.insert(start, (name, start + symbol.size()));
            }
        }
        for section in file.sections() {
            let (name, bytes) = (section.name().unwrap_or_default(), section.data());
            let bytes = bytes.unwrap_or_default();
            let relocated = section.relocations().map(|(at, _)| at);
            match name {
                ".rodata" | ".data" => {
                    image.data.push((section.address(), bytes));
                    // A function that runs in RAM is among the data.
                    image.code.push((section.address(), bytes));
                    image.relocated.extend(relocated);
                }
                _ if section.kind() == SectionKind::Text => {
                    image.code.push((section.address(), bytes));
                    image.relocated.extend(relocated);
                }
                // Those for debugging have offsets in place of addresses.
                _ => {}
            }
        }
        assert!(!image.relocated.is_empty(), "images are linked with their relocations");
        image
    }

    /// All words that are pointers: in data, and among the instructions.
    pub(super) fn words(&self) -> impl Iterator<Item = u32> {
        let sections = self.data.iter().chain(&self.code);
        let words = sections.flat_map(|&(start, bytes)| words_of(bytes).zip((start..).step_by(4)));
        words.filter(|(_, at)| self.relocated.contains(at)).map(|(word, _)| word)
    }

    pub(super) fn half_word(&self, address: u64) -> Option<u32> {
        let (start, bytes) = self
            .code
            .iter()
            .find(|(start, bytes)| (*start..*start + bytes.len() as u64).contains(&address))?;
        let bytes = bytes.get((address - start) as usize..)?.first_chunk::<2>()?;
        Some(u16::from_le_bytes(*bytes).into())
    }

    pub(super) fn word(&self, address: u64) -> Option<u32> {
        Some(self.half_word(address)? | self.half_word(address + 2)? << 16)
    }

    /// The function at an address.
    pub(super) fn function_at(&self, address: u64) -> Option<u64> {
        let (&start, (_, end)) = self.names.range(..=address).next_back()?;
        (address < *end).then_some(start)
    }
}

/// The words of some bytes.
pub(super) fn words_of(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word))
}

/// The number that the lowest bits of a value stand for.
pub(super) fn sign_extend(value: u32, bits: u32) -> i64 {
    let shift = i64::BITS - bits;
    i64::from(value) << shift >> shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_signed() {
        assert_eq!([sign_extend(0xffe, 12), sign_extend(0x7fe, 12)], [-2, 2046]);
    }
}
