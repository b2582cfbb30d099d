//! What options and data make together: shards, constants, step size, and the setup of a run.

use crate::aggregator::Setup;
use crate::config::{self, KError, Method, Options, WorkersError};
use crate::dataset::quantise::quantise;
use crate::dataset::split::SplitError;
use crate::dataset::{Dataset, DatasetError};
use crate::objective;
use crate::record::{InformationLimit, Summary};
use crate::serial_line::byte_time;
use crate::theory::{self, Smoothness, top_k_alpha};
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::objective::Objective;
use smidgen_protocol::message::{Downlink, Init};
use smidgen_protocol::shard::Width;
use thiserror::Error;

/// Integers of columns that are no multiples of a unit.
const WIDTH: Width = Width::I16;

/// Why there is nothing to run.
#[derive(Debug, Error)]
pub enum ExperimentError {
    /// The data cannot be had.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// They cannot be dealt out.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// K does not suit them.
    #[error(transparent)]
    K(#[from] KError),
    /// Boards and workers do not match.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// A split decides how many workers there are, and there are not as many boards.
    #[error(
        "--split one-each needs a board for each of the {rows} rows, and there are {boards}; use --split contiguous, or \
         --rows {boards}"
    )]
    OneEach {
        /// Rows, and with them workers.
        rows: usize,
        /// Boards that are given.
        boards: usize,
    },
}

/// A problem with data, dealt out, and how it is to be solved.
#[derive(Debug)]
pub struct Experiment {
    /// The rows of all workers.
    pub dataset: Dataset,
    /// The rows of each.
    pub shares: Vec<Vec<usize>>,
    /// The constants of the problem.
    pub smoothness: Smoothness,
    /// What the aggregator needs.
    pub setup: Setup,
    /// The largest relative error of a stored feature.
    pub quantisation_error: f64,
    options: Options,
}

impl Experiment {
    /// Loads and deals out the data, computes constants and step size. `boards` is the number of boards that are given;
    /// in simulation there are as many as wanted. `session` names the run among all runs.
    pub fn new(
        options: &Options,
        boards: Option<usize>,
        session: u32,
    ) -> Result<Self, ExperimentError> {
        let mut dataset = Dataset::load(&options.dataset)?;
        if let Some(rows) = options.rows {
            dataset = dataset.take(rows)?;
        }
        let shares = options.split.deal(&dataset, options.worker_count(boards)?)?;
        if let Some(boards) = boards.filter(|&boards| boards != shares.len()) {
            return Err(ExperimentError::OneEach { rows: shares.len(), boards });
        }
        let dimension = dataset.dimension();
        let k = options.k(dimension)?;
        let smoothness = Smoothness::of_logistic(&dataset, &shares, options.lambda);
        let quantised: Vec<_> = shares.iter().map(|rows| quantise(&dataset, rows, WIDTH)).collect();
        let quantisation_error = quantised.iter().map(|q| q.error_max).fold(0.0, f64::max);
        let setup = Setup {
            session,
            objective: Logistic::NAME.to_owned(),
            lambda: options.lambda,
            dimension: dimension as u32,
            k,
            value_bits: options.value_bits,
            init: options.init.into(),
            downlink: options.downlink.into(),
            gamma: gamma(options, &smoothness, k as usize, dimension),
            shards: quantised.into_iter().map(|q| q.bytes).collect(),
            byte_time: byte_time(options.baud),
        };
        let setup = match options.method {
            Method::Ef21 => setup,
            Method::Gd => Setup { k: dimension as u32, value_bits: 32, ..setup },
        };
        let options = options.clone();
        Ok(Self { dataset, shares, smoothness, setup, quantisation_error, options })
    }

    /// f in f64, on the data as they were read.
    pub fn objective(&self) -> objective::Logistic {
        objective::Logistic::new(&self.dataset, &self.shares, self.options.lambda)
    }

    /// The options it was made from.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Dense gradient descent on the same data: K = d, 32 bits a value, x itself down. Its step is 1/L, or the run's own
    /// where that is longer, so that a bold step does not favour the run.
    pub fn baseline(&self) -> Setup {
        Setup {
            k: self.setup.dimension,
            value_bits: 32,
            init: Init::Full,
            downlink: Downlink::Dense,
            gamma: self.setup.gamma.max(1.0 / self.smoothness.l),
            ..self.setup.clone()
        }
    }

    /// A summary with what is known before the first round.
    pub fn summary(&self) -> Summary {
        Summary {
            configuration: self.configuration(),
            baud: Some(self.options.baud),
            l: Some(self.smoothness.l),
            l_am: Some(self.smoothness.l_am),
            l_qm: Some(self.smoothness.l_qm),
            gamma: Some(self.setup.gamma),
            ..Summary::default()
        }
    }

    /// The options, and what they came to with these data.
    fn configuration(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut configuration = self.options.record();
        configuration.insert("k".into(), self.setup.k.into());
        configuration.insert("workers".into(), self.shares.len().into());
        configuration.insert("dimension".into(), self.setup.dimension.into());
        configuration.insert("rows".into(), self.dataset.row_count().into());
        configuration
    }

    /// What `updates` updates of this run would take at best, beside the bytes that they took.
    pub fn information_limit(&self, updates: u64, sent_bytes: u64) -> InformationLimit {
        let Setup { dimension, k, value_bits, .. } = self.setup;
        let bits_per_update = InformationLimit::bits_per_update(dimension, k, value_bits);
        InformationLimit { bits_per_update, updates, sent_bytes }
    }
}

/// The step size γ that the options ask for.
fn gamma(options: &Options, smoothness: &Smoothness, k: usize, dimension: usize) -> f64 {
    let alpha = match options.method {
        Method::Ef21 => top_k_alpha(k, dimension),
        Method::Gd => 1.0,
    };
    match options.step {
        config::Step::Qm => smoothness.gamma(theory::Step::Qm, alpha),
        config::Step::Am | config::Step::Auto => smoothness.gamma(theory::Step::Am, alpha),
        config::Step::Fixed(gamma) => gamma,
    }
}

/// A name for a run that boards have not heard before: they keep the state of a session they know.
pub fn new_session() -> u32 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    ((since.as_nanos() as u32) ^ std::process::id().rotate_left(16)).max(1)
}
