use super::*;
use embedded_storage::nor_flash::{ErrorType, NorFlashErrorKind, ReadNorFlash};
use proptest::prelude::*;
use smidgen_protocol::frame::checksum;
use smidgen_protocol::recipe::Features;

const RECIPE: Recipe = Recipe {
    channels: 1,
    window: 50,
    hop: 0x0102,
    features: Features::DEFAULT,
    rate_millihertz: 10_000,
};

fn with_checksum(bytes: &[u8], content: &[u8]) -> Vec<u8> {
    [bytes, &checksum(&[bytes, content].concat()).to_le_bytes()].concat()
}

#[test]
fn golden_bytes() {
    let mut memory = [u64::MAX; 40];
    let mut store = Store::open(RamFlash::new(&mut memory)).unwrap();
    store.prepare(&RECIPE).unwrap();
    store.begin("walk", true).unwrap();
    store.push(&[1, -2, 0x0304]).unwrap();
    store.begin("run", false).unwrap();
    store.push(&[5, 6, 7]).unwrap();
    store.discard().unwrap();
    let header = [*b"smr1", [1, 0b111, 50, 0], [2, 1, 0, 0], [0x10, 0x27, 0, 0]].concat();
    let (first, second) = ([1, 0, 0xfe, 0xff, 4, 3], [5, 0, 6, 0, 7, 0]);
    let (walk, run) = (*b"\x04walk\0\0\0\0\0\0\0\0\0\0\0", *b"\x03run\0\0\0\0\0\0\0\0\0\0\0\0");
    // From the end of the region downwards.
    let log = [
        with_checksum(&[0x60, 0, 0, 0], &walk),
        walk[8..].to_vec(),
        walk[..8].to_vec(),
        with_checksum(&[0x30, 0, 1, 0], &first),
        with_checksum(&[0x61, 0, 0, 0], &run),
        run[8..].to_vec(),
        run[..8].to_vec(),
        with_checksum(&[0x21, 1, 2, 0], &second),
        with_checksum(&[0x40, 0, 2, 0], &[]),
    ];
    let start = [with_checksum(&header, &[]), vec![0xff; 12], [first, second].concat()].concat();
    let end: Vec<u8> = log.into_iter().rev().flatten().collect();
    let free = vec![0xff; 320 - start.len() - end.len()];
    assert_eq!(store.flash().bytes(), [start, free, end].concat());
}

#[test]
fn recordings_end_at_the_largest_number() {
    let mut memory = [u64::MAX; 100];
    let mut store = Store::open(RamFlash::new(&mut memory)).unwrap();
    store.prepare(&RECIPE).unwrap();
    store.last_recording = u16::MAX - 1;
    store.begin("walk", false).unwrap();
    store.push(&[0; 3]).unwrap();
    assert_eq!(store.begin("walk", false), Err(StoreError::RecordingsFull));
    assert_eq!(store.rows().next().map(|row| row.recording), Some(u16::MAX));
}

/// More places than an entry reaches are damaged.
#[test]
fn row_beyond_many_damaged_places_is_refused_or_found() {
    for damaged in [254, 255, 256, 300] {
        let mut memory = [u64::MAX; 1000];
        let mut store = Store::open(RamFlash::new(&mut memory)).unwrap();
        store.prepare(&RECIPE).unwrap();
        store.begin("walk", false).unwrap();
        store.push(&[1, 2, 3]).unwrap();
        let stride = store.stride();
        for place in 1..=damaged {
            store.flash.write((HEADER_LEN + place * stride) as u32, &[0, 0]).unwrap();
        }
        let outcome = store.push(&[4, 5, 6]);
        let reaches = damaged <= 255;
        assert_eq!(outcome, if reaches { Ok(()) } else { Err(StoreError::Flash) });
        let store = Store::open(store.close()).unwrap();
        let places: Vec<_> = store.rows().map(|row| row.index).collect();
        assert_eq!(places, if reaches { vec![damaged + 1, 0] } else { vec![0] });
    }
}

/// Labels of damaged places and of rows that are held out.
#[test]
fn labels_are_those_of_rows() {
    let mut memory = [u64::MAX; 100];
    let mut store = Store::open(RamFlash::new(&mut memory)).unwrap();
    store.prepare(&RECIPE).unwrap();
    for (class, is_test) in [("walk", false), ("run", true), ("run", false)] {
        store.begin(class, is_test).unwrap();
        store.push(&[1, 2, 3]).unwrap();
        let place = store.places();
        let next = HEADER_LEN + place * store.stride();
        store.flash.write(next as u32, &[0, 0]).unwrap();
    }
    let mut labels = vec![9; store.places()];
    store
        .fill_labels(&mut labels, |row| if row.is_test { -1 } else { row.class.cast_signed() + 2 });
    assert_eq!(labels, [2, -1, -1, -1, 3]);
    assert_eq!(store.values().len(), 5 * store.value_stride());
}

/// Calls all that reads.
fn read(store: &Store<RamFlash<'_>>) {
    store.rows().for_each(|row| assert!(row.index < store.places()));
    store.classes().for_each(drop);
    store.counts();
    assert_eq!(store.values().len(), store.places() * store.value_stride());
}

/// A store with three recordings of two classes, the second discarded, and its rows.
fn filled(memory: &mut [u64]) -> (Store<RamFlash<'_>>, Vec<Row>) {
    let mut store = Store::open(RamFlash::new(memory)).unwrap();
    store.prepare(&RECIPE).unwrap();
    for (class, is_test) in [("walk", false), ("run", true), ("walk", true)] {
        store.begin(class, is_test).unwrap();
        (0..3).for_each(|value| store.push(&[value, -1, 7]).unwrap());
        if is_test && class == "run" {
            store.discard().unwrap();
        }
    }
    let rows = store.rows().collect();
    (store, rows)
}

#[test]
fn flipped_bit_costs_its_own_row_at_most() {
    let mut memory = [u64::MAX; 60];
    let (_, rows) = filled(&mut memory);
    assert_eq!(rows.len(), 9);
    let (header, discard) = (0..HEADER_LEN, 480 - 13 * BLOCK_LEN..480 - 12 * BLOCK_LEN);
    for byte in 0..480 {
        for bit in 0..8 {
            let mut memory = memory;
            bytemuck::cast_slice_mut::<_, u8>(&mut memory)[byte] ^= 1 << bit;
            let store = Store::open(RamFlash::new(&mut memory)).unwrap();
            read(&store);
            let found: Vec<_> = store.rows().collect();
            if header.contains(&byte) {
                // Four bytes of the header are unused; all others matter.
                assert!(found.is_empty() || found == rows);
                continue;
            }
            let is_known = |row: &Row| {
                rows.iter().any(|known| Row { is_discarded: row.is_discarded, ..*known } == *row)
            };
            assert!(found.iter().all(is_known) && found.len() >= 8, "{byte}: {found:?}");
            if !discard.contains(&byte) {
                assert!(found.iter().all(|row| rows.contains(row)), "{byte}: {found:?}");
            }
        }
    }
}

#[test]
fn rows_of_a_class_whose_name_is_damaged_get_no_other_name() {
    let mut memory = [u64::MAX; 60];
    filled(&mut memory);
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    let place = bytes.windows(3).position(|text| text == b"run").unwrap();
    bytes[place] ^= 1;
    let mut store = Store::open(RamFlash::new(&mut memory)).unwrap();
    store.begin("sit", false).unwrap();
    store.push(&[1, 2, 3]).unwrap();
    assert!(store.classes().eq([(0, "walk"), (2, "sit")]));
    assert_eq!(store.rows().filter(|row| row.class == 1).count(), 3);
}

#[test]
fn damaged_rows_of_a_discarded_recording_leave_the_one_before() {
    let mut memory = [u64::MAX; 60];
    let (store, rows) = filled(&mut memory);
    let stride = store.stride();
    for row in rows.iter().filter(|row| row.is_discarded) {
        bytemuck::cast_slice_mut::<_, u8>(&mut memory)[HEADER_LEN + row.index * stride] ^= 1;
    }
    let store = Store::open(RamFlash::new(&mut memory)).unwrap();
    let found: Vec<_> = store.rows().map(|row| (row.recording, row.is_discarded)).collect();
    assert_eq!(found, [(3, false), (3, false), (3, false), (1, false), (1, false), (1, false)]);
}

#[test]
fn discard_that_is_written_twice_discards_one_recording() {
    let mut memory = [u64::MAX; 60];
    let (mut store, rows) = filled(&mut memory);
    for _ in 0..2 {
        let entry = Entry::Discard { recording: 3 };
        store.append(entry, &entry.emit(&[]), &[], StoreError::DiscardsFull).unwrap();
    }
    let expected = rows.iter().map(|row| row.recording > 1);
    assert!(store.rows().map(|row| row.is_discarded).eq(expected));
    assert_eq!(store.discard(), Ok(3));
    assert!(store.rows().all(|row| row.is_discarded));
}

#[test]
fn content_of_no_store_is_erased_by_clear_alone() {
    let prepared = {
        let mut memory = [u64::MAX; 60];
        filled(&mut memory);
        memory
    };
    let mut versions = prepared;
    bytemuck::cast_slice_mut::<_, u8>(&mut versions)[3] = b'2';
    let mut flipped = prepared;
    flipped[1] ^= 1 << 20;
    for memory in [versions, flipped, [0; 60], [0x0123_4567_89ab_cdef; 60]] {
        let mut content = memory;
        let mut store = Store::open(RamFlash::new(&mut content)).unwrap();
        assert_eq!(store.prepare(&RECIPE), Err(StoreError::Foreign));
        assert_eq!(store.flash().bytes(), bytemuck::cast_slice::<_, u8>(&memory));
        store.clear(&RECIPE).unwrap();
        assert_eq!((store.prepare(&RECIPE), store.recipe()), (Ok(()), Some(&RECIPE)));
    }
}

/// Memory as a flash with pages of 64 bytes, which shows some of its bytes.
struct Shown<'m>(RamFlash<'m>, core::ops::Range<usize>);

impl ErrorType for Shown<'_> {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Shown<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl NorFlash for Shown<'_> {
    const WRITE_SIZE: usize = 2;
    const ERASE_SIZE: usize = 64;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.0.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.0.write(offset, bytes)
    }
}

impl Mapped for Shown<'_> {
    fn bytes(&self) -> &[u8] {
        &self.0.bytes()[self.1.clone()]
    }
}

#[test]
fn regions_that_cannot_hold_a_store_are_refused() {
    let open = |words: usize, shown| {
        let mut memory = vec![u64::MAX; words];
        Store::open(Shown(RamFlash::new(&mut memory), shown)).map(|_| ())
    };
    assert_eq!(open(16, 0..128), Ok(()));
    // A part of a page, one page, none, fewer bytes than the capacity, and bytes at an odd address.
    let refused = [(20, 0..160), (8, 0..64), (0, 0..0), (24, 0..128), (16, 1..65), (16, 1..128)];
    for (words, shown) in refused {
        assert_eq!(open(words, shown), Err(StoreError::Region));
    }
}

#[test]
fn region_without_room_for_a_row_is_too_small() {
    let large = Recipe { channels: 16, ..RECIPE };
    let mut memory = [u64::MAX; 32];
    let mut store = Store::open(RamFlash::new(&mut memory)).unwrap();
    assert_eq!(store.prepare(&large), Err(StoreError::TooSmall));
    assert_eq!(store.clear(&large), Err(StoreError::TooSmall));
    store.prepare(&RECIPE).unwrap();
}

#[test]
fn recording_of_a_new_class_begins_only_if_its_first_row_fits() {
    for words in 26..60 {
        let mut memory = vec![u64::MAX; words];
        let mut store = Store::open(RamFlash::new(&mut memory)).unwrap();
        store.prepare(&RECIPE).unwrap();
        for class in 0.. {
            let reserve = store.gap();
            match store.begin(&format!("class {class}"), false) {
                Ok(()) => store.push(&[1, 2, 3]).unwrap(),
                Err(error) => {
                    assert_eq!(error, StoreError::RowsFull);
                    break;
                }
            }
            assert!(reserve > RESERVED * BLOCK_LEN && store.gap() >= RESERVED * BLOCK_LEN);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_content_never_panics(
        mut memory in prop::collection::vec(any::<u64>(), 0..80), blank in 0usize..80, with_header: bool,
    ) {
        memory.iter_mut().skip(blank).for_each(|word| *word = u64::MAX);
        if with_header && memory.len() >= HEADER_LEN / 8 {
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
            bytes[..HEADER_LEN].fill(0xff);
            bytes[..layout::RECIPE_LEN].copy_from_slice(&header::emit(&RECIPE));
        }
        let Ok(mut store) = Store::open(RamFlash::new(&mut memory)) else {
            prop_assert!(memory.len() <= HEADER_LEN / 8);
            return Ok(());
        };
        read(&store);
        for class in ["walk", "run"] {
            if store.begin(class, false).is_ok() {
                let room = store.room();
                let pushed = (0..80).take_while(|&value| store.push(&[value; 3]).is_ok()).count();
                prop_assert!(pushed as u32 <= room);
            }
            let _ = store.discard();
            read(&store);
        }
        let _ = store.clear(&RECIPE);
        read(&store);
    }
}
