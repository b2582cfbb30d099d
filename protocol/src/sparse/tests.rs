use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Encodes entries into a buffer of their own.
fn encode(packing: Packing, shift: u8, entries: &BTreeMap<u32, i64>) -> Vec<u8> {
    let mut buffer = vec![0; 16 + entries.len() * 12];
    let mut encoder = Encoder::new(&mut buffer, packing, shift, 0);
    for (&index, &mantissa) in entries {
        encoder.push(index, mantissa).unwrap();
    }
    let len = encoder.finish();
    buffer.truncate(len);
    buffer
}

/// Dimension, width and entries that fit both.
fn sparse_vectors() -> impl Strategy<Value = (u32, u8, BTreeMap<u32, i64>)> {
    (1u32..3000, 2u8..=VALUE_BITS_MAX).prop_flat_map(|(dimension, value_bits)| {
        let limit = 1i64 << (value_bits - 1);
        let value =
            (1..=limit, any::<bool>()).prop_map(|(m, negative)| if negative { -m } else { m });
        let entries =
            prop::collection::btree_map(0..dimension, value, 0..=60.min(dimension as usize));
        (Just(dimension), Just(value_bits), entries)
    })
}

proptest! {
    #[test]
    fn encode_decode_round_trip((dimension, value_bits, entries) in sparse_vectors(), shift in 0u8..=31, k in 1u32..100) {
        let packing = Packing::new(dimension, k, value_bits);
        let body = encode(packing, shift, &entries);
        let decoder = Decoder::new(&body, packing, 0).unwrap();
        prop_assert_eq!(decoder.shift(), shift);
        prop_assert_eq!(decoder.check(dimension), Ok(entries.len() as u32));
        prop_assert_eq!(decoder.entries().collect::<BTreeMap<_, _>>(), entries);
    }

    #[test]
    fn described_body_round_trip((dimension, value_bits, entries) in sparse_vectors(), shift in 0u8..=31) {
        let mut buffer = vec![0; 16 + entries.len() * 12];
        let packing = Packing::new(dimension, entries.len() as u32, value_bits);
        let mut encoder = Encoder::described(&mut buffer, packing, shift, 0);
        entries.iter().for_each(|(&index, &mantissa)| encoder.push(index, mantissa).unwrap());
        let len = encoder.finish();
        let decoder = Decoder::described(&buffer[..len], dimension, 0).unwrap();
        prop_assert_eq!(decoder.entries().collect::<BTreeMap<_, _>>(), entries);
    }

    #[test]
    fn arbitrary_bytes_decode_or_are_rejected(body: Vec<u8>, dimension in 1u32..5000, value_bits in 2u8..=32) {
        let packing = Packing::new(dimension, 10, value_bits);
        for decoder in [Decoder::new(&body, packing, 0), Decoder::described(&body, dimension, 0)].into_iter().flatten() {
            if decoder.check(dimension).is_ok() {
                let indices: Vec<_> = decoder.entries().map(|(index, _)| index).collect();
                prop_assert!(indices.is_sorted() && indices.iter().all(|&index| index < dimension));
            }
        }
    }

    #[test]
    fn checked_bodies_are_canonical(
        body in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xff), Just(0)], 1..40),
        (dimension, value_bits) in (1u32..5000, 2u8..=32), k in 1u32..50, described: bool,
    ) {
        let known = Packing::new(dimension, k, value_bits);
        let decoder = match described {
            true => Decoder::described(&body, dimension, 0),
            false => Decoder::new(&body, known, 0),
        };
        let Ok(decoder) = decoder else { return Ok(()) };
        if decoder.check(dimension).is_ok() {
            let mut buffer = vec![0; body.len()];
            let start = if described { Encoder::described } else { Encoder::new };
            let mut encoder = start(&mut buffer, decoder.packing, decoder.shift(), 0);
            decoder.entries().for_each(|(index, mantissa)| encoder.push(index, mantissa).unwrap());
            let len = encoder.finish();
            prop_assert_eq!(&buffer[..len], &body[..]);
        }
    }

    #[test]
    fn full_buffer_keeps_previous_entries((dimension, value_bits, entries) in sparse_vectors(), room in 1usize..40) {
        let packing = Packing::new(dimension, entries.len() as u32, value_bits);
        let mut buffer = vec![0; room];
        let mut encoder = Encoder::new(&mut buffer, packing, 0, 0);
        let kept: Vec<_> = entries.iter().take_while(|&(&index, &mantissa)| encoder.push(index, mantissa).is_ok()).collect();
        let len = encoder.finish();
        let decoder = Decoder::new(&buffer[..len], packing, 0).unwrap();
        prop_assert_eq!(decoder.check(dimension), Ok(kept.len() as u32));
    }

    #[test]
    fn quantised_magnitudes_fit_value_bits(max: u32, value_bits in 2u8..=32) {
        let max = max & i32::MAX as u32;
        let shift = shift_for(max, value_bits);
        let limit = 1i64 << (value_bits - 1);
        prop_assert!(round_shift(i64::from(max), i32::from(shift)) <= limit);
        prop_assert!(shift == 0 || round_shift(i64::from(max), i32::from(shift) - 1) > limit);
    }

    #[test]
    fn on_change_keeps_running_sum_exact(start: [i32; 8], entries in prop::collection::btree_map(0u32..8, 1i64..1 << 31, 0..8), shift in 0u8..=31) {
        let start = start.map(|m| m.max(-i32::MAX));
        let (mut estimator, mut sum, mut saturated) = (start, start.map(i64::from), 0);
        apply(&mut estimator, entries.into_iter(), shift, &mut saturated, |j, before, after| {
            sum[j as usize] += i64::from(after) - i64::from(before);
        });
        prop_assert_eq!(estimator.map(i64::from), sum);
    }
}

#[test]
fn body_length_is_near_information_limit() {
    // K = 26 of d = 512, b = 8, random index sets: within 6 % of log2 C(d, K) + K * b.
    let (dimension, k, value_bits) = (512u32, 26u32, 8u8);
    let limit =
        (0..k).map(|i| f64::from(dimension - i).log2() - f64::from(k - i).log2()).sum::<f64>()
            + f64::from(k) * f64::from(value_bits);
    let (mut state, mut bits, trials) = (1u64, 0usize, 200);
    for _ in 0..trials {
        let mut entries = BTreeMap::new();
        while entries.len() < k as usize {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            entries.insert((state >> 33) as u32 % dimension, 1);
        }
        bits += encode(Packing::new(dimension, k, value_bits), 3, &entries).len() * 8;
    }
    let mean = bits as f64 / f64::from(trials);
    assert!(mean > limit && mean < 1.06 * limit, "mean {mean} bits, limit {limit}");
}

#[test]
fn malformed_bodies_return_their_error() {
    let packing = Packing::new(64, 1, 8);
    let check = |body: &[u8]| Decoder::new(body, packing, 0).and_then(|decoder| decoder.check(64));
    assert_eq!(check(&[]), Err(BodyError::Truncated));
    assert_eq!(check(&[0xff, 0xff]), Err(BodyError::Padding));
    assert_eq!(check(&[0b110_00000]), Err(BodyError::Truncated));
    assert_eq!(check(&[0b111_00000]), Ok(0));
    assert_eq!(Decoder::described(&[0xff, 0xff], 64, 0).err(), Some(BodyError::Width));
    // Shift 0, twelve ones, six bits of index: gap 1, for which five bits suffice.
    let (escape, index, value) = (0xfff << 5, 1 << 17, 0x7f << 23);
    let body = u32::to_le_bytes(escape | index | value | 0x3 << 30);
    assert_eq!(check(&body), Err(BodyError::Escape));
}
