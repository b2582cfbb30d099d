//! A run over real links: the clock, ports and sockets, and boards at their ends, emulated boards included.
//!
//! No link can hold up the others. All are served in one loop ([`World::advance`]), in which no stream blocks and each
//! has its share of every turn: a tenth of a second of waiting for bytes of any, another for all links to take theirs,
//! and none for a link that took none last time. Lost links are reopened in threads of their own. Notes and requests to
//! end are looked at in every turn. The watch over emulators only looks, kills and spawns: the thread that reopens a
//! link waits for the socket of a restarted one.

mod flood;
pub(crate) mod place;

use crate::options::{Faults, StragglerPolicy};
use crate::problem::objective::Objective;
use crate::world::fault_injector::{Direction, FaultInjector};
use crate::world::interface::{Clock, Measured, World, WorldError};
use crate::world::simulation::Line;
use crate::world::transport::{Address, LinkEvent, Links, TransportError};
use place::Place;
use smidgen_aggregator::{Aggregator, Event, Setup};
use smidgen_protocol::frame::FRAME_LEN_MAX;
use std::time::{Duration, Instant};

/// Time for a board to identify itself; opening a port resets many boards.
const GREETING_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest wait for bytes in one turn.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// The longest wait in one turn, over all links, until frames are accepted for sending.
const WRITE_TIME_MAX: Duration = Duration::from_millis(100);
/// Maximum number of link events handled in one turn. A link that has more waits for its next turn.
const EVENTS_MAX: usize = 64;
/// Interval between calls of the watch.
const WATCH_PERIOD: Duration = Duration::from_millis(500);

/// Watches the boards at the ends of the links.
pub type Watch = Box<dyn FnMut() -> Option<Seen>>;

/// An observation of a [`Watch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A message for the user.
    Note(String),
    /// The board of a link is permanently gone.
    Lost {
        /// Index of the link.
        link: usize,
        /// The reason.
        reason: String,
    },
}

/// A run over real links.
pub struct Driver {
    aggregator: Aggregator,
    links: Links,
    places: Vec<Place>,
    deadline: Duration,
    /// Silence of a missing board after which the run ends.
    lost_after: Duration,
    started: Instant,
    /// True if workers report losses of minibatches, or not in every round.
    hears_all: bool,
    /// True if frames are sealed.
    keyed: bool,
    /// f in f64, where the host has the data: telemetry.
    objective: Option<Objective>,
    watch: Option<Watch>,
    watched: Instant,
    notes: Vec<String>,
    /// Fault injectors of each link, down and up; empty without `--faults`.
    faults: Vec<(FaultInjector, FaultInjector)>,
}

impl Driver {
    /// Opens links for a run, and injects the faults of `line` in addition to their own; `places` names their ends
    /// for the user.
    ///
    /// # Errors
    /// If a link cannot be opened.
    pub fn open(
        setup: Setup,
        addresses: &[Address],
        places: Vec<String>,
        line: Line,
    ) -> Result<Self, TransportError> {
        let links = Links::open_all(addresses, line.baud)?;
        Ok(Self::new(setup, links, places).with_faults(line))
    }

    /// A run over `links`; `places` names their ends for the user.
    pub fn new(setup: Setup, links: Links, places: Vec<String>) -> Self {
        let started = Instant::now();
        Self {
            hears_all: setup.hears_all(),
            keyed: setup.seal.is_some(),
            // A run that can exclude a board needs time to do so.
            lost_after: setup.round_timeout.map_or(Duration::ZERO, |time| time + GREETING_TIME_MAX),
            deadline: StragglerPolicy::default().deadline(),
            aggregator: Aggregator::new(setup),
            links,
            places: places.into_iter().map(Place::new).collect(),
            started,
            objective: None,
            watch: None,
            watched: started,
            notes: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Injects the faults of `line` on every link.
    pub fn with_faults(self, Line { faults, seed, .. }: Line) -> Self {
        let injector = |link, direction| FaultInjector::new(faults, seed, link, direction);
        let both = |link| (injector(link, Direction::Down), injector(link, Direction::Up));
        let faulty = faults != Faults::default();
        let faults = (0..self.links.len()).filter(|_| faulty).map(both).collect();
        Self { faults, ..self }
    }

    /// Computes gradient norms from the data in f64.
    pub fn with_objective(self, objective: Objective) -> Self {
        Self { objective: Some(objective), ..self }
    }

    /// Sets the time for a board that took part to return.
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Sets a watch, which is called twice a second.
    pub fn with_watch(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn transmit(&mut self) {
        let mut frame = [0; FRAME_LEN_MAX];
        let (now, started) = (self.now(), Instant::now());
        while let Some((index, len)) = self.aggregator.poll_transmit(now, &mut frame) {
            let links = &mut self.links;
            // A link that is down reports it in its events, and lost requests are repeated.
            let mut write = |bytes: &[u8]| {
                let patience = WRITE_TIME_MAX.saturating_sub(started.elapsed());
                drop(links.write(index, bytes, patience));
            };
            match self.faults.get_mut(index) {
                Some((down, _)) => down.pass(&frame[..len], |piece| write(&piece)),
                None => write(&frame[..len]),
            }
        }
    }

    /// Waits for bytes or the next time-out and handles received events, up to a limit: a board may send faster than
    /// they are handled.
    fn receive(&mut self) {
        let now = self.now();
        let deadline = self.aggregator.poll_timeout().unwrap_or(Duration::MAX);
        let wait = deadline.saturating_sub(now).min(WAIT_MAX);
        self.links.wait(wait);
        for _ in 0..EVENTS_MAX {
            let Some((link, event)) = self.links.next_event() else { break };
            self.handle(link, event);
        }
        let now = self.now();
        self.aggregator.handle_timeout(now);
    }

    fn handle(&mut self, link: usize, event: LinkEvent) {
        match event {
            LinkEvent::Bytes(bytes) => self.hear(link, &bytes),
            LinkEvent::Down(reason) => {
                self.notes.extend(self.places[link].lose(&reason, self.deadline));
            }
            LinkEvent::Up { address, is_guess } => {
                self.notes.extend(self.places[link].regain(address, is_guess));
                match is_guess {
                    true => self.aggregator.handle_guess(link),
                    false => self.aggregator.handle_reconnect(link),
                }
            }
        }
    }

    fn hear(&mut self, link: usize, bytes: &[u8]) {
        let (now, aggregator) = (self.now(), &mut self.aggregator);
        let mut useful = 0;
        match self.faults.get_mut(link) {
            Some((_, up)) => up.pass_stream(bytes, |piece| {
                useful += aggregator.receive(now, link, &piece);
            }),
            None => useful = aggregator.receive(now, link, bytes),
        }
        if self.places[link].gauge.rise(now, bytes.len(), useful) {
            self.dam(link);
        }
    }

    /// Closes a link that floods.
    fn dam(&mut self, link: usize) {
        let place = &mut self.places[link];
        // A stranger's port is none of the run's business.
        if let Some(address) = place.abandon() {
            self.notes
                .push(format!("no board of this run is at {address}, which sends without end"));
            return self.links.reject_guess(link);
        }
        let (pause, note) = place.shut();
        self.notes.push(note);
        self.links.shut(link, pause);
        self.aggregator.handle_flood(link);
    }

    /// Checks whether a found port leads to a board of this run.
    fn judge_guess(&mut self, link: usize) {
        let place = &mut self.places[link];
        let Some((address, since)) = &place.guess else { return };
        let note = match self.aggregator.heard(link) {
            Some(stranger) if self.aggregator.is_strange(link) => {
                format!("a board that is not of this run is at {address}: {stranger}")
            }
            Some(_) => {
                self.notes.push(format!("{} is now {address}", place.name));
                place.guess = None;
                return;
            }
            None if since.elapsed() > GREETING_TIME_MAX => {
                format!("no board of this run answers at {address}")
            }
            None => return,
        };
        self.notes.push(note);
        place.abandon();
        self.links.reject_guess(link);
    }

    fn look_after(&mut self) -> Result<(), WorldError> {
        if self.watched.elapsed() < WATCH_PERIOD {
            return Ok(());
        }
        self.watched = Instant::now();
        if let Some(watch) = &mut self.watch {
            match watch() {
                None => {}
                Some(Seen::Note(note)) => self.notes.push(note),
                Some(Seen::Lost { link, reason }) => {
                    let place = &mut self.places[link];
                    self.notes.push(format!("{} cannot be restarted: {reason}", place.name));
                    place.lost = Some(reason);
                }
            }
        }
        (0..self.links.len()).for_each(|link| self.judge_guess(link));
        // There are as many links as workers.
        (0..self.links.len()).try_for_each(|worker| self.check_silence(worker))
    }

    fn check_silence(&self, worker: usize) -> Result<(), WorldError> {
        let link = self.aggregator.link(worker);
        let place = self.places[link].name.clone();
        let silent_since = self.aggregator.silent_since(worker);
        let waived = self.aggregator.proceeds_without(self.now(), worker);
        let Some(since) = silent_since.filter(|_| !waived) else { return Ok(()) };
        let silence = self.now().saturating_sub(since);
        if let Some(reason) = self.places[link].lost.clone()
            && silence >= self.lost_after
        {
            return Err(WorldError::Ended { place, reason });
        }
        if !self.aggregator.is_greeted(worker) && silence > GREETING_TIME_MAX.min(self.deadline) {
            let pending = self.aggregator.pending(worker) as u64;
            let bytes = self.aggregator.counters(worker).bytes() + pending;
            let heard = match self.aggregator.heard(link) {
                Some(identity) => format!("{identity} answered, but it belongs to another place"),
                None if bytes == 0 => match self.places[link].losses() {
                    0 => "nothing came".into(),
                    losses => {
                        format!("nothing came, and the other end has closed it {losses} times")
                    }
                },
                None => format!("{bytes} bytes came, but none was an answer of a smidgen board"),
            };
            return Err(WorldError::Silent { place, heard, keyed: self.keyed });
        }
        if silence > self.deadline {
            let seconds = silence.as_secs();
            return Err(match self.aggregator.answered_at(worker) > since {
                true => WorldError::Evasive { place, seconds },
                false => WorldError::Lost { place, seconds },
            });
        }
        Ok(())
    }
}

impl World for Driver {
    fn advance(&mut self) -> Result<Option<Event>, WorldError> {
        let event = self.aggregator.poll_event();
        if event.is_none() {
            self.look_after()?;
            self.transmit();
            self.receive();
        }
        Ok(event)
    }

    fn aggregator(&mut self) -> &mut Aggregator {
        &mut self.aggregator
    }

    fn measure(&mut self) -> Option<Measured> {
        let objective = self.objective.as_ref()?;
        let (loss, norm_squared) = objective.loss_and_norm_squared(&self.aggregator.model());
        let loss = (!self.hears_all).then_some(loss);
        Some(Measured { loss, gradient_norm_squared: norm_squared })
    }

    fn clock(&self) -> Clock {
        Clock::Host
    }

    fn place(&self, link: usize) -> String {
        self.places[link].name.clone()
    }

    fn poll_note(&mut self) -> Option<String> {
        (!self.notes.is_empty()).then(|| self.notes.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{self, Command};
    use crate::record::{RecordError, RoundRecord};
    use crate::run::experiment::Experiment;
    use crate::run::training::{Goal, Observer, train};
    use embedded_io_adapters::std::FromStd;
    use smidgen_firmware::logistic::Logistic;
    use smidgen_firmware::run::run as serve;
    use smidgen_firmware::worker::{Board, Worker};
    use smidgen_protocol::counters::Reject;
    use smidgen_protocol::frame::{Context, FRAME_LEN_MAX};
    use smidgen_protocol::message::{Ready, SCHEMA, Up, VERSION};
    use std::io::{self, Read, Write};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Time of an attempt to write.
    const WRITE_POLL: Duration = Duration::from_millis(5);

    /// Collects messages for the user.
    #[derive(Default)]
    struct Ear(Vec<String>);

    impl Observer for Ear {
        fn note(&mut self, note: &str) {
            self.0.push(note.into());
        }

        fn round(&mut self, _: &RoundRecord, _: bool, _: &Aggregator) -> Result<(), RecordError> {
            unreachable!("no board answers")
        }
    }

    fn experiment(workers: &str) -> Experiment {
        let arguments = ["smidgen", "simulate", "--rows", "50", "--workers", workers];
        let cli = cli::parse(arguments.map(Into::into)).unwrap();
        let Command::Simulate(options) = cli.command else { unreachable!("it says simulate") };
        Experiment::new(&options, None, 1).unwrap()
    }

    /// Accepts no bytes and counts the attempts.
    struct Full(UnixStream, Arc<AtomicU32>);

    impl AsFd for Full {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl Read for Full {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            std::thread::sleep(WRITE_POLL);
            self.1.fetch_add(1, Ordering::Relaxed);
            Err(io::ErrorKind::WouldBlock.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn stuck_links_share_the_time_of_one_turn() {
        const LINKS: u32 = 32;
        let count = Arc::new(AtomicU32::new(0));
        let (mut boards, mut links) = (vec![], Links::new().unwrap());
        for _ in 0..LINKS {
            let (host, board) = UnixStream::pair().unwrap();
            boards.push(board);
            links.attach(Full(host, count.clone())).unwrap();
        }
        let setup = experiment(&LINKS.to_string()).setup.clone();
        let mut driver = Driver::new(setup, links, vec!["here".into(); LINKS as usize]);
        driver.transmit();
        let shared = WRITE_TIME_MAX.div_duration_f64(WRITE_POLL) as u32 + 1;
        let count = count.load(Ordering::Relaxed);
        assert!((LINKS..=LINKS + shared).contains(&count), "{count} attempts");
    }

    #[test]
    fn flood_at_a_guessed_port_is_reported_once() {
        let mut links = Links::new().unwrap();
        let (host, _board) = UnixStream::pair().unwrap();
        links.attach(host).unwrap();
        let setup = experiment("1").setup.clone();
        let mut driver = Driver::new(setup, links, vec!["here".into()]);
        let found = |is_guess| LinkEvent::Up { address: Address::Serial("there".into()), is_guess };
        driver.handle(0, LinkEvent::Down("unplugged".into()));
        driver.handle(0, found(true));
        let before = driver.notes.len();
        // A slow computer detects the flood later, after more events.
        (0..100_000).find(|_| {
            driver.hear(0, &[0; 4096]);
            driver.notes.len() > before
        });
        (0..64).for_each(|_| driver.hear(0, &[0; 4096]));
        let told = "no board of this run is at there, which sends without end";
        assert_eq!(driver.notes[before..], [told]);
        driver.handle(0, LinkEvent::Down("no board of this run is there".into()));
        assert_eq!(driver.notes.len(), before + 1, "this is not reported again");
        (0..900).for_each(|_| driver.hear(0, &[0; 4096]));
        driver.handle(0, found(false));
        (0..900).for_each(|_| driver.hear(0, &[0; 4096]));
        assert!(
            !driver.notes.iter().any(|note| note.contains("closed for")),
            "a burst is not a flood"
        );
    }

    /// Links to boards in threads.
    fn attached<const N: usize>(boards: [fn(UnixStream); N]) -> Links {
        let mut links = Links::new().unwrap();
        for board in boards {
            let (host, end) = UnixStream::pair().unwrap();
            std::thread::spawn(move || board(end));
            links.attach(host).unwrap();
        }
        links
    }

    fn work(end: UnixStream) {
        let board = Board { name: "thread", identity: 1 };
        let mut worker = Worker::new::<Logistic>(board, vec![0; 1 << 14]);
        // It ends when the host closes the link.
        let _ = serve(&mut FromStd::new(end), &mut worker, &mut Logistic::default(), &mut ());
    }

    /// Answers every piece of a request with the correct answer to the first request.
    fn parrot(mut end: UnixStream) {
        let ready = Ready {
            version: VERSION,
            schema: SCHEMA,
            echo: 1,
            board: "parrot",
            identity: 2,
            memory: 1 << 20,
            objectives: "logistic",
            session: 0,
            opened: 0,
            model_digest: 0,
            estimator_digest: 0,
            rejected: [0; Reject::COUNT],
            overruns: 0,
            saturated: 0,
        };
        let (mut frame, mut heard) = ([0; FRAME_LEN_MAX], [0; FRAME_LEN_MAX]);
        let len = Up::Ready(ready).emit(&[], &Context::SETUP, &mut frame);
        while let Ok(1..) = end.read(&mut heard) {
            let _ = end.write_all(&frame[..len]);
        }
    }

    /// No round can close before all boards have the model, whatever the time-out of later rounds.
    #[test]
    fn parrot_from_the_start_ends_a_run_that_may_skip_boards() {
        let links = attached([work, parrot]);
        let setup = Setup {
            round_timeout: Some(Duration::from_millis(100)),
            ..experiment("2").setup.clone()
        };
        let places = ["one", "two"].map(String::from).to_vec();
        let mut driver = Driver::new(setup, links, places)
            // Generous: a stalled computer would blame the working board.
            .with_deadline(Duration::from_secs(10));
        let goal = Goal { rounds: 1, target: None };
        let error = train(&mut driver, goal, 115_200, &mut Ear::default()).unwrap_err().to_string();
        assert!(error.contains("two has not answered for"), "{error}");
    }

    #[test]
    fn notes_do_not_wait_for_events() {
        let experiment = experiment("1");
        let mut links = Links::new().unwrap();
        let (host, _mute) = UnixStream::pair().unwrap();
        links.attach(host).unwrap();
        let mut words = vec!["the emulated board has ended and does not start again"];
        let places = vec!["here".into()];
        let mut driver = Driver::new(experiment.setup.clone(), links, places)
            .with_deadline(Duration::from_secs(2))
            .with_watch(Box::new(move || words.pop().map(|word| Seen::Note(word.into()))));
        let mut ear = Ear::default();
        let goal = Goal { rounds: 1, target: None };
        let error = train(&mut driver, goal, 115_200, &mut ear).unwrap_err().to_string();
        assert_eq!(ear.0, ["the emulated board has ended and does not start again"]);
        assert!(error.starts_with("no worker answers on here: nothing came"), "{error}");
    }
}
