//! The objectives of this crate, combined into one set.

use crate::least_squares::LeastSquares;
use crate::logistic::Logistic;
use crate::perceptron::Perceptron;
use crate::softmax::Softmax;
use crate::squared_hinge::SquaredHinge;

crate::objective_set! {
    /// All objectives of this crate; the host chooses one by name.
    pub struct Objectives = [Logistic, LeastSquares, Softmax, Perceptron, SquaredHinge];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::Bound;
    use crate::curvature::CurvatureRequest;
    use crate::data::Data;
    use crate::objective::{ObjectiveInfo, ObjectiveSet};
    use crate::reference::{self, Dataset, Labels, Point, Recording, datasets, extreme};
    use proptest::prelude::*;
    use smidgen_protocol::batch::Batch;

    /// Hidden units of a perceptron.
    const HIDDEN: usize = 3;

    /// Dimension of the largest model for rows in classes: softmax regression, or a perceptron.
    fn dimension_max(rows: &Dataset) -> usize {
        let (row, classes) = (rows.dimension + 1, usize::from(rows.classes));
        (classes * row).max(HIDDEN * row + classes * (HIDDEN + 1))
    }

    fn curvature(objective: &ObjectiveInfo, data: Data, dimension: usize) -> Option<Bound> {
        let (mut vector, mut scratch) = (vec![-1; dimension], vec![-1; dimension]);
        let rows = CurvatureRequest { data, vector: &mut vector, scratch: &mut scratch };
        (objective.curvature)(rows)
    }

    fn recordings(classes: u8) -> impl Strategy<Value = (Dataset, Point)> {
        let rows = datasets(1usize..12, Labels::Classes(classes), 6).prop_map(Dataset::dense);
        extreme(rows, dimension_max)
    }

    proptest! {
        /// Every objective, for every dimension that it accepts.
        #[test]
        fn masked_rows_do_not_count(
            (rows, point) in prop_oneof![recordings(2), recordings(3)],
            masked in prop::collection::vec(any::<bool>(), 30),
            padding in 0usize..4,
            size in 0u32..20,
        ) {
            let recording = Recording::new(&rows, |row| masked[row], padding);
            let shard = recording.shard();
            let alone = rows.filtered(|row| !masked[row]);
            let (words, len) = (alone.shard(), alone.len());
            let alone = Data::Sent(&bytemuck::cast_slice(&words)[..len]);
            let selection = Batch { size, seed: 3 }.selection(1, 5);
            for objective in Objectives::ALL {
                let mut accepted = 0;
                for dimension in 1..=point.x.len() {
                    let recorded = Data::Recorded(&shard);
                    let accepts = (objective.check)(recorded, dimension);
                    prop_assert_eq!(accepts, (objective.check)(alone, dimension));
                    if !accepts {
                        continue;
                    }
                    accepted += 1;
                    let point = Point { x: point.x[..dimension].to_vec(), ..point.clone() };
                    let evaluate = |data| reference::evaluate_data(&mut Objectives, objective, data, &point, selection);
                    prop_assert_eq!(evaluate(recorded), evaluate(alone), "{}", objective.name);
                    prop_assert_eq!(curvature(objective, recorded, dimension + 1), curvature(objective, alone, dimension + 1));
                }
                let some_row = shard.header.rows > 0;
                prop_assert!(accepted > 0 || !some_row || rows.classes > 2, "{}", objective.name);
            }
        }
    }

    #[test]
    fn names_match_objectives() {
        let names: Vec<_> = Objectives::ALL.iter().map(|objective| objective.name).collect();
        assert_eq!(Objectives::NAMES, names.join(" "));
        assert!(names.iter().all(|name| Objectives::find(name).is_some()));
        assert!(Objectives::find("logist").is_none());
    }
}
