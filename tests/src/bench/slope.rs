//! A separable objective, and runs of it that take few bytes.

use smidgen_aggregator::{InitialModel, MethodSpec, Setup, Share, WorkerSpec, value};
use smidgen_firmware::bound::Bound;
use smidgen_firmware::curvature::CurvatureRequest;
use smidgen_firmware::data::Data;
use smidgen_firmware::objective::{Evaluation, Objective};
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::method::Participation;
use smidgen_protocol::vector::saturate;
use std::time::Duration;

/// A separable f_i: ∂f_i/∂x_j = slope(x_j, b_j), the data being signed bytes b; the loss is ½‖∇f_i‖².
#[derive(Clone, Copy, Debug)]
pub struct Slope(pub fn(f64, f64) -> f64);

impl Objective for Slope {
    const NAME: &'static str = "slope";

    fn scratch_len(_: usize) -> usize {
        0
    }

    fn check(data: Data<'_>, dimension: usize) -> bool {
        data.bytes().len() == dimension
    }

    fn evaluate(&mut self, at: Evaluation<'_>) -> i64 {
        let mut loss = 0.0;
        for ((gradient, &x), &b) in at.gradient.iter_mut().zip(at.x).zip(at.data.bytes()) {
            let x = value(f64::from(x), at.x_exponent);
            let slope = (self.0)(x, f64::from(b.cast_signed()));
            let mantissa = value(slope, -at.gradient_exponent).round();
            *gradient = saturate(mantissa as i64, at.saturated);
            loss += slope * slope / 2.0;
        }
        value(loss, -at.loss_exponent).round() as i64
    }

    /// That of the distance to a point.
    fn curvature(_: CurvatureRequest<'_>) -> Option<Bound> {
        Some(Bound::new(1, 0))
    }
}

/// A run of plain EF21 with the distance to a point for each worker: ∇f_i = x − b_i.
pub fn setup(dimension: u32, workers: usize) -> Setup {
    let share = |worker: u32| Share {
        data: (0..dimension).map(|j| (j * 37 + j / 7 + 11 * worker + 1) as u8).collect(),
        worker: WorkerSpec {
            scale: 1.0,
            weight: 1.0,
            loss_weight: 1.0 / workers as f64,
            k: dimension,
            participation: Participation::FULL,
        },
    };
    Setup {
        session: 0x5e55,
        objective: Slope::NAME,
        regulariser: Regulariser::Nonconvex,
        initial_model: InitialModel::Seed(0),
        lambda: 0.0,
        dimension,
        method: MethodSpec { value_bits: 16, ..MethodSpec::gradient_descent(0.9) },
        shares: (0..workers as u32).map(share).collect(),
        byte_time: Duration::ZERO,
        round_timeout: None,
        seal: None,
    }
}

/// The same with another method.
pub fn with_method(setup: Setup, change: impl FnOnce(MethodSpec) -> MethodSpec) -> Setup {
    Setup { method: change(setup.method.clone()), ..setup }
}

/// The same with K for all workers.
pub fn with_k(k: u32, mut setup: Setup) -> Setup {
    setup.shares.iter_mut().for_each(|share| share.worker.k = k);
    setup
}
