//! The setup of the aggregator: method, data and links of a run.

use super::error::ExperimentError;
use crate::boards::key_file::KeyFile;
use crate::options::{Choice, Options};
use crate::problem::dataset::Dataset;
use crate::problem::dataset::quantise::{Held, held, quantise};
use crate::problem::dataset::recordings::rows_held;
use crate::problem::specification::{Longest, Specification, Worker};
use crate::problem::theory::Smoothness;
use crate::units::serial_line::byte_time;
use smidgen_aggregator::{InitialModel, Sealing, Setup, Share};
use smidgen_protocol::shard::Width;

/// Width of the integers in columns whose values are not multiples of a unit.
const WIDTH: Width = Width::I16;

/// Returns the shares as they are sent, and the largest quantisation error of a feature.
pub(super) fn quantised(dataset: &Dataset, shares: &[Vec<usize>]) -> (Vec<Vec<u8>>, f64) {
    let mut error_max: f64 = 0.0;
    let data = |rows: &Vec<usize>| {
        let quantised = quantise(dataset, rows, WIDTH);
        error_max = error_max.max(quantised.error_max);
        quantised.bytes
    };
    (shares.iter().map(data).collect(), error_max)
}

/// Returns the shares as boards store them: as they were sent, or with the bits of recorded columns.
pub(super) fn held_shares(
    dataset: &Dataset,
    shares: &[Vec<usize>],
    recorded_bits: Option<&[u8]>,
) -> impl Iterator<Item = Held> {
    shares.iter().map(move |rows| match recorded_bits {
        Some(bits) => rows_held(dataset, rows, bits),
        None => held(dataset, rows, WIDTH),
    })
}

/// The parts of a setup that are neither options nor the method.
pub(super) struct Parts<'a> {
    pub session: u32,
    pub initial_model: InitialModel,
    pub dimension: usize,
    /// Data of each share.
    pub data: &'a [Vec<u8>],
    pub seal: Option<Sealing>,
}

/// Returns the setup of a run.
pub(super) fn setup(
    options: &Options,
    specification: &Specification,
    Parts { session, initial_model, dimension, data, seal }: Parts<'_>,
) -> Setup {
    let share = |worker: &Worker| Share { data: data[worker.share].clone(), worker: worker.spec };
    Setup {
        session,
        objective: options.objective.name(),
        regulariser: options.regulariser.into(),
        lambda: options.lambda,
        initial_model,
        dimension: dimension as u32,
        method: specification.method.clone(),
        shares: specification.workers.iter().map(share).collect(),
        byte_time: byte_time(options.baud),
        round_timeout: options.absent.round_timeout(),
        seal,
    }
}

/// Returns what seals frames to this number of boards, `None` in simulation.
///
/// # Errors
/// If the key cannot be read.
pub(super) fn seal(
    options: &Options,
    boards: Option<usize>,
) -> Result<Option<Sealing>, ExperimentError> {
    let Some(path) = &options.key else { return Ok(None) };
    Ok(Some(match boards {
        Some(_) => KeyFile::seal_boards(path)?,
        None => KeyFile::seal_simulation(path, options.seed.into())?,
    }))
}

/// Returns whether the inequalities of the proof apply to such a run, for any step size.
pub(super) fn is_watchable(options: &Options, specification: &Specification) -> bool {
    let Specification { method, workers, .. } = specification;
    options.method.info().proof.has_lyapunov_function()
        && !method.compressor.is_random()
        && method.batch.is_full()
        && options.absent.round_timeout().is_none()
        && workers.iter().all(|worker| !worker.is_drawn() && worker.alpha == workers[0].alpha)
        && method.downlink_budget.is_none()
        && !method.step_rule.is_tuned()
        && !options.step.needs_convexity()
        && method.theory.is_none()
}

/// Returns whether constants and step sizes are positive numbers.
pub(super) fn is_finite(
    smoothness: Option<&Smoothness>,
    longest: Option<Longest>,
    specification: &Specification,
) -> bool {
    let positive = |value: f64| value.is_finite() && value > 0.0;
    // L_i and the gradient are 0 for a worker whose rows have no features. L is not, since some row has one.
    let constants = smoothness.into_iter().flat_map(|s| [s.l, s.l_qm]);
    let gammas =
        longest.map(|longest| longest.gamma).into_iter().chain([specification.method.gamma]);
    constants.chain(gammas).all(positive)
}
