//! The world of real links: clocks, ports, and boards behind them, emulated ones included.

use crate::aggregator::{Aggregator, Event, Setup};
use crate::config::Faults;
use crate::fault_injector::{Direction, FaultInjector};
use crate::interrupt;
use crate::objective::Objective;
use crate::simulation::Line;
use crate::training::{Measured, World, WorldError};
use crate::transport::{Address, LinkEvent, Links, Lookout, TransportError};
use smidgen_protocol::frame::FRAME_LEN_MAX;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a board has to say who it is: opening a port resets many boards.
const GREETING_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a board that took part may be away: long enough to find a cable, or for a computer to start another one's serial server.
const ABSENCE_MAX: Duration = Duration::from_secs(120);
/// How long to wait for bytes at most before looking after everything else.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// How often the watch is called.
const WATCH_PERIOD: Duration = Duration::from_millis(500);

/// Looks after what stands behind the links; returns what people should hear of it.
pub type Watch = Box<dyn FnMut() -> Option<String>>;

/// A run over real links.
pub struct Driver {
    aggregator: Aggregator,
    links: Links,
    places: Vec<String>,
    /// Ports that links have found and where nobody has said yet who is there, and since when.
    guesses: Vec<Option<(Address, Instant)>>,
    deadline: Duration,
    events: Receiver<(usize, LinkEvent)>,
    started: Instant,
    /// Whether the losses that workers report are not those of all rows.
    hears_all: bool,
    /// Whether frames are sealed.
    keyed: bool,
    /// f in f64, where the host has the data: telemetry.
    objective: Option<Objective>,
    watch: Option<Watch>,
    watched: Instant,
    notes: Vec<String>,
    /// What is done to the frames of each link, down and up, where faults are asked for.
    faults: Vec<(FaultInjector, FaultInjector)>,
}

impl Driver {
    /// A run over links that are opened now, with the faults of `line` on top of what they do themselves; `places` says
    /// for people where they lead.
    ///
    /// # Errors
    /// If a link cannot be opened.
    pub fn open(
        setup: Setup,
        addresses: &[Address],
        places: Vec<String>,
        line: Line,
    ) -> Result<Self, TransportError> {
        let (events, received) = channel();
        let lookout = Arc::new(Lookout::default());
        let open = |(index, address)| lookout.open(index, address, line.baud, events.clone());
        let links = addresses.iter().enumerate().map(open).collect::<Result<_, _>>()?;
        Ok(Self::new(setup, links, places, received).with_faults(line))
    }

    /// A run over `links`, whose events arrive in `events`; `places` says for people where they lead.
    pub fn new(
        setup: Setup,
        links: Links,
        places: Vec<String>,
        events: Receiver<(usize, LinkEvent)>,
    ) -> Self {
        let started = Instant::now();
        Self {
            hears_all: setup.hears_all(),
            keyed: setup.seal.is_some(),
            aggregator: Aggregator::new(setup),
            guesses: vec![None; links.len()],
            deadline: ABSENCE_MAX,
            links,
            places,
            events,
            started,
            objective: None,
            watch: None,
            watched: started,
            notes: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// With the faults of `line` on every link.
    pub fn with_faults(self, Line { faults, seed, .. }: Line) -> Self {
        let injector = |link, direction| FaultInjector::new(faults, seed, link, direction);
        let both = |link| (injector(link, Direction::Down), injector(link, Direction::Up));
        let faulty = faults != Faults::default();
        let faults = (0..self.links.len()).filter(|_| faulty).map(both).collect();
        Self { faults, ..self }
    }

    /// With gradient norms computed from the data in f64.
    pub fn with_objective(self, objective: Objective) -> Self {
        Self { objective: Some(objective), ..self }
    }

    /// With so much time for a board that took part and is away.
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// With something to look after twice a second.
    pub fn with_watch(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn transmit(&mut self) {
        let mut frame = [0; FRAME_LEN_MAX];
        let now = self.now();
        while let Some((index, len)) = self.aggregator.poll_transmit(now, &mut frame) {
            let link = &mut self.links[index];
            // A link that is down says so in its events, and what was lost is asked again.
            let mut write = |bytes: &[u8]| drop(link.write(bytes));
            match self.faults.get_mut(index) {
                Some((down, _)) => down.pass(&frame[..len], |piece| write(&piece)),
                None => write(&frame[..len]),
            }
        }
    }

    /// Waits for bytes or for the next timeout, whichever is sooner.
    fn receive(&mut self) {
        let now = self.now();
        let deadline = self.aggregator.poll_timeout().unwrap_or(Duration::MAX);
        let wait = deadline.saturating_sub(now).min(WAIT_MAX);
        match self.events.recv_timeout(wait) {
            Ok((link, event)) => self.handle(link, event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
        }
        while let Ok((link, event)) = self.events.try_recv() {
            self.handle(link, event);
        }
        let now = self.now();
        self.aggregator.handle_timeout(now);
    }

    fn handle(&mut self, link: usize, event: LinkEvent) {
        let (now, place) = (self.now(), &self.places[link]);
        match event {
            LinkEvent::Bytes(bytes) => match self.faults.get_mut(link) {
                Some((_, up)) => up.pass_stream(&bytes, |piece| {
                    self.aggregator.receive(now, link, &piece);
                }),
                None => self.aggregator.receive(now, link, &bytes),
            },
            LinkEvent::Down(reason) => {
                let seconds = self.deadline.as_secs();
                let note = format!("{place} is gone ({reason}): looking for it, for {seconds} s");
                // What was only tried was not there.
                if self.guesses[link].take().is_none() {
                    self.notes.push(note);
                }
            }
            LinkEvent::Up { address, is_guess } => {
                let at = address.to_string();
                self.notes.push(match is_guess {
                    true => format!("asking at {at}, which has appeared, whether {place} is there"),
                    false if at == *place || !matches!(address, Address::Serial(_)) => {
                        format!("{place} is back")
                    }
                    false => format!("{place} is back, as {at}"),
                });
                self.guesses[link] = is_guess.then(|| (address, Instant::now()));
                match is_guess {
                    true => self.aggregator.handle_guess(link),
                    false => self.aggregator.handle_reconnect(link),
                }
            }
        }
    }

    /// Looks whether a port that was found is one of a board of this run.
    fn judge_guess(&mut self, link: usize) {
        let Some((address, since)) = &self.guesses[link] else { return };
        match self.aggregator.heard(link) {
            Some(stranger) if self.aggregator.is_strange(link) => {
                let note = format!("a board that is not of this run is at {address}: {stranger}");
                self.notes.push(note);
                self.links[link].look_elsewhere();
            }
            Some(_) => {
                self.notes.push(format!("{} is now {address}", self.places[link]));
                self.guesses[link] = None;
            }
            None if since.elapsed() > GREETING_TIME_MAX => {
                self.notes.push(format!("no board of this run answers at {address}"));
                self.links[link].look_elsewhere();
            }
            None => {}
        }
    }

    fn look_after(&mut self) -> Result<(), WorldError> {
        if self.watched.elapsed() < WATCH_PERIOD {
            return Ok(());
        }
        self.watched = Instant::now();
        if let Some(watch) = &mut self.watch {
            self.notes.extend(watch());
        }
        (0..self.links.len()).for_each(|link| self.judge_guess(link));
        // There are as many links as workers.
        (0..self.links.len()).try_for_each(|worker| self.check_silence(worker))
    }

    fn check_silence(&self, worker: usize) -> Result<(), WorldError> {
        let link = self.aggregator.link(worker);
        let place = self.places[link].clone();
        let silent_since = self.aggregator.silent_since(worker);
        let waived = self.aggregator.goes_on_without(self.now(), worker);
        let Some(since) = silent_since.filter(|_| !waived) else { return Ok(()) };
        let silence = self.now().saturating_sub(since);
        if !self.aggregator.is_greeted(worker) && silence > GREETING_TIME_MAX {
            let pending = self.aggregator.pending(worker) as u64;
            let bytes = self.aggregator.counters(worker).bytes() + pending;
            let heard = match self.aggregator.heard(link) {
                Some(identity) => format!("{identity} answered, whose place is another"),
                None if bytes == 0 => "nothing came".into(),
                None => format!("{bytes} bytes came, but no answer of smidgen's"),
            };
            return Err(WorldError::Silent { place, heard, keyed: self.keyed });
        }
        if silence > self.deadline {
            return Err(WorldError::Lost { place, seconds: silence.as_secs() });
        }
        Ok(())
    }
}

impl World for Driver {
    fn next_event(&mut self) -> Result<Event, WorldError> {
        loop {
            if let Some(event) = self.aggregator.poll_event() {
                return Ok(event);
            }
            if interrupt::is_urgent() {
                return Err(WorldError::Interrupted);
            }
            self.look_after()?;
            self.transmit();
            self.receive();
        }
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

    fn place(&self, link: usize) -> String {
        self.places[link].clone()
    }

    fn poll_note(&mut self) -> Option<String> {
        (!self.notes.is_empty()).then(|| self.notes.remove(0))
    }
}
