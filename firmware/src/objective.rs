//! The seam for a user's own objective: one trait. Beside it, what lets a worker choose between several.

use crate::bound::Bound;
use crate::curvature::CurvatureRequest;
use smidgen_protocol::batch::Selection;
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::vector::{Exponent, Ratio};

/// A request for f_i and its gradient at x, all in fixed point.
#[derive(Debug)]
#[must_use = "the host waits for the gradient"]
pub struct Evaluation<'a> {
    /// Name of the objective, for a worker that computes several.
    pub objective: &'static str,
    /// The model x, d mantissas.
    pub x: &'a [i32],
    /// Exponent of x.
    pub x_exponent: Exponent,
    /// To be filled with ∇f_i(x), d mantissas; what it holds before is of no meaning.
    pub gradient: &'a mut [i32],
    /// Exponent that the gradient shall have.
    pub gradient_exponent: Exponent,
    /// Exponent that the loss shall have.
    pub loss_exponent: Exponent,
    /// What is added to the loss of the data.
    pub regulariser: Regulariser,
    /// Its weight λ.
    pub lambda: Ratio,
    /// The worker's data as the host sent them (a [shard](smidgen_protocol::shard)), starting at a multiple of
    /// eight; empty where data live in flash or come from sensors.
    pub data: &'a [u8],
    /// Which rows of the data f_i is the mean of; [all](Selection::ALL) but for minibatches.
    pub rows: Selection,
    /// Working memory of [`Objective::scratch_len`] words; its content is kept from call to call, no more.
    pub scratch: &'a mut [i64],
    /// To be increased for every mantissa that was cut to its range.
    pub saturated: &'a mut u32,
}

impl<'a> Evaluation<'a> {
    /// Takes the working memory out: one word a coordinate.
    pub(crate) fn take_scratch(&mut self) -> &'a mut [i64] {
        core::mem::take(&mut self.scratch).get_mut(..self.x.len()).unwrap_or_default()
    }

    /// The same request for a shorter time: whoever makes it can look at the gradient afterwards.
    pub fn reborrow(&mut self) -> Evaluation<'_> {
        Evaluation {
            gradient: &mut *self.gradient,
            scratch: &mut *self.scratch,
            saturated: &mut *self.saturated,
            ..*self
        }
    }
}

/// A function f_i whose gradient a worker can compute.
///
/// Implement it for a model of your own and pass it to [`run`](crate::run::run). The result must depend on the
/// arguments alone and be computed with integers, so that every machine computes the same bits.
///
/// Least squares to a vector b, which are the bytes of the data: f_i(x) = ½‖x − b‖².
///
/// ```
/// use smidgen_firmware::objective::{Evaluation, Objective};
/// use smidgen_protocol::batch::Selection;
/// use smidgen_protocol::message::Regulariser;
/// use smidgen_protocol::vector::{Ratio, round_shift, saturate};
///
/// struct Distance;
///
/// impl Objective for Distance {
///     const NAME: &'static str = "distance";
///
///     fn scratch_len(_dimension: usize) -> usize {
///         0
///     }
///
///     fn check(data: &[u8], dimension: usize) -> bool {
///         data.len() == dimension
///     }
///
///     fn evaluate(&mut self, at: Evaluation<'_>) -> i64 {
///         let one = i32::from(at.x_exponent);
///         let (mut squares, coordinates) = (0i64, at.x.iter().zip(at.data));
///         for (gradient, (&x, &b)) in at.gradient.iter_mut().zip(coordinates) {
///             let difference = i64::from(x) - (i64::from(b) << one);
///             squares += difference * difference;
///             let shift = one - i32::from(at.gradient_exponent);
///             *gradient = saturate(round_shift(difference, shift), at.saturated);
///         }
///         round_shift(squares, 2 * one + 1 - i32::from(at.loss_exponent))
///     }
/// }
///
/// // f(x) at x = (1.5, 2) for b = (1, 4): the gradient is (0.5, −2), the loss 2.125.
/// let (mut gradient, mut saturated) = ([0; 2], 0);
/// let loss = Distance.evaluate(Evaluation {
///     objective: Distance::NAME,
///     x: &[24, 32],
///     x_exponent: 4,
///     gradient: &mut gradient,
///     gradient_exponent: 8,
///     loss_exponent: 3,
///     regulariser: Regulariser::L2,
///     lambda: Ratio::default(),
///     data: &[1, 4],
///     rows: Selection::ALL,
///     scratch: &mut [],
///     saturated: &mut saturated,
/// });
/// assert_eq!((gradient, loss, saturated), ([128, -512], 17, 0));
/// ```
pub trait Objective {
    /// Its name, without spaces; the host asks for it by that.
    const NAME: &'static str;

    /// Words of scratch that [`Objective::evaluate`] needs for d = `dimension`.
    fn scratch_len(dimension: usize) -> usize;

    /// Whether `data`, as received, can be used with d = `dimension`; empty where the host sends none. Called
    /// before any evaluation.
    fn check(data: &[u8], dimension: usize) -> bool;

    /// Fills in the gradient; returns the mantissa of the loss.
    fn evaluate(&mut self, at: Evaluation<'_>) -> i64;

    /// An upper bound of the smoothness constant of the loss of the data, without the regulariser; none where theory knows
    /// no such number. It never rounds down: a step size that follows from it is safe.
    fn curvature(_rows: CurvatureRequest<'_>) -> Option<Bound> {
        None
    }
}

/// What a worker must know of an objective without evaluating it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ObjectiveInfo {
    /// [`Objective::NAME`]
    pub name: &'static str,
    /// [`Objective::scratch_len`]
    pub scratch_len: fn(usize) -> usize,
    /// [`Objective::check`]
    pub check: fn(&[u8], usize) -> bool,
    /// [`Objective::curvature`]
    pub curvature: fn(CurvatureRequest<'_>) -> Option<Bound>,
}

impl ObjectiveInfo {
    /// Those of `O`.
    pub const fn of<O: Objective>() -> Self {
        Self {
            name: O::NAME,
            scratch_len: O::scratch_len,
            check: O::check,
            curvature: O::curvature,
        }
    }
}

/// What a worker can compute: any one [`Objective`], or a choice such as [`Objectives`](crate::objectives::Objectives).
pub trait ObjectiveSet {
    /// All names, with a space between two: what a worker says of itself.
    const NAMES: &'static str;
    /// The objectives, in the same order.
    const ALL: &'static [ObjectiveInfo];

    /// Evaluates the objective that the request names, one of [`ObjectiveSet::ALL`]; another one is 0 everywhere.
    fn evaluate_named(&mut self, at: Evaluation<'_>) -> i64;

    /// The objective of this name.
    fn find(name: &str) -> Option<&'static ObjectiveInfo> {
        Self::ALL.iter().find(|objective| objective.name == name)
    }
}

impl<O: Objective> ObjectiveSet for O {
    const NAMES: &'static str = O::NAME;
    const ALL: &'static [ObjectiveInfo] = &[ObjectiveInfo::of::<O>()];

    fn evaluate_named(&mut self, at: Evaluation<'_>) -> i64 {
        self.evaluate(at)
    }
}
