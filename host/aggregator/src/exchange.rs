//! What a worker is being asked: one exchange, repeated until it is answered.

use super::timer::Timer;
use smidgen_protocol::message::{Part, Ticket, Up};
use std::time::Duration;

/// So many requests without an answer, and the worker is asked who it is: it may have been restarted.
const ATTEMPTS_UNTIL_CHECK: u32 = 3;
/// So many times a worker may say that it is there without answering the request itself.
const CHECKS_MAX: u32 = 100;
/// Data chunks take 50 ms at 115200 baud, for which the line's time is added; a host that asks again costs little.
const QUICK_TIMEOUT_MAX: Duration = Duration::from_secs(4);
/// A gradient takes what it takes, and whoever asks in the meantime fills the worker's queue.
const EVALUATION_TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// What a worker is being asked, in the order in which the stages follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Hello → Ready.
    #[default]
    Greet,
    /// Configure → Ack.
    Configure,
    /// Data → Ack, until all bytes are held.
    Load { held: u32 },
    /// Curvature → Curvature, where the step size is made of what workers report.
    Curvature,
    /// Probe → Range.
    Probe,
    /// Announce → Ack.
    Announce,
    /// Part → Ack, from the mirror and the model, after a reboot.
    Restore { part: Part, from: u32 },
    /// Begin → Update.
    Begin,
    /// Part → Ack, the downlink of a round that does not fit one frame.
    Part(usize),
    /// Round → Update.
    Round,
    /// More → Update.
    More,
    /// Hello → Ready, whose digests are compared.
    Verify,
    /// Nothing: the others are waited for.
    Idle,
}

impl Stage {
    /// Whether the worker must pass over its rows before it answers.
    pub fn evaluates(self) -> bool {
        matches!(self, Self::Curvature | Self::Probe | Self::Begin | Self::Round)
    }

    /// Whether an update is waited for.
    pub fn awaits_update(self) -> bool {
        matches!(self, Self::Begin | Self::Round | Self::More)
    }

    /// Whether the worker is asked who it is.
    fn greets(self) -> bool {
        matches!(self, Self::Greet | Self::Verify)
    }

    /// Whether the request is one with a ticket.
    fn has_ticket(self) -> bool {
        match self {
            Self::Configure
            | Self::Load { .. }
            | Self::Curvature
            | Self::Probe
            | Self::Announce
            | Self::Restore { .. }
            | Self::Begin
            | Self::Part(_) => true,
            Self::Greet | Self::Round | Self::More | Self::Verify | Self::Idle => false,
        }
    }

    /// Whether a message with a ticket is an answer to this exchange.
    pub fn is_answered_by(self, message: &Up) -> bool {
        match message {
            Up::Ack { .. } => self.has_ticket() && !self.evaluates(),
            Up::Range { .. } => self == Self::Probe,
            Up::Curvature { .. } => self == Self::Curvature,
            Up::Refused { .. } => {
                matches!(self, Self::Configure | Self::Load { .. } | Self::Curvature)
            }
            Up::Ready(_) | Up::Update { .. } | Up::Anew { .. } | Up::UpdatePart => false,
        }
    }
}

/// The open exchange and its timers.
#[derive(Debug)]
pub struct Exchange {
    stage: Stage,
    ticket: Ticket,
    /// Number of the last Hello.
    echo: Ticket,
    /// The exchange is put off until the worker has said who it is.
    checking: bool,
    /// Identification is mandatory: answers are ignored until it completes.
    challenged: bool,
    queued: bool,
    attempts: u32,
    /// Answers in a row that did not come.
    missed: u32,
    checks: u32,
    /// For how long it is not asked at all.
    rest: Option<Duration>,
    asked_at: Option<Duration>,
    sent_at: Duration,
    /// Since when a useful answer has been waited for: one that leads to another exchange. a repeated request, a link that was
    /// opened anew, and an answer that leads nowhere change nothing in it.
    waiting_since: Option<Duration>,
    /// Whether that answer should have come.
    is_overdue: bool,
    /// When a worker was there that can only be asked once others have answered.
    heard_at: Duration,
    /// When any answer came last.
    answered_at: Duration,
    deadline: Option<Duration>,
    /// How long the last answer took if it was one to the first of several requests, and whether it needed a gradient.
    ambiguous: Option<(bool, Duration)>,
    quick: Timer,
    evaluation: Timer,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            stage: Stage::Greet,
            ticket: 0,
            echo: 1,
            checking: false,
            challenged: false,
            queued: false,
            attempts: 0,
            missed: 0,
            checks: 0,
            rest: None,
            asked_at: None,
            sent_at: Duration::ZERO,
            waiting_since: None,
            is_overdue: false,
            heard_at: Duration::ZERO,
            answered_at: Duration::ZERO,
            deadline: None,
            ambiguous: None,
            quick: Timer::new(QUICK_TIMEOUT_MAX),
            evaluation: Timer::new(EVALUATION_TIMEOUT_MAX),
        }
    }
}

impl Exchange {
    /// The stage.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The stage whose exchange is to be asked now: to greet, where the worker is being checked.
    pub fn asked(&self) -> Stage {
        if self.checking { Stage::Greet } else { self.stage }
    }

    /// Ticket of the exchange, if its stage has one.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Number of the last Hello.
    pub fn echo(&self) -> Ticket {
        self.echo
    }

    /// Number of the Hello that is waited for an answer to; none if there is none.
    pub fn echo_awaited(&self) -> Option<Ticket> {
        let greets = self.checking || self.stage.greets();
        (greets && self.asked_at.is_some()).then_some(self.echo)
    }

    /// Starts the next exchange.
    pub fn enter(&mut self, stage: Stage) {
        if Stage::Idle == self.stage || stage == Stage::Idle {
            // Nobody waited for it, or will.
            self.served();
        }
        self.stage = stage;
        // Workers compare tickets as serial numbers, so only those that are sent are counted.
        self.ticket = self.ticket.wrapping_add(u16::from(stage.has_ticket()));
        self.echo = self.echo.wrapping_add(u16::from(stage.greets()));
        (self.attempts, self.checks, self.rest) = (0, 0, None);
        self.checking = self.challenged && !stage.greets();
        self.asked_at = None;
        self.deadline = None;
    }

    /// Whether there is a request to ask, and it is not yet in the queue: then it is from now on.
    pub fn enqueue(&mut self) -> bool {
        let new = !self.queued && self.asked() != Stage::Idle;
        self.queued |= new;
        new
    }

    /// Asks who is there, but only after some time.
    pub fn rest(&mut self, time: Duration) {
        self.enter(Stage::Greet);
        self.served();
        self.rest = Some(time);
    }

    /// Whether it is not to be asked yet.
    pub fn is_resting(&self) -> bool {
        self.stage == Stage::Greet && self.asked_at.is_none()
    }

    /// Takes it from the queue if it is to rest; returns until when.
    pub fn put_off(&mut self, now: Duration) -> Option<Duration> {
        let until = now + self.rest.take()?;
        self.queued = false;
        self.deadline = Some(until);
        Some(until)
    }

    /// Takes it from the queue; returns whether there still is a request to ask.
    pub fn dequeue(&mut self) -> bool {
        self.queued = false;
        // The ticket tells a worker's session from one that a late copy opened after a reboot, so no two configurations
        // share one.
        let configured_before = self.asked() == Stage::Configure && self.asked_at.is_some();
        self.ticket = self.ticket.wrapping_add(u16::from(configured_before));
        self.asked() != Stage::Idle
    }

    /// Notes that the request has been sent, and with its answer will be on the line for `line_time` at most; returns
    /// when to ask again, and whether it had been asked before.
    pub fn sent(&mut self, now: Duration, line_time: Duration) -> (Duration, bool) {
        let evaluates = self.asked().evaluates();
        let deadline = now + self.timer(evaluates).timeout() + line_time;
        self.asked_at.get_or_insert(now);
        self.waiting_since.get_or_insert(now);
        self.sent_at = now + line_time;
        self.deadline = Some(deadline);
        (deadline, self.attempts > 0)
    }

    /// Notes a word from a worker that others keep waiting: it is not silent.
    pub fn heard(&mut self, now: Duration) {
        self.heard_at = now;
    }

    /// Notes that an answer leads to another exchange: patience begins anew.
    pub fn served(&mut self) {
        (self.waiting_since, self.is_overdue) = (None, false);
    }

    /// Notes that an answer leads nowhere: what it should have led to is overdue.
    pub fn evaded(&mut self) {
        self.is_overdue = true;
    }

    /// Notes that the awaited answer came.
    pub fn answered(&mut self, now: Duration) {
        (self.missed, self.answered_at) = (0, now);
        let evaluates = self.asked().evaluates();
        if self.attempts == 0 {
            let took = now.saturating_sub(self.sent_at);
            self.timer(evaluates).sample(took);
        } else {
            let took = now.saturating_sub(self.asked_at.unwrap_or(now));
            self.ambiguous = Some((evaluates, took));
            self.timer(evaluates).settle();
        }
    }

    /// An answer came once more: the request was sent again although its first answer was on the way, so that is how
    /// long it takes.
    pub fn repeated(&mut self) {
        if let Some((evaluates, took)) = self.ambiguous.take() {
            self.timer(evaluates).sample(took);
        }
    }

    /// The worker said who it is, as it was asked.
    pub fn recognised(&mut self) {
        (self.checking, self.challenged) = (false, false);
    }

    /// It is still in the run: the request itself is asked again. False if that has happened too often.
    pub fn resume(&mut self) -> bool {
        self.checks += 1;
        self.checks <= CHECKS_MAX
    }

    /// Whether the exchange must be asked again, `deadline` having passed.
    pub fn missed(&mut self, deadline: Duration) -> bool {
        if self.deadline != Some(deadline) {
            return false;
        }
        self.deadline = None;
        if self.asked_at.is_none() {
            return true;
        }
        let evaluates = self.asked().evaluates();
        self.timer(evaluates).back_off();
        self.attempts += 1;
        self.missed += 1;
        self.is_overdue = true;
        if self.attempts.is_multiple_of(ATTEMPTS_UNTIL_CHECK) {
            self.check();
        }
        true
    }

    /// The link was opened anew: the exchange is asked again, and who is there before that.
    pub fn interrupted(&mut self) {
        if self.asked_at.is_some() && self.stage.greets() {
            self.ask_again();
        }
        self.check();
    }

    /// Asks the worker who it is before anything else.
    pub fn check(&mut self) {
        if !self.stage.greets() && self.stage != Stage::Idle && !self.checking {
            self.checking = true;
            self.echo = self.echo.wrapping_add(1);
            self.ask_again();
        }
    }

    /// The next time is not the first one, though no answer was missed.
    fn ask_again(&mut self) {
        self.attempts = self.attempts.max(1);
        self.is_overdue = true;
    }

    /// Asks the worker who it is before anything else, even where it waits for the others, and with a new number: an answer
    /// to an earlier request does not count.
    pub fn challenge(&mut self) {
        (self.checking, self.challenged) = (!self.stage.greets(), true);
        self.rest = None;
        self.echo = self.echo.wrapping_add(1);
        self.ask_again();
    }

    /// Whether the last requests were all asked in vain.
    pub fn is_in_vain(&self) -> bool {
        self.missed >= ATTEMPTS_UNTIL_CHECK
    }

    /// This exchange and another one are asked on each other's links from now on. The number of the last Hello stays with the link,
    /// so that a late answer on it is told for one.
    pub fn trade_links(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.echo, &mut other.echo);
        (self.missed, other.missed) = (0, 0);
    }

    /// Since when a useful answer has been waited for, if it is overdue.
    pub fn overdue_since(&self) -> Option<Duration> {
        self.waiting_since.filter(|_| self.is_overdue && self.stage != Stage::Idle)
    }

    /// The same for a worker that can be asked at all.
    pub fn silent_since(&self) -> Option<Duration> {
        Some(self.overdue_since()?.max(self.heard_at))
    }

    /// When any answer came last, useful or not.
    pub fn answered_at(&self) -> Duration {
        self.answered_at
    }

    fn timer(&mut self, evaluates: bool) -> &mut Timer {
        if evaluates { &mut self.evaluation } else { &mut self.quick }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_requests_use_up_tickets() {
        let mut exchange = Exchange::default();
        for stage in [Stage::Round, Stage::Idle, Stage::More, Stage::Greet, Stage::Verify] {
            exchange.enter(stage);
        }
        assert_eq!(exchange.ticket(), 0);
        exchange.enter(Stage::Announce);
        exchange.enter(Stage::Begin);
        assert_eq!(exchange.ticket(), 2);
    }

    #[test]
    fn every_configuration_has_a_ticket_of_its_own() {
        let mut exchange = Exchange::default();
        for (stage, tickets) in [(Stage::Configure, [1, 2, 3]), (Stage::Announce, [4, 4, 4])] {
            exchange.enter(stage);
            let sent = tickets.map(|_| {
                assert!(exchange.enqueue() && exchange.dequeue());
                exchange.sent(SECOND, Duration::ZERO);
                exchange.ticket()
            });
            assert_eq!(sent, tickets);
        }
    }

    #[test]
    fn a_worker_is_silent_from_when_it_was_asked() {
        let mut exchange = Exchange::default();
        exchange.answered(SECOND);
        exchange.enter(Stage::Idle);
        exchange.enter(Stage::Round);
        let (deadline, _) = exchange.sent(100 * SECOND, Duration::ZERO);
        assert_eq!(exchange.silent_since(), None, "not overdue yet");
        assert!(exchange.missed(deadline) && !exchange.missed(deadline), "a deadline passes once");
        assert_eq!(exchange.silent_since(), Some(100 * SECOND));
    }

    #[test]
    fn an_answer_to_a_repeated_request_tells_nothing_of_the_line() {
        let mut exchange = Exchange::default();
        exchange.enter(Stage::Round);
        let (deadline, _) = exchange.sent(SECOND, Duration::ZERO);
        assert!(exchange.missed(deadline));
        let timeout = exchange.evaluation.timeout();
        exchange.sent(2 * SECOND, Duration::ZERO);
        exchange.answered(4 * SECOND);
        assert_eq!(exchange.evaluation.timeout(), timeout);
        exchange.repeated();
        assert!(exchange.evaluation.timeout() > 3 * SECOND, "but its repetition does");
    }

    #[test]
    fn a_worker_that_is_only_there_is_given_up() {
        let mut exchange = Exchange::default();
        exchange.enter(Stage::Round);
        let resumed = (0..).take_while(|_| {
            exchange.check();
            exchange.recognised();
            exchange.resume()
        });
        assert_eq!(resumed.count(), CHECKS_MAX as usize);
    }

    #[test]
    fn the_third_missed_answer_makes_it_ask_who_is_there_with_a_new_number() {
        let mut exchange = Exchange::default();
        exchange.enter(Stage::Round);
        assert_eq!(exchange.echo_awaited(), None);
        let before = exchange.echo;
        for expected in [Stage::Round, Stage::Round, Stage::Greet] {
            let (deadline, _) = exchange.sent(SECOND, Duration::ZERO);
            assert!(exchange.missed(deadline));
            assert_eq!(exchange.asked(), expected);
        }
        assert_eq!(exchange.echo_awaited(), Some(before + 1));
    }
}
