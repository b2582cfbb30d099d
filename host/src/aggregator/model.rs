//! The server's side of EF21: x, Σ g_i, and what of them the workers know.

use super::mirror::Mirror;
use super::scaling;
use crate::ratio::ratio;
use smidgen_protocol::frame::BODY_LEN_MAX;
use smidgen_protocol::message::{Downlink, Exponents};
use smidgen_protocol::sparse::{Encoder, Full, Packing, VALUE_BITS_MAX};
use smidgen_protocol::step::step;
use smidgen_protocol::vector::{self, Ratio};

/// x, Σ g_i and their exponents.
#[derive(Clone, Debug)]
pub struct Model {
    x: Vec<i32>,
    sum: Vec<i64>,
    /// The sum as workers hold it: of the last round.
    announced: Vec<i64>,
    exponents: Exponents,
    gamma: f64,
    gamma_n: Ratio,
    downlink: Downlink,
    saturated: u32,
}

/// A piece of a vector on its way to the workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// First coordinate.
    pub from: u32,
    /// One beyond the last.
    pub until: u32,
    /// The entries, in a described body.
    pub body: Vec<u8>,
}

impl Model {
    /// x = 0, for `worker_count` workers and step size γ.
    pub fn new(dimension: usize, worker_count: usize, gamma: f64, downlink: Downlink) -> Self {
        Self {
            x: vec![0; dimension],
            sum: vec![0; dimension],
            announced: vec![0; dimension],
            exponents: scaling::first_probe(),
            gamma,
            gamma_n: ratio(gamma / worker_count as f64),
            downlink,
            saturated: 0,
        }
    }

    /// Mantissas of x.
    pub fn x(&self) -> &[i32] {
        &self.x
    }

    /// Σ g_i as workers hold it in this round.
    pub fn announced(&self) -> &[i64] {
        &self.announced
    }

    /// The exponents in use.
    pub fn exponents(&self) -> Exponents {
        self.exponents
    }

    /// γ/n as it travels.
    pub fn gamma_n(&self) -> Ratio {
        self.gamma_n
    }

    /// Mantissas that were cut to their range.
    pub fn saturated(&self) -> u32 {
        self.saturated
    }

    /// Σ g_i, and the saturation counter, for [`Mirror::apply`].
    pub fn sum_mut(&mut self) -> (&mut [i64], &mut u32) {
        (&mut self.sum, &mut self.saturated)
    }

    /// ‖(1/n) Σ g_i‖².
    pub fn estimator_norm_squared(&self, worker_count: usize) -> f64 {
        let scale = value(1.0, self.exponents.gradient) / worker_count as f64;
        self.sum.iter().map(|&sum| (sum as f64 * scale).powi(2)).sum()
    }

    /// Sets the exponents that a probe of the workers found.
    pub fn start(&mut self, probed: Exponents, gradient_max: u32) {
        let step_max = self.gamma * value(f64::from(gradient_max), probed.gradient);
        self.exponents = Exponents { x: scaling::first_model_exponent(step_max), ..probed };
    }

    /// Moves to the exponents that the next round needs; returns whether they changed.
    pub fn rescale(&mut self, mirrors: &mut [Mirror], loss_max: u64) -> bool {
        let now = self.exponents;
        let estimator_max = mirrors.iter().map(|mirror| vector::max_magnitude(mirror.mantissas()));
        let estimator_max = u64::from(estimator_max.max().unwrap_or(0));
        let next = scaling::between_rounds(now, self.next_x_max(), estimator_max, loss_max);
        if next == now {
            return false;
        }
        vector::rescale(&mut self.x, now.x, next.x, &mut self.saturated);
        if next.gradient != now.gradient {
            vector::rescale_sum(&mut self.announced, now.gradient, next.gradient);
            self.sum.fill(0);
            for mirror in mirrors {
                mirror.rescale(now.gradient, next.gradient, &mut self.saturated);
                self.sum
                    .iter_mut()
                    .zip(mirror.mantissas())
                    .for_each(|(sum, &m)| *sum += i64::from(m));
            }
        }
        self.exponents = next;
        true
    }

    /// A bound of the magnitudes of x after the next step.
    fn next_x_max(&self) -> u64 {
        let sum_max = self.sum.iter().map(|sum| sum.unsigned_abs()).max().unwrap_or(0);
        let shift = i32::from(self.exponents.gradient) - i32::from(self.exponents.x);
        let sum_max = i64::try_from(sum_max).unwrap_or(i64::MAX);
        u64::from(vector::max_magnitude(&self.x))
            .saturating_add(self.gamma_n.scale(sum_max, shift).unsigned_abs())
    }

    /// x^{t+1} = x^t − γ g^t; returns what the workers must hear of it, at least one chunk.
    pub fn step(&mut self) -> Vec<Chunk> {
        let Exponents { x, gradient, .. } = self.exponents;
        step(&mut self.x, x, &self.sum, gradient, self.gamma_n, &mut self.saturated);
        let chunks = match self.downlink {
            Downlink::Dense => chunks(&self.x),
            Downlink::Sparse => {
                let change = |(sum, announced): (&i64, &i64)| sum - announced;
                let changes: Vec<i64> = self.sum.iter().zip(&self.announced).map(change).collect();
                chunks(&changes)
            }
        };
        self.announced.copy_from_slice(&self.sum);
        chunks
    }
}

/// What a mantissa stands for.
pub fn value(mantissa: f64, exponent: i8) -> f64 {
    mantissa * (-f64::from(exponent)).exp2()
}

/// All of a vector in chunks that fit a frame.
fn chunks<T: Copy + Into<i64>>(vector: &[T]) -> Vec<Chunk> {
    let mut chunks = vec![chunk(vector, 0)];
    while let Some(from) = chunks.last().map(|c| c.until).filter(|&c| c < vector.len() as u32) {
        chunks.push(chunk(vector, from));
    }
    chunks
}

/// As many coordinates from `from` on as fit a frame.
pub fn chunk<T: Copy + Into<i64>>(vector: &[T], from: u32) -> Chunk {
    let rest = || {
        (from..)
            .zip(&vector[from as usize..])
            .map(|(j, &value)| (j, value.into()))
            .filter(|&(_, value): &(u32, i64)| value != 0)
    };
    let common = rest().fold(0, |bits, (_, value)| bits | value).trailing_zeros().min(31);
    let largest = rest().map(|(_, value)| value.unsigned_abs() >> common).max().unwrap_or(1);
    let value_bits = (u64::BITS - (largest - 1).leading_zeros() + 1).max(2) as u8;
    assert!(value_bits <= VALUE_BITS_MAX, "sums have 47 bits and a sign");
    let (dimension, rest_len) = (vector.len() as u64, vector.len() as u64 - u64::from(from));
    let density = rest().count() as u64 * dimension / rest_len.max(1);
    let packing = Packing::new(dimension as u32, density as u32, value_bits);
    let mut body = vec![0; BODY_LEN_MAX];
    let mut encoder = Encoder::described(&mut body, packing, common as u8, from);
    let stopped = rest().find(|&(j, value)| encoder.push(j, value >> common) == Err(Full));
    let len = encoder.finish();
    body.truncate(len);
    Chunk { from, until: stopped.map_or(vector.len() as u32, |(j, _)| j), body }
}
