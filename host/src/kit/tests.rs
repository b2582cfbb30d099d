use super::*;
use crate::objective::MarginTwin;
use smidgen_firmware::bound::Bound;
use smidgen_firmware::margin::{Margin, MarginLoss, Targets, one};
use smidgen_firmware::objectives::Objectives;

#[test]
fn objectives_of_smidgen_pass() {
    for &objective in Objective::BUILT_IN {
        check::<Objectives>(objective.twin())
            .unwrap_or_else(|fault| panic!("{objective:?}: {fault}"));
    }
}

/// Half of the square of the residual, times faults.
#[derive(Clone, Copy, Debug, Default)]
struct Squares<const SIGN: i64, const LOSS: u64, const CURVATURE: u64> {
    exponent: i32,
}

impl<const SIGN: i64, const LOSS: u64, const CURVATURE: u64> MarginLoss
    for Squares<SIGN, LOSS, CURVATURE>
{
    const NAME: &'static str = "squares";
    const TARGETS: Targets = Targets::Labels;

    fn new(exponent: i32) -> Self {
        Self { exponent }
    }

    fn slope_exponent(&self) -> i32 {
        self.exponent
    }

    fn slope(&self, at: Margin) -> i64 {
        SIGN * (at.margin - at.target)
    }

    fn loss_exponent(&self, dropped: i32) -> i32 {
        2 * (self.exponent - dropped) + 1
    }

    fn loss(&self, _at: Margin, rounded: i64) -> u64 {
        LOSS * rounded.unsigned_abs().pow(2)
    }

    fn curvature() -> Option<Bound> {
        (CURVATURE > 0).then(|| Bound::new(CURVATURE, -2))
    }
}

type Healthy = Squares<1, 1, 4>;

const fn half(margin: f64, target: f64) -> (f64, f64) {
    let residual = margin - target;
    (residual * residual / 2.0, residual)
}

static HALF: MarginTwin = MarginTwin::new::<Healthy>("", 1.0, half);

fn fault<L: MarginLoss>(twin: &'static MarginTwin) -> Fault {
    check::<L>(twin).expect_err("the objective is wrong")
}

#[test]
fn healthy_objective_passes() {
    check::<Healthy>(&HALF).unwrap();
}

#[test]
fn wrong_gradients_of_boards_are_found() {
    assert!(matches!(fault::<Squares<-1, 1, 4>>(&HALF), Fault::FixedGradient { .. }));
    assert!(matches!(fault::<Squares<1, 2, 4>>(&HALF), Fault::FixedLoss { .. }));
}

#[test]
fn wrong_curvatures_are_found() {
    assert!(matches!(fault::<Squares<1, 1, 1>>(&HALF), Fault::BoardCurvature { .. }));
    assert!(matches!(fault::<Squares<1, 1, 3>>(&HALF), Fault::BoardCurvature { .. }));
    assert_eq!(fault::<Squares<1, 1, 0>>(&HALF), Fault::OneCurvature);
    static FLAT: MarginTwin = MarginTwin::new::<Healthy>("", 0.9, half);
    assert!(matches!(fault::<Healthy>(&FLAT), Fault::Curvature { .. }));
}

#[test]
fn wrong_twins_are_found() {
    static SIGN: MarginTwin = MarginTwin::new::<Healthy>("", 1.0, |margin, target| {
        let (loss, slope) = half(margin, target);
        (loss, -slope)
    });
    assert!(matches!(fault::<Healthy>(&SIGN), Fault::Gradient { .. }));
    static SINE: MarginTwin = MarginTwin::new::<Healthy>("", 1.0, |margin, target| {
        (1.0 - (margin - target).cos(), (margin - target).sin())
    });
    assert_eq!(fault::<Healthy>(&SINE), Fault::Convexity);
    let unknown = check::<Healthy>(Objective::Logistic.twin());
    assert_eq!(unknown, Err(Fault::Unknown("logistic")));
}

/// Half of the square of the residual, with slopes that are multiplied by `FACTOR`, which their exponent takes back, and
/// that are declared to have this number of integer bits; 0 declares none.
#[derive(Clone, Copy, Debug, Default)]
struct Steep<const FACTOR: i64, const BITS: i32> {
    exponent: i32,
}

impl<const FACTOR: i64, const BITS: i32> MarginLoss for Steep<FACTOR, BITS> {
    const NAME: &'static str = "squares";
    const TARGETS: Targets = Targets::Labels;

    fn new(exponent: i32) -> Self {
        Self { exponent }
    }

    fn slope_bits(&self) -> Option<u32> {
        (BITS > 0).then(|| (self.slope_exponent() + BITS).clamp(1, 63) as u32)
    }

    fn slope_exponent(&self) -> i32 {
        self.exponent + FACTOR.ilog2() as i32
    }

    fn slope(&self, at: Margin) -> i64 {
        FACTOR * (at.margin - at.target)
    }

    fn loss_exponent(&self, dropped: i32) -> i32 {
        2 * (self.slope_exponent() - dropped) + 1
    }

    fn loss(&self, _at: Margin, rounded: i64) -> u64 {
        rounded.unsigned_abs().pow(2)
    }

    fn curvature() -> Option<Bound> {
        Some(Bound::new(1, 0))
    }
}

#[test]
fn slopes_larger_than_declared_are_found() {
    check::<Steep<1, 0>>(&HALF).unwrap();
    // Margins of the generated rows are below 32 where the model is small.
    assert!(matches!(fault::<Steep<1, 6>>(&HALF), Fault::FixedGradient { .. }));
}

#[test]
fn overflow_of_the_largest_margins_is_found() {
    match fault::<Steep<4, 0>>(&HALF) {
        Fault::Panic(_) | Fault::FixedGradient { .. } | Fault::FixedLoss { .. } => {}
        other => panic!("{other}"),
    }
}

/// A hinge that is smooth between margins of 0 and of the target, with a bound of this many quarters.
#[derive(Clone, Copy, Debug, Default)]
struct Hinge<const QUARTERS: u64> {
    exponent: i32,
}

impl<const QUARTERS: u64> MarginLoss for Hinge<QUARTERS> {
    const NAME: &'static str = "hinge";
    const TARGETS: Targets = Targets::Signs;

    fn new(exponent: i32) -> Self {
        Self { exponent }
    }

    fn slope_exponent(&self) -> i32 {
        self.exponent
    }

    fn slope(&self, at: Margin) -> i64 {
        let shortfall = one(self.exponent) - at.side * at.margin;
        -at.side * shortfall.clamp(0, one(self.exponent))
    }

    fn loss_exponent(&self, dropped: i32) -> i32 {
        2 * (self.exponent - dropped) + 1
    }

    fn loss(&self, _at: Margin, rounded: i64) -> u64 {
        rounded.unsigned_abs().pow(2)
    }

    fn linear_loss(&self, at: Margin) -> u64 {
        (-at.side * at.margin).max(0).unsigned_abs()
    }

    fn curvature() -> Option<Bound> {
        Some(Bound::new(QUARTERS, -2))
    }
}

static HINGE: MarginTwin = MarginTwin::new::<Hinge<4>>("", 1.0, |margin, side| {
    let shortfall = (1.0 - side * margin).clamp(0.0, 1.0);
    (shortfall * shortfall / 2.0 + (-side * margin).max(0.0), -side * shortfall)
});

#[test]
fn curvature_of_one_side_is_found() {
    check::<Hinge<4>>(&HINGE).unwrap();
    assert!(matches!(fault::<Hinge<3>>(&HINGE), Fault::BoardCurvature { .. }));
}
