//! Data of a run that boards have recorded: from the states of their recorders to what is sent in place of rows.

use super::data::Shape;
use super::error::OnBoardError;
use crate::options::{Choice, NeedsRows, Objective, Options, windowing};
use crate::problem::dataset::recordings::{board_data, common_bits};
use crate::problem::dataset::{
    Channel, Labels, Preparation, TrainedWindows, Windows, class_number, is_same_full_scale,
};
use crate::units::shown::shown;
use crate::world::client::BoardRows;
use crate::world::live::listed;
use smidgen_protocol::message::CLASSES_MAX;
use smidgen_protocol::recipe::Recipe;
use std::collections::BTreeSet;

/// Name of these data in records.
const NAME: &str = "recordings on boards";

/// A board with the state of its recorder.
#[derive(Clone, Debug)]
pub struct RecordingBoard {
    /// Its place.
    pub place: String,
    /// Its rows.
    pub rows: BoardRows,
    /// The value of sample 2^15 of each channel of its sensor, as far as the board knows it.
    pub full_scales: Vec<Option<f64>>,
}

/// The data of a run on rows of boards.
pub(super) struct OnBoard {
    pub shape: Shape,
    /// What each board is sent in place of rows.
    pub data: Vec<Vec<u8>>,
    /// Bounds on the mean squared norm of the features of each board.
    pub norms_squared: Vec<f64>,
}

impl OnBoard {
    /// Returns what the boards' rows have in common, and how each board is told. A run that continues a model has its
    /// windows, scales and classes.
    ///
    /// # Errors
    /// If they have no common recipe, not the classes of the objective, or other ones than the model.
    ///
    /// # Panics
    /// If there is no board.
    pub(super) fn of(
        boards: &[RecordingBoard],
        objective: Objective,
        trained: Option<&TrainedWindows<'_>>,
    ) -> Result<Self, OnBoardError> {
        let recipe = common_recipe(boards)?;
        let full_scales = common_full_scales(boards)?;
        let (windows, bits, classes) = match trained {
            Some(trained) => {
                check_trained(boards, &recipe, trained)?;
                (trained.windows.clone(), trained.bits.clone(), trained.classes.to_vec())
            }
            None => {
                let columns = boards.iter().map(|it| (&it.rows.columns, it.rows.training()));
                let bits = common_bits(columns, recipe.row_len());
                (windows(&recipe, full_scales), bits, classes(boards, objective)?)
            }
        };
        let data = |RecordingBoard { rows, .. }: &RecordingBoard| {
            let counts = (rows.training() as u32, rows.checksum);
            let of_board = rows.classes.iter().map(|class| &*class.name);
            board_data(&recipe, &bits, &classes, counts, of_board).expect("names of boards fit")
        };
        let data = boards.iter().map(data).collect();
        let trained = |board: &RecordingBoard| board.rows.training() as usize;
        let shape = Shape {
            name: NAME.into(),
            preparation: Preparation::of_windows(windows, &bits),
            class_names: classes,
            row_counts: boards.iter().map(trained).collect(),
        };
        let norms_squared = boards.iter().map(|it| norm_squared(&it.rows.columns, &bits)).collect();
        Ok(Self { shape, data, norms_squared })
    }
}

/// Refuses a method or objective that needs rows on the host.
pub(super) fn check(options: &Options) -> Result<(), OnBoardError> {
    if options.step.counts_features() {
        return Err(NeedsRows(format!("--step {}", options.step)).into());
    }
    if options.method.info().population.needs_constants() {
        return Err(NeedsRows(format!("--method {}", options.method.name())).into());
    }
    match options.objective.info().labels.are_classes() {
        true => Ok(()),
        false => Err(OnBoardError::Targets(options.objective.name())),
    }
}

/// Returns the recipe of all boards, each of which has rows to train on.
fn common_recipe(boards: &[RecordingBoard]) -> Result<Recipe, OnBoardError> {
    let mut common: Option<(&str, Recipe)> = None;
    for RecordingBoard { place, rows, .. } in boards {
        let recipe = rows.recipe.filter(|_| rows.training() > 0);
        let recipe = recipe.ok_or_else(|| OnBoardError::NoRows(place.clone()))?;
        let (first, ours) = *common.get_or_insert((place, recipe));
        if recipe != ours {
            return Err(OnBoardError::OtherRecipe {
                place: place.clone(),
                theirs: windowing::describe(&recipe),
                first: first.into(),
                ours: windowing::describe(&ours),
            });
        }
    }
    Ok(common.expect("a run has a board").1)
}

/// Refuses rows that a model does not know.
fn check_trained(
    boards: &[RecordingBoard],
    recipe: &Recipe,
    trained: &TrainedWindows<'_>,
) -> Result<(), OnBoardError> {
    if !trained.windows.accept(recipe) {
        return Err(OnBoardError::ModelRecipe {
            place: boards[0].place.clone(),
            theirs: windowing::describe(recipe),
            ours: windowing::describe(&trained.windows.recipe()),
        });
    }
    let ours: Option<Vec<_>> = trained.windows.channels.iter().map(|it| it.full_scale).collect();
    let theirs = common_full_scales(boards)?;
    if let (Some(ours), Some(theirs)) = (ours, theirs)
        && !are_same(&ours, &theirs)
    {
        return Err(OnBoardError::OtherFullScale {
            place: boards[0].place.clone(),
            theirs: listed(&theirs),
            first: "the model".into(),
            ours: listed(&ours),
        });
    }
    let mut used = used_classes(boards);
    match used.find(|(_, name)| class_number(trained.classes, name).is_none()) {
        Some((place, class)) => Err(OnBoardError::ModelClass {
            place: place.into(),
            class: shown(class).to_string(),
            known: trained.classes.join(", "),
        }),
        None => Ok(()),
    }
}

/// Returns the names of all classes with rows, with the places of their boards.
fn used_classes(boards: &[RecordingBoard]) -> impl Iterator<Item = (&str, &str)> {
    boards.iter().flat_map(|RecordingBoard { place, rows, .. }| {
        let used = rows.named().filter(|class| class.training > 0);
        used.map(move |class| (&place[..], &class.name[..]))
    })
}

/// Returns the names of all classes with rows, sorted.
fn classes(boards: &[RecordingBoard], objective: Objective) -> Result<Vec<String>, OnBoardError> {
    let names: BTreeSet<_> = used_classes(boards).map(|(_, name)| name.to_owned()).collect();
    let (is_legal, legal, advice) = match objective.info().labels {
        Labels::Binary => (names.len() == 2, "two", "choose --objective softmax for more"),
        Labels::Classes | Labels::Real => (
            (2..=CLASSES_MAX).contains(&names.len()),
            "2 to 16",
            "record rows of other classes, or --discard recordings",
        ),
    };
    if is_legal {
        return Ok(names.into_iter().collect());
    }
    let listed: Vec<_> = names.iter().map(|name| shown(name).to_string()).collect();
    Err(OnBoardError::Classes {
        objective: objective.name(),
        legal,
        found: names.len(),
        names: listed.join(", "),
        advice,
    })
}

/// Returns a bound on the mean squared norm of the features of a board that reports bits `found`, if columns are scaled
/// by `bits`.
fn norm_squared(found: &[u8], bits: &[u8]) -> f64 {
    let mean_square = |(&found, &bits): (&u8, &u8)| {
        // A mean square is less than twice that of its bits.
        2.0 * f64::from(2 * (i32::from(found) - i32::from(bits))).exp2()
    };
    found.iter().zip(bits).map(mean_square).sum()
}

/// Returns whether sensors have as many channels with the same full scales.
fn are_same(ours: &[f64], theirs: &[f64]) -> bool {
    let mut pairs = ours.iter().zip(theirs);
    ours.len() == theirs.len() && pairs.all(|(&ours, &theirs)| is_same_full_scale(ours, theirs))
}

/// Returns the full scales of the sensors of all boards; `None` if one does not tell that of each channel.
fn common_full_scales(boards: &[RecordingBoard]) -> Result<Option<Vec<f64>>, OnBoardError> {
    let known =
        |board: &RecordingBoard| board.full_scales.iter().copied().collect::<Option<Vec<_>>>();
    // A board without a sensor tells none.
    let known = |board: &RecordingBoard| known(board).filter(|all| !all.is_empty());
    let all: Vec<_> = boards.iter().filter_map(|board| Some((board, known(board)?))).collect();
    if let Some(pair) = all.windows(2).find(|pair| !are_same(&pair[0].1, &pair[1].1)) {
        return Err(OnBoardError::OtherFullScale {
            place: pair[1].0.place.clone(),
            theirs: listed(&pair[1].1),
            first: pair[0].0.place.clone(),
            ours: listed(&pair[0].1),
        });
    }
    let is_known = all.len() == boards.len();
    Ok(all.into_iter().next().map(|(_, full_scales)| full_scales).filter(|_| is_known))
}

/// Returns how rows of boards become features. Their channels have no names.
fn windows(recipe: &Recipe, full_scales: Option<Vec<f64>>) -> Windows {
    let full_scale = |number: u8| full_scales.as_ref()?.get(usize::from(number) - 1).copied();
    let channel =
        |number: u8| Channel { full_scale: full_scale(number), ..Channel::of_board(number) };
    Windows {
        channels: (1..=recipe.channels).map(channel).collect(),
        rate_millihertz: recipe.rate_millihertz,
        window: recipe.window,
        hop: recipe.hop,
        features: recipe.features,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::client::ClassRows;
    use smidgen_protocol::message::{MeanSquare, Outcome, Progress};
    use smidgen_protocol::recipe::Features;
    use std::slice;

    /// A board whose rows are these values of one column, of two classes.
    fn board(values: &[i16]) -> RecordingBoard {
        let mut square = MeanSquare::default();
        values.iter().for_each(|&value| square.add(value));
        let class = |(name, training): (&str, usize)| ClassRows {
            name: name.into(),
            training: training as u32,
            test: 9,
        };
        let features = Features::from_bits(1);
        let recipe = Recipe { channels: 1, window: 2, hop: 1, features, rate_millihertz: 1 };
        let rows = BoardRows {
            outcome: Outcome::Done,
            channels: 1,
            recipe: Some(recipe),
            recording: 1,
            next: 2,
            is_open: false,
            progress: Progress::default(),
            room: 0,
            discarded: 0,
            checksum: 0,
            classes: [("off", 1), ("on", values.len() - 1)].map(class).to_vec(),
            columns: vec![square.bits()],
        };
        RecordingBoard { place: "board".into(), rows, full_scales: vec![] }
    }

    fn bits(boards: &[RecordingBoard]) -> Vec<u8> {
        let found = OnBoard::of(boards, Objective::Softmax, None).unwrap();
        found.shape.preparation.bits().expect("powers of two")
    }

    #[test]
    fn columns_have_a_root_mean_square_near_one_over_all_rows() {
        let (small, large) = (board(&[100; 30]), board(&[8000, -8000]));
        assert_eq!(bits(slice::from_ref(&small)), [7]);
        assert_eq!(bits(slice::from_ref(&large)), [13]);
        // 8000 √(2/32) = 2000; the mean of both bits would be 10.
        assert_eq!(bits(&[small, large]), [11]);
    }

    #[test]
    fn norms_are_bounded_for_each_board() {
        let columns: [&[i16]; 4] = [&[1, -1], &[11_585; 3], &[11_586; 3], &[0, 900, 40]];
        let boards = columns.map(board);
        let found = OnBoard::of(&boards, Objective::Softmax, None).unwrap();
        let scale = f64::from(bits(&boards)[0]).exp2();
        for (values, bound) in columns.into_iter().zip(found.norms_squared) {
            let squares: f64 = values.iter().map(|&q| (f64::from(q) / scale).powi(2)).sum();
            let mean = squares / values.len() as f64;
            assert!((mean..=4.1 * mean).contains(&bound), "{values:?}: {mean} < {bound}");
        }
    }
}
