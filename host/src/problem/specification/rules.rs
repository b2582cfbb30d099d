//! The rules of workers and server, and equal workers, by the options.

use super::error::SpecificationError;
use super::workers::Worker;
use crate::options::Options;
use crate::problem::objective::Curvature;
use smidgen_aggregator::{DownlinkBudget, MethodSpec, StepRule};
use smidgen_protocol::batch::Batch;
use smidgen_protocol::method::Compressor;

/// With this many bits, values are not rounded.
pub(super) const UNROUNDED_BITS: u8 = 32;

/// Returns the batch of the options. A batch as large as the largest share is not a minibatch.
fn batch(options: &Options, row_counts: &[usize]) -> Batch {
    let row_count_max = row_counts.iter().copied().max().unwrap_or(0);
    match options.batch {
        Some(size) if (size as usize) < row_count_max => Batch { size, seed: options.seed },
        Some(_) | None => Batch::FULL,
    }
}

/// Returns the rules of workers and server. The step size depends on the workers and is not known yet.
pub(super) fn method_spec(
    options: &Options,
    dimension: usize,
    row_counts: &[usize],
    eta: f64,
) -> Result<MethodSpec, SpecificationError> {
    let info = options.method.info();
    let (compressor, value_bits) = match info.is_dense {
        true => (Compressor::TopK, UNROUNDED_BITS),
        false => (options.compressor.wire(options.seed), options.value_bits),
    };
    let rule = (info.worker_rule)(eta);
    let l1 = if info.has_l1 { options.l1 } else { 0.0 };
    // Tuning needs estimators of gradients, and losses that include all of f.
    let is_tuned = options.step.is_tuned() && rule.estimates_gradient() && l1 == 0.0;
    let step_rule = match (is_tuned, options.objective.info().curvature) {
        (false, _) => StepRule::Constant,
        (true, Curvature::AtMost(_)) => StepRule::Tuned,
        (true, Curvature::Unbounded { .. }) => StepRule::TunedFromGuess,
    };
    Ok(MethodSpec {
        rule,
        compressor,
        value_bits,
        init: options.init.into(),
        batch: batch(options, row_counts),
        downlink: options.downlink.wire(),
        downlink_budget: downlink_budget(options, dimension as u32)?,
        momentum: info.eta.momentum(eta),
        l1,
        gamma: 0.0,
        theory: None,
        step_rule,
    })
}

/// Returns one worker per share, alike except for K and participation.
pub(super) fn equal_workers(
    options: &Options,
    dimension: usize,
    n: usize,
    method: &MethodSpec,
) -> Result<Vec<Worker>, SpecificationError> {
    let sends_all = options.method.info().is_dense || method.compressor.sends_all_coordinates();
    let all = dimension as u32;
    let numbers = options.k(dimension, n)?.into_iter().zip(options.participation(n)?);
    let worker = |(share, (k, p))| {
        let k = if sends_all { all } else { k };
        Worker::new(share, n, k, (p, options.seed), method, dimension)
    };
    Ok(numbers.enumerate().map(worker).collect())
}

fn downlink_budget(
    options: &Options,
    dimension: u32,
) -> Result<Option<DownlinkBudget>, SpecificationError> {
    if !options.downlink.is_compressed() {
        return Ok(None);
    }
    let k = options.downlink_k.unwrap_or((dimension / 8).max(1));
    if k > dimension {
        return Err(SpecificationError::DownlinkK { k, dimension });
    }
    Ok(Some(DownlinkBudget { k, value_bits: options.value_bits }))
}
