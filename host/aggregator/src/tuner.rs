//! A step size that tunes itself between rounds (`--step auto`).
//!
//! ```text
//! γ = γ_theory · 2^(pace/8),  0 ≤ pace ≤ ceiling                      one trial after the other:
//!
//! P_i += ⟨g_i, x^t − x^{t+1}⟩            when x moves: the decrease of f_i that the estimator promises
//! P += P_i, D += f_i(before) − f_i(now)  when worker i reports its loss
//! until P ≥ 6ν or D ≤ −6ν                ν is the noise: what D exceeds 2P by, at least the grid of the losses
//!
//! parabola = P / 2(P − D)                through what was promised and what was found: its lowest point is there
//! angle    = ‖g⁰‖² / (‖g⁰‖² − ⟨g⁰, g⟩)   the same from the estimator at both ends of the trial
//! pace += log₂ parabola                  if that grows
//!         0                              if it shrinks and the run is on its way
//!         log₂ max(parabola, min(angle, 2^(−stalled/64)))        if it shrinks otherwise
//!         log₂ parabola                  if it shrinks and f is too large: above twice its first value by 6ν
//!
//! on its way: ‖g⁰ − g‖ ≤ ½‖g⁰‖,  D ≥ −P/4,  ⌊log₂ ‖g‖²⌋ > its largest − 7,  f is not too large
//! ```
//!
//! On a quadratic f with exact estimators, parabola and angle are the same number, 1/γc, with c the curvature along g.
//! With compressed ones they differ: old parts of g spoil the parabola even where γ is small, and only waiting helps,
//! not a smaller γ. The angle tells the two apart, and the pace may shrink faster, the longer f has not reached a new
//! low.
//!
//! With small K, most coordinates of g are those of x⁰ for many steps, and the losses ask for a shorter step round after
//! round. The step is kept then while that of Malitsky and Mishchenko (2020, Algorithm 1) is as long, γ ≤ ‖Δx‖/2‖Δg‖,
//! unless f rises by more than a quarter of P. That is the first condition above, since Δx = −γg⁰ in a trial of one
//! round, without momentum and with a downlink that sends every change; elsewhere it is a heuristic. With small K, Δg is
//! a few coordinates of what ∇f has changed by, so the condition says too little. Close to the optimum that costs more
//! than it gains (`docs/step-auto.md`), hence the limit on ‖g‖².
//!
//! Why it is safe: a loss above twice the first by more than 6ν costs an octave, and another one for every 16 rounds
//! that it lasts. The ceiling comes down with the pace and rises by an eighth of an octave for a new low that stands out
//! from the noise. f is bounded below and ν is not less than the grid, so there are finitely many such lows and hence
//! octaves. In the end the loss stays below that limit, or γ is the theoretical step, which decreases the Lyapunov
//! function if all workers take part and values are exact.
//!
//! A tuned step costs one byte: γ/n of theory is announced once, and the pace travels with the round whose step it is
//! for, so a restored worker need not be told.
//!
//! All numbers are integers that travelled or that follow from them, so a transcript does not depend on the link.

use crate::method_spec::StepRule;
use serde::{Deserialize, Serialize};
use smidgen_protocol::step::{self, EIGHTHS};
use smidgen_protocol::vector::{self, Exponent, Ratio};

/// Steps of the pace per factor of two.
const OCTAVE: i32 = step::OCTAVE as i32;

/// Largest growth of a step of theory by a trial before one has asked for less: eightfold.
const FIRST_GROWTH_MAX: i32 = 3 * OCTAVE;
/// The same for a guess, where theory has no step, since curvature has no bound: an overshoot can lead x where units of a
/// perceptron saturate.
const GUESS_GROWTH_MAX: i32 = OCTAVE / 2;
/// The same for later trials: a quarter of an octave. With more, steps overshoot and stir up old parts of the
/// estimators, which take long to settle.
const GROWTH_MAX: i32 = 2;
/// Largest reduction of the step size by a trial: an octave and a half.
const SHRINKAGE_MAX: i32 = OCTAVE + OCTAVE / 2;
/// The same while f is too large.
const RETREAT_MAX: i32 = 3 * OCTAVE;
/// Offset from the lowest point of the parabola: the trial aims at a little less.
const BIAS: i32 = -2;
/// Rounds without a new low that let a trial shorten the step by one more eighth of an octave.
const PATIENCE: u32 = 8;
/// A run has left its way once ⌊log₂ ‖Σ g_i‖²⌋ has fallen by this.
const WAY_OCTAVES: i32 = 7;
/// On its way, f may rise by what was promised over this.
const RISE_DIVISOR: i128 = 4;
/// Least ratio of a significant change of the losses to the noise.
const SIGNAL: i128 = 6;
/// Rounds in which the noise decays by a factor of e.
const NOISE_DECAY: i128 = 32;
/// Rounds of too high a loss that cost an octave.
const OUTSIDE_ROUNDS: u32 = 16;

/// Losses are in units of 2^-48, independent of the exponents in use.
const UNIT: i32 = 48;
/// Magnitudes are cut to this, so that a sum over all workers and a product with a mantissa stay below 2^124.
const MAGNITUDE_MAX: i128 = 1 << 92;

/// Σ g_i has 47 bits; a finer exponent stretches that of before the trial. With this limit four times the square of a
/// difference, over 2^16 coordinates, stays below 2^119.
const DIRECTION_MAX: i64 = 1 << 50;

/// The last loss of a worker, and the decrease that its estimator has promised since.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Account {
    loss: Option<i128>,
    promised: i128,
}

/// The decrease promised and found since the last decision, and Σ g_i at that time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Trial {
    promised: i128,
    found: i128,
    direction: Vec<i64>,
    exponent: Exponent,
}

/// The tuner. [`Tuner::report`] and [`Tuner::judge`] look at a closed round, [`Tuner::promise`] at the step after it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tuner {
    accounts: Vec<Account>,
    trial: Trial,
    noise: i128,
    first: i128,
    lowest: i128,
    /// Rounds since the loss was at its lowest.
    stalled: u32,
    /// Rounds of too high a loss.
    outside: u32,
    /// The largest ⌊log₂ ‖Σ g_i‖²⌋ so far.
    steepest: i32,
    pace: u8,
    ceiling: u8,
    /// Largest growth by the next trial.
    growth_max: i32,
}

impl Tuner {
    /// Returns the tuner of a rule for `worker_count` workers, if it has one. It starts with the theoretical step.
    pub(crate) fn of(rule: StepRule, worker_count: usize) -> Option<Self> {
        match rule {
            StepRule::Constant => None,
            StepRule::Tuned => Some(Self::new(worker_count, FIRST_GROWTH_MAX)),
            StepRule::TunedFromGuess => Some(Self::new(worker_count, GUESS_GROWTH_MAX)),
        }
    }

    fn new(worker_count: usize, growth_max: i32) -> Self {
        Self {
            accounts: vec![Account::default(); worker_count],
            trial: Trial::default(),
            noise: 0,
            first: i128::MAX,
            lowest: i128::MAX,
            stalled: 0,
            outside: 0,
            steepest: i32::MIN,
            pace: 0,
            ceiling: u8::MAX,
            growth_max,
        }
    }

    /// Number of workers.
    pub(crate) fn worker_count(&self) -> usize {
        self.accounts.len()
    }

    /// Notes the decrease that a worker's estimator, times `weight`, promises as x moves from `before` to `after`.
    pub(crate) fn promise(
        &mut self,
        worker: usize,
        (g_i, gradient_exponent, weight): (&[i32], Exponent, Ratio),
        (before, after, x_exponent): (&[i32], &[i32], Exponent),
    ) {
        // A sum over d products of 32-bit mantissas fits an i128 by far.
        let moved = before.iter().zip(after).map(|(b, a)| i128::from(*b) - i128::from(*a));
        let product: i128 = g_i.iter().zip(moved).map(|(&g, moved)| i128::from(g) * moved).sum();
        let exponent = i32::from(gradient_exponent) + i32::from(x_exponent);
        let promised = &mut self.accounts[worker].promised;
        *promised = cut(*promised + weighted(units(product, exponent), weight));
    }

    /// Takes the losses of a round, each with its weight; `None` for a worker that took no part in it.
    pub(crate) fn report(
        &mut self,
        losses: impl Iterator<Item = Option<(i32, Ratio)>>,
        exponent: Exponent,
    ) {
        let (mut promised, mut found) = (0, 0);
        for (account, said) in self.accounts.iter_mut().zip(losses) {
            let Some((loss, weight)) = said else { continue };
            let loss = weighted(units(loss.into(), exponent.into()), weight);
            // The first loss of a worker has nothing to be compared with.
            if let Some(before) = account.loss.replace(loss) {
                found += before - loss;
                promised += account.promised;
            }
            account.promised = 0;
        }
        // Differences below the rounding of all losses are noise.
        let grid = units(self.accounts.len() as i128, i32::from(exponent) + 2).max(1);
        let (promised, found) = (cut(promised), cut(found));
        // A convex f does not decrease by more than its tangent promises; far beyond that, a decrease is noise.
        let excess = found - 2 * promised;
        self.noise = cut((self.noise - self.noise / NOISE_DECAY).max(excess).max(grid));
        self.trial.promised = cut(self.trial.promised + promised);
        self.trial.found = cut(self.trial.found + found);
        self.compare(self.accounts.iter().filter_map(|account| account.loss).sum());
    }

    /// Compares the loss of a round with the lowest and with the first.
    fn compare(&mut self, loss: i128) {
        if self.first == i128::MAX {
            (self.first, self.lowest) = (loss, loss);
        }
        let outside = loss > self.first + self.first.abs() + SIGNAL * self.noise;
        // At once, and again as long as it lasts.
        if outside && self.outside.is_multiple_of(OUTSIDE_ROUNDS) {
            self.pace = self.pace.saturating_sub(OCTAVE as u8);
            self.ceiling = self.pace;
        } else if !outside && loss < self.lowest - self.noise {
            self.ceiling = self.ceiling.saturating_add(1);
        }
        self.outside = if outside { self.outside + 1 } else { 0 };
        self.stalled = if loss > self.lowest + self.noise { self.stalled + 1 } else { 0 };
        self.lowest = self.lowest.min(loss);
    }

    /// Ends the trial if it is decided, and returns the pace of the next step; `sum` is Σ g_i.
    pub(crate) fn judge(&mut self, sum: &[i64], exponent: Exponent) -> u8 {
        let Trial { promised, found, .. } = self.trial;
        let threshold = SIGNAL * self.noise;
        let decided = promised >= threshold || found <= -threshold;
        let steepness = steepness(sum, exponent);
        self.steepest = self.steepest.max(steepness);
        if decided {
            self.trial.align(exponent);
            let change = self.change(sum);
            // The larger first growth is for a step that has never been too long.
            self.growth_max = if change < 0 { GROWTH_MAX } else { self.growth_max };
            if change > 0 || !self.is_on_its_way(sum, steepness) {
                let pace = i32::from(self.pace) + change;
                self.pace = pace.clamp(0, self.ceiling.into()) as u8;
            }
        }
        if decided || self.trial.direction.is_empty() {
            self.trial = Trial { promised: 0, found: 0, direction: sum.to_vec(), exponent };
        }
        self.pace
    }

    /// The change of the pace after a trial, unless the step is kept because the run is on its way.
    fn change(&self, sum: &[i64]) -> i32 {
        let Trial { promised, found, .. } = self.trial;
        let parabola = BIAS + eighths(promised, 2 * (promised - found));
        if parabola >= 0 {
            return parabola.min(self.growth_max);
        }
        // If f is too large, shrink at once.
        if self.outside > 0 {
            return parabola.max(-RETREAT_MAX);
        }
        // Old parts of the estimators fade by themselves, so the step shrinks slowly at first.
        let softest = -(self.stalled.div_ceil(PATIENCE).min(u8::MAX.into()) as i32);
        parabola.max(self.trial.angle(sum).min(softest)).max(-SHRINKAGE_MAX)
    }

    /// Returns whether the step is kept although the trial asks for a shorter one.
    fn is_on_its_way(&self, sum: &[i64], steepness: i32) -> bool {
        let Trial { promised, found, .. } = self.trial;
        self.outside == 0
            && steepness > self.steepest - WAY_OCTAVES
            && RISE_DIVISOR * found >= -promised
            && self.trial.is_steady(sum)
    }
}

impl Trial {
    /// Brings Σ g_i of before the trial to the grid of now, which may be another one.
    fn align(&mut self, exponent: Exponent) {
        vector::rescale_sum(&mut self.direction, self.exponent, exponent);
        self.direction.iter_mut().for_each(|g| *g = (*g).clamp(-DIRECTION_MAX, DIRECTION_MAX));
        self.exponent = exponent;
    }

    /// The angle of before and after, in eighths of an octave.
    fn angle(&self, sum: &[i64]) -> i32 {
        let square = norm_squared(self.direction.iter().copied());
        let along: i128 =
            self.direction.iter().zip(sum).map(|(&g, &now)| i128::from(g) * i128::from(now)).sum();
        eighths(square, square - along)
    }

    /// Returns whether Σ g_i has changed by at most half its length.
    fn is_steady(&self, sum: &[i64]) -> bool {
        let change = norm_squared(self.direction.iter().zip(sum).map(|(g, now)| g - now));
        4 * change <= norm_squared(self.direction.iter().copied())
    }
}

fn norm_squared(g: impl Iterator<Item = i64>) -> i128 {
    g.map(|g| i128::from(g) * i128::from(g)).sum()
}

/// ⌊log₂ ‖Σ g_i‖²⌋, with ‖Σ g_i‖ of at least one unit.
fn steepness(sum: &[i64], exponent: Exponent) -> i32 {
    norm_squared(sum.iter().copied()).max(1).ilog2() as i32 - 2 * i32::from(exponent)
}

/// The largest whole e with 2^(e/8) ≤ a/b; a huge one if b is not positive, a hugely negative one if a is not.
fn eighths(a: i128, b: i128) -> i32 {
    const BOUND: i32 = 1 << 12;
    if a <= 0 || b <= 0 {
        return if a <= 0 { -BOUND } else { BOUND };
    }
    // Both have 64 bits at most; the quotient has 32 fractional bits.
    let excess = (i128::BITS - a.max(b).leading_zeros()).saturating_sub(64);
    let quotient = ((a as u128 >> excess) << 32) / (b as u128 >> excess).max(1);
    if quotient == 0 {
        return -BOUND;
    }
    let magnitude = quotient.ilog2();
    let mantissa = (quotient << (127 - magnitude)) >> 97;
    let eighth = EIGHTHS.iter().rposition(|&bound| u128::from(bound) <= mantissa).unwrap_or(0);
    (magnitude as i32 - 32) * OCTAVE + eighth as i32
}

/// `value · 2^(−exponent)` in units of 2^-48.
fn units(value: i128, exponent: i32) -> i128 {
    let shift = UNIT - exponent;
    let distance = shift.unsigned_abs().min(i128::BITS - 1);
    if shift <= 0 {
        cut(value >> distance)
    } else if value.unsigned_abs().leading_zeros() > distance {
        cut(value << distance)
    } else {
        MAGNITUDE_MAX * value.signum()
    }
}

/// `value · weight`, for a value within [`MAGNITUDE_MAX`].
fn weighted(value: i128, weight: Ratio) -> i128 {
    let exponent = i32::from(weight.exponent).clamp(0, 127);
    cut((value * i128::from(weight.mantissa)) >> exponent)
}

fn cut(value: i128) -> i128 {
    value.clamp(-MAGNITUDE_MAX, MAGNITUDE_MAX)
}

#[cfg(test)]
mod tests;
