//! The application descriptor, which the bootloader of ESP-IDF and `espflash` expect at the start of an image.

/// Layout of ESP-IDF's `esp_app_desc_t`.
#[repr(C)]
struct Descriptor {
    magic: u32,
    secure_version: u32,
    _reserved: [u32; 2],
    version: [u8; 32],
    project: [u8; 32],
    time: [u8; 16],
    date: [u8; 16],
    idf_version: [u8; 32],
    /// Filled in by `espflash`.
    elf_sha256: [u8; 32],
    /// Revisions of the eFuse block, 100 · major + minor.
    revision_min: u16,
    revision_max: u16,
    /// Binary logarithm of the size of a page of mapped flash.
    page_log2: u8,
    _reserved_2: [u8; 3],
    _reserved_3: [u32; 18],
}

const _: () = assert!(size_of::<Descriptor>() == 256);

#[used]
#[unsafe(link_section = ".flash.appdesc")]
static DESCRIPTOR: Descriptor = Descriptor {
    magic: 0xABCD_5432,
    secure_version: 0,
    _reserved: [0; 2],
    version: padded(env!("CARGO_PKG_VERSION")),
    project: padded("smidgen"),
    time: [0; 16],
    date: [0; 16],
    idf_version: [0; 32],
    elf_sha256: [0; 32],
    revision_min: 0,
    revision_max: u16::MAX,
    page_log2: 16,
    _reserved_2: [0; 3],
    _reserved_3: [0; 18],
};

/// A text with zeros after it.
const fn padded(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (start, _) = bytes.split_at_mut(text.len());
    start.copy_from_slice(text.as_bytes());
    bytes
}
