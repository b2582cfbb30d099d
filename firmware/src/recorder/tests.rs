use super::store::RamFlash;
use super::*;
use proptest::prelude::*;
use smidgen_protocol::recipe::{Feature, Features};
use std::collections::VecDeque;

const RECIPE: Recipe = Recipe {
    channels: 2,
    window: 4,
    hop: 2,
    features: Features::NONE.with(Feature::Min).with(Feature::Max),
    rate_millihertz: 1000,
};

/// Samples, `None` for a gap.
struct Script(VecDeque<Option<[i16; 2]>>);

impl Sensor for Script {
    type Error = ();

    fn channels(&self) -> usize {
        2
    }

    fn poll(&mut self, sample: &mut [i16]) -> Result<bool, ()> {
        let Some(next) = self.0.pop_front() else { return Ok(false) };
        sample.copy_from_slice(&next.ok_or(())?);
        Ok(true)
    }
}

fn recorder<'m>(rows: &'m mut [u64], samples: &'m mut [i16]) -> Recorder<'m, RamFlash<'m>> {
    Recorder::new(Store::open(RamFlash::new(rows)).unwrap(), samples)
}

proptest! {
    #[test]
    fn rows_are_those_of_windows_without_gaps(
        script in prop::collection::vec(prop::option::weighted(0.9, any::<[i16; 2]>()), 0..60),
    ) {
        let (mut rows, mut samples) = (vec![u64::MAX; 200], [0; 8]);
        let mut recorder = recorder(&mut rows, &mut samples);
        recorder.begin(&RECIPE, "up", false).unwrap();
        let mut sensor = Script(script.iter().copied().collect());
        let mut count = 0;
        while !sensor.0.is_empty() {
            let is_gap = sensor.0[0].is_none();
            match recorder.poll(&mut sensor) {
                Ok(is_row) => count += u32::from(is_row),
                Err(error) => prop_assert_eq!((error, is_gap), (PollError::Sensor(()), true)),
            }
        }
        prop_assert_eq!(recorder.poll(&mut sensor), Ok(false));
        let stretches: Vec<Vec<[i16; 2]>> =
            script.split(Option::is_none).map(|stretch| stretch.iter().flatten().copied().collect()).collect();
        let windows = stretches.iter().flat_map(|stretch| stretch.windows(4).step_by(2));
        let expected: Vec<i16> = windows
            .flat_map(|window| {
                let of = |c: usize| window.iter().map(move |sample| sample[c]);
                [of(0).min(), of(0).max(), of(1).min(), of(1).max()].map(Option::unwrap)
            })
            .collect();
        let progress = recorder.end();
        prop_assert_eq!(recorder.store().values(), &expected[..]);
        prop_assert_eq!((progress.rows, count as usize), (count, expected.len() / 4));
        prop_assert_eq!(progress.samples as usize, script.len());
        prop_assert_eq!(progress.gaps as usize, script.iter().filter(|sample| sample.is_none()).count());
    }
}

#[test]
fn windows_do_not_span_recordings() {
    let (mut rows, mut samples) = ([u64::MAX; 64], [0; 8]);
    let mut recorder = recorder(&mut rows, &mut samples);
    for class in ["up", "down"] {
        recorder.begin(&RECIPE, class, false).unwrap();
        let complete = (0..5).filter(|&t| recorder.sample(&[t, -t]).unwrap()).count();
        assert_eq!((complete, recorder.progress().rows), (1, 1));
    }
    let rows: Vec<_> = recorder.store().rows().map(|row| (row.class, row.recording)).collect();
    assert_eq!(rows, [(1, 2), (0, 1)]);
}

#[test]
fn windows_do_not_span_a_refused_sample() {
    let (mut rows, mut samples) = ([u64::MAX; 64], [0; 8]);
    let mut recorder = recorder(&mut rows, &mut samples);
    recorder.begin(&RECIPE, "up", false).unwrap();
    for t in 0..3 {
        recorder.sample(&[t, t]).unwrap();
    }
    assert_eq!(recorder.sample(&[3]), Err(RecorderError::Channels { found: 1 }));
    for t in 4..8 {
        recorder.sample(&[t, t]).unwrap();
    }
    assert_eq!(recorder.end(), Progress { samples: 8, rows: 1, gaps: 1 });
    assert_eq!(recorder.store().values(), [4, 7, 4, 7]);
}

#[test]
fn refused_input_leaves_rows_and_recording() {
    let (mut rows, mut samples) = ([u64::MAX; 64], [0; 8]);
    let mut recorder = recorder(&mut rows, &mut samples);
    let not_recording = Err(StoreError::NotRecording.into());
    assert_eq!(recorder.sample(&[0, 0]), not_recording);
    recorder.begin(&RECIPE, "up", false).unwrap();
    for found in [0, 1, 3] {
        let sample = &[0; 3][..found];
        assert_eq!(recorder.sample(sample), Err(RecorderError::Channels { found }));
    }
    for t in 0..4 {
        recorder.sample(&[t, t]).unwrap();
    }
    let long = Recipe { window: 5, ..RECIPE };
    let error = RecorderError::Window(TooLong { need: 10, room: 8 });
    assert_eq!(recorder.begin(&long, "up", false), Err(error));
    let other = Recipe { hop: 1, ..RECIPE };
    assert_eq!(recorder.begin(&other, "up", false), Err(StoreError::OtherRecipe.into()));
    let invalid = Recipe { hop: 0, ..RECIPE };
    let error = StoreError::Recipe(smidgen_protocol::recipe::RecipeError::Hop);
    assert_eq!(recorder.begin(&invalid, "up", false), Err(error.into()));
    assert_eq!(recorder.sample(&[0, 0]), not_recording);
    assert_eq!(recorder.store().values(), [0, 3, 0, 3]);
    // A discarded recording holds no recipe.
    assert_eq!(recorder.store_mut().discard(), Ok(1));
    assert_eq!(recorder.begin(&other, "up", false), Ok(()));
}

#[test]
fn full_store_refuses_rows_and_keeps_those_before() {
    let (mut rows, mut samples) = ([u64::MAX; 32], [0; 8]);
    let mut recorder = recorder(&mut rows, &mut samples);
    recorder.begin(&RECIPE, "up", false).unwrap();
    let room = recorder.store().room();
    let full = loop {
        if let Err(error) = recorder.sample(&[1, 2]) {
            break error;
        }
    };
    assert_eq!(full, StoreError::RowsFull.into());
    assert_eq!(recorder.end().rows, room);
    assert_eq!(recorder.store().rows().count() as u32, room);
    assert_eq!(recorder.begin(&RECIPE, "up", false), Err(full));
}

/// The example `recorder` of the board mps2 prints the checksum.
#[test]
fn rows_of_noise_have_the_checksum_that_a_board_computes() {
    let features = Feature::ALL.into_iter().fold(Features::NONE, Features::with);
    let recipe = Recipe { channels: 6, window: 50, hop: 25, features, rate_millihertz: 10_000 };
    let (mut rows, mut samples) = ([u64::MAX; 4096], [0; 300]);
    let mut recorder = recorder(&mut rows, &mut samples);
    recorder.begin(&recipe, "noise", false).unwrap();
    let mut state = 1u64;
    for _ in 0..2000 {
        let sample = core::array::from_fn::<i16, 6, _>(|channel| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state.cast_signed() >> (48 + channel)) as i16
        });
        recorder.sample(&sample).unwrap();
    }
    let sum = recorder.store().values().iter().fold(0u32, |sum, value| {
        smidgen_protocol::frame::checksum(&[&sum.to_le_bytes()[..], &value.to_le_bytes()].concat())
    });
    assert_eq!((recorder.end().rows, sum), (79, 0xd03d1f25));
}
