//! The record of each worker.

use crate::record::{WorkerRecord, WorkerTimes};
use crate::run::experiment::Experiment;
use smidgen_aggregator::Aggregator;

/// Returns the record of each worker at the end of a run.
pub(super) fn worker_records(
    experiment: &Experiment,
    aggregator: &Aggregator,
    places: &[String],
    times: &[WorkerTimes],
) -> Vec<WorkerRecord> {
    let record = |worker: usize| {
        let identity = aggregator.identity(worker).map(ToString::to_string).unwrap_or_default();
        let (uplink, downlink) = aggregator.traffic(worker);
        let statistics = aggregator.statistics(worker);
        let share = experiment.workers[worker].share;
        let computed = experiment.smoothness.as_ref().map(|smoothness| smoothness.l_i[share]);
        WorkerRecord {
            name: places[aggregator.link(worker)].clone(),
            identity,
            owner: experiment.owner(share).map(Into::into),
            rows: experiment.shape.row_counts[share] as u64,
            held_out: aggregator.score(worker).map(Into::into),
            keeps_model: aggregator.keeps_model(worker),
            l_i: aggregator.l_i(worker).or(computed),
            uplink,
            downlink,
            rejected_by_host: WorkerRecord::by_reason(
                &aggregator.counters(worker).rejected_frames(),
            ),
            rejected_by_worker: WorkerRecord::by_reason(&statistics.rejected),
            saturated: statistics.saturated.into(),
            times: times[worker],
            reboots: aggregator.reboots(worker),
            left_out: aggregator.exclusions(worker),
            reason: aggregator.exclusion_reason(worker).map(ToString::to_string),
        }
    };
    (0..places.len()).map(record).collect()
}
