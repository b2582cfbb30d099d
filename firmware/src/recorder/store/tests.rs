use super::*;
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
