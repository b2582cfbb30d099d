//! Objectives: the trait to implement for a model, and sets of objectives that the host chooses from by name.

use crate::bound::Bound;
use crate::curvature::CurvatureRequest;
use crate::data::Data;
use smidgen_protocol::batch::Selection;
use smidgen_protocol::message::{NAME_LEN_MAX, Regulariser};
use smidgen_protocol::shard::Shard;
use smidgen_protocol::vector::{Exponent, Ratio};

/// A request for f_i and its gradient at x, in fixed point.
#[derive(Debug)]
#[must_use = "the host waits for the gradient"]
pub struct Evaluation<'a> {
    /// Name of the objective, for workers that compute several.
    pub objective: &'static str,
    /// The model x, d mantissas.
    pub x: &'a [i32],
    /// Exponent of x.
    pub x_exponent: Exponent,
    /// Output: ∇f_i(x), d mantissas. The previous content has no meaning.
    pub gradient: &'a mut [i32],
    /// Exponent of the gradient to compute.
    pub gradient_exponent: Exponent,
    /// Exponent of the loss to return.
    pub loss_exponent: Exponent,
    /// Regulariser added to the loss of the data.
    pub regulariser: Regulariser,
    /// Weight λ of the regulariser.
    pub lambda: Ratio,
    /// The worker's data; empty if an objective has data of its own.
    pub data: Data<'a>,
    /// Rows over which f_i is the mean: [all](Selection::ALL), or a minibatch.
    pub rows: Selection,
    /// Working memory of [`Objective::scratch_len`] words; its content is unspecified at the start of a call.
    pub scratch: &'a mut [i64],
    /// Counter of mantissas clamped to their range.
    pub saturated: &'a mut u32,
}

impl<'a> Evaluation<'a> {
    /// Takes the working memory, with one word per coordinate.
    pub fn take_scratch(&mut self) -> &'a mut [i64] {
        core::mem::take(&mut self.scratch).get_mut(..self.x.len()).unwrap_or_default()
    }

    /// Reborrows the request, so that the caller can read the gradient after passing it on.
    pub fn reborrow(&mut self) -> Evaluation<'_> {
        Evaluation {
            gradient: &mut *self.gradient,
            scratch: &mut *self.scratch,
            saturated: &mut *self.saturated,
            ..*self
        }
    }
}

/// A request for the classes that a model gives to rows.
pub struct Classification<'a> {
    /// Name of the objective.
    pub objective: &'static str,
    /// The rows, which passed [`Objective::check`] but for the number of rows and their labels.
    pub shard: &'a Shard<'a>,
    /// The model x, d mantissas.
    pub x: &'a [i32],
    /// Exponent of x.
    pub x_exponent: Exponent,
    /// Working memory, as for an evaluation.
    pub scratch: &'a mut [i64],
}

/// Classes that a model gave to rows that are not masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classes {
    /// Number of rows whose label is their class.
    pub right: u32,
    /// Class of the last row.
    pub class: u8,
    /// Mantissa of its score: the largest, or the margin of class 1.
    pub score: i64,
    /// Exponent of the scores.
    pub exponent: i32,
}

impl Classes {
    /// No rows, for scores of this exponent.
    pub const fn none(exponent: i32) -> Self {
        Self { right: 0, class: 0, score: 0, exponent }
    }

    /// Counts a row.
    pub fn add(&mut self, label: i32, class: u8, score: i64) {
        self.right += u32::from(label == i32::from(class));
        (self.class, self.score) = (class, score);
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
/// use smidgen_firmware::data::Data;
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
///     fn check(data: Data<'_>, dimension: usize) -> bool {
///         data.bytes().len() == dimension
///     }
///
///     fn evaluate(&mut self, request: Evaluation<'_>) -> i64 {
///         let one = i32::from(request.x_exponent);
///         let (mut squares, coordinates) = (0i64, request.x.iter().zip(request.data.bytes()));
///         for (gradient, (&x, &b)) in request.gradient.iter_mut().zip(coordinates) {
///             let difference = i64::from(x) - (i64::from(b) << one);
///             squares += difference * difference;
///             let shift = one - i32::from(request.gradient_exponent);
///             *gradient = saturate(round_shift(difference, shift), request.saturated);
///         }
///         round_shift(squares, 2 * one + 1 - i32::from(request.loss_exponent))
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
///     data: Data::Sent(&[1, 4]),
///     rows: Selection::ALL,
///     scratch: &mut [],
///     saturated: &mut saturated,
/// });
/// assert_eq!((gradient, loss, saturated), ([128, -512], 17, 0));
/// ```
pub trait Objective {
    /// Name by which the host selects the objective, without spaces.
    const NAME: &'static str;

    /// Words of scratch that [`Objective::evaluate`] needs for dimension `dimension`.
    fn scratch_len(dimension: usize) -> usize;

    /// Returns whether `data` is valid for dimension `dimension`. Called before any evaluation, with empty data if the
    /// host sends none.
    fn check(data: Data<'_>, dimension: usize) -> bool;

    /// Computes the gradient; returns the mantissa of the loss.
    fn evaluate(&mut self, request: Evaluation<'_>) -> i64;

    /// Returns an upper bound of the smoothness constant of the loss of the data, without the regulariser; `None` if
    /// none is known. The bound must not be rounded down, since a step size is derived from it.
    fn curvature(_rows: CurvatureRequest<'_>) -> Option<Bound> {
        None
    }

    /// Classifies rows; returns `None` if the objective has no classes.
    fn classify(_request: Classification<'_>) -> Option<Classes> {
        None
    }
}

/// Properties of an objective that a worker needs besides its evaluation.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ObjectiveInfo {
    /// [`Objective::NAME`]
    pub name: &'static str,
    /// [`Objective::scratch_len`]
    pub scratch_len: fn(usize) -> usize,
    /// [`Objective::check`]
    pub check: fn(Data<'_>, usize) -> bool,
    /// [`Objective::curvature`]
    pub curvature: fn(CurvatureRequest<'_>) -> Option<Bound>,
}

impl ObjectiveInfo {
    /// The properties of `O`.
    pub const fn of<O: Objective>() -> Self {
        Self {
            name: O::NAME,
            scratch_len: O::scratch_len,
            check: O::check,
            curvature: O::curvature,
        }
    }
}

/// Defines a set of objectives from their types, which the host chooses by name.
///
/// ```
/// use smidgen_firmware::logistic::Logistic;
/// use smidgen_firmware::objective::{ObjectiveSet, objective_set};
/// use smidgen_firmware::squared_hinge::SquaredHinge;
///
/// objective_set! {
///     /// The objectives of my boards.
///     pub struct Mine = [Logistic, SquaredHinge];
/// }
///
/// assert_eq!(Mine::NAMES, "logistic svm");
/// assert!(Mine::find("svm").is_some());
/// ```
#[macro_export]
macro_rules! objective_set {
    ($(#[$meta:meta])* $visibility:vis struct $set:ident = [$($objective:ty),+ $(,)?];) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default)]
        $visibility struct $set;

        impl $crate::objective::ObjectiveSet for $set {
            const NAMES: &'static str = {
                const ALL: &[$crate::objective::ObjectiveInfo] =
                    <$set as $crate::objective::ObjectiveSet>::ALL;
                const NAMES: [u8; $crate::objective::names_len(ALL)] = $crate::objective::names(ALL);
                $crate::objective::text(&NAMES)
            };
            const ALL: &'static [$crate::objective::ObjectiveInfo] =
                &[$($crate::objective::ObjectiveInfo::of::<$objective>()),+];

            // Inlined, an evaluation shares its caller's stack frame with buffers that are not in use meanwhile: on a
            // Cortex-M0 the deepest stack is 400 bytes lower.
            #[inline(always)]
            fn evaluate_named(&mut self, request: $crate::objective::Evaluation<'_>) -> i64 {
                match request.objective {
                    $(<$objective as $crate::objective::Objective>::NAME => {
                        let mut objective = <$objective as ::core::default::Default>::default();
                        $crate::objective::Objective::evaluate(&mut objective, request)
                    })+
                    _ => 0,
                }
            }

            fn classify_named(
                &mut self,
                request: $crate::objective::Classification<'_>,
            ) -> ::core::option::Option<$crate::objective::Classes> {
                match request.objective {
                    $(<$objective as $crate::objective::Objective>::NAME => {
                        <$objective as $crate::objective::Objective>::classify(request)
                    })+
                    _ => ::core::option::Option::None,
                }
            }
        }
    };
}
pub use objective_set;

/// Length of the names of objectives, separated by spaces.
#[doc(hidden)]
#[must_use]
pub const fn names_len(objectives: &[ObjectiveInfo]) -> usize {
    let (mut len, mut nth) = (0, 0);
    while nth < objectives.len() {
        len += objectives[nth].name.len() + if nth > 0 { 1 } else { 0 };
        nth += 1;
    }
    len
}

/// The names of objectives, separated by spaces.
#[doc(hidden)]
#[must_use]
pub const fn names<const LEN: usize>(objectives: &[ObjectiveInfo]) -> [u8; LEN] {
    let (mut names, mut len, mut nth) = ([b' '; LEN], 0, 0);
    while nth < objectives.len() {
        let (name, mut byte) = (objectives[nth].name.as_bytes(), 0);
        while byte < name.len() {
            (names[len], byte, len) = (name[byte], byte + 1, len + 1);
        }
        (nth, len) = (nth + 1, len + 1);
    }
    names
}

/// Names as text.
#[doc(hidden)]
#[must_use]
pub const fn text(names: &'static [u8]) -> &'static str {
    match core::str::from_utf8(names) {
        Ok(names) => names,
        Err(_) => "",
    }
}

/// Returns whether `names` consists of the names of `objectives`, in order and separated by spaces.
const fn lists_names(names: &str, objectives: &[ObjectiveInfo]) -> bool {
    let names = names.as_bytes();
    let (mut place, mut nth) = (0, 0);
    while nth < objectives.len() {
        if nth > 0 {
            if place >= names.len() || names[place] != b' ' {
                return false;
            }
            place += 1;
        }
        let name = objectives[nth].name.as_bytes();
        let mut byte = 0;
        while byte < name.len() {
            if place >= names.len() || names[place] != name[byte] {
                return false;
            }
            (place, byte) = (place + 1, byte + 1);
        }
        nth += 1;
    }
    place == names.len()
}

/// Returns whether each name can be typed as a word, and no two are equal.
const fn are_words(objectives: &[ObjectiveInfo]) -> bool {
    let mut nth = 0;
    while nth < objectives.len() {
        let name = objectives[nth].name.as_bytes();
        let mut byte = 0;
        while byte < name.len() {
            if !name[byte].is_ascii_graphic() {
                return false;
            }
            byte += 1;
        }
        let mut other = nth + 1;
        while other < objectives.len() {
            if are_equal(name, objectives[other].name.as_bytes()) {
                return false;
            }
            other += 1;
        }
        if name.is_empty() {
            return false;
        }
        nth += 1;
    }
    true
}

/// Equality, which the standard library does not offer at compile time.
const fn are_equal(one: &[u8], other: &[u8]) -> bool {
    let mut byte = 0;
    while byte < one.len() && byte < other.len() && one[byte] == other[byte] {
        byte += 1;
    }
    byte == one.len() && byte == other.len()
}

/// The objectives of a worker: a single [`Objective`], or several as in [`Objectives`](crate::objectives::Objectives).
pub trait ObjectiveSet {
    /// All names, separated by spaces, as sent in `Ready`.
    const NAMES: &'static str;
    /// Properties of the objectives, in the same order.
    const ALL: &'static [ObjectiveInfo];

    /// Evaluates the objective that the request names. Returns 0 if it is not in [`ObjectiveSet::ALL`].
    fn evaluate_named(&mut self, request: Evaluation<'_>) -> i64;

    /// Classifies rows by the objective that the request names.
    fn classify_named(&mut self, request: Classification<'_>) -> Option<Classes>;

    /// Finds an objective by name.
    fn find(name: &str) -> Option<&'static ObjectiveInfo> {
        Self::ALL.iter().find(|objective| objective.name == name)
    }
}

impl<O: Objective> ObjectiveSet for O {
    const NAMES: &'static str = O::NAME;
    const ALL: &'static [ObjectiveInfo] = &[ObjectiveInfo::of::<O>()];

    fn evaluate_named(&mut self, request: Evaluation<'_>) -> i64 {
        self.evaluate(request)
    }

    fn classify_named(&mut self, request: Classification<'_>) -> Option<Classes> {
        O::classify(request)
    }
}

/// The objectives of a worker, without their type.
#[derive(Clone, Copy, Debug)]
pub struct ObjectiveTable {
    /// [`ObjectiveSet::NAMES`]
    pub names: &'static str,
    /// [`ObjectiveSet::ALL`]
    pub all: &'static [ObjectiveInfo],
}

impl ObjectiveTable {
    /// The objectives of `R`. Names that cannot be sent or chosen do not compile:
    ///
    /// ```compile_fail,E0080
    /// # use smidgen_firmware::{bound::Bound, margin::{Margin, MarginLoss, Targets}, objective::ObjectiveTable};
    /// # #[derive(Default)]
    /// # struct Mine;
    /// # impl MarginLoss for Mine {
    /// const NAME: &'static str = "my loss";
    /// #     const TARGETS: Targets = Targets::Sides;
    /// #     fn new(_: i32) -> Self { Self }
    /// #     fn slope_exponent(&self) -> i32 { 0 }
    /// #     fn slope(&self, _: Margin) -> i64 { 0 }
    /// #     fn loss_exponent(&self, _: i32) -> i32 { 0 }
    /// #     fn loss(&self, _: Margin, _: i64) -> u64 { 0 }
    /// #     fn curvature() -> Option<Bound> { None }
    /// # }
    /// ObjectiveTable::of::<Mine>();
    /// ```
    #[must_use]
    pub const fn of<R: ObjectiveSet>() -> Self {
        const {
            assert!(lists_names(R::NAMES, R::ALL), "NAMES lists the names of ALL");
            assert!(
                are_words(R::ALL),
                "a name of an objective is a word of visible ASCII characters, used once"
            );
            assert!(
                R::NAMES.len() <= NAME_LEN_MAX,
                "the names of all objectives, with spaces between them, have at most 48 bytes"
            );
        }
        Self { names: R::NAMES, all: R::ALL }
    }

    /// Finds an objective by name.
    #[must_use]
    pub fn find(self, name: &str) -> Option<&'static ObjectiveInfo> {
        self.all.iter().find(|objective| objective.name == name)
    }
}

/// What computes for a worker: every [`ObjectiveSet`], and sets that are known only at run time.
pub trait Evaluator {
    /// Its objectives.
    fn table(&self) -> ObjectiveTable;

    /// [`ObjectiveSet::evaluate_named`]
    fn evaluate_named(&mut self, request: Evaluation<'_>) -> i64;

    /// [`ObjectiveSet::classify_named`]
    fn classify_named(&mut self, request: Classification<'_>) -> Option<Classes>;
}

impl<R: ObjectiveSet> Evaluator for R {
    fn table(&self) -> ObjectiveTable {
        ObjectiveTable::of::<R>()
    }

    #[inline(always)]
    fn evaluate_named(&mut self, request: Evaluation<'_>) -> i64 {
        ObjectiveSet::evaluate_named(self, request)
    }

    #[inline(always)]
    fn classify_named(&mut self, request: Classification<'_>) -> Option<Classes> {
        ObjectiveSet::classify_named(self, request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn named(name: &'static str) -> ObjectiveInfo {
        ObjectiveInfo { name, scratch_len: |_| 0, check: |_, _| true, curvature: |_| None }
    }

    #[test]
    fn names_are_words_used_once() {
        assert!(are_words(&[named("one"), named("least-squares"), named("ones")]));
        for names in [["", "one"], ["one", "two three"], ["one", "zwölf"], ["one", "one"]] {
            assert!(!are_words(&names.map(named)), "{names:?}");
        }
    }

    #[test]
    fn names_must_list_every_objective_once_and_in_order() {
        let both = [named("one"), named("two")];
        assert!(lists_names("one two", &both));
        for names in ["", "one", "one ", "onetwo", "two one", "one two ", "one two three"] {
            assert!(!lists_names(names, &both), "{names:?}");
        }
    }
}
