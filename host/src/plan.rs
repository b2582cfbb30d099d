//! What a run will take, before it is run.
//!
//! Nothing is estimated by formula that can be measured: the first rounds are run in simulation and their bytes counted.

use crate::aggregator::Aggregator;
use crate::board::BOARDS;
use crate::experiment::Experiment;
use crate::record::{Cost, RecordError, RoundRecord};
use crate::report::quantity::{bytes, count, number, seconds};
use crate::simulation::{Line, Simulation};
use crate::theory::{top_k_alpha, xi};
use crate::training::{Goal, Observer, TrainingError, train};
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::worker::memory_len;
use std::fmt;

/// Rounds that are run to see what one costs.
const ROUNDS: u32 = 20;

/// What a run will take.
#[derive(Debug)]
pub struct Plan<'e> {
    experiment: &'e Experiment,
    /// Greetings, configuration, shards.
    setup: Cost,
    /// The rounds that were tried.
    rounds: Vec<RoundRecord>,
    /// Bytes of memory that the largest worker needs.
    memory_len: usize,
}

impl<'e> Plan<'e> {
    /// Runs a few rounds on a line like that.
    pub fn new(experiment: &'e Experiment, line: Line) -> Result<Self, TrainingError> {
        let setup = &experiment.setup;
        let need = |worker| memory_len::<Logistic>(&setup.configuration(worker, 0, 0));
        let memory_len = (0..setup.shares.len()).map(need).max().unwrap_or(0);
        let mut world = Simulation::new(setup.clone(), Logistic, line);
        let mut rounds = Rounds(Vec::new());
        let goal = Goal { rounds: experiment.options().rounds.min(ROUNDS), target: None };
        let cost = train(&mut world, goal, line.baud, &mut rounds)?;
        Ok(Self { experiment, setup: cost, rounds: rounds.0, memory_len })
    }

    /// The mean cost of a round after round 0.
    fn per_round(&self) -> (f64, f64, f64) {
        let rounds = self.rounds.get(1..).unwrap_or_default();
        let mean = |term: &dyn Fn(&RoundRecord) -> f64| {
            rounds.iter().map(term).sum::<f64>() / rounds.len().max(1) as f64
        };
        (
            mean(&|round| round.uplink.wire_bytes as f64),
            mean(&|round| round.downlink.wire_bytes as f64),
            mean(&|round| round.link_seconds),
        )
    }
}

struct Rounds(Vec<RoundRecord>);

impl Observer for Rounds {
    fn round(&mut self, record: &RoundRecord, _: &Aggregator) -> Result<(), RecordError> {
        self.0.push(record.clone());
        Ok(())
    }
}

impl fmt::Display for Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_problem(f)?;
        self.fmt_boards(f)?;
        self.fmt_traffic(f)
    }
}

impl Plan<'_> {
    fn fmt_problem(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Experiment { dataset, shares, smoothness, setup, .. } = self.experiment;
        let alpha = top_k_alpha(setup.k as usize, setup.dimension as usize);
        writeln!(
            f,
            "{}: {} rows, d = {}, {} workers, K = {}, {} bits a value",
            dataset.name(),
            count(dataset.row_count() as u64),
            setup.dimension,
            shares.len(),
            setup.k,
            setup.value_bits
        )?;
        writeln!(
            f,
            "step size γ = {} (L = {}, L_AM = {}, L_QM = {}, ξ = {})",
            number(setup.gamma),
            number(smoothness.l),
            number(smoothness.l_am),
            number(smoothness.l_qm),
            number(xi(alpha))
        )
    }

    fn fmt_boards(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = BOARDS.iter().filter(|board| board.ram_len >= self.memory_len);
        let names: Vec<_> = fits.map(|board| board.name).collect();
        let names =
            if names.is_empty() { "no board that is known".into() } else { names.join(", ") };
        writeln!(
            f,
            "a board needs {} bytes for state and data: fits {names}",
            count(self.memory_len as u64)
        )
    }

    fn fmt_traffic(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.experiment.parts.len() as f64;
        let options = self.experiment.options();
        let (up, down, link_seconds) = self.per_round();
        let first = self.rounds.first().map(RoundRecord::cost).unwrap_or_default();
        let rest = f64::from(options.rounds) * link_seconds;
        let limit = self.experiment.information_limit(1, 0).bytes();
        writeln!(
            f,
            "a round takes {:.1} bytes up and {:.1} down for each board, {} at {} baud; \
             the update itself needs {limit:.1} bytes by information theory",
            up / n,
            down / n,
            seconds(link_seconds),
            options.baud
        )?;
        writeln!(
            f,
            "data and configuration take {} once, {}; round 0 takes {}",
            bytes(self.setup.wire_bytes()),
            seconds(self.setup.link_seconds),
            bytes(first.wire_bytes())
        )?;
        writeln!(
            f,
            "{} rounds: about {} and {} on the link in all",
            options.rounds,
            bytes(
                (f64::from(options.rounds) * (up + down)) as u64
                    + first.wire_bytes()
                    + self.setup.wire_bytes()
            ),
            seconds(rest + first.link_seconds + self.setup.link_seconds)
        )
    }
}
