//! What options and data make together: shards, constants, step size, and the setup of a run.

mod data;
mod error;

pub use error::ExperimentError;

use crate::boards::key_file::KeyFile;
use crate::options::{self, Choice, Constants, Options, Step};
use crate::problem::dataset::Dataset;
use crate::problem::dataset::quantise::{Quantised, held, quantise};
use crate::problem::objective::{Curvature, Objective, OnBoards, Penalty};
use crate::problem::range;
use crate::problem::specification::{self, Longest, Problem, Specification, Worker};
use crate::problem::theory::{RareFeatures, Smoothness, noise};
use crate::record::checkpoint::{self, Checkpoints};
use crate::record::{InformationLimit, StepTheory, Summary, TestRecord};
use crate::run::lyapunov::{Lyapunov, Terms};
use crate::units::serial_line::byte_time;
use crate::world::driver::Driver;
use crate::world::simulation::{Board, Line, Simulation};
use crate::world::transport::{Address, TransportError};
use data::{Data, immoderate};
use smidgen_aggregator::{Setup, Share, StepRule, WORKERS_MAX};
use smidgen_firmware::objectives::Objectives;
use smidgen_protocol::batch::Batch;
use smidgen_protocol::message::{Downlink, Init};
use smidgen_protocol::method::{Compressor, Method, Participation};
use smidgen_protocol::shard::Width;
use std::env;
use std::ffi::OsString;

/// Integers of columns whose values are not multiples of a unit.
const WIDTH: Width = Width::I16;

/// A problem with data, dealt out, and how it is to be solved.
#[derive(Debug)]
pub struct Experiment {
    /// The rows of all workers.
    pub dataset: Dataset,
    /// The rows of each.
    pub shares: Vec<Vec<usize>>,
    /// The workers of the run, in order.
    pub workers: Vec<Worker>,
    /// The constants of the problem, if theory knows them.
    pub smoothness: Option<Smoothness>,
    /// What the aggregator needs.
    pub setup: Setup,
    /// The longest step size that is known for the method, and what it stands on; the run may have been given another.
    pub longest: Option<Longest>,
    /// The largest relative error of a stored feature.
    pub quantisation_error: f64,
    /// Held-out rows.
    test: Option<Dataset>,
    penalty: Penalty,
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
        let data = Data::load(options, boards)?;
        let features = (data.dataset.dimension(), data.dataset.class_count());
        let dimension = options.objective.dimension(features.0, features.1);
        let k = options.k(dimension, data.shares.len())?;
        let participation = options.participation(data.shares.len())?;
        data.check_features(dimension)?;
        let Data { dataset, test, shares } = data;
        let penalty = Penalty { regulariser: options.regulariser, lambda: options.lambda };
        let smoothness = Smoothness::of(options.objective, penalty, &dataset, &shares);
        let like = match options.objective.traits().curvature {
            Curvature::AtMost(_) => None,
            Curvature::Unbounded { starts_like } => {
                Smoothness::of(starts_like, penalty, &dataset, &shares)
            }
        };
        let problem = Problem {
            dataset: &dataset,
            dimension,
            shares: &shares,
            smoothness: smoothness.as_ref(),
            like: like.as_ref(),
            k: &k,
            participation: &participation,
        };
        let specification = Specification::new(options, problem)?;
        let longest = specification.longest(options, problem);
        check_crowd(
            specification.workers.len(),
            "--method ef21-clone",
            "use fewer workers, or ef21-w",
        )?;
        check_finite(&dataset, smoothness.as_ref(), longest, &specification)?;
        let objective = Objective::new(options.objective, penalty, &dataset, &shares);
        range::check(options, &dataset, &objective, &specification)?;
        let quantised: Vec<_> = shares.iter().map(|rows| quantise(&dataset, rows, WIDTH)).collect();
        let quantisation_error = quantised.iter().map(|q| q.error_max).fold(0.0, f64::max);
        let setup = setup(options, &specification, dimension, &quantised, boards, session)?;
        if options.check_theory
            && (smoothness.is_none() || !Self::is_watchable(options, &setup, &specification))
        {
            return Err(ExperimentError::NoTheorem);
        }
        let workers = specification.workers;
        if let Some(boards) = boards.filter(|&boards| boards != workers.len()) {
            return Err(ExperimentError::Clones { workers: workers.len(), boards });
        }
        let options = options.clone();
        Ok(Self {
            dataset,
            test,
            penalty,
            shares,
            workers,
            smoothness,
            setup,
            longest,
            quantisation_error,
            options,
        })
    }

    /// The workers of the run, one for each share: without clones.
    pub fn one_per_share(&self) -> impl Iterator<Item = &Worker> {
        self.workers.chunk_by(|one, next| one.share == next.share).map(|clones| &clones[0])
    }

    /// γ of another method or step on the same problem with the same workers, if theory has one.
    pub fn gamma_of(&self, method: options::Method, step: Step) -> Option<f64> {
        let options =
            Options { method, step, downlink: options::Downlink::Sparse, ..self.options.clone() };
        let of = |problem: Problem| Some(Specification::new(&options, problem).ok()?.gamma);
        self.with_problem(self.smoothness.as_ref()?, of)
    }

    /// The longest step size that is known for the constants L_i that workers report.
    pub fn longest_of_reports(&self, l_i: &[f64]) -> Option<Longest> {
        let options = &self.options;
        let of =
            |problem: Problem| Specification::new(options, problem).ok()?.longest(options, problem);
        self.with_problem(&specification::reported(l_i), of)
    }

    /// Asks something of the problem with these constants.
    fn with_problem<T>(&self, smoothness: &Smoothness, ask: impl FnOnce(Problem) -> T) -> T {
        let first: Vec<Worker> = self.one_per_share().copied().collect();
        let k: Vec<u32> = first.iter().map(|worker| worker.k).collect();
        let participation: Vec<f64> = first.iter().map(|worker| worker.participation).collect();
        ask(Problem {
            dataset: &self.dataset,
            dimension: self.setup.dimension as usize,
            shares: &self.shares,
            smoothness: Some(smoothness),
            like: None,
            k: &k,
            participation: &participation,
        })
    }

    /// Who owns which features, where the coordinates of the model are features, theory knows constants, and no regulariser
    /// makes all coordinates everybody's.
    pub fn rare_features(&self) -> Option<RareFeatures> {
        let Smoothness { l_i, .. } = self.smoothness.as_ref()?;
        let features = self.setup.dimension as usize == self.dataset.dimension();
        (features && self.options.lambda == 0.0)
            .then(|| RareFeatures::of(&self.dataset, &self.shares, l_i))
    }

    /// The floor that minibatches leave ‖∇f‖² in theory, if it knows one: for EF21 and EF21-W whose workers have one α, with a
    /// step that stays as long as theory allows or shorter.
    pub fn noise_floor(&self) -> Option<f64> {
        let Setup { method, batch, gamma, step_rule, downlink_budget, .. } = self.setup;
        let is_plain =
            self.options.method.traits().proof.has_refinements() && downlink_budget.is_none();
        let is_allowed = step_rule == StepRule::Constant && is_allowed(gamma, self.longest);
        let alpha = self.workers.first()?.alpha;
        let is_alike = self.workers.iter().all(|worker| worker.alpha == alpha);
        let has_noise = noise::disturbs(method, batch);
        let smoothness = self.smoothness.as_ref();
        let smoothness = smoothness.filter(|_| has_noise && is_plain && is_allowed && is_alike)?;
        let data = (&self.dataset, &self.shares[..]);
        noise::floor(self.options.objective, data, smoothness, batch.size as usize, alpha)
    }

    /// Whether a theorem covers the run and allows its step.
    pub fn is_allowed(&self) -> bool {
        is_allowed(self.setup.gamma, self.longest)
    }

    /// The watch over theory, if it was asked for.
    pub fn lyapunov(&self) -> Option<Lyapunov> {
        let smoothness = self.smoothness.clone().filter(|_| self.options.check_theory)?;
        let Setup { compressor, value_bits, dimension, gamma, .. } = self.setup;
        let rare = self.rare_features().filter(|_| self.options.step.counts_features());
        let (alpha, factor) = match rare {
            None => (self.workers[0].alpha, 1.0),
            Some(features) => {
                let of = (compressor, value_bits);
                (
                    specification::rare_alpha(&self.workers, of, features, dimension as usize),
                    features.c_w,
                )
            }
        };
        let workers = self.workers.clone();
        let held = self.shares.iter().map(|rows| held(&self.dataset, rows, WIDTH));
        let on_boards = OnBoards::new(self.objective(), held);
        let terms = Terms { workers, smoothness, gamma, alpha, factor };
        Some(Lyapunov::new(self.objective(), on_boards, terms))
    }

    /// Whether the inequalities that [`Lyapunov`] watches are about such a run, whatever its step.
    fn is_watchable(options: &Options, setup: &Setup, specification: &Specification) -> bool {
        options.method.traits().proof.has_lyapunov_function()
            && !setup.compressor.is_random()
            && setup.hears_all()
            && specification
                .workers
                .iter()
                .all(|worker| worker.alpha == specification.workers[0].alpha)
            && setup.downlink_budget.is_none()
            && setup.step_rule == StepRule::Constant
            && setup.theory.is_none()
    }

    /// f in f64, on the data as they were read.
    pub fn objective(&self) -> Objective {
        Objective::new(self.options.objective, self.penalty, &self.dataset, &self.shares)
    }

    /// How well x does on the rows held out, if there are any.
    pub fn test(&self, x: &[f64]) -> Option<TestRecord> {
        let test = self.test.as_ref()?;
        let share: Vec<usize> = (0..test.row_count()).collect();
        let none = Penalty { lambda: 0.0, ..self.penalty };
        let objective = Objective::new(self.options.objective, none, test, &[share]);
        let loss = objective.loss_and_gradient(x, &mut vec![0.0; x.len()]);
        Some(TestRecord { rows: test.row_count() as u64, loss, accuracy: objective.accuracy(0, x) })
    }

    /// The line that the options ask for.
    pub fn line(&self) -> Line {
        let Options { baud, faults, seed, .. } = self.options;
        Line { baud, faults, seed: seed.into() }
    }

    /// Its workers in simulation.
    pub fn simulation(&self) -> Simulation<Board<Objectives>> {
        let simulation = Simulation::new(self.setup.clone(), Objectives, self.line());
        if self.setup.hears_all() {
            simulation
        } else {
            simulation.with_objective(self.objective())
        }
    }

    /// Its workers on links that are opened now; `places` names their ends for people.
    ///
    /// # Errors
    /// If a link cannot be opened.
    pub fn driver(
        &self,
        addresses: &[Address],
        places: Vec<String>,
    ) -> Result<Driver, TransportError> {
        let driver = Driver::open(self.setup.clone(), addresses, places, self.line())?;
        let deadline = self.options().absent.deadline();
        Ok(driver.with_deadline(deadline).with_objective(self.objective()))
    }

    /// Where the run leaves checkpoints, which hold the command line that asks for it; nowhere if its workers keep vectors
    /// to themselves.
    ///
    /// # Errors
    /// If checkpoints are asked for all the same.
    pub fn checkpoints(
        &self,
        arguments: Vec<OsString>,
    ) -> Result<Option<Checkpoints>, ExperimentError> {
        let Options { checkpoint_dir, checkpoint_every, out, method, .. } = &self.options;
        if self.setup.method.has_local_state() {
            let asked = checkpoint_dir.is_some();
            return if asked { Err(ExperimentError::Private(method.name())) } else { Ok(None) };
        }
        Ok(Some(Checkpoints {
            directory: checkpoint_dir.as_ref().unwrap_or(out).clone(),
            every: *checkpoint_every,
            arguments,
            folder: env::current_dir().unwrap_or_default().into(),
            data_checksum: self.data_checksum(),
            rounds: self.options.rounds,
        }))
    }

    /// Checksum of the data of all workers, to tell whether they are those of a checkpoint.
    pub fn data_checksum(&self) -> u64 {
        checkpoint::data_checksum(self.setup.shares.iter().map(|share| &share.data[..]))
    }

    /// The options it was made from.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Dense gradient descent on the same data: K = d, 32 bits a value, x itself down. Its step is 1/L, or the run's own
    /// where that is longer, and it tunes itself where the run's does, so that a bold step does not favour the run.
    pub fn baseline(&self) -> Setup {
        let share = |share: &Share| Share {
            k: self.setup.dimension,
            participation: Participation::FULL,
            ..share.clone()
        };
        Setup {
            shares: self.setup.shares.iter().map(share).collect(),
            value_bits: 32,
            init: Init::Full,
            method: Method::Ef21,
            compressor: Compressor::TopK,
            batch: Batch::FULL,
            downlink: Downlink::Dense,
            downlink_budget: None,
            momentum: 0.0,
            theory: None,
            gamma: self.smoothness.as_ref().map_or(0.0, |s| 1.0 / s.l).max(self.setup.gamma),
            ..self.setup.clone()
        }
    }

    /// Whether a run of dense gradient descent beside this one would tell anything: not if it is one itself.
    pub fn has_baseline(&self) -> bool {
        !self.options.method.traits().is_baseline
    }

    /// A summary with what is known before the first round.
    pub fn summary(&self) -> Summary {
        Summary {
            configuration: self.configuration(),
            baud: Some(self.options.baud),
            elapsed_seconds: Some(0.0),
            l: self.smoothness.as_ref().map(|s| s.l),
            l_am: self.smoothness.as_ref().map(|s| s.l_am),
            l_qm: self.smoothness.as_ref().map(|s| s.l_qm),
            gamma: Some(self.setup.gamma),
            theory: self.longest.map(StepTheory::from).unwrap_or_default(),
            gamma_tuned: self.setup.step_rule == StepRule::Tuned,
            quantisation_error: Some(self.quantisation_error),
            ..Summary::default()
        }
    }

    /// The options, and what they came to with these data.
    fn configuration(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut configuration = self.options.record();
        configuration.insert("k".into(), self.k());
        configuration.insert("value-bits".into(), self.setup.value_bits.into());
        configuration.insert("workers".into(), self.shares.len().into());
        configuration.insert("dimension".into(), self.setup.dimension.into());
        configuration.insert("rows".into(), self.dataset.row_count().into());
        configuration
    }

    /// K, or the K of each worker where they differ.
    fn k(&self) -> serde_json::Value {
        let each: Vec<u32> = self.workers.iter().map(|worker| worker.k).collect();
        if each.iter().all(|&k| k == each[0]) { each[0].into() } else { each.into() }
    }

    /// The information limit of `updates` updates with `bits` of information, beside the bytes sent. `None` without updates, and where workers may
    /// be absent or do not choose the entries that they send.
    pub fn information_limit(
        &self,
        updates: u64,
        bits: f64,
        sent_bytes: u64,
    ) -> Option<InformationLimit> {
        let limit =
            InformationLimit { bits_per_update: bits / updates as f64, updates, sent_bytes };
        let uniform = self.everybody_takes_part()
            && self.setup.round_timeout.is_none()
            && self.setup.compressor.is_top_k();
        (bits > 0.0 && uniform).then_some(limit)
    }

    /// Whether all workers take part in every round.
    fn everybody_takes_part(&self) -> bool {
        self.workers.iter().all(|worker| worker.participation >= 1.0)
    }
}

/// Whether a theorem covers the run and allows the step, but for rounding.
fn is_allowed(gamma: f64, longest: Option<Longest>) -> bool {
    let allowed = longest.filter(|longest| longest.basis.gap.is_none());
    allowed.is_some_and(|longest| !specification::exceeds(gamma, longest.gamma))
}

/// Refuses data whose constants or step sizes are not positive numbers.
fn check_finite(
    dataset: &Dataset,
    smoothness: Option<&Smoothness>,
    longest: Option<Longest>,
    specification: &Specification,
) -> Result<(), ExperimentError> {
    let positive = |value: f64| value.is_finite() && value > 0.0;
    // L_i is 0 where no row of a worker has a feature, and its gradient with it; but not L, since some row has one.
    let constants = smoothness.into_iter().flat_map(|s| [s.l, s.l_qm]);
    let gammas = longest.map(|longest| longest.gamma).into_iter().chain([specification.gamma]);
    match constants.chain(gammas).all(positive) {
        true => Ok(()),
        false => Err(immoderate(dataset)),
    }
}

/// What the aggregator needs for a specification and quantised shares.
fn setup(
    options: &Options,
    specification: &Specification,
    dimension: usize,
    quantised: &[Quantised],
    boards: Option<usize>,
    session: u32,
) -> Result<Setup, ExperimentError> {
    Ok(Setup {
        session,
        objective: options.objective.name(),
        regulariser: options.regulariser.into(),
        lambda: options.lambda,
        start_seed: options.objective.start_seed(options.seed),
        dimension: dimension as u32,
        value_bits: specification.value_bits,
        init: options.init.into(),
        method: specification.method,
        compressor: specification.compressor,
        batch: specification.batch,
        downlink: specification.downlink,
        downlink_budget: specification.downlink_budget,
        gamma: specification.gamma,
        theory: match options.constants {
            Constants::Data => None,
            Constants::Boards => Some(specification.theory_of_reports(options, dimension)?),
        },
        step_rule: specification.step_rule,
        momentum: specification.momentum,
        l1: specification.l1,
        shares: specification
            .workers
            .iter()
            .map(|worker| share(worker, quantised, options.seed))
            .collect(),
        byte_time: byte_time(options.baud),
        round_timeout: options.absent.patience(),
        seal: match (&options.key, boards) {
            (Some(path), Some(_)) => Some(KeyFile::seal_boards(path)?),
            (Some(path), None) => Some(KeyFile::seal_simulation(path, options.seed.into())?),
            (None, _) => None,
        },
    })
}

fn share(worker: &Worker, quantised: &[Quantised], seed: u32) -> Share {
    let Worker { share, scale, weight, loss_weight, k, participation, .. } = *worker;
    let participation = specification::participation(participation, seed);
    Share { data: quantised[share].bytes.clone(), scale, weight, loss_weight, k, participation }
}

#[cfg(test)]
impl Experiment {
    /// The experiment that `smidgen simulate` makes of these options.
    pub(crate) fn of(options: &str) -> Self {
        use crate::cli::{self, Command};
        let line = format!("smidgen simulate {options}");
        let cli = cli::parse(line.split_whitespace().map(Into::into)).unwrap();
        let Command::Simulate(options) = cli.command else { unreachable!("it says simulate") };
        Self::new(&options, None, 1).unwrap()
    }
}

/// Refuses more workers than a run has room for.
fn check_crowd(
    workers: usize,
    cause: &'static str,
    advice: &'static str,
) -> Result<(), ExperimentError> {
    if workers > WORKERS_MAX {
        return Err(ExperimentError::Crowd { cause, workers, advice });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::theory::{Basis, Gap, Theorem, xi};

    fn experiment(options: &str) -> Experiment {
        Experiment::of(&format!("--rows 200 --workers 4 {options}"))
    }

    #[test]
    fn noise_has_a_floor_only_where_a_theorem_gives_it() {
        let floor = |options: &str| experiment(&format!("--batch 9 {options}")).noise_floor();
        for options in ["--step am", "--step qm", "--step 1e-4", "--step am --method ef21-w"] {
            assert!(floor(options).is_some(), "{options}");
        }
        for options in [
            "--step 3",
            "--step auto",
            "--step am --method ef14",
            "--step am --method ef21-hb",
            "--step am --method ef21-sgdm",
            "--step am --downlink ef21-p",
            "--step am --k 4,4,4,64",
            "--step am --participation 1,1,1,0.5",
        ] {
            assert_eq!(floor(options), None, "{options}");
        }
        assert_eq!(experiment("--step am").noise_floor(), None, "all rows have no noise");
    }

    #[test]
    fn no_theorem_covers_averages_of_workers_that_are_away() {
        for step in ["auto", "0.1"] {
            let of = |p: f64| {
                let options = format!("--method ef21-sgdm --step {step} --participation {p}");
                experiment(&options).longest.unwrap().basis.gap
            };
            assert_eq!(of(0.5), Some(Gap::Participation(options::Method::Ef21Sgdm)), "{step}");
            assert_eq!(of(1.0), Some(Gap::Unchecked(options::Method::Ef21Sgdm)), "{step}");
        }
    }

    #[test]
    fn theory_allows_the_step_of_each_of_its_theorems() {
        for (step, theorem) in
            [("am", Theorem::Reloaded3), ("exact", Theorem::Root), ("rare", Theorem::Rare)]
        {
            let of = experiment(&format!("--lambda 0 --step {step}"));
            let basis = Basis { theorem, gap: None };
            assert_eq!(of.longest, Some(Longest { gamma: of.setup.gamma, basis }), "{step}");
        }
        let am = experiment("--step am").longest;
        for step in ["qm", "auto", "3"] {
            assert_eq!(experiment(&format!("--step {step}")).longest, am, "{step}");
        }
    }

    /// Each of them was said to be allowed once.
    #[test]
    fn a_step_that_no_theorem_covers_is_borrowed() {
        for options in [
            "--method dcgd",
            "--method ef14",
            "--method econtrol",
            "--method ef21-sgdm",
            "--method ef21-sgdm --batch 9",
            "--method ef21-hb --downlink ef21-p",
            "--method ef21-prox --downlink ef21-bc",
            "--method ef21-sgdm --downlink ef21-p",
            "--method ef21-hb --batch 9",
            "--downlink ef21-bc --batch 9",
            "--method ef21-clone --batch 9",
            "--absent skip",
        ] {
            let experiment = experiment(&format!("--step am {options}"));
            let theory = experiment.summary().theory;
            assert_eq!((theory.theory_gamma, theory.theorem), (None, None), "{options}");
            assert_eq!(theory.borrowed_gamma, Some(experiment.setup.gamma), "{options}");
        }
    }

    #[test]
    fn gradient_descent_of_drawn_workers_has_their_step() {
        let gamma = |options: &str| experiment(&format!("--step am {options}")).setup.gamma;
        let of = experiment("--step am --method gd --participation 0.5");
        let Smoothness { l, l_am, .. } = *of.smoothness.as_ref().unwrap();
        assert_eq!(of.setup.gamma, 1.0 / (l + l_am * xi(0.5)));
        assert_eq!(gamma("--method gd"), 1.0 / l);
    }

    #[test]
    fn few_bits_shorten_every_step_of_theory_and_32_bits_none() {
        let alpha = |bits: u32, options: &str| {
            experiment(&format!("--k 16 --value-bits {bits} --step am {options}")).workers[0].alpha
        };
        let gamma = |bits: u32, options: &str| {
            experiment(&format!("--k 16 --value-bits {bits} {options}")).setup.gamma
        };
        assert_eq!([32, 2].map(|bits| alpha(bits, "")), [0.25, 0.25 * (1.0 - 16.0 / 19.0)]);
        assert_eq!(alpha(2, "--compressor natural"), alpha(32, "--compressor natural"));
        for options in [
            "--step qm",
            "--step am",
            "--step exact",
            "--step rare --lambda 0",
            "--step am --method ef21-w",
            "--step am --method ef21-clone",
            "--step am --method ef21+",
            "--step am --method ef21-hb",
            "--step am --method ef21-prox",
            "--step am --method ef21-sgdm",
            "--step am --compressor randk",
            "--step am --downlink ef21-p",
            "--step am --downlink ef21-bc",
            "--step am --participation 0.5",
            "--step am --batch 9",
        ] {
            let [few, all] = [2, 32].map(|bits| gamma(bits, options));
            assert!(few < 0.5 * all, "{options}: {few} {all}");
        }
        for downlink in ["sparse", "ef21-p", "ef21-bc"] {
            let gamma = |bits| gamma(bits, &format!("--step auto --downlink {downlink}"));
            assert_eq!(gamma(2), gamma(32), "{downlink}: it is tuned, not proven");
        }
    }

    #[test]
    fn noise_has_the_price_of_the_worker_that_loses_most() {
        let of = |options: &str| experiment(options).setup.gamma;
        assert_eq!(of("--batch 9 --step am --k 4,4,4,64"), of("--batch 9 --step am --k 4"));
        assert!(of("--step am --k 4,4,4,64") > of("--step am --k 4"), "all rows: ξ₄ is 0");
    }
}
