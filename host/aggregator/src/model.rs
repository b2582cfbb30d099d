//! The server's state: x, Σ g_i, and the workers' versions of both.
//!
//! Σ g_i is exact, an i64 per coordinate on both sides. The sparse downlink sends its changes, and every worker takes
//! the step itself; after a change of exponents the host sends the difference to the workers' rescaled sums.

use crate::chunk::{Chunk, changes, chunks};
use crate::compressor::{DownlinkBudget, compress};
use crate::mirror::Mirror;
use crate::scaling::{self, Magnitudes};
use crate::setup::InitialModel;
use serde::{Deserialize, Serialize};
use smidgen_protocol::digest::Transcript;
use smidgen_protocol::message::{Downlink, Exponents};
use smidgen_protocol::method::Budget;
use smidgen_protocol::sparse::{Decoder, Form};
use smidgen_protocol::step::{Grids, Rule, step};
use smidgen_protocol::vector::{self, Exponent, Ratio};

/// x, Σ g_i, the workers' versions of both, and their exponents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Model {
    x: Vec<i32>,
    /// The model that workers hold: x, except in EF21-P, where compressed changes make it follow x.
    w: Vec<i32>,
    /// Σ w_i g_i over all mirrors, with the weights of the method.
    sum: Vec<i64>,
    /// The sum that workers hold: that of the last round, except in EF21-BC, where compressed changes make it follow.
    announced: Vec<i64>,
    /// Form of the last change that workers received.
    form: Form,
    /// v of the heavy ball; empty without one.
    velocity: Vec<i64>,
    weights: Vec<Ratio>,
    exponents: Exponents,
    gamma: f64,
    /// The step at pace 0.
    rule: Rule,
    pace: u8,
    downlink: Downlink,
    /// Downlink sparsity budget; `None` sends every change.
    budget: Option<DownlinkBudget>,
    saturated: u32,
}

impl Model {
    /// x = 0, for step size γ.
    pub(crate) fn new(
        dimension: usize,
        weights: Vec<Ratio>,
        gamma: f64,
        rule: Rule,
        downlink: Downlink,
        budget: Option<DownlinkBudget>,
    ) -> Self {
        let velocity_len = if rule.momentum.mantissa == 0 { 0 } else { dimension };
        Self {
            x: vec![0; dimension],
            w: vec![0; dimension],
            sum: vec![0; dimension],
            announced: vec![0; dimension],
            form: Form::FIRST,
            velocity: vec![0; velocity_len],
            weights,
            exponents: scaling::first_probe(),
            gamma,
            rule,
            pace: 0,
            downlink,
            budget,
            saturated: 0,
        }
    }

    /// Sets the step size that was derived before the first round.
    pub(crate) fn set_gamma(&mut self, gamma: f64, rule: Rule) {
        (self.gamma, self.rule) = (gamma, rule);
    }

    /// γ, at pace 0.
    pub(crate) fn gamma(&self) -> f64 {
        self.gamma
    }

    /// Another model has the same dimensions, number of workers and downlink.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let shape = |model: &Self| {
            let narrow = [&model.x, &model.w].map(Vec::len);
            let wide = [&model.sum, &model.announced, &model.velocity].map(Vec::len);
            (narrow, wide, model.weights.len(), model.downlink, model.budget)
        };
        shape(self) == shape(other)
    }

    /// Mantissas of the server's x.
    pub(crate) fn x(&self) -> &[i32] {
        &self.x
    }

    /// Mantissas of the model that workers hold.
    pub(crate) fn w(&self) -> &[i32] {
        &self.w
    }

    /// Σ g_i as workers hold it in this round.
    pub(crate) fn announced(&self) -> &[i64] {
        &self.announced
    }

    /// The sum that workers hold in this round; empty if they hold none.
    pub(crate) fn held_sum(&self) -> &[i64] {
        if self.downlink.workers_step() { &self.announced } else { &[] }
    }

    /// Form of the last change that workers received.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// The velocity of the heavy ball.
    pub(crate) fn velocity(&self) -> &[i64] {
        &self.velocity
    }

    /// The exponents in use.
    pub(crate) fn exponents(&self) -> Exponents {
        self.exponents
    }

    /// γ/n at pace 0, as it travels.
    pub(crate) fn gamma_n(&self) -> Ratio {
        self.rule.gamma_n
    }

    /// Sets the pace of the steps from now on.
    pub(crate) fn set_pace(&mut self, pace: u8) {
        self.pace = pace;
    }

    /// The pace at which workers take the last step; 0 where they take none.
    pub(crate) fn announced_pace(&self) -> u8 {
        if self.downlink.workers_step() { self.pace } else { 0 }
    }

    /// Σ w_i g_i over all mirrors.
    pub(crate) fn sum(&self) -> &[i64] {
        &self.sum
    }

    /// The factor of a worker's estimator in the sum.
    pub(crate) fn weight(&self, worker: usize) -> Ratio {
        self.weights[worker]
    }

    /// Number of mantissas that were cut to their range.
    pub(crate) fn saturated(&self) -> u32 {
        self.saturated
    }

    /// Applies a worker's whole update, to an estimator of 0 if it starts `anew`; `bodies` are checked, and each has its
    /// first coordinate. `shift` is that of the worker's last entries, before and after. Returns the transcript of all
    /// entries.
    pub(crate) fn apply_update<'b>(
        &mut self,
        worker: usize,
        mirror: &mut Mirror,
        anew: bool,
        (budget, shift): (Budget, &mut u8),
        bodies: impl Iterator<Item = (u32, &'b [u8])>,
    ) -> u64 {
        let mut applied = Transcript::default();
        let (weight, before) = (self.weights[worker], *shift);
        if anew {
            mirror.clear(&mut self.sum, weight);
        }
        let held: &[i64] = if self.downlink.workers_step() { &self.announced } else { &[] };
        for (from, body) in bodies {
            let terms = budget.terms(self.sum.len() as u32, from, held, before);
            let body = Decoder::new(body, &terms).expect("the body was checked");
            // A body without entries has the shift before.
            *shift = if body.shift() == before { *shift } else { body.shift() };
            let (sum, saturated) = (&mut self.sum, &mut self.saturated);
            mirror.apply((body, held), budget.compressor, sum, weight, saturated, &mut applied);
        }
        applied.value()
    }

    /// ‖g‖² of the mean g of all mirrors.
    pub(crate) fn estimator_norm_squared(&self) -> f64 {
        let scale = value(1.0, self.exponents.gradient) / self.weights.len() as f64;
        self.sum.iter().map(|&sum| (sum as f64 * scale).powi(2)).sum()
    }

    /// The l1 norm of the model that workers hold.
    pub(crate) fn l1_norm(&self) -> f64 {
        let sum: u64 = self.w.iter().map(|w| u64::from(w.unsigned_abs())).sum();
        value(sum as f64, self.exponents.x)
    }

    /// Starts at x⁰.
    pub(crate) fn begin(&mut self, initial_model: &InitialModel) {
        self.exponents.x = initial_model.fill(&mut self.x);
        self.w.copy_from_slice(&self.x);
    }

    /// Sets the exponents that a probe of the workers found.
    pub(crate) fn start(&mut self, probed: Exponents, gradient_max: u32) {
        // The finest grid on which x⁰ and the first step both have room.
        let step_max = self.gamma * value(f64::from(gradient_max), probed.gradient);
        let x_max = value(f64::from(vector::max_magnitude(&self.x)), probed.x);
        let x = scaling::first_model_exponent(step_max.max(x_max));
        vector::rescale(&mut self.x, probed.x, x, &mut self.saturated);
        vector::rescale(&mut self.w, probed.x, x, &mut self.saturated);
        self.exponents = Exponents { x, ..probed };
    }

    /// Moves to the exponents that the next round needs; returns whether they changed.
    ///
    /// `loss_max` is the largest loss, `growth` how much larger than estimators gradients may be.
    pub(crate) fn rescale(&mut self, mirrors: &mut [Mirror], loss_max: u64, growth: u32) -> bool {
        let now = self.exponents;
        let estimator_max = mirrors.iter().map(|mirror| vector::max_magnitude(mirror.mantissas()));
        let max = Magnitudes {
            x: self.next_x_max(),
            estimator: u64::from(estimator_max.max().unwrap_or(0)) * u64::from(growth),
            // The sum is recomputed from the mirrors, but these two are moved to the new grid.
            wide: largest(&self.announced).max(largest(&self.velocity)),
            loss: loss_max,
        };
        let next = scaling::between_rounds(now, max);
        if next == now {
            return false;
        }
        vector::rescale(&mut self.x, now.x, next.x, &mut self.saturated);
        vector::rescale(&mut self.w, now.x, next.x, &mut self.saturated);
        if next.gradient != now.gradient {
            vector::rescale_sum(&mut self.announced, now.gradient, next.gradient);
            vector::rescale_sum(&mut self.velocity, now.gradient, next.gradient);
            // Rounding the sum would not give the sum of the rounded mirrors.
            self.sum.fill(0);
            for (mirror, weight) in mirrors.iter_mut().zip(&self.weights) {
                mirror.rescale(now.gradient, next.gradient, &mut self.saturated);
                mirror.add_to(&mut self.sum, *weight);
            }
        }
        self.exponents = next;
        true
    }

    /// An upper bound of the magnitudes of x after the next step.
    fn next_x_max(&self) -> u64 {
        // Whichever sum the step uses, and the velocity that the last one left.
        let direction_max =
            largest(&self.sum).max(largest(&self.announced)) + largest(&self.velocity);
        let shift = i32::from(self.exponents.gradient) - i32::from(self.exponents.x);
        let direction_max = i64::try_from(direction_max).unwrap_or(i64::MAX);
        let gamma_n = self.rule.paced(self.pace).gamma_n;
        u64::from(vector::max_magnitude(&self.x))
            .saturating_add(gamma_n.scale(direction_max, shift).unsigned_abs())
    }

    /// Takes the step from x^t to x^{t+1}; returns the chunks that workers need for it, at least one.
    pub(crate) fn step(&mut self) -> Vec<Chunk> {
        match self.downlink {
            Downlink::Dense => {
                self.follow(&self.change(None));
                self.move_x();
                self.w.copy_from_slice(&self.x);
                chunks(&self.x)
            }
            Downlink::Sparse => {
                // Workers take the step themselves, from the sum.
                let change = self.change(self.budget);
                let chunks = changes(&change, &self.announced, &mut self.form);
                self.follow(&change);
                self.move_x();
                self.w.copy_from_slice(&self.x);
                chunks
            }
            Downlink::Model => {
                self.follow(&self.change(None));
                self.move_x();
                // Workers receive the model: what x is ahead of theirs, compressed.
                let lag = |(x, w): (&i32, &i32)| i64::from(*x) - i64::from(*w);
                let lag: Vec<i64> = self.x.iter().zip(&self.w).map(lag).collect();
                let change = compress(lag, self.budget);
                for (w, change) in self.w.iter_mut().zip(&change) {
                    // What is not sent now stays in x − w and is sent later.
                    *w = vector::saturate(i64::from(*w) + change, &mut self.saturated);
                }
                changes(&change, &[], &mut self.form)
            }
        }
    }

    /// What Σ g_i is ahead of the announced sum, within the budget.
    fn change(&self, budget: Option<DownlinkBudget>) -> Vec<i64> {
        let change = |(sum, announced): (&i64, &i64)| sum - announced;
        compress(self.sum.iter().zip(&self.announced).map(change).collect(), budget)
    }

    /// Moves the announced sum.
    fn follow(&mut self, change: &[i64]) {
        self.announced.iter_mut().zip(change).for_each(|(announced, change)| *announced += change);
    }

    fn move_x(&mut self) {
        let grids = Grids { x: self.exponents.x, sum: self.exponents.gradient };
        step(
            &mut self.x,
            &self.announced,
            &mut self.velocity,
            self.rule.paced(self.pace),
            grids,
            &mut self.saturated,
        );
    }
}

/// The largest magnitude; 0 of an empty vector.
fn largest(wide: &[i64]) -> u64 {
    wide.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0)
}

/// The reals that mantissas stand for.
pub(crate) fn values(mantissas: &[i32], exponent: Exponent) -> Vec<f64> {
    mantissas.iter().map(|&m| value(f64::from(m), exponent)).collect()
}

/// The real that a mantissa stands for.
pub fn value(mantissa: f64, exponent: i8) -> f64 {
    // The precision of `exp2` differs between platforms, but a model is compared bit for bit. The exponent of this
    // power of two has 8 bits, so it is a normal number.
    let unit = f64::from_bits(((1023 - i64::from(exponent)) as u64) << 52);
    mantissa * unit
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn unit_of_every_exponent_is_an_exact_power_of_two() {
        for exponent in i8::MIN..=i8::MAX {
            let factor = if exponent < 0 { 2.0 } else { 0.5 };
            let steps = exponent.unsigned_abs().into();
            let power: f64 = std::iter::repeat_n(factor, steps).product();
            assert_eq!(value(1.0, exponent).to_bits(), power.to_bits(), "{exponent}");
        }
    }
}
