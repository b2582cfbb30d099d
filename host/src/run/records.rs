//! Records of an experiment: summary, test of the model, checkpoints, information limit.

use super::error::ExperimentError;
use super::experiment::Experiment;
use crate::options::{Choice, DataPlace, Options};
use crate::problem::objective::{Objective, Penalty};
use crate::record::checkpoint::Checkpoints;
use crate::record::model::{DatasetRecord, Input, Iterate, SCHEMA};
use crate::record::{InformationLimit, Model, StepTheory, Summary, TestRecord};
use serde_json::json;
use smidgen_aggregator::{FinalModel, Selected, Snapshot};
use std::env;
use std::ffi::OsString;

impl Experiment {
    /// Evaluates x on the held-out rows, if there are any.
    pub fn test(&self, x: &[f64]) -> Option<TestRecord> {
        let test = self.data.as_ref()?.test.as_ref()?;
        let share: Vec<usize> = (0..test.row_count()).collect();
        let none = Penalty { lambda: 0.0, ..self.penalty };
        let objective = Objective::new(self.options().objective, none, test, &[share]);
        let loss = objective.loss_and_gradient(x, &mut vec![0.0; x.len()]);
        Some(TestRecord { rows: test.row_count() as u64, loss, accuracy: objective.accuracy(0, x) })
    }

    /// Returns the checkpoints of the run, which contain its command line, or `None` if its workers have vectors that
    /// the host does not know.
    ///
    /// # Errors
    /// If `--checkpoint-dir` was given in the latter case.
    pub fn checkpoints(
        &self,
        arguments: Vec<OsString>,
    ) -> Result<Option<Checkpoints>, ExperimentError> {
        let Options { checkpoint_dir, out, method, .. } = self.options();
        if self.setup.method.rule.has_local_state() {
            let asked = checkpoint_dir.is_some();
            return if asked { Err(ExperimentError::Private(method.name())) } else { Ok(None) };
        }
        Ok(Some(Checkpoints {
            directory: checkpoint_dir.as_ref().unwrap_or(out).clone(),
            arguments,
            folder: env::current_dir().unwrap_or_default().into(),
            data_checksum: self.data_checksum(),
            rounds: self.options().rounds,
        }))
    }

    /// Returns the model of a run that ends with a snapshot. `last_loss` is the loss of its round, if it is known.
    pub fn model(&self, snapshot: &Snapshot, last_loss: Option<f64>) -> Model {
        let options = self.options();
        let model = snapshot.final_model();
        let values = model.values();
        let FinalModel { round, transcript, exponent, mantissas, selected } = model;
        let (iterate, loss) = match selected {
            Selected::Best { loss } => (Iterate::Best, Some(loss)),
            Selected::Last => (Iterate::Last, last_loss),
        };
        Model {
            schema: SCHEMA,
            smidgen: env!("CARGO_PKG_VERSION").into(),
            objective: options.objective,
            classes: self.shape.class_names.clone(),
            input: Input::of(self.shape.preparation.clone()),
            regulariser: options.regulariser,
            lambda: options.lambda,
            method: options.method,
            round,
            iterate,
            loss: loss.filter(|loss| loss.is_finite()),
            transcript: format!("{transcript:016x}"),
            dataset: DatasetRecord {
                name: self.shape.name.clone(),
                rows: self.shape.row_count() as u64,
                checksum: format!("{:016x}", self.data_checksum()),
            },
            dimension: self.setup.dimension,
            exponent,
            mantissas,
            values,
        }
    }

    /// Returns the summary before the first round.
    pub fn summary(&self) -> Summary {
        Summary {
            configuration: self.configuration(),
            baud: Some(self.options().baud),
            l: self.smoothness.as_ref().map(|s| s.l),
            l_am: self.smoothness.as_ref().map(|s| s.l_am),
            l_qm: self.smoothness.as_ref().map(|s| s.l_qm),
            gamma: Some(self.setup.method.gamma),
            theory: self.longest.map(StepTheory::from).unwrap_or_default(),
            gamma_tuned: self.setup.method.step_rule.is_tuned(),
            quantisation_error: Some(self.quantisation_error),
            ..Summary::default()
        }
    }

    /// Returns the options, with the values that depend on the data.
    fn configuration(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut configuration = self.options().record();
        configuration.insert("k".into(), self.k());
        configuration.insert("value-bits".into(), self.setup.method.value_bits.into());
        configuration.insert("workers".into(), self.shape.row_counts.len().into());
        configuration.insert("dimension".into(), self.setup.dimension.into());
        configuration.insert("rows".into(), self.shape.row_count().into());
        if let Some(recordings) = self.recordings() {
            // In their place are recordings, and the windows that they have, also by default.
            configuration.remove("dataset");
            configuration.remove("split");
            configuration.insert("windows".into(), json!(recordings.windows));
        }
        if self.data.is_none() {
            configuration.remove("split");
            configuration.insert("dataset".into(), self.shape.name.clone().into());
            configuration.insert("data".into(), DataPlace::OnBoard.name().into());
            configuration.insert("windows".into(), json!(self.shape.preparation.windows));
        }
        configuration
    }

    /// Returns K, or the K of each worker if they differ.
    fn k(&self) -> serde_json::Value {
        let each: Vec<u32> = self.workers.iter().map(|worker| worker.spec.k).collect();
        if each.iter().all(|&k| k == each[0]) { each[0].into() } else { each.into() }
    }

    /// Returns the information limit of `updates` updates with `bits` of information, next to the bytes sent.
    ///
    /// `None` without updates, and if workers may be absent or do not choose the entries that they send.
    pub fn information_limit(
        &self,
        updates: u64,
        bits: f64,
        sent_bytes: u64,
    ) -> Option<InformationLimit> {
        let limit =
            InformationLimit { bits_per_update: bits / updates as f64, updates, sent_bytes };
        let uniform = self.has_full_participation()
            && self.setup.round_timeout.is_none()
            && self.setup.method.compressor.is_top_k();
        (bits > 0.0 && uniform).then_some(limit)
    }

    /// Returns whether all workers participate in every round.
    fn has_full_participation(&self) -> bool {
        self.workers.iter().all(|worker| worker.participation >= 1.0)
    }
}
