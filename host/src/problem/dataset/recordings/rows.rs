//! Rows of recordings, as boards record them.

use super::error::RecordingsError;
use super::samples::{Recording, Recordings, WorkerRecordings};
use crate::options::{Choice, Objective};
use crate::problem::dataset::data::Dataset;
use crate::problem::dataset::labels::{Labels, class_number};
use crate::problem::dataset::owners::Owners;
use crate::problem::dataset::preparation::Preparation;
use crate::problem::dataset::quantise::Held;
use crate::problem::dataset::table::Table;
use crate::problem::dataset::texts::Texts;
use crate::problem::dataset::windows::TrainedWindows;
use smidgen_aggregator::ratio::real;
use smidgen_firmware::bias_scale;
use smidgen_firmware::recorder::Recorder;
use smidgen_firmware::recorder::store::{RamFlash, Store};
use smidgen_protocol::message::{CLASSES_MAX, MeanSquare};
use smidgen_protocol::recipe::Recipe;
use smidgen_protocol::recorded::{NAMES_LEN_MAX, RecordedRows, RowsChecksum, emit_name};
use smidgen_protocol::shard::Width;

/// Bytes of a store besides rows and their entries, at most: its header, classes, and room for discards.
const STORE_OVERHEAD: usize = 1024;

/// The rows of a run on recordings.
#[derive(Clone, Debug)]
pub struct RowsOnBoards {
    /// Rows to train on, exactly as on the boards.
    pub dataset: Dataset,
    /// Held-out rows.
    pub test: Option<Dataset>,
    /// The rows of each worker.
    pub shares: Vec<Vec<usize>>,
    /// What the board of each worker is sent in place of rows.
    pub data: Vec<Vec<u8>>,
    /// Bits of each column: feature a is the integer a · 2^bits of the board.
    pub bits: Vec<u8>,
}

/// Rows of a worker, as its board stores them.
struct Stored {
    /// In the order of their numbers on the board.
    classes: Vec<String>,
    rows: Vec<Row>,
    checksum: u32,
}

struct Row {
    values: Vec<i16>,
    class: u8,
    is_test: bool,
}

impl Stored {
    /// Returns the bits of each column over the rows to train on, and their number, as a board reports them.
    fn columns(&self) -> (Vec<u8>, u64) {
        let (mut squares, mut rows) = (vec![], 0);
        for row in self.rows.iter().filter(|row| !row.is_test) {
            squares.resize(row.values.len(), MeanSquare::default());
            squares.iter_mut().zip(&row.values).for_each(|(square, &value)| square.add(value));
            rows += 1;
        }
        (squares.into_iter().map(MeanSquare::bits).collect(), rows)
    }
}

impl WorkerRecordings {
    /// Returns the number of rows that a recipe makes of them.
    pub fn row_count(&self, recipe: &Recipe) -> usize {
        let rows = |recording: &Recording| {
            recipe.rows((recording.samples.len() / usize::from(recipe.channels)) as u32)
        };
        self.recordings.iter().map(|recording| rows(recording) as usize).sum()
    }

    /// Returns the memory of a board with room for all rows, in words, as [`RamFlash`] takes it.
    pub fn store(&self, recipe: &Recipe) -> Vec<u64> {
        let row_len = 2 * recipe.row_len() + 8;
        vec![u64::MAX; (self.row_count(recipe) * row_len + STORE_OVERHEAD).div_ceil(8)]
    }

    /// Records them as a board does.
    fn record(&self, recipe: &Recipe) -> Stored {
        let (mut memory, mut window) = (self.store(recipe), vec![0; recipe.window_len()]);
        let store = Store::open(RamFlash::new(&mut memory)).expect("whole words");
        let mut recorder = Recorder::new(store, &mut window);
        let checked = "recordings were checked, and the store has room for all rows";
        for Recording { class, is_test, samples } in &self.recordings {
            recorder.begin(recipe, class, *is_test).expect(checked);
            for sample in samples.chunks(recipe.channels.into()) {
                recorder.sample(sample).expect(checked);
            }
            recorder.end();
        }
        let store = recorder.store();
        let (mut rows, mut checksum) = (vec![], RowsChecksum::default());
        for row in store.rows() {
            let values = store.values_of(&row).to_vec();
            checksum.add(&values, row.class, row.is_test);
            rows.push(Row { values, class: row.class, is_test: row.is_test });
        }
        rows.reverse();
        let classes = store.classes().map(|(_, name)| name.to_owned()).collect();
        Stored { classes, rows, checksum: checksum.value() }
    }
}

impl Recordings {
    /// Returns the rows that boards record, for an objective. Those of a run that continues a model have its classes
    /// and the scales of its columns.
    ///
    /// # Errors
    /// If they have no classes for it, or others than the model.
    pub fn rows(
        &self,
        objective: Objective,
        trained: Option<&TrainedWindows<'_>>,
    ) -> Result<RowsOnBoards, RecordingsError> {
        let labels = objective.info().labels;
        match labels {
            Labels::Binary | Labels::Classes => {}
            Labels::Real => {
                return Err(RecordingsError::Targets(self.name.clone(), objective.name()));
            }
        }
        if trained.is_none() && self.classes().len() < 2 {
            return Err(RecordingsError::OneClass(self.name.clone()));
        }
        let recipe = self.windows.recipe();
        let stored: Vec<_> = self.workers.iter().map(|worker| worker.record(&recipe)).collect();
        let bits = match trained {
            Some(trained) => trained.bits.clone(),
            None => common_bits(stored.iter().map(Stored::columns), recipe.row_len()),
        };
        let (table, places) = rows_of(&stored, &bits, false);
        let labelling = match trained {
            Some(trained) => labels.read_as(&self.name, trained.classes, &table.labels)?,
            None => labels.read(&self.name, None, &table.labels)?,
        };
        let mut dataset = Dataset::labelled(&self.name, table, labelling);
        dataset.preparation = Preparation {
            label: self.label.clone(),
            ..Preparation::of_windows(self.windows.clone(), &bits)
        };
        let (table, test_places) = rows_of(&stored, &bits, true);
        let mut test = None;
        if !test_places.is_empty() {
            let labelling = labels.read_as(&self.name, dataset.class_names(), &table.labels)?;
            let rows = Dataset::labelled(&self.name, table, labelling);
            test = Some(Dataset { preparation: dataset.preparation.clone(), ..rows });
        }
        let names = self.workers.iter().map(|worker| worker.worker.clone()).collect();
        let mut shares = vec![vec![]; self.workers.len()];
        (0..).zip(&places).for_each(|(row, &worker)| shares[worker as usize].push(row));
        dataset.owners = Some(Owners { names, places });
        let data = |stored: &Stored| {
            let rows = stored.rows.iter().filter(|row| !row.is_test).count() as u32;
            let of_board = stored.classes.iter().map(|name| &**name);
            board_data(&recipe, &bits, dataset.class_names(), (rows, stored.checksum), of_board)
        };
        let data = stored.iter().map(|stored| data(stored).expect("checked classes")).collect();
        Ok(RowsOnBoards { data, dataset, test, shares, bits })
    }
}

/// Returns the rows of all workers that are held out, or are not, and the worker of each.
fn rows_of(stored: &[Stored], bits: &[u8], is_test: bool) -> (Table, Vec<u32>) {
    let mut table = Table::default();
    let (mut labels, mut places) = (Texts::default(), vec![]);
    for (worker, stored) in (0..).zip(stored) {
        for row in stored.rows.iter().filter(|row| row.is_test == is_test) {
            for ((column, &q), &bits) in (0..).zip(&row.values).zip(bits) {
                table.rows.push(column, f64::from(q) * f64::from(-i32::from(bits)).exp2());
            }
            table.rows.end_row();
            labels.push(&stored.classes[usize::from(row.class)], 1);
            places.push(worker);
        }
    }
    (Table { labels, ..table }, places)
}

/// Returns the bits of each column over all boards, each of which reports bits and the number of its rows to train on.
pub fn common_bits<B: AsRef<[u8]>>(
    boards: impl Iterator<Item = (B, u64)>,
    row_len: usize,
) -> Vec<u8> {
    let mut squares = vec![MeanSquare::default(); row_len];
    for (columns, rows) in boards {
        for (square, &bits) in squares.iter_mut().zip(columns.as_ref()) {
            square.merge(bits, rows);
        }
    }
    squares.into_iter().map(MeanSquare::bits).collect()
}

/// Returns what a board is sent in place of its rows: recipe, bits of columns and classes of the run, number of rows to
/// train on, checksum of all, and the run's class of each class `of_board`. `None` if classes are too many or have
/// long names.
pub fn board_data<'n>(
    recipe: &Recipe,
    bits: &[u8],
    classes: &[String],
    (rows, checksum): (u32, u32),
    of_board: impl Iterator<Item = &'n str>,
) -> Option<Vec<u8>> {
    let mut class_map = [-1; CLASSES_MAX];
    for (place, name) in class_map.iter_mut().zip(of_board) {
        let number = class_number(classes, name);
        *place = number.map_or(-1, |number| number as i8);
    }
    let exponents: Vec<i16> = bits.iter().map(|&bits| 30 + i16::from(bits)).chain([30]).collect();
    let (mut names, mut names_len) = ([0; NAMES_LEN_MAX], 0);
    for class in classes {
        names_len += emit_name(class, names.get_mut(names_len..)?)?;
    }
    let class_count = u8::try_from(classes.len()).ok();
    let rows = RecordedRows {
        rows,
        classes: class_count.filter(|count| usize::from(*count) <= CLASSES_MAX)?,
        checksum,
        recipe: *recipe,
        scale_mantissas: &vec![1 << 30; exponents.len()],
        scale_exponents: &exponents,
        class_map: &class_map,
        names: &names[..names_len],
    };
    let mut bytes = vec![0; rows.byte_len()?];
    rows.write(&mut bytes).map(|_| bytes)
}

/// Returns rows of a worker as a board holds them.
pub fn rows_held(dataset: &Dataset, rows: &[usize], bits: &[u8]) -> Held {
    let entries = rows.iter().flat_map(|&row| dataset.row(row).entries());
    Held {
        values: entries.map(|(_, value)| value).collect(),
        labels: rows.iter().map(|&row| dataset.row(row).label).collect(),
        scales: bits.iter().map(|&bits| f64::from(-i32::from(bits)).exp2()).collect(),
        bias_scale: real(bias_scale(Width::I16)),
    }
}
