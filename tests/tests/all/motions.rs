//! Series of a smart-watch, recorded as on a board: rows against f64, and a model trained on them in place.

use smidgen_firmware::bound::Bound;
use smidgen_firmware::curvature::CurvatureRequest;
use smidgen_firmware::data::Data;
use smidgen_firmware::objective::{Evaluation, Objective};
use smidgen_firmware::recorder::Recorder;
use smidgen_firmware::recorder::store::Store;
use smidgen_firmware::softmax::Softmax;
use smidgen_protocol::batch::Selection;
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::recipe::{Feature, Features, Recipe};
use smidgen_protocol::shard::{Parts, Shard};
use smidgen_protocol::vector::Ratio;
use smidgen_tests::flash::{Flash, PAGES};
use smidgen_tests::shared;
use std::fs;
use std::path::Path;

const CHANNELS: usize = 6;
const WINDOW: usize = 50;
const HOP: usize = 25;

fn recipe(features: Features) -> Recipe {
    let (window, hop) = (WINDOW as u16, HOP as u16);
    Recipe { channels: CHANNELS as u8, window, hop, features, rate_millihertz: 10_000 }
}

/// A recording: its class, and samples of one value per channel.
struct Series {
    class: String,
    is_test: bool,
    samples: Vec<Vec<f64>>,
}

/// The series of a file of the UEA archive.
fn read(path: &Path, is_test: bool) -> Vec<Series> {
    let text = fs::read_to_string(path).expect("the file is text");
    let is_data = |line: &&str| !line.is_empty() && !line.starts_with(['#', '@']);
    let series = |line: &str| {
        let (channels, class) = line.rsplit_once(':').expect("a label");
        let number = |text: &str| text.parse().expect("a number");
        let channels: Vec<Vec<f64>> =
            channels.split(':').map(|channel| channel.split(',').map(number).collect()).collect();
        let samples = (0..channels[0].len())
            .map(|t| channels.iter().map(|channel| channel[t]).collect())
            .collect();
        Series { class: class.to_owned(), is_test, samples }
    };
    text.lines().filter(is_data).map(series).collect()
}

/// The series to train on and the held-out ones, if the files are there.
fn all_series(test: &str) -> Option<Vec<Series>> {
    let training = shared::path("BasicMotions_TRAIN.ts", test)?;
    let held_out = shared::path("BasicMotions_TEST.ts", test)?;
    Some(read(&training, false).into_iter().chain(read(&held_out, true)).collect())
}

/// Samples as registers of a sensor deliver them, whose full scale is a power of two for each channel.
fn quantised(series: &[Series]) -> Vec<Vec<[i16; CHANNELS]>> {
    let scales: [f64; CHANNELS] = std::array::from_fn(|c| {
        let training = series.iter().filter(|series| !series.is_test).flat_map(|s| &s.samples);
        training.map(|sample| sample[c].abs()).fold(0.0, f64::max).log2().ceil().exp2()
    });
    let value = |sample: &[f64], c: usize| (sample[c] / scales[c] * 32768.0).round() as i16;
    let sample = |sample: &Vec<f64>| std::array::from_fn(|c| value(sample, c));
    series.iter().map(|series| series.samples.iter().map(sample).collect()).collect()
}

/// Records all series in a flash of the size of a micro:bit's journal, and resets the board.
fn recorded(series: &[Series], features: Features) -> Store<Flash> {
    let mut samples = [0; CHANNELS * WINDOW];
    let mut recorder =
        Recorder::new(Store::open(Flash::new(PAGES)).expect("whole pages"), &mut samples);
    for (series, samples) in series.iter().zip(quantised(series)) {
        recorder.begin(&recipe(features), &series.class, series.is_test).expect("room");
        for sample in samples {
            recorder.sample(&sample).expect("room");
        }
        assert_eq!(recorder.end().rows, 3);
    }
    Store::open(recorder.store().flash().clone()).expect("whole pages")
}

/// A feature in f64, before rounding.
fn exact(samples: &[f64], feature: Feature) -> f64 {
    let mean = |values: &mut dyn ExactSizeIterator<Item = f64>| {
        let n = values.len() as f64;
        values.sum::<f64>() / n
    };
    let center = mean(&mut samples.iter().copied());
    match feature {
        Feature::Mean => center,
        Feature::Deviation => mean(&mut samples.iter().map(|x| (x - center).powi(2))).sqrt(),
        Feature::Difference => mean(&mut samples.windows(2).map(|pair| (pair[1] - pair[0]).abs())),
        Feature::Min => samples.iter().copied().fold(f64::MAX, f64::min),
        Feature::Max => samples.iter().copied().fold(f64::MIN, f64::max),
        Feature::Rms => mean(&mut samples.iter().map(|x| x * x)).sqrt(),
    }
}

#[test]
fn recorded_features_are_those_of_f64_rounded() {
    let Some(series) = all_series("recorded_features_are_those_of_f64_rounded") else { return };
    let all = Feature::ALL.into_iter().fold(Features::NONE, Features::with);
    let store = recorded(&series, all);
    let counts = store.counts();
    let total = |of: fn(&_) -> u32| counts.iter().map(of).sum::<u32>();
    assert_eq!((total(|c| c.training), total(|c| c.test), total(|c| c.discarded)), (120, 120, 0));
    let quantised = quantised(&series);
    let windows = quantised.iter().flat_map(|samples| samples.windows(WINDOW).step_by(HOP));
    let rows = store.values().chunks(store.value_stride());
    let (mut largest, mut count) = (0f64, 0);
    for (row, window) in rows.zip(windows) {
        for ((c, feature), &found) in recipe(all).columns().zip(row) {
            let samples: Vec<f64> = window.iter().map(|s| f64::from(s[usize::from(c)])).collect();
            let error = (f64::from(found) - exact(&samples, feature)).abs();
            assert!(error <= 0.5 + 1e-9, "{feature:?} of channel {c}: {error}");
            largest = largest.max(error);
            count += 1;
        }
    }
    println!("{count} features, of which none is more than {largest} from that in f64");
    assert_eq!(count, 240 * CHANNELS * Feature::ALL.len());
}

/// Gradient descent with 1/L on the rows in flash, none of which is copied.
#[test]
fn model_trained_in_place_recognises_held_out_windows() {
    let test = "model_trained_in_place_recognises_held_out_windows";
    let Some(series) = all_series(test) else { return };
    let store = recorded(&series, Features::DEFAULT);
    let width = recipe(Features::DEFAULT).row_len();
    let classes = store.classes().count();
    let column = |k: usize| store.values().iter().skip(k).step_by(store.value_stride());
    let scales: Vec<Ratio> = (0..width)
        .map(|k| column(k).map(|value| value.unsigned_abs()).max().unwrap_or(0))
        .map(|top| Ratio { mantissa: 1 << 30, exponent: 30 + (16 - top.leading_zeros() as i16) })
        .chain([Ratio::ONE])
        .collect();
    let (mantissas, exponents): (Vec<_>, Vec<_>) =
        scales.iter().map(|scale| (scale.mantissa, scale.exponent)).unzip();
    let mut labels = vec![0; store.places()];
    store.fill_labels(&mut labels, |row| if row.is_test { -1 } else { row.class.cast_signed() });
    let shard = Shard::from_parts(&Parts {
        dimension: width as u32,
        classes: classes as u8,
        values: store.values(),
        stride: store.value_stride(),
        labels: &labels,
        scale_mantissas: &mantissas,
        scale_exponents: &exponents,
    });
    let shard = shard.expect("rows of the store");
    let d = classes * (width + 1);
    assert!(Softmax::check(Data::Recorded(&shard), d));
    let l = smoothness(&shard, d);
    let mut x = vec![0.0; d];
    for _ in 0..300 {
        let gradient = gradient(&shard, &x);
        x.iter_mut().zip(gradient).for_each(|(x, slope)| *x -= slope / l);
    }
    let real = |k: usize, value: i16| f64::from(value) * f64::from(30 - exponents[k]).exp2();
    let score = |row: &[i16], x: &[f64]| -> f64 {
        row.iter().enumerate().map(|(k, &value)| real(k, value) * x[k]).sum::<f64>() + x[width]
    };
    let is_right = |class: u8, row: &[i16]| {
        let scores: Vec<f64> = x.chunks(width + 1).map(|x| score(row, x)).collect();
        scores.iter().all(|&score| score <= scores[usize::from(class)])
    };
    let held_out = store.rows().filter(|row| row.is_test);
    let right = held_out.filter(|row| is_right(row.class, store.values_of(row))).count();
    println!("L = {l}: {right} of 120 held-out windows are recognised");
    assert!(right >= 118, "{right}");
}

/// The bound of the smoothness constant that a board computes.
fn smoothness(shard: &Shard<'_>, d: usize) -> f64 {
    let (mut vector, mut scratch) = (vec![0; d], vec![0; d]);
    let data = Data::Recorded(shard);
    let request = CurvatureRequest { data, vector: &mut vector, scratch: &mut scratch };
    let l = Softmax::curvature(request).and_then(Bound::ratio).expect("a bound");
    f64::from(l.mantissa) * f64::from(-l.exponent).exp2()
}

/// ∇f(x) on the live rows.
fn gradient(shard: &Shard<'_>, x: &[f64]) -> Vec<f64> {
    const EXPONENT: i8 = 24;
    let unit = f64::from(EXPONENT).exp2();
    let mantissas: Vec<i32> = x.iter().map(|x| (x * unit).round() as i32).collect();
    let (mut gradient, mut scratch, mut saturated) = (vec![0; x.len()], vec![0; x.len()], 0);
    Softmax.evaluate(Evaluation {
        objective: Softmax::NAME,
        x: &mantissas,
        x_exponent: EXPONENT,
        gradient: &mut gradient,
        gradient_exponent: EXPONENT,
        loss_exponent: EXPONENT,
        regulariser: Regulariser::L2,
        lambda: Ratio::default(),
        data: Data::Recorded(shard),
        rows: Selection::ALL,
        scratch: &mut scratch,
        saturated: &mut saturated,
    });
    assert_eq!(saturated, 0);
    gradient.into_iter().map(|mantissa| f64::from(mantissa) / unit).collect()
}
