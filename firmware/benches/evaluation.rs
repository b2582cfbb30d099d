//! Time of the arithmetic of one round of 20 workers: `cargo bench -p smidgen-firmware`.
//!
//! There are two data sets: one-hot rows of the shape of mushrooms in the EF21 papers, 8124 rows of 21 ones over 112
//! columns, and dense bytes of the shape of digits, 1800 rows of 64. The one-hot rows are also evaluated in f64, over
//! the listed columns, in the same run.

use smidgen_firmware::data::Data;
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::objective::{Evaluation, Objective};
use smidgen_firmware::top_k;
use smidgen_protocol::batch::{Batch, Selection};
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::shard::{Header, Width};
use smidgen_protocol::vector::Ratio;
use std::hint::black_box;
use std::time::{Duration, Instant};

const WORKERS: usize = 20;
const ROWS: usize = 406;
const DIMENSION: usize = 112;
/// Columns per attribute, one of which is 1 in every row.
const ATTRIBUTES: [usize; 21] = [6, 4, 10, 2, 9, 2, 2, 2, 12, 2, 4, 4, 9, 9, 4, 3, 5, 9, 6, 7, 1];
const ROUNDS: usize = 400;
const X_EXPONENT: i8 = 26;
const GRADIENT_EXPONENT: i8 = 28;

/// Pseudo-random numbers (Marsaglia's xorshift), reproducible and of low quality.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit
    }
}

/// A worker with one-hot rows.
struct Worker {
    columns: Vec<u8>,
    labels: Vec<bool>,
    shard: Vec<u64>,
    len: usize,
    g_i: Vec<i32>,
}

impl Worker {
    fn new(numbers: &mut Numbers) -> Self {
        let columns: Vec<u8> = (0..ROWS)
            .flat_map(|_| {
                let mut first = 0;
                ATTRIBUTES.map(|size| {
                    // Small values are frequent, as in the real data.
                    let limit = 1 + numbers.below(size);
                    let column = first + numbers.below(limit);
                    first += size;
                    column as u8
                })
            })
            .collect();
        let labels: Vec<bool> = (0..ROWS).map(|_| numbers.below(2) == 1).collect();
        let (shard, len) = shard(&columns, &labels);
        Self { columns, labels, shard, len, g_i: vec![0; DIMENSION] }
    }
}

fn shard(columns: &[u8], labels: &[bool]) -> (Vec<u64>, usize) {
    let header = Header {
        rows: ROWS as u32,
        dimension: DIMENSION as u32,
        sparse: true,
        width: Width::Unit,
        nonzeros: columns.len() as u32,
        label_width: Width::Unit,
        classes: 2,
    };
    let sections = header.sections().unwrap();
    let mut words = vec![0; sections.len.div_ceil(8)];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    bytes[..Header::LEN].copy_from_slice(&header.emit());
    bytes[sections.scale_mantissas]
        .copy_from_slice(bytemuck::cast_slice(&[1i32 << 30; DIMENSION + 1]));
    bytes[sections.scale_exponents].copy_from_slice(bytemuck::cast_slice(&[30i16; DIMENSION + 1]));
    for (row, _) in labels.iter().enumerate().filter(|(_, label)| **label) {
        bytes[sections.labels.start + row / 8] |= 1 << (row % 8);
    }
    bytes[sections.counts].copy_from_slice(bytemuck::cast_slice(&[ATTRIBUTES.len() as u16; ROWS]));
    bytes[sections.indices].copy_from_slice(columns);
    (words, sections.len)
}

fn evaluate(
    data: &[u8],
    rows: Selection,
    x: &[i32],
    gradient: &mut [i32],
    scratch: &mut [i64],
    saturated: &mut u32,
) -> i64 {
    Logistic::default().evaluate(Evaluation {
        objective: Logistic::NAME,
        x,
        x_exponent: X_EXPONENT,
        gradient,
        gradient_exponent: GRADIENT_EXPONENT,
        loss_exponent: 40,
        regulariser: Regulariser::Nonconvex,
        lambda: Ratio { mantissa: 1717986918, exponent: 34 },
        data: Data::Sent(data),
        rows,
        scratch,
        saturated,
    })
}

/// Gradients of all workers at x in fixed point; returns the sum of the losses.
fn fixed(workers: &mut [Worker], x: &[i32], scratch: &mut [i64], with_top_k: bool) -> i64 {
    let mut loss = 0;
    let (mut gradient, mut saturated) = ([0; DIMENSION], 0);
    for worker in workers {
        let data = &bytemuck::cast_slice(&worker.shard)[..worker.len];
        loss += evaluate(data, Selection::ALL, x, &mut gradient, scratch, &mut saturated);
        if with_top_k {
            top_k::difference(&mut gradient, &worker.g_i, &mut saturated);
            top_k::compress(&mut gradient, 1, 32);
        }
        black_box(&gradient);
    }
    loss
}

/// A shard of dense bytes with the shape of a twentieth of digits.
fn dense(numbers: &mut Numbers) -> (Vec<u64>, usize) {
    let (rows, dimension) = (90, 64);
    let nonzeros = rows * dimension;
    let header = Header {
        rows,
        dimension,
        sparse: false,
        width: Width::I8,
        nonzeros,
        label_width: Width::Unit,
        classes: 2,
    };
    let sections = header.sections().unwrap();
    let mut words = vec![0; sections.len.div_ceil(8)];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    bytes[..Header::LEN].copy_from_slice(&header.emit());
    bytes[sections.scale_mantissas].copy_from_slice(bytemuck::cast_slice(&[1i32 << 30; 65]));
    bytes[sections.scale_exponents].copy_from_slice(bytemuck::cast_slice(&[34i16; 65]));
    bytes[sections.labels].iter_mut().for_each(|labels| *labels = numbers.below(256) as u8);
    bytes[sections.values].iter_mut().for_each(|value| *value = numbers.below(17) as u8);
    (words, sections.len)
}

/// The evaluation in f64, over the listed columns.
fn float(workers: &[Worker], x: &[f64]) -> f64 {
    let mut loss = 0.0;
    for worker in workers {
        let mut gradient = [0.0; DIMENSION];
        for (row, &label) in worker.columns.chunks_exact(ATTRIBUTES.len()).zip(&worker.labels) {
            let y = if label { 1.0 } else { -1.0 };
            let margin: f64 = row.iter().map(|&k| x[usize::from(k)]).sum::<f64>() * y;
            let power = (-margin.abs()).exp();
            loss += power.ln_1p() + (-margin).max(0.0);
            let sigma = if margin > 0.0 { power / (1.0 + power) } else { 1.0 / (1.0 + power) };
            row.iter().for_each(|&k| gradient[usize::from(k)] -= y * sigma);
        }
        for (gradient, x) in gradient.iter_mut().zip(x) {
            let r = 1.0 / (1.0 + x * x);
            loss += 0.1 * x * x * r * ROWS as f64;
            *gradient = *gradient / ROWS as f64 + 0.2 * x * r * r;
        }
        black_box(&gradient);
    }
    loss / ROWS as f64
}

/// Measures rounds; prints the shortest and the median time and returns the median.
fn measure(name: &str, mut round: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("{name:<40} least {:>9.1?}  median {:>9.1?}", times[0], times[ROUNDS / 2]);
    times[ROUNDS / 2]
}

fn main() {
    let mut numbers = Numbers(88172645463325252);
    let mut workers: Vec<Worker> = (0..WORKERS).map(|_| Worker::new(&mut numbers)).collect();
    let x: Vec<f64> = (0..DIMENSION).map(|_| numbers.below(1000) as f64 / 1000.0 - 0.5).collect();
    let scale = f64::from(X_EXPONENT).exp2();
    let mantissas: Vec<i32> = x.iter().map(|x| (x * scale) as i32).collect();
    let mut scratch = vec![0; Logistic::scratch_len(DIMENSION)];
    println!("{WORKERS} workers, {ROWS} rows each, d = {DIMENSION}, {ROUNDS} rounds");
    let float = measure("f64, listed columns", || {
        black_box(float(&workers, black_box(&x)));
    });
    let fixed = [false, true].map(|with_top_k| {
        let name = if with_top_k { "fixed point, difference and Top1" } else { "fixed point" };
        measure(name, || {
            black_box(fixed(&mut workers, black_box(&mantissas), &mut scratch, with_top_k));
        })
    });
    println!("f64 : fixed point = {:.2}", float.as_secs_f64() / fixed[0].as_secs_f64());

    let (words, len) = dense(&mut numbers);
    let data = &bytemuck::cast_slice(&words)[..len];
    let (mut gradient, mut saturated) = ([0; 64], 0);
    let minibatch = Batch { size: 9, seed: 0 }.selection(1, 1);
    for (name, rows) in
        [("fixed point, dense bytes", Selection::ALL), ("the same, a tenth of the rows", minibatch)]
    {
        measure(name, || {
            for _ in 0..WORKERS {
                evaluate(
                    black_box(data),
                    rows,
                    &mantissas[..64],
                    &mut gradient,
                    &mut scratch,
                    &mut saturated,
                );
            }
        });
    }
}
