//! An aggregator with an honest worker and a dishonest one.

use super::worker::RECIPE;
use crate::bench::Bench;
use crate::flash::Flash;
use crate::frames::{frame, framed};
use crate::host::emit;
use crate::recording::{self, ScriptedRecorder, rows_on_board, scale_exponents};
use arbitrary::{Result, Unstructured};
use smidgen_aggregator::{
    Aggregator, Event, InitialModel, MethodSpec, Reason, Score, Setup, Share, Snapshot, StepRule,
    WorkerSpec,
};
use smidgen_firmware::objective::ObjectiveSet;
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::batch::Batch;
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::Context;
use smidgen_protocol::message::{
    BROADCAST, CLASSES_MAX, Command, Down, Downlink, Init, Loss, Ready, Records, Refusal,
    Regulariser, SCHEMA, Up, VERSION,
};
use smidgen_protocol::method::{Compressor, Method, Participation};
use smidgen_protocol::round::{LossChange, Update};
use smidgen_protocol::shard::{Header, Width};
use smidgen_protocol::sparse::{Form, encode};
use std::time::Duration;

/// Indices of the workers.
const LIAR: usize = 0;
const HONEST: usize = 1;
const SESSION: u32 = 7;
const DIMENSION: u32 = 10;
/// Maximum number of events in one run.
const EVENTS_MAX: usize = 300;
/// Maximum number of answers of the other worker in a run of honest ones.
const ANSWERS_MAX: usize = 1000;
/// Maximum number of requests before an answer or a time-out: one per worker, and one more when a round closes.
const REQUESTS_MAX: usize = 4;

/// A run with a dishonest worker. The host does not panic and counts every byte; its mirror equals the honest worker's
/// state, and the honest worker is not blamed.
pub fn aggregator(input: &[u8]) {
    let mut u = Unstructured::new(input);
    if let Ok(mut run) = Run::new(&mut u) {
        for _ in 0..EVENTS_MAX {
            if u.is_empty() || !run.happen(&mut u).unwrap_or(false) {
                break;
            }
        }
    }
}

/// Returns the number of rows scored in a run whose worker with rows on its board does not lie.
pub fn rows_scored() -> u32 {
    Run::score().map_or(0, |score| score.rows)
}

/// A run with a dishonest worker.
pub(super) struct Run {
    bench: Bench<Objectives>,
    /// An honest worker's answer to the last request to the dishonest one.
    answer: Vec<u8>,
    dimension: u32,
    k: u32,
    compressor: Compressor,
}

impl Run {
    fn new(u: &mut Unstructured) -> Result<Self> {
        // Without input the rows are sent.
        let is_on_board = !u.ratio(3, 4)?;
        Self::of(u, is_on_board)
    }

    /// A run in which the rows of the dishonest worker are on its board, or sent.
    fn of(u: &mut Unstructured, is_on_board: bool) -> Result<Self> {
        let (recorder, data) = recorded();
        let dimension = if is_on_board { RECIPE.row_len() as u32 } else { DIMENSION };
        let setup = Setup {
            objective: if is_on_board { "logistic" } else { "least-squares" },
            ..setup(u, dimension)?
        };
        let (k, compressor) = (setup.shares[LIAR].worker.k, setup.method.compressor);
        let shares = setup.shares.iter().cloned().zip(data);
        let shares = shares.map(|(share, data)| Share { data, ..share }).collect();
        let setup = if is_on_board { Setup { shares, ..setup } } else { setup };
        let mut bench = Bench::of(setup, || Objectives);
        if is_on_board {
            // The bench gives all workers as much memory as the first one needs for what it is sent.
            for (node, identity) in bench.nodes.iter_mut().zip(1..) {
                let board = Board { name: "recording", identity };
                node.worker = Worker::new::<Objectives>(board, vec![0; 200]);
            }
            let node = &mut bench.nodes[LIAR];
            node.worker.enable_recorder();
            node.recorder = Some(recorder);
        }
        Ok(Self { bench, answer: vec![], dimension, k, compressor })
    }

    /// The score of the rows that a board holds out, in a run of honest workers.
    fn score() -> Option<Score> {
        let run = Self::of(&mut Unstructured::new(&[]), true).expect("a setup");
        run.honest(|host, event| {
            if matches!(event, Event::Closed(_)) {
                host.finish();
            }
            matches!(event, Event::Finished(_)).then(|| host.score(LIAR))
        })
    }

    /// The state of a run of honest workers after this many closed rounds.
    pub(super) fn closed(rounds: usize) -> Snapshot {
        let run = Self::new(&mut Unstructured::new(&[])).expect("a setup");
        let mut closed = 0;
        run.honest(|host, event| {
            if !matches!(event, Event::Closed(_)) {
                return None;
            }
            closed += 1;
            if closed == rounds {
                return Some(host.snapshot().expect("a round is closed"));
            }
            host.proceed();
            None
        })
    }

    /// Runs with honest workers until an event has a result.
    fn honest<T>(mut self, mut result: impl FnMut(&mut Aggregator, Event) -> Option<T>) -> T {
        for _ in 0..ANSWERS_MAX {
            self.ask();
            let answer = std::mem::take(&mut self.answer);
            self.arrive(LIAR, &answer);
            while let Some(event) = self.bench.host.poll_event() {
                assert!(!matches!(event, Event::Failed(_)), "{event:?}");
                if let Some(result) = result(&mut self.bench.host, event) {
                    return result;
                }
            }
        }
        panic!("the run comes to no result");
    }

    /// Draws one event. Returns whether the run continues.
    fn happen(&mut self, u: &mut Unstructured) -> Result<bool> {
        while let Some(event) = self.bench.host.poll_event() {
            if !self.take(&event, u)? {
                return Ok(false);
            }
        }
        self.ask();
        match u.int_in_range(0..=7)? {
            0 => {
                let len = u.arbitrary_len::<u8>()?.min(600);
                let noise = u.bytes(len)?;
                self.arrive(LIAR, noise);
            }
            1..=3 => {
                let forged = self.forge(u)?;
                let times = if u.ratio(1, 16)? { 50 } else { 1 };
                (0..times).for_each(|_| self.arrive(LIAR, &forged));
            }
            4 => {
                if let Some(deadline) = self.bench.host.poll_timeout() {
                    self.bench.now = self.bench.now.max(deadline);
                    self.bench.host.handle_timeout(self.bench.now);
                }
            }
            5 if u.ratio(1, 4)? => self.bench.host.handle_reconnect(LIAR),
            _ => {
                let answer = self.answer.clone();
                self.arrive(LIAR, &answer);
            }
        }
        Ok(true)
    }

    /// Handles an event. Returns whether the run continues.
    fn take(&mut self, event: &Event, u: &mut Unstructured) -> Result<bool> {
        match event {
            Event::Closed(_) => {
                let state = (self.bench.host.x(), self.bench.host.mirror(HONEST).mantissas());
                assert_eq!(
                    self.bench.nodes[HONEST].worker.state(),
                    Some(state),
                    "mirror equals worker"
                );
                if u.ratio(1, 32)? {
                    self.bench.host.finish()
                } else {
                    self.bench.host.proceed()
                }
                Ok(true)
            }
            Event::Failed(failure) => {
                // Of two boards with one identity, either may be the dishonest one.
                let twins = matches!(failure.reason, Reason::SameIdentity(LIAR));
                assert!(failure.worker == LIAR || twins, "{failure}");
                Ok(false)
            }
            Event::Rebooted(worker) => {
                assert_eq!(*worker, LIAR);
                Ok(true)
            }
            Event::Finished(_) => Ok(false),
            Event::Greeted(_)
            | Event::Loaded { .. }
            | Event::Moved(_)
            | Event::Excluded { .. }
            | Event::Readmitted(_)
            | Event::Prepared(_) => Ok(true),
        }
    }

    /// Sends the host's requests. The honest worker answers at once; the correct answer of the other one is kept.
    fn ask(&mut self) {
        let mut requests = 0;
        while let Some((worker, frame)) = self.bench.next_frame() {
            let answer = self.bench.deliver(worker, &frame).concat();
            if worker == HONEST {
                self.arrive(HONEST, &answer);
                continue;
            }
            self.answer = answer;
            requests += 1;
            assert!(requests <= REQUESTS_MAX, "requests to a silent worker are bounded");
        }
    }

    /// Delivers bytes to the host, which must count all of them and leave the other worker unaffected.
    fn arrive(&mut self, worker: usize, bytes: &[u8]) {
        let other = 1 - worker;
        let of_other = |host: &Aggregator| {
            let (mirror, counters) = (host.mirror(other).digest(), *host.counters(other));
            (mirror, counters, host.reboots(other), host.identity(other).cloned())
        };
        let (before, exponents) = (of_other(&self.bench.host), self.bench.host.exponents());
        self.bench.arrive(worker, bytes);
        let host = &self.bench.host;
        assert!(of_other(host) == before || host.exponents() != exponents);
        self.bench.check_bytes_up();
    }

    /// A valid frame of the dishonest worker, mostly close to the requested answer.
    fn forge(&self, u: &mut Unstructured) -> Result<Vec<u8>> {
        let asked = self.bench.asked(LIAR);
        let off = if u.ratio(3, 4)? { 0 } else { u.int_in_range(0..=2)? };
        let ticket = asked.and_then(|asked| asked.ticket()).unwrap_or(1).wrapping_add(off);
        let value = if u.arbitrary()? { u.int_in_range(0..=DIMENSION)? } else { u.arbitrary()? };
        let session = Context { worker: LIAR as u16 + 1, ..Context::downlink(SESSION) };
        let round = self.bench.host.open_round().unwrap_or(0).wrapping_sub(off.into());
        let from = match asked {
            Some(Down::More { from }) => from,
            _ => 0,
        };
        let of_round =
            Context { round, from: if u.ratio(1, 8)? { value } else { from }, ..session };
        let (loss, body) = (Loss::new(u.arbitrary()?), self.body(u, round, from)?);
        let change = LossChange::between(u.arbitrary()?, loss.mantissa());
        let (message, body, context) = match u.int_in_range(0..=9)? {
            0 => (Up::Ready(ready(u, asked, off)?), vec![], Context::SETUP),
            1 => (Up::Ack { ticket, value }, vec![], session),
            2 => (Up::Range { ticket, gradient_max: u.arbitrary()?, loss }, vec![], session),
            3 => (Up::Refused { ticket, refusal: refusal(u)? }, vec![], session),
            kind @ 4..=6 => {
                let update = [Update::Anew(change), Update::Part, Update::Last(change)][kind - 4];
                return Ok(frame(|out| update.draft(&body, &of_round, out).close()));
            }
            7 => (Up::Score { ticket, rows: value, right: value }, vec![], session),
            8 => (Up::Records(Records::none(ticket)), vec![], Context::SETUP),
            _ => return any(u, &[Context::SETUP, session, of_round]),
        };
        Ok(frame(|out| message.emit(&body, &context, out)))
    }

    /// The body of an update: any bytes, or entries as the round packs them, possibly too many or out of range.
    fn body(&self, u: &mut Unstructured, round: u32, from: u32) -> Result<Vec<u8>> {
        if u.ratio(1, 4)? {
            let len = u.int_in_range(0..=40)?;
            return Ok(u.bytes(len)?.to_vec());
        }
        let budget = smidgen_protocol::method::Budget {
            k: self.k,
            value_bits: 8,
            compressor: self.compressor,
        };
        let budget = Init::Full.budget(round, self.dimension, budget);
        let shift = if u.ratio(1, 4)? { u.int_in_range(0..=31)? } else { 0 };
        let mut body = [0; 128];
        // The host knows the sum and the last shift, so a forged body may have any.
        let sum: Vec<i64> = (0..self.dimension).map(|j| i64::from(j) << 9).collect();
        let sum = if u.arbitrary()? { &sum[..] } else { &[] };
        let terms = budget.terms(self.dimension + 2, from, sum, u.int_in_range(0..=31)?);
        let bits = budget.compressor.wire_bits(budget.value_bits);
        let mut entries = vec![];
        for index in from..self.dimension + 2 {
            if u.arbitrary()? {
                let magnitude = u.int_in_range(1..=1i64 << (bits - 1))?;
                entries.push((index, if u.arbitrary()? { magnitude } else { -magnitude }));
            }
        }
        let form = Form { shift, ..terms.last };
        let written = encode(&mut body, &terms, form, entries.into_iter());
        Ok(body[..written.len].to_vec())
    }
}

/// The setup of a run of any kind.
fn setup(u: &mut Unstructured, dimension: u32) -> Result<Setup> {
    let compressor = *u.choose(&Compressor::all(1))?;
    let eta = smidgen_protocol::vector::Ratio { mantissa: 1 << 30, exponent: 31 };
    let share = Share {
        data: data(),
        worker: WorkerSpec {
            k: match compressor.sends_all_coordinates() {
                true => dimension,
                false => u.int_in_range(1..=dimension)?,
            },
            participation: match u.arbitrary()? {
                true => Participation::FULL,
                false => Participation { seed: 1, probability: 1 << 31 },
            },
            scale: 1.0,
            weight: if u.ratio(1, 4)? { 1.5 } else { 1.0 },
            loss_weight: 0.5,
        },
    };
    let batch = Batch { size: u.int_in_range(0..=3)?, seed: 1 };
    Ok(Setup {
        session: SESSION,
        objective: "least-squares",
        regulariser: Regulariser::L2,
        lambda: 0.01,
        initial_model: match u.int_in_range(0..=2)? {
            2 => InitialModel::Given { mantissas: vec![1 << 20; dimension as usize], exponent: 20 },
            seed => InitialModel::Seed(seed),
        },
        dimension,
        method: MethodSpec {
            batch,
            value_bits: 8,
            init: Init::Full,
            rule: *u.choose(&Method::all(eta))?,
            compressor,
            downlink: *u.choose(&Downlink::ALL)?,
            downlink_budget: None,
            gamma: 0.1,
            theory: None,
            step_rule: *u.choose(&[
                StepRule::Constant,
                StepRule::Tuned,
                StepRule::TunedFromGuess,
            ])?,
            momentum: if u.arbitrary()? { 0.5 } else { 0.0 },
            l1: if u.arbitrary()? { 0.01 } else { 0.0 },
        },
        shares: vec![share; 2],
        byte_time: Duration::from_micros(87),
        round_timeout: None,
        seal: None,
    })
}

/// A board with rows of two classes, some of them held out; its data, and the rows to train on as data that are sent.
fn recorded() -> (ScriptedRecorder, [Vec<u8>; 2]) {
    let identity = 1;
    let board = Board { name: "recording", identity };
    let mut worker = Worker::new::<Objectives>(board, vec![0; 64]);
    worker.enable_recorder();
    let mut recorder = ScriptedRecorder::new(Flash::new(2));
    let mut command = |recorder: &mut ScriptedRecorder, command| {
        let message = Down::Record { echo: 0, identity, command };
        worker.receive(&emit(message, BROADCAST, &[], Context::SETUP));
        let (answers, _) = recorder.serve(&mut worker, &mut Objectives);
        recording::payload(&answers[0])
    };
    for (recording, class, is_test) in [(1, "one", false), (2, "two", false), (3, "one", true)] {
        let start = Command::Start { recording, recipe: RECIPE, class, is_test, samples: 13 };
        command(&mut recorder, start);
        let sample = |t: i16| Some([t * recording as i16, 300 - t, 77 * recording as i16]);
        recorder.feed((0..13).map(sample));
    }
    let status = command(&mut recorder, Command::Status);
    let Ok((Up::Records(records), [])) = Up::parse(&status) else { panic!("not records") };
    let mut map = [-1; CLASSES_MAX];
    map[..2].copy_from_slice(&[0, 1]);
    let on_board = rows_on_board(&records, &map, 2);
    let sent = recording::shard(&recorder.rows(false), &scale_exponents(&records), &map, 2);
    (recorder, [on_board, sent])
}

/// Three rows of bytes with real targets.
fn data() -> Vec<u8> {
    let header = Header {
        rows: 3,
        dimension: DIMENSION,
        sparse: false,
        width: Width::I8,
        nonzeros: 3 * DIMENSION,
        label_width: Width::I8,
        classes: 0,
    };
    let at = header.sections().expect("a small shard");
    let mut data = header.emit().to_vec();
    data.resize(at.len, 0);
    for (mantissa, exponent) in at.scale_mantissas.step_by(4).zip(at.scale_exponents.step_by(2)) {
        data[mantissa + 3] = 1 << 6;
        data[exponent] = 36;
    }
    let bytes = at.labels.chain(at.values).enumerate();
    bytes.for_each(|(n, place)| data[place] = (n * 37 + 11) as u8);
    data
}

fn ready(u: &mut Unstructured, asked: Option<Down>, off: u16) -> Result<Ready<'static>> {
    let echo = match asked {
        Some(Down::Hello { echo, .. }) => echo,
        _ => 1,
    };
    Ok(Ready {
        version: if u.ratio(1, 32)? { u.arbitrary()? } else { VERSION },
        schema: if u.ratio(1, 32)? { u.arbitrary()? } else { SCHEMA },
        echo: echo.wrapping_add(off),
        board: "liar",
        identity: if u.ratio(1, 16)? { 2 } else { 1 },
        memory: u.arbitrary()?,
        objectives: if u.ratio(1, 32)? { "" } else { Objectives::NAMES },
        session: if u.ratio(3, 4)? { SESSION } else { u.arbitrary()? },
        opened: u.int_in_range(0..=3)?,
        model_digest: u.arbitrary()?,
        estimator_digest: u.arbitrary()?,
        rejected: [u.arbitrary()?; Reject::COUNT],
        overruns: u.arbitrary()?,
        saturated: u.arbitrary()?,
    })
}

fn refusal(u: &mut Unstructured) -> Result<Refusal> {
    let memory = Refusal::Memory { need: u.arbitrary()?, room: u.arbitrary()? };
    Ok(*u.choose(&[memory, Refusal::Objective, Refusal::Data, Refusal::Configuration])?)
}

/// A valid frame with any payload in one of the contexts.
fn any(u: &mut Unstructured, contexts: &[Context]) -> Result<Vec<u8>> {
    let context = u.choose(contexts)?;
    let len = u.int_in_range(0..=60)?;
    Ok(framed(context, u.bytes(len)?))
}
