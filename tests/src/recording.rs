//! A board that records from a scripted sensor into a simulated flash.

use crate::flash::Flash;
use crate::frames;
use smidgen_firmware::objective::{Evaluation, ObjectiveSet};
use smidgen_firmware::recorder::Recorder;
use smidgen_firmware::recorder::sensor::{Sensor, Unfit};
use smidgen_firmware::recorder::store::Store;
use smidgen_firmware::remote::RemoteRecorder;
use smidgen_firmware::worker::Worker;
use smidgen_protocol::frame::FRAME_LEN_MAX;
use smidgen_protocol::message::{CLASSES_MAX, Records};
use smidgen_protocol::recipe::Recipe;
use smidgen_protocol::recorded::{NAMES_LEN_MAX, RecordedRows, emit_name};
use smidgen_protocol::shard::{Header, Width};
use std::collections::VecDeque;

/// Number of channels of the sensor.
pub const CHANNELS: usize = 3;
/// Values of samples that a board has memory for.
pub const WINDOW_LEN_MAX: usize = 60;

/// Highest rate of the sensor, in samples per 1000 s.
pub const RATE_MAX_MILLIHERTZ: u32 = 1_000_000;

/// A sensor with samples that are due at once.
#[derive(Debug, Default)]
pub struct Script {
    /// Samples to come; `None` is a gap.
    pub samples: VecDeque<Option<[i16; CHANNELS]>>,
}

impl Sensor for Script {
    type Error = ();

    fn channels(&self) -> usize {
        CHANNELS
    }

    fn accept(&mut self, recipe: &Recipe) -> Result<(), Unfit> {
        if usize::from(recipe.channels) != CHANNELS {
            return Err(Unfit::Channels);
        }
        if recipe.rate_millihertz > RATE_MAX_MILLIHERTZ {
            return Err(Unfit::Rate);
        }
        Ok(())
    }

    fn poll(&mut self, sample: &mut [i16]) -> Result<bool, ()> {
        match self.samples.pop_front() {
            Some(Some(values)) => {
                sample.copy_from_slice(&values);
                Ok(true)
            }
            Some(None) => Err(()),
            None => Ok(false),
        }
    }

    fn start(&mut self) {
        self.samples.clear();
    }
}

/// The recorder of a board.
#[derive(Debug)]
pub struct ScriptedRecorder {
    /// The recorder of the firmware.
    pub remote: RemoteRecorder<'static, Flash, Script>,
}

impl ScriptedRecorder {
    /// A recorder after a boot, with the rows of a flash.
    pub fn new(flash: Flash) -> Self {
        let samples = vec![0; WINDOW_LEN_MAX].leak();
        let recorder = Recorder::new(Store::open(flash).expect("whole pages"), samples);
        Self { remote: RemoteRecorder::new(recorder, Script::default()) }
    }

    /// The flash of the board.
    pub fn flash(&self) -> &Flash {
        self.remote.store().flash()
    }

    /// Lets the sensor deliver samples, which are recorded if a recording is open.
    pub fn feed(&mut self, samples: impl IntoIterator<Item = Option<[i16; CHANNELS]>>) {
        self.remote.sensor_mut().samples.extend(samples);
        while self.remote.is_recording() && !self.remote.sensor_mut().samples.is_empty() {
            self.remote.poll();
        }
    }

    /// Lets the sensor deliver samples, whose windows are classified if the worker holds a model.
    pub fn watch(
        &mut self,
        worker: &mut Worker<Vec<u64>>,
        objectives: &mut impl ObjectiveSet,
        samples: impl IntoIterator<Item = Option<[i16; CHANNELS]>>,
    ) {
        self.remote.sensor_mut().samples.extend(samples);
        while self.remote.is_watching() && !self.remote.sensor_mut().samples.is_empty() {
            self.remote.watch(worker, objectives);
        }
    }

    /// Carries out what the worker asks about rows, and computes the gradient that it requests. Returns the frames of
    /// the answers, and whether there was a gradient.
    pub fn serve(
        &mut self,
        worker: &mut Worker<Vec<u64>>,
        objectives: &mut impl ObjectiveSet,
    ) -> (Vec<Vec<u8>>, bool) {
        let mut out = [0; FRAME_LEN_MAX];
        let len = self.remote.serve(worker, objectives, &mut out);
        let evaluate = |request: Evaluation<'_>| objectives.evaluate_named(request);
        let computed = worker.compute_with(self.remote.store(), evaluate);
        (len.map(|len| out[..len].to_vec()).into_iter().collect(), computed)
    }

    /// Values and board's class of all rows that are held out, or of those to train on, in order.
    pub fn rows(&self, is_test: bool) -> Vec<(Vec<i16>, u8)> {
        let store = self.remote.store();
        let rows = store.rows().filter(|row| row.is_test == is_test && !row.is_discarded);
        let mut rows: Vec<_> =
            rows.map(|row| (store.values_of(&row).to_vec(), row.class)).collect();
        rows.reverse();
        rows
    }
}

/// Scales of the columns by the bits that a board reports, and the label scale.
pub fn scale_exponents(records: &Records) -> Vec<i16> {
    let columns = records.recipe.map_or(0, |recipe| recipe.row_len());
    records.columns().take(columns).map(|bits| 30 + i16::from(bits)).chain([30]).collect()
}

/// Data of a configuration that are the rows of a board, for all its classes or those of a map.
pub fn rows_on_board(records: &Records, class_map: &[i8; CLASSES_MAX], classes: u8) -> Vec<u8> {
    let counts = records.classes().zip(class_map).filter(|&(_, &class)| class >= 0);
    let rows = counts.map(|(class, _)| class.training).sum();
    data_on_board(records, class_map, classes, rows, records.checksum)
}

/// Data for a model alone, of the classes that [`rows_on_board`] would have.
pub fn without_rows(records: &Records, class_map: &[i8; CLASSES_MAX], classes: u8) -> Vec<u8> {
    data_on_board(records, class_map, classes, 0, 0)
}

fn data_on_board(
    records: &Records,
    class_map: &[i8; CLASSES_MAX],
    classes: u8,
    rows: u32,
    checksum: u32,
) -> Vec<u8> {
    let exponents = scale_exponents(records);
    let recipe = records.recipe.expect("a recipe");
    let (mut names, mut names_len) = ([0; NAMES_LEN_MAX], 0);
    for class in 0..classes {
        let of_board = class_map.iter().position(|&of_run| of_run == class.cast_signed());
        let name = of_board.and_then(|class| records.classes().nth(class));
        let name = name.map_or("none", |class| class.name);
        names_len += emit_name(name, &mut names[names_len..]).expect("a short name");
    }
    let rows = RecordedRows {
        rows,
        classes,
        checksum,
        recipe,
        scale_mantissas: &vec![1 << 30; exponents.len()],
        scale_exponents: &exponents,
        class_map,
        names: &names[..names_len],
    };
    let mut bytes = vec![0; rows.byte_len().expect("a short row")];
    rows.write(&mut bytes).expect("consistent rows");
    bytes
}

/// The same rows as a shard that a host sends.
pub fn shard(rows: &[(Vec<i16>, u8)], exponents: &[i16], class_map: &[i8], classes: u8) -> Vec<u8> {
    let class = |class: u8| class_map[usize::from(class)];
    let rows: Vec<_> = rows.iter().filter(|row| class(row.1) >= 0).collect();
    let dimension = exponents.len() - 1;
    let header = Header {
        rows: rows.len() as u32,
        dimension: dimension as u32,
        sparse: false,
        width: Width::I16,
        nonzeros: (rows.len() * dimension) as u32,
        label_width: Width::I8,
        classes,
    };
    let sections = header.sections().expect("a small shard");
    let mut bytes = vec![0; sections.len];
    bytes[..Header::LEN].copy_from_slice(&header.emit());
    bytes[sections.scale_mantissas]
        .copy_from_slice(bytemuck::cast_slice(&vec![1i32 << 30; exponents.len()]));
    bytes[sections.scale_exponents].copy_from_slice(bytemuck::cast_slice(exponents));
    let labels: Vec<_> = rows.iter().map(|row| class(row.1).cast_unsigned()).collect();
    bytes[sections.labels].copy_from_slice(&labels);
    let values: Vec<i16> = rows.iter().flat_map(|row| row.0.iter().copied()).collect();
    bytes[sections.values].copy_from_slice(bytemuck::cast_slice(&values));
    bytes
}

/// The payload of an answer to a recorder command.
pub fn payload(wire: &[u8]) -> Vec<u8> {
    frames::payload(wire, &smidgen_protocol::frame::Context::SETUP).expect("an intact answer")
}
