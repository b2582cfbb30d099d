//! A blocking client of one board: greets it, and repeats a request until it is answered.
//!
//! It works on any link, and survives its loss: the board at a reopened link must identify itself as the same one.

mod error;
mod frame;
mod rows;

use crate::options::Faults;
use crate::units::interrupt;
use crate::units::serial_line::byte_time;
use crate::world::driver::place::Place;
use crate::world::fault_injector::{Direction, FaultInjector};
use crate::world::interface::WorldError;
use crate::world::live::LiveView;
use crate::world::simulation::Line;
use crate::world::transport::{Address, LinkEvent, Links, TransportError};
pub use error::ClientError;
pub use frame::Request;
use frame::{Heard, take};
pub use rows::{BoardRows, ClassRows, advice, table};
use smidgen_aggregator::{Identity, Sealing, Timer};
use smidgen_protocol::counters::Counters;
use smidgen_protocol::frame::{Deframer, FRAME_LEN_MAX};
use smidgen_protocol::message::{Command, Down, RecordRefusal, SCHEMA, Ticket, Up, VERSION};
use smidgen_protocol::seal::HostSeal;
use std::slice;
use std::time::{Duration, Instant};

/// Time for a board to identify itself; opening a port resets many boards.
const GREETING_TIME_MAX: Duration = Duration::from_secs(10);
/// Time for an answer: a board looks through its rows, or a cable is replaced.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// Time to erase the memory for rows, which takes half a minute per megabyte.
const CLEAR_TIME_MAX: Duration = Duration::from_secs(180);
/// Shortest and longest time-out of a request. A board that looks through its rows does so for every repetition.
const TIMEOUT_MIN: Duration = Duration::from_millis(500);
const TIMEOUT_MAX: Duration = Duration::from_secs(8);
/// Unanswered requests after which the board must identify itself: it may have been restarted.
const ATTEMPTS_UNTIL_CHECK: u32 = 3;
/// The longest wait for bytes before requests to stop are looked at.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Index of the only link.
const LINK: usize = 0;

/// A client of one board.
pub struct Client {
    /// Its only link.
    links: Links,
    place: Place,
    /// Takes messages for the user.
    note: Box<dyn FnMut(String) + Send>,
    /// Whether a question is given up.
    gives_up: fn() -> bool,
    /// Key and salts, and the host's end of the sealed line.
    seal: Option<(Sealing, HostSeal)>,
    faults: Option<[FaultInjector; 2]>,
    byte_time: Duration,
    deframer: Deframer,
    counters: Counters,
    timer: Timer,
    echo: Ticket,
    /// The board, once it has identified itself.
    board: Option<Identity>,
    /// It must identify itself before the next request.
    is_in_doubt: bool,
}

impl Client {
    /// Opens the link at an address, and passes messages for the user to `note`.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(
        address: &Address,
        baud: u32,
        sealing: Option<Sealing>,
        note: impl FnMut(String) + Send + 'static,
    ) -> Result<Self, TransportError> {
        Ok(Self {
            links: Links::open_all(slice::from_ref(address), baud)?,
            place: Place::new(address.to_string()),
            note: Box::new(note),
            gives_up: interrupt::is_requested,
            seal: sealing.map(|sealing| {
                let seal = HostSeal::new(sealing.key.clone());
                (sealing, seal)
            }),
            faults: None,
            byte_time: byte_time(baud),
            deframer: Deframer::default(),
            counters: Counters::default(),
            timer: Timer::new(TIMEOUT_MAX),
            echo: 0,
            board: None,
            is_in_doubt: true,
        })
    }

    /// Injects the faults of `line`, as those of link `index` of a run.
    #[must_use]
    pub fn with_faults(self, Line { faults, seed, .. }: Line, index: usize) -> Self {
        let injector = |direction| FaultInjector::new(faults, seed, index, direction);
        let both =
            (faults != Faults::default()).then(|| [Direction::Down, Direction::Up].map(injector));
        Self { faults: both, ..self }
    }

    /// Name of the place at the end of the link.
    pub fn place(&self) -> &str {
        &self.place.name
    }

    /// Has the board identify itself, unless it did so on this link.
    ///
    /// # Errors
    /// If it does not, or cannot be used.
    pub fn greet(&mut self) -> Result<Identity, ClientError> {
        if let Some(board) = &self.board
            && !self.is_in_doubt
        {
            return Ok(board.clone());
        }
        self.greet_until(Instant::now(), GREETING_TIME_MAX)
    }

    /// Carries out a recorder command.
    ///
    /// # Errors
    /// If the board does not answer or refuses the command. [`Command::Status`] is refused only by a board that cannot
    /// record.
    pub fn command(&mut self, command: Command) -> Result<BoardRows, ClientError> {
        self.gives_up = match command {
            // A recording that may have begun must be ended, so only the second request to stop gives that up.
            Command::Start { .. } | Command::Stop { .. } => interrupt::is_immediate,
            Command::Status | Command::Discard { .. } | Command::Clear { .. } => {
                interrupt::is_requested
            }
        };
        let identity = self.greet()?.identity;
        self.echo = self.echo.wrapping_add(1);
        let echo = self.echo;
        let patience = match command {
            Command::Clear { .. } => CLEAR_TIME_MAX,
            Command::Status
            | Command::Start { .. }
            | Command::Stop { .. }
            | Command::Discard { .. } => ANSWER_TIME_MAX,
        };
        let request = Request::setup(Down::Record { echo, identity, command });
        let rows = self.ask(&request, patience, |message, _| match message {
            Up::Records(records) if records.echo == echo => Some(BoardRows::from(records)),
            _ => None,
        })?;
        match rows.refusal(&command) {
            Some(refusal) => Err(self.refused(refusal)),
            None => Ok(rows),
        }
    }

    /// Asks what the board sees.
    ///
    /// # Errors
    /// If the board does not answer.
    pub fn live(&mut self) -> Result<LiveView, ClientError> {
        let identity = self.greet()?.identity;
        self.echo = self.echo.wrapping_add(1);
        let echo = self.echo;
        let request = Request::setup(Down::Live { echo, identity });
        self.ask(&request, ANSWER_TIME_MAX, |message, _| match message {
            Up::Live(live) if live.echo == echo => Some(LiveView::from(live)),
            _ => None,
        })
    }

    /// Repeats a request until `answer` takes a message and its body.
    ///
    /// # Errors
    /// If no answer comes within `patience`.
    pub fn ask<T>(
        &mut self,
        request: &Request,
        patience: Duration,
        mut answer: impl FnMut(&Up, &[u8]) -> Option<T>,
    ) -> Result<T, ClientError> {
        let started = Instant::now();
        loop {
            if self.is_in_doubt {
                self.greet_until(started, patience)?;
            }
            for _ in 0..ATTEMPTS_UNTIL_CHECK {
                if self.is_in_doubt {
                    break;
                }
                if let Some(found) = self.attempt(request, &mut answer)? {
                    return Ok(found);
                }
                if started.elapsed() > patience {
                    return Err(self.evasive(started));
                }
            }
            self.is_in_doubt = true;
        }
    }

    fn greet_until(
        &mut self,
        started: Instant,
        patience: Duration,
    ) -> Result<Identity, ClientError> {
        self.echo = self.echo.wrapping_add(1);
        let echo = self.echo;
        let hello = Request::setup(Down::Hello { version: VERSION, schema: SCHEMA, echo });
        loop {
            let found = self.attempt(&hello, &mut |message, _| match message {
                Up::Ready(ready) if ready.echo == echo => Some(Identity {
                    board: ready.board.to_owned(),
                    identity: ready.identity,
                    memory: ready.memory,
                }),
                _ => None,
            })?;
            if let Some(found) = found
                && self.recognise(&found)?
            {
                return Ok(found);
            }
            let patience = if self.board.is_none() { GREETING_TIME_MAX } else { patience };
            if started.elapsed() > patience {
                return Err(self.silent(started));
            }
        }
    }

    /// Returns whether the board of this client has identified itself. Another one at a port that was only found is not
    /// asked further.
    fn recognise(&mut self, found: &Identity) -> Result<bool, ClientError> {
        let expected = self.board.get_or_insert_with(|| found.clone());
        if expected.identity == found.identity {
            if let Some((address, _)) = self.place.guess.take() {
                (self.note)(format!("{} is now {address}", self.place.name));
            }
            self.is_in_doubt = false;
            return Ok(true);
        }
        let expected = expected.clone();
        match self.place.abandon() {
            Some(address) => {
                (self.note)(format!("another board is at {address}: {found}"));
                self.links.reject_guess(LINK);
                Ok(false)
            }
            None => {
                let (place, found) = (self.place.name.clone(), found.clone());
                Err(ClientError::Stranger { place, expected, found })
            }
        }
    }

    /// Sends a request and waits for its answer; `None` after the time-out or if the link was lost.
    fn attempt<T>(
        &mut self,
        request: &Request,
        answer: &mut impl FnMut(&Up, &[u8]) -> Option<T>,
    ) -> Result<Option<T>, ClientError> {
        let Some(len) = self.transmit(request) else {
            // The line has no seal yet, or has used it up: a Hello makes a new one.
            self.is_in_doubt = true;
            return Ok(None);
        };
        let line_time = self.byte_time * (len + FRAME_LEN_MAX) as u32;
        let timeout = self.timer.timeout().max(TIMEOUT_MIN) + line_time;
        let sent = Instant::now();
        while sent.elapsed() < timeout {
            if (self.gives_up)() {
                return Err(WorldError::Interrupted.into());
            }
            let wait = timeout.saturating_sub(sent.elapsed()).min(WAIT_MAX);
            match self.links.receive(wait).map(|(_, event)| event) {
                Some(LinkEvent::Bytes(bytes)) => {
                    if let Some(found) = self.receive(&bytes, request, answer)? {
                        self.timer.sample(sent.elapsed());
                        return Ok(Some(found));
                    }
                }
                Some(LinkEvent::Down(reason)) => {
                    (self.place.lose(&reason, ANSWER_TIME_MAX)).map(&mut self.note);
                }
                Some(LinkEvent::Up { address, is_guess }) => {
                    self.place.regain(address, is_guess).map(&mut self.note);
                    self.is_in_doubt = true;
                    return Ok(None);
                }
                None => self.give_up_guess(),
            }
        }
        self.timer.back_off();
        Ok(None)
    }

    /// Writes a request; returns its length, or `None` if the line has no seal for it. A link that is down reports it
    /// in its events.
    fn transmit(&mut self, request: &Request) -> Option<usize> {
        let mut frame = [0; FRAME_LEN_MAX];
        let Request { address, message, body, context, .. } = request;
        let draft = message.draft(*address, body, context, &mut frame);
        let len = match &mut self.seal {
            Some((sealing, seal)) => seal.close(draft, || sealing.salts.draw())?,
            None => draft.close(),
        };
        let links = &mut self.links;
        let mut write = |bytes: &[u8]| drop(links.write(LINK, bytes, WAIT_MAX));
        match &mut self.faults {
            Some([down, _]) => down.pass(&frame[..len], |piece| write(&piece)),
            None => write(&frame[..len]),
        }
        Some(len)
    }

    fn receive<T>(
        &mut self,
        bytes: &[u8],
        request: &Request,
        answer: &mut impl FnMut(&Up, &[u8]) -> Option<T>,
    ) -> Result<Option<T>, ClientError> {
        let mut pieces = vec![];
        match &mut self.faults {
            Some([_, up]) => up.pass_stream(bytes, |piece| pieces.push(piece)),
            None => pieces.push(bytes.to_vec()),
        }
        let mut found = None;
        for mut bytes in pieces.iter().map(Vec::as_slice) {
            while !bytes.is_empty() {
                let (rest, frame) = self.deframer.feed(bytes, &mut self.counters);
                bytes = rest;
                let Some(frame) = frame else { continue };
                let wire_len = frame.wire_len;
                let seal = self.seal.as_mut().map(|(_, seal)| seal);
                let outcome = take(frame, seal, request, answer);
                self.counters.tally(outcome.as_ref().map(|_| ()).map_err(|error| *error), wire_len);
                match outcome {
                    Ok(Heard::Answer(answer)) => found = found.or(Some(answer)),
                    Ok(Heard::Other(reason)) => {
                        let place = self.place.name.clone();
                        return Err(ClientError::Firmware { place, reason });
                    }
                    Err(_) => {}
                }
            }
        }
        Ok(found)
    }

    /// Leaves a port that was only found if no board identifies itself there.
    fn give_up_guess(&mut self) {
        let is_mute = |(_, since): &(Address, Instant)| since.elapsed() > GREETING_TIME_MAX;
        if self.place.guess.as_ref().is_some_and(is_mute)
            && let Some(address) = self.place.abandon()
        {
            (self.note)(format!("no smidgen board answers at {address}"));
            self.links.reject_guess(LINK);
        }
    }

    pub(crate) fn refused(&self, refusal: RecordRefusal) -> ClientError {
        ClientError::Refused { place: self.place.name.clone(), refusal }
    }

    pub(crate) fn note(&mut self, text: String) {
        (self.note)(text);
    }

    fn silent(&self, started: Instant) -> ClientError {
        let place = self.place.name.clone();
        if self.board.is_some() {
            return WorldError::Lost { place, seconds: started.elapsed().as_secs() }.into();
        }
        let heard = match self.counters.bytes() + self.deframer.pending() as u64 {
            0 => "nothing came".into(),
            bytes => format!("{bytes} bytes came, but none was an answer of a smidgen board"),
        };
        WorldError::Silent { place, heard, keyed: self.seal.is_some() }.into()
    }

    fn evasive(&self, started: Instant) -> ClientError {
        let (place, seconds) = (self.place.name.clone(), started.elapsed().as_secs());
        WorldError::Evasive { place, seconds }.into()
    }
}
