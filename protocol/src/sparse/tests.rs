use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A body of its own for entries, which all fit.
fn body(terms: &Terms, form: Form, entries: &BTreeMap<u32, i64>) -> Vec<u8> {
    let mut buffer = vec![0; 64 + entries.len() * 12 + terms.dimension as usize / 4];
    let written = encode(&mut buffer, terms, form, entries.iter().map(|(&j, &m)| (j, m)));
    assert_eq!(written.until, terms.dimension);
    buffer.truncate(written.len);
    buffer
}

/// Width, and entries that fit it, of a vector of a dimension.
fn entries(dimension: u32) -> impl Strategy<Value = (u8, BTreeMap<u32, i64>)> {
    (1u8..=VALUE_BITS_MAX).prop_flat_map(move |value_bits| {
        let limit = 1i64 << (value_bits - 1);
        let value = (1..=limit, any::<bool>(), 0u32..48)
            .prop_map(|(m, negative, shift)| if negative { -m } else { (m >> shift).max(1) });
        let most = 60.min(dimension as usize);
        let few = prop::collection::btree_map(0..dimension, value.clone(), 0..=most);
        let all = prop::collection::vec(value, most)
            .prop_map(|values| (0..).zip(values).collect::<BTreeMap<_, _>>());
        (Just(value_bits), prop_oneof![4 => few, 1 => all])
    })
}

/// Σ g_i of any size, or none.
fn sum(dimension: u32) -> impl Strategy<Value = Vec<i64>> {
    let value = (any::<i64>(), 16u32..63).prop_map(|(sum, shift)| sum >> shift);
    let of = move |len: u32| prop::collection::vec(value.clone(), len as usize);
    prop_oneof![1 => of(0), 3 => of(dimension)]
}

fn form() -> impl Strategy<Value = Form> {
    (0..=SHIFT_MAX, 1..=VALUE_BITS_MAX, 0u8..33).prop_map(|(shift, value_bits, count_bits)| Form {
        shift,
        value_bits,
        count_bits,
    })
}

/// Dimension, sum, width and entries.
type Vector = (u32, Vec<i64>, (u8, BTreeMap<u32, i64>));

fn vectors() -> impl Strategy<Value = Vector> {
    let dimension = prop_oneof![1u32..20, 1u32..3000];
    dimension.prop_flat_map(|dimension| (Just(dimension), sum(dimension), entries(dimension)))
}

proptest! {
    #[test]
    fn an_update_arrives_as_it_was(
        (dimension, sum, (value_bits, entries)) in vectors(), shift in 0..=SHIFT_MAX, last_shift in 0..=SHIFT_MAX, more in 0u32..3,
    ) {
        let last = Form { shift: last_shift, value_bits, count_bits: 0 };
        let k = entries.len() as u32 + more;
        let terms = Terms { dimension, from: 0, sum: &sum, last, budget: Some(k) };
        let body = body(&terms, Form { shift, ..last }, &entries);
        let decoder = Decoder::new(&body, &terms).unwrap();
        prop_assert_eq!(decoder.shift(), if entries.is_empty() { last_shift } else { shift });
        prop_assert_eq!(decoder.check(&sum, dimension), Ok(entries.len() as u32));
        prop_assert_eq!(decoder.entries(&sum).collect::<BTreeMap<_, _>>(), entries);
    }

    #[test]
    fn a_change_arrives_as_it_was_while_it_is_added_to_the_sum(
        (dimension, sum, (value_bits, entries)) in vectors(), shift in 0..=SHIFT_MAX, last in form(),
    ) {
        let terms = Terms { dimension, from: 0, sum: &sum, last, budget: None };
        let body = body(&terms, Form { shift, value_bits, count_bits: 0 }, &entries);
        let mut decoder = Decoder::new(&body, &terms).unwrap();
        prop_assert_eq!(decoder.check(&sum, dimension), Ok(entries.len() as u32));
        let (mut held, mut found) = (sum.clone(), BTreeMap::new());
        while let Some((j, m)) = decoder.next_entry(&held) {
            found.insert(j, m);
            if let Some(sum) = held.get_mut(j as usize) {
                *sum = sum.wrapping_add(m);
            }
        }
        prop_assert_eq!(found, entries);
    }

    #[test]
    fn pieces_have_all_entries((dimension, sum, (value_bits, entries)) in vectors(), room in 64usize..90, last in form()) {
        let (mut terms, mut found) = (Terms { dimension, from: 0, sum: &sum, last, budget: None }, BTreeMap::new());
        while terms.from < dimension {
            let mut buffer = vec![0; room];
            let rest = entries.range(terms.from..).map(|(&j, &m)| (j, m));
            let written = encode(&mut buffer, &terms, Form { value_bits, ..last }, rest);
            let decoder = Decoder::new(&buffer[..written.len], &terms).unwrap();
            prop_assert!(decoder.check(&sum, written.until).is_ok());
            prop_assert_eq!(decoder.form(), written.form);
            prop_assert_eq!(decoder.is_whole(), written.until == dimension);
            found.extend(decoder.entries(&sum));
            (terms.from, terms.last) = (written.until, written.form);
        }
        prop_assert_eq!(found, entries);
    }

    #[test]
    fn a_checked_body_is_what_an_encoder_writes(
        body in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xff), Just(0)], 0..30),
        (dimension, sum) in (1u32..300).prop_flat_map(|d| (Just(d), sum(d))), last in form(),
        budget in prop::option::of(0u32..20), from in 0u32..300,
    ) {
        let terms = Terms { dimension, from: from.min(dimension), sum: &sum, last, budget };
        let Ok(decoder) = Decoder::new(&body, &terms) else { return Ok(()) };
        let entries: Vec<_> = decoder.clone().entries(&sum).collect();
        prop_assert!(entries.is_sorted_by(|a, b| a.0 < b.0) && entries.iter().all(|(j, _)| (terms.from..dimension).contains(j)));
        if decoder.check(&sum, dimension).is_ok() && decoder.is_whole() {
            // Zeros at the end of a number do not travel, however many they are.
            let mut buffer = vec![0; 4096];
            let written = encode(&mut buffer, &terms, decoder.form(), entries.into_iter());
            prop_assert_eq!(&buffer[..written.len], &body[..]);
        }
    }

    /// A worker may hold another sum than the host only by a fault, which must do no more harm than wrong entries.
    #[test]
    fn another_sum_gives_entries_within_bounds((dimension, sum, (value_bits, entries)) in vectors(), other in any::<i64>()) {
        let last = Form { value_bits, ..Form::FIRST };
        let terms = Terms { dimension, from: 0, sum: &sum, last, budget: None };
        let body = body(&terms, last, &entries);
        let held = vec![other; sum.len()];
        let decoder = Decoder::new(&body, &Terms { sum: &held, ..terms }).unwrap();
        prop_assert!(decoder.entries(&held).all(|(j, _)| j < dimension));
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

/// Bits of random bodies over the information limit, without a sum.
fn overhead(dimension: u32, k: u32, value_bits: u8) -> f64 {
    let subsets = (0..k).map(|i| f64::from(dimension - i).log2() - f64::from(k - i).log2());
    let limit = subsets.sum::<f64>() + f64::from(k) * f64::from(value_bits);
    let last = Form { shift: 3, value_bits, count_bits: 0 };
    let terms = Terms { dimension, from: 0, sum: &[], last, budget: Some(k) };
    let (mut state, mut bits, trials) = (1u64, 0usize, 400);
    let mut draw = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    for _ in 0..trials {
        let mut entries = BTreeMap::new();
        while entries.len() < k as usize {
            let magnitude = 1 + i64::from(draw() % (1 << (value_bits - 1)));
            let mantissa = if draw() % 2 == 0 { magnitude } else { -magnitude };
            entries.insert(draw() % dimension, mantissa);
        }
        bits += body(&terms, last, &entries).len() * 8;
    }
    bits as f64 / f64::from(trials) / limit
}

#[test]
fn random_bodies_are_near_the_information_limit() {
    // The rest is the shift, and a half of a byte at the end.
    for (dimension, k, value_bits, most) in [
        (64, 2, 4, 1.25),
        (65, 4, 8, 1.1),
        (112, 4, 4, 1.15),
        (300, 9, 4, 1.08),
        (650, 20, 8, 1.04),
        (4096, 100, 8, 1.02),
    ] {
        let found = overhead(dimension, k, value_bits);
        assert!(found < most, "{dimension} {k} {value_bits}: {found}");
    }
}

#[test]
fn entries_where_the_sum_is_large_are_shorter() {
    let dimension = 500u32;
    let sum: Vec<i64> =
        (0..dimension).map(|j| if j % 10 == 3 { -1_000_000 } else { 900 }).collect();
    let last = Form { shift: 3, value_bits: 4, count_bits: 0 };
    let terms = |sum| Terms { dimension, from: 0, sum, last, budget: Some(10) };
    let likely: BTreeMap<u32, i64> = (0..10).map(|i| (i * 40 + 3, 5)).collect();
    let known = body(&terms(&sum), last, &likely).len();
    let unknown = body(&terms(&[]), last, &likely).len();
    assert!(known + 3 <= unknown, "{known} {unknown}");
}
