//! Data of a run that boards have recorded: from the states of their recorders to what is sent in place of rows.

use super::data::Shape;
use super::error::OnBoardError;
use crate::options::{Choice, Objective, Options, windowing};
use crate::problem::dataset::{
    Channel, Labels, Preparation, Scaling, TrainedWindows, Windows, class_number,
};
use crate::units::shown::shown;
use crate::world::client::BoardRows;
use smidgen_protocol::message::CLASSES_MAX;
use smidgen_protocol::recipe::Recipe;
use smidgen_protocol::recorded::{NAMES_LEN_MAX, RecordedRows, emit_name};
use std::collections::BTreeSet;
use std::path::Path;

/// Name of these data in records.
const NAME: &str = "rows on boards";
/// Exponent of a scale of 1, whose mantissa is 2^30.
const UNIT_EXPONENT: i16 = 30;

/// A board with the state of its recorder.
#[derive(Clone, Debug)]
pub struct RecordingBoard {
    /// Its place.
    pub place: String,
    /// Its rows.
    pub rows: BoardRows,
}

/// The data of a run on rows of boards.
pub(super) struct OnBoard {
    pub shape: Shape,
    /// What each board is sent in place of rows.
    pub data: Vec<Vec<u8>>,
    /// Bound on the squared norm of the features of a row.
    pub norm_squared: f64,
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
        let found = common_bits(boards, &recipe);
        let (windows, bits, classes) = match trained {
            Some(trained) => {
                check_trained(boards, &recipe, trained)?;
                (trained.windows.clone(), trained.bits.clone(), trained.classes.to_vec())
            }
            None => (windows(&recipe), found.clone(), classes(boards, objective)?),
        };
        let data = boards.iter().map(|board| data(&board.rows, &recipe, &classes, &bits)).collect();
        let trained = |board: &RecordingBoard| board.rows.training() as usize;
        let shape = Shape {
            name: NAME.into(),
            preparation: preparation(windows, &bits),
            class_names: classes,
            row_counts: boards.iter().map(trained).collect(),
        };
        let largest = |(found, bits): (u8, u8)| f64::from(found.saturating_sub(bits)).exp2();
        let norm_squared = found.into_iter().zip(bits).map(largest).map(|a| a * a).sum();
        Ok(Self { shape, data, norm_squared })
    }
}

/// Refuses options that need rows on the host.
pub(super) fn check(options: &Options) -> Result<(), OnBoardError> {
    let needs_rows = [
        ("--recordings", options.recordings.is_some()),
        ("--window, --hop, --features or --rate", !options.windowing.is_default()),
        ("--dataset", options.dataset != Path::new(crate::options::DATASET)),
        ("--label", options.label.is_some()),
        ("--shuffle", options.shuffle.is_some()),
        ("--rows", options.rows.is_some()),
        ("--test-rows", options.test_rows.is_some()),
        ("--workers", options.workers.is_some()),
        ("--split", !options.split.is_default()),
        ("--standardise", options.standardise),
        ("--intercept", options.intercept),
        ("--check-theory", options.check_theory),
    ];
    if let Some((option, _)) = needs_rows.into_iter().find(|(_, is_given)| *is_given) {
        return Err(OnBoardError::NeedsRows(option.into()));
    }
    if options.step.counts_features() {
        return Err(OnBoardError::NeedsRows(format!("--step {}", options.step)));
    }
    if options.method.info().population.needs_constants() {
        return Err(OnBoardError::NeedsRows(format!("--method {}", options.method.name())));
    }
    match options.objective.info().labels.are_classes() {
        true => Ok(()),
        false => Err(OnBoardError::Targets(options.objective.name())),
    }
}

/// Returns the recipe of all boards, each of which has rows to train on.
fn common_recipe(boards: &[RecordingBoard]) -> Result<Recipe, OnBoardError> {
    let mut common: Option<(&str, Recipe)> = None;
    for RecordingBoard { place, rows } in boards {
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
    boards.iter().flat_map(|RecordingBoard { place, rows }| {
        let used = rows.classes.iter().filter(|it| it.training > 0 && !it.name.is_empty());
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

/// Returns the bits of every column over all boards.
fn common_bits(boards: &[RecordingBoard], recipe: &Recipe) -> Vec<u8> {
    let of =
        |column| boards.iter().filter_map(move |board| board.rows.columns.get(column).copied());
    (0..recipe.row_len()).map(|column| of(column).max().unwrap_or(0)).collect()
}

/// Returns what a board is sent in place of rows.
fn data(rows: &BoardRows, recipe: &Recipe, classes: &[String], bits: &[u8]) -> Vec<u8> {
    let mut class_map = [-1; CLASSES_MAX];
    let mut row_count = 0;
    for (place, class) in class_map.iter_mut().zip(&rows.classes) {
        if let Some(number) = class_number(classes, &class.name) {
            *place = number as i8;
            row_count += class.training;
        }
    }
    let exponents: Vec<_> =
        bits.iter().chain([&0]).map(|&bits| UNIT_EXPONENT + i16::from(bits)).collect();
    let (mut names, mut len) = ([0; NAMES_LEN_MAX], 0);
    for class in classes {
        len += emit_name(class, &mut names[len..]).expect("names of boards fit");
    }
    let recorded = RecordedRows {
        rows: row_count,
        classes: classes.len() as u8,
        checksum: rows.checksum,
        recipe: *recipe,
        scale_mantissas: &vec![1 << UNIT_EXPONENT; exponents.len()],
        scale_exponents: &exponents,
        class_map: &class_map,
        names: &names[..len],
    };
    let mut data = vec![0; recorded.byte_len().expect("a short row")];
    recorded.write(&mut data).expect("lists as long as the recipe says");
    data
}

/// Returns the recipe as that of channels without names and units.
fn windows(recipe: &Recipe) -> Windows {
    let channel = |number: u8| Channel { name: format!("channel{}", number + 1), full_scale: None };
    Windows {
        channels: (0..recipe.channels).map(channel).collect(),
        rate_millihertz: recipe.rate_millihertz,
        window: recipe.window,
        hop: recipe.hop,
        features: recipe.features,
    }
}

/// Returns what turns values of rows into features: scales of powers of two.
fn preparation(windows: Windows, bits: &[u8]) -> Preparation {
    let scaling =
        bits.iter().map(|&bits| Scaling { centre: 0.0, scale: f64::from(bits).exp2() }).collect();
    Preparation {
        column_count: bits.len(),
        names: windows.column_names(),
        scaling,
        windows: Some(windows),
        ..Preparation::default()
    }
}
