//! What a run will take, before it is run.
//!
//! Nothing is estimated by formula that can be measured: the first rounds are run in simulation and their bytes counted.

use crate::board::BOARDS;
use crate::experiment::Experiment;
use crate::record::{Cost, RoundRecord};
use crate::report::quantity::{bytes, count, counted, number, precision, seconds, step};
use crate::simulation::Simulation;
use crate::theory::{top_k_alpha, xi};
use crate::training::{Course, Goal, TrainingError, collect};
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::worker::memory_len;
use std::fmt;

/// Rounds that are run to see what one costs.
const ROUNDS: u32 = 20;

/// What a run will take.
#[derive(Debug)]
pub struct Plan<'e> {
    experiment: &'e Experiment,
    /// The rounds that were tried, and what came before them.
    course: Course,
    /// Bytes of memory that the largest worker needs.
    memory_len: usize,
}

impl<'e> Plan<'e> {
    /// Runs a few rounds.
    ///
    /// # Errors
    /// If they cannot be run.
    pub fn new(experiment: &'e Experiment) -> Result<Self, TrainingError> {
        let setup = &experiment.setup;
        let need = |worker| memory_len::<Objectives>(&setup.configuration(worker, 0, 0));
        let memory_len = (0..setup.shares.len()).map(need).max().unwrap_or(0);
        let line = experiment.line();
        let mut world = Simulation::new(setup.clone(), Objectives, line);
        let goal = Goal { rounds: experiment.options().rounds.min(ROUNDS), target: None };
        let course = collect(&mut world, goal, line.baud, |_| {})?;
        Ok(Self { experiment, course, memory_len })
    }

    /// What all rounds after round 0 that were tried cost, and how many they were.
    fn tried(&self) -> (Cost, u64) {
        let rounds = self.course.rounds.get(1..).unwrap_or_default();
        (rounds.iter().map(RoundRecord::cost).sum(), rounds.len() as u64)
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
        let Experiment { dataset, smoothness, setup, quantisation_error, .. } = self.experiment;
        let k = self.experiment.parts.iter().map(|part| part.k).max().unwrap_or(0);
        let alpha = top_k_alpha(k as usize, setup.dimension as usize);
        writeln!(
            f,
            "{}: {}, d = {}, {}, K = {}, {} bits a value; the boards hold the features {}",
            dataset.name(),
            counted(dataset.row_count() as u64, "row", "rows"),
            setup.dimension,
            counted(self.experiment.parts.len() as u64, "worker", "workers"),
            k,
            setup.value_bits,
            precision(*quantisation_error),
        )?;
        let theory = self.experiment.theory_gamma;
        let gamma = theory.map_or_else(
            || format!("γ = {}", number(setup.gamma)),
            |theory| step(setup.gamma, theory, false),
        );
        write!(f, "step size {gamma}")?;
        match smoothness {
            Some(smoothness) => writeln!(
                f,
                " (L = {}, L_AM = {}, L_QM = {}, ξ = {})",
                number(smoothness.l),
                number(smoothness.l_am),
                number(smoothness.l_qm),
                number(xi(alpha))
            ),
            None => writeln!(f, ", on which theory is silent"),
        }
    }

    fn fmt_boards(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = BOARDS.iter().filter(|board| board.room_len >= self.memory_len);
        let names: Vec<_> = fits.map(|board| format!("{} ({})", board.name, board.core)).collect();
        let need = count(self.memory_len as u64);
        write!(f, "the largest share needs {need} bytes on its board, state included, and ")?;
        if names.is_empty() {
            writeln!(f, "fits no board that is known: use more workers or fewer rows")
        } else {
            writeln!(f, "fits {}", names.join(", "))
        }
    }

    fn fmt_traffic(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.experiment.options();
        let (tried, rounds) = self.tried();
        let per_board = |wire_bytes: u64| {
            wire_bytes as f64 / (rounds * self.experiment.parts.len() as u64) as f64
        };
        let link_seconds = tried.link_seconds / rounds as f64;
        write!(
            f,
            "a round takes {:.1} bytes up and {:.1} down for each board, {} at {} baud",
            per_board(tried.uplink.wire_bytes),
            per_board(tried.downlink.wire_bytes),
            seconds(link_seconds),
            options.baud
        )?;
        let payload_bytes = tried.uplink.payload_bytes;
        let updates = rounds * self.experiment.parts.len() as u64;
        match self.experiment.information_limit(updates, payload_bytes) {
            Some(limit) => writeln!(
                f,
                "; its update is {:.1} of these bytes, where information theory asks for {:.1}",
                per_board(limit.sent_bytes),
                limit.bits_per_update / 8.0
            )?,
            None => writeln!(f)?,
        }
        let Course { setup, closing, .. } = self.course;
        let first = self.course.rounds.first().map(RoundRecord::cost).unwrap_or_default();
        writeln!(
            f,
            "data and configuration take {} once, {}; round 0 takes {}",
            bytes(setup.wire_bytes()),
            seconds(setup.link_seconds),
            bytes(first.wire_bytes())
        )?;
        let all = setup + first + closing;
        let scale = f64::from(options.rounds) / rounds as f64;
        writeln!(
            f,
            "{}: about {} and {} on the link in all",
            counted(options.rounds.into(), "round", "rounds"),
            bytes((scale * tried.wire_bytes() as f64) as u64 + all.wire_bytes()),
            seconds(scale * tried.link_seconds + all.link_seconds)
        )
    }
}
