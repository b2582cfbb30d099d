use super::*;
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
    let mut memory = [0; 40];
    let mut store = Store::open(RamFlash::new(&mut memory));
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
        with_checksum(&[0x40, 0, 0, 0], &[]),
    ];
    let start = [with_checksum(&header, &[]), vec![0xff; 12], [first, second].concat()].concat();
    let end: Vec<u8> = log.into_iter().rev().flatten().collect();
    let free = vec![0xff; 320 - start.len() - end.len()];
    assert_eq!(store.flash().bytes(), [start, free, end].concat());
}

#[test]
fn recordings_end_at_the_largest_number() {
    let mut memory = [0; 100];
    let mut store = Store::open(RamFlash::new(&mut memory));
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
        let mut memory = [0; 1000];
        let mut store = Store::open(RamFlash::new(&mut memory));
        store.prepare(&RECIPE).unwrap();
        store.begin("walk", false).unwrap();
        store.push(&[1, 2, 3]).unwrap();
        let stride = store.stride();
        for place in 1..=damaged {
            store.flash().write((HEADER_LEN + place * stride) as u32, &[0, 0]).unwrap();
        }
        let outcome = store.push(&[4, 5, 6]);
        let reaches = damaged <= 255;
        assert_eq!(outcome, if reaches { Ok(()) } else { Err(StoreError::Flash) });
        let store = Store::open(store.close());
        let places: Vec<_> = store.rows().map(|row| row.index).collect();
        assert_eq!(places, if reaches { vec![damaged + 1, 0] } else { vec![0] });
    }
}

/// Labels of damaged places and of rows that are held out.
#[test]
fn labels_are_those_of_rows() {
    let mut memory = [0; 100];
    let mut store = Store::open(RamFlash::new(&mut memory));
    store.prepare(&RECIPE).unwrap();
    for (class, is_test) in [("walk", false), ("run", true), ("run", false)] {
        store.begin(class, is_test).unwrap();
        store.push(&[1, 2, 3]).unwrap();
        let place = store.places();
        let next = HEADER_LEN + place * store.stride();
        store.flash().write(next as u32, &[0, 0]).unwrap();
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
    let mut store = Store::open(RamFlash::new(memory));
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
    let mut memory = [0; 60];
    let (_, rows) = filled(&mut memory);
    assert_eq!(rows.len(), 9);
    let (header, discard) = (0..HEADER_LEN, 480 - 13 * BLOCK_LEN..480 - 12 * BLOCK_LEN);
    for byte in 0..480 {
        for bit in 0..8 {
            let mut memory = memory;
            bytemuck::cast_slice_mut::<_, u8>(&mut memory)[byte] ^= 1 << bit;
            let store = Store::open(RamFlash::new(&mut memory));
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
    let mut memory = [0; 60];
    filled(&mut memory);
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    let place = bytes.windows(3).position(|text| text == b"run").unwrap();
    bytes[place] ^= 1;
    let mut store = Store::open(RamFlash::new(&mut memory));
    store.begin("sit", false).unwrap();
    assert!(store.classes().eq([(0, "walk"), (2, "sit")]));
    assert_eq!(store.rows().filter(|row| row.class == 1).count(), 3);
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
        let mut store = Store::open(RamFlash::new(&mut memory));
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
