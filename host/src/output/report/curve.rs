//! Curves: progress and total cost per round, and thinning for drawing.

use super::against::Against;
use super::mark::Mark;
use crate::record::{BaselineRecord, Cost, RoundRecord, running_totals};

/// Returns the marks of a run.
pub fn of_run(rounds: &[RoundRecord]) -> Vec<Mark> {
    let mark = |(record, total): (&RoundRecord, Cost)| Mark {
        round: record.round,
        loss: record.loss,
        gradient_norm_squared: record.gradient_norm_squared,
        estimator_norm_squared: Some(record.estimator_norm_squared),
        total,
    };
    rounds.iter().zip(running_totals(rounds.iter().map(|round| round.cost))).map(mark).collect()
}

/// Returns the marks of dense gradient descent.
pub fn of_baseline(rounds: &[BaselineRecord]) -> Vec<Mark> {
    let mark = |(record, total): (&BaselineRecord, Cost)| Mark {
        round: record.round,
        loss: record.loss,
        gradient_norm_squared: record.gradient_norm_squared,
        estimator_norm_squared: record.gradient_norm_squared,
        total,
    };
    rounds.iter().zip(running_totals(rounds.iter().map(|r| r.cost))).map(mark).collect()
}

/// Quantity that a curve shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// f(x^t).
    Loss,
    /// ‖∇f(x^t)‖².
    Gradient,
    /// ‖g^t‖², if the gradient is not known.
    Estimator,
}

impl Measure {
    /// Returns the value at a mark, if it is known.
    pub fn of(self, mark: &Mark) -> Option<f64> {
        match self {
            Self::Loss => Some(mark.loss),
            Self::Gradient => mark.gradient_norm_squared,
            Self::Estimator => mark.estimator_norm_squared,
        }
    }

    /// Returns its symbol, as in the papers.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Loss => "f(x)",
            Self::Gradient => "‖∇f(x)‖²",
            Self::Estimator => "‖g‖²",
        }
    }

    /// Returns the least finite value of `marks`, if there is one.
    pub fn least(self, marks: &[Mark]) -> Option<f64> {
        let values = marks.iter().filter_map(|mark| self.of(mark));
        values.filter(|value| value.is_finite()).reduce(f64::min)
    }

    /// Returns the first mark whose value is at most `level`.
    pub fn first_at(self, marks: &[Mark], level: f64) -> Option<&Mark> {
        marks.iter().find(|mark| self.of(mark).is_some_and(|value| value <= level))
    }
}

/// Comparison of two methods at the lowest level that both reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Quantity by which they are compared.
    pub measure: Measure,
    /// The level.
    pub level: f64,
    /// First mark of the run at the level.
    pub run: Mark,
    /// First mark of dense gradient descent at the level.
    pub baseline: Mark,
}

impl Comparison {
    /// Compares by the gradient, or by the loss if the gradient is unknown or has not yet fallen below its first
    /// value, as can happen with a nonconvex objective.
    pub fn of(run: &[Mark], baseline: &[Mark]) -> Option<Self> {
        [Measure::Gradient, Measure::Loss].into_iter().find_map(|measure| {
            let level = measure.least(run)?.max(measure.least(baseline)?);
            let descended =
                |marks: &[Mark]| measure.of(marks.first()?).filter(|start| *start > level);
            descended(run).and(descended(baseline))?;
            let first_at = |marks| measure.first_at(marks, level).copied();
            Some(Self { measure, level, run: first_at(run)?, baseline: first_at(baseline)? })
        })
    }

    /// Returns the ratio of wire bytes, dense gradient descent to the run; above 1 the run needs fewer.
    pub fn bytes_factor(&self) -> f64 {
        self.baseline.total.wire_bytes() as f64 / self.run.total.wire_bytes() as f64
    }

    /// Returns the ratio of another cost, dense gradient descent to the run, if it is known.
    pub fn factor(&self, against: Against) -> Option<f64> {
        let factor = against.of(&self.baseline) / against.of(&self.run);
        factor.is_finite().then_some(factor)
    }
}

/// Thins `points`, which ascend in x, to at most `count_max`: the first, lowest, highest and last of every column of
/// the drawing. The other points of a column would be drawn on top of these.
pub fn thin(points: Vec<(f64, f64)>, count_max: usize) -> Vec<(f64, f64)> {
    if points.len() <= count_max {
        return points;
    }
    let columns = (count_max / 4) as f64;
    let (start, end) = (points[0].0, points[points.len() - 1].0);
    let column =
        |x: f64| (((x - start) / (end - start) * columns) as usize).min(columns as usize - 1);
    points.chunk_by(|a, b| column(a.0) == column(b.0)).flat_map(outline).collect()
}

/// Returns the first, lowest, highest and last of some points, without duplicates and in their order.
fn outline(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let extreme = |better: fn(f64, f64) -> bool| {
        (0..points.len())
            .fold(0, |best, n| if better(points[n].1, points[best].1) { n } else { best })
    };
    let mut keep = [0, extreme(|a, b| a < b), extreme(|a, b| a > b), points.len() - 1].to_vec();
    keep.sort_unstable();
    keep.dedup();
    keep.into_iter().map(|n| points[n]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Cost, Traffic};
    use proptest::prelude::*;

    fn record(round: u32, gradient: Option<f64>, wire_bytes: u64) -> RoundRecord {
        let uplink = Traffic { wire_bytes, ..Traffic::default() };
        let cost = Cost { uplink, ..Cost::default() };
        RoundRecord { round, gradient_norm_squared: gradient, cost, ..RoundRecord::default() }
    }

    fn dense(values: &[f64]) -> Vec<Mark> {
        let uplink = Traffic { wire_bytes: 1000, ..Traffic::default() };
        let cost = Cost { uplink, ..Cost::default() };
        let record = |(round, &value)| BaselineRecord {
            round,
            gradient_norm_squared: Some(value),
            loss: value,
            cost,
        };
        of_baseline(&(0..).zip(values).map(record).collect::<Vec<_>>())
    }

    #[test]
    fn methods_are_compared_at_the_lowest_level_that_both_reached() {
        let run = of_run(&[
            record(0, Some(8.0), 20),
            record(1, None, 20),
            record(2, Some(1.0), 20),
            record(3, Some(2.0), 20),
        ]);
        // The run gets lower: the level is the baseline's.
        let comparison = Comparison::of(&run, &dense(&[8.0, 4.0])).unwrap();
        assert_eq!(
            (comparison.level, comparison.run.round, comparison.baseline.round),
            (4.0, 2, 1)
        );
        assert_eq!(comparison.bytes_factor(), 2000.0 / 60.0);
        // The baseline gets lower: the level is the run's.
        let comparison = Comparison::of(&run, &dense(&[8.0, 0.5, 0.1])).unwrap();
        assert_eq!((comparison.level, comparison.baseline.round), (1.0, 1));
    }

    #[test]
    fn without_gradients_the_loss_is_compared() {
        let at = |round, loss| RoundRecord { loss, ..record(round, None, 5) };
        let run = of_run(&[at(0, 3.0), at(1, 2.0)]);
        let comparison = Comparison::of(&run, &dense(&[3.0, 1.0])).unwrap();
        assert_eq!((comparison.measure, comparison.level), (Measure::Loss, 2.0));
        assert_eq!(Comparison::of(&run, &[]), None);
        assert_eq!(Comparison::of(&of_run(&[at(0, f64::NAN)]), &dense(&[3.0, 1.0])), None);
    }

    #[test]
    fn methods_without_progress_are_not_compared() {
        let run = of_run(&[record(0, Some(3.0), 5), record(1, Some(4.0), 5)]);
        assert_eq!(Comparison::of(&run, &dense(&[3.0, 1.0])), None);
    }

    proptest! {
        #[test]
        fn thinning_keeps_ends_and_extremes(
            values in prop::collection::vec(-1e6..1e6f64, 1..6000), logarithmic: bool,
            count_max in 4usize..1500,
        ) {
            let place = |n: usize| if logarithmic { (n as f64 + 1.0).ln() } else { n as f64 };
            let points: Vec<_> = values.iter().enumerate().map(|(n, &y)| (place(n), y)).collect();
            let kept = thin(points.clone(), count_max);
            prop_assert!(kept.len() <= count_max.min(points.len()));
            prop_assert_eq!((kept[0], kept.last()), (points[0], points.last()));
            let range = |points: &[(f64, f64)]| {
                let ys = || points.iter().map(|p| p.1);
                (ys().reduce(f64::min), ys().reduce(f64::max))
            };
            prop_assert_eq!(range(&kept), range(&points));
            prop_assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
}
