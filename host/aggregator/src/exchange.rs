//! The open exchange with a worker: a request, repeated until it is answered.

use crate::stage::Stage;
use crate::timer::Timer;
use smidgen_protocol::message::Ticket;
use std::time::Duration;

/// Unanswered requests after which the worker is asked to identify itself: it may have been restarted.
const ATTEMPTS_UNTIL_CHECK: u32 = 3;
/// Identifications without an answer to the request itself after which a worker counts as stuck.
const CHECKS_MAX: u32 = 100;
/// Longest time-out of a request without a gradient. A data chunk takes 50 ms at 115200 baud, and the time of the
/// line is added to it.
const QUICK_TIMEOUT_MAX: Duration = Duration::from_secs(4);
/// Longest time-out of a request with a gradient: repeating it early only fills the worker's queue.
const EVALUATION_TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// Doubt about the board on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identification {
    /// Nothing is in doubt.
    Settled,
    /// It may have been restarted. An answer to the request itself settles that as well.
    Requested,
    /// Another board may be on its link: it must identify itself, at whatever stage it is by then.
    Required,
}

/// Delivery of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// It has not been sent.
    Unsent,
    /// It is to be sent after a pause, which begins when it leaves the queue.
    Paused(Duration),
    /// It was sent for the first time at `first`; the latest copy has left the line at `last`.
    Sent { first: Duration, last: Duration },
}

/// For how long a useful answer, one that leads to another request, has been missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    /// None is missing.
    None,
    /// None is missing yet, but the next request is overdue as soon as it is sent.
    Suspected,
    /// One has been awaited since then.
    Awaited(Duration),
    /// It should have come.
    Overdue(Duration),
}

/// The open exchange and its timers.
#[derive(Debug)]
pub(crate) struct Exchange {
    stage: Stage,
    ticket: Ticket,
    /// Number of the last Hello.
    echo: Ticket,
    identification: Identification,
    delivery: Delivery,
    queued: bool,
    /// When the request is to be sent again, or the pause ends.
    deadline: Option<Duration>,
    /// Number of repetitions of the request, sent or due.
    repeats: u32,
    /// Identifications since the request was first sent.
    checks: u32,
    /// Requests in a row that were not answered in time.
    unanswered: u32,
    silence: Silence,
    /// When the worker last showed that it is there, while only the others can give it something to do.
    heard_at: Duration,
    /// When any answer came last.
    answered_at: Duration,
    /// Time of the last answer, if it may be one to any of several copies, after a gradient if the flag is set.
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
            identification: Identification::Settled,
            delivery: Delivery::Unsent,
            queued: false,
            deadline: None,
            repeats: 0,
            checks: 0,
            unanswered: 0,
            silence: Silence::None,
            heard_at: Duration::ZERO,
            answered_at: Duration::ZERO,
            ambiguous: None,
            quick: Timer::new(QUICK_TIMEOUT_MAX),
            evaluation: Timer::new(EVALUATION_TIMEOUT_MAX),
        }
    }
}

impl Exchange {
    /// The stage.
    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// The stage whose request is to be sent now: Greet, where the worker must identify itself first.
    pub(crate) fn asked(&self) -> Stage {
        match self.identification {
            Identification::Settled => self.stage,
            Identification::Requested | Identification::Required if self.stage.greets() => {
                self.stage
            }
            Identification::Requested | Identification::Required => Stage::Greet,
        }
    }

    /// Ticket of the request, if its stage has one.
    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Number of the last Hello.
    pub(crate) fn echo(&self) -> Ticket {
        self.echo
    }

    /// Number of the Hello whose answer is awaited.
    pub(crate) fn echo_awaited(&self) -> Option<Ticket> {
        (self.asked().greets() && self.is_sent()).then_some(self.echo)
    }

    fn is_sent(&self) -> bool {
        match self.delivery {
            Delivery::Sent { .. } => true,
            Delivery::Unsent | Delivery::Paused(_) => false,
        }
    }

    /// Starts the exchange of a stage.
    pub(crate) fn enter(&mut self, stage: Stage) {
        if self.stage == Stage::Idle || stage == Stage::Idle {
            // An idle worker owes no answer.
            self.served();
        }
        self.stage = stage;
        // Workers compare tickets as serial numbers, so only those that are sent are counted.
        self.ticket = self.ticket.wrapping_add(u16::from(stage.has_ticket()));
        self.echo = self.echo.wrapping_add(u16::from(stage.greets()));
        (self.repeats, self.checks) = (0, 0);
        if self.identification == Identification::Requested {
            // The stage has changed, so the worker has answered.
            self.identification = Identification::Settled;
        }
        self.delivery = Delivery::Unsent;
        self.deadline = None;
    }

    /// Puts it into the queue; false if there is nothing to send, or it is there already.
    #[must_use]
    pub(crate) fn enqueue(&mut self) -> bool {
        let new = !self.queued && self.asked() != Stage::Idle;
        self.queued |= new;
        new
    }

    /// Has the worker identify itself after a pause.
    pub(crate) fn pause(&mut self, time: Duration) {
        self.enter(Stage::Greet);
        self.served();
        self.delivery = Delivery::Paused(time);
    }

    /// The worker is to identify itself, but has not been asked to yet.
    pub(crate) fn is_unasked(&self) -> bool {
        self.stage == Stage::Greet && !self.is_sent()
    }

    /// Takes it from the queue if it is to pause; returns until when.
    pub(crate) fn start_pause(&mut self, now: Duration) -> Option<Duration> {
        let Delivery::Paused(time) = self.delivery else { return None };
        let until = now + time;
        self.queued = false;
        (self.delivery, self.deadline) = (Delivery::Unsent, Some(until));
        Some(until)
    }

    /// Takes it from the queue; false if there is nothing to send any more.
    #[must_use]
    pub(crate) fn dequeue(&mut self) -> bool {
        self.queued = false;
        // The ticket tells a worker's session from one that a late copy opened after a reboot, so no two configurations
        // share one.
        let configured_before = self.asked() == Stage::Configure && self.is_sent();
        self.ticket = self.ticket.wrapping_add(u16::from(configured_before));
        self.asked() != Stage::Idle
    }

    /// Notes that the request was sent; it and its answer take `line_time` at most. Returns when to repeat it, and
    /// whether it is itself a repetition.
    pub(crate) fn sent(&mut self, now: Duration, line_time: Duration) -> (Duration, bool) {
        let evaluates = self.asked().evaluates();
        let deadline = now + self.timer(evaluates).timeout() + line_time;
        let first = match self.delivery {
            Delivery::Unsent | Delivery::Paused(_) => now,
            Delivery::Sent { first, .. } => first,
        };
        self.delivery = Delivery::Sent { first, last: now + line_time };
        self.silence = match self.silence {
            Silence::None => Silence::Awaited(now),
            Silence::Suspected => Silence::Overdue(now),
            Silence::Awaited(_) | Silence::Overdue(_) => self.silence,
        };
        self.deadline = Some(deadline);
        (deadline, self.repeats > 0)
    }

    /// Notes that the worker is there, although only the others can give it something to do.
    pub(crate) fn heard(&mut self, now: Duration) {
        self.heard_at = now;
    }

    /// Notes that an answer leads to another request: the time of silence starts again.
    pub(crate) fn served(&mut self) {
        self.silence = Silence::None;
    }

    /// Notes that an answer does not lead to another request, so that a useful one is overdue.
    pub(crate) fn evaded(&mut self) {
        self.silence = match self.silence {
            Silence::None | Silence::Suspected => Silence::Suspected,
            Silence::Awaited(since) | Silence::Overdue(since) => Silence::Overdue(since),
        };
    }

    /// Notes that the awaited answer came.
    pub(crate) fn answered(&mut self, now: Duration) {
        (self.unanswered, self.answered_at) = (0, now);
        let (evaluates, repeated) = (self.asked().evaluates(), self.repeats > 0);
        match self.delivery {
            // An answer to a copy from before a reboot says nothing about this request.
            Delivery::Unsent | Delivery::Paused(_) => {}
            Delivery::Sent { first, .. } if repeated => {
                self.ambiguous = Some((evaluates, now.saturating_sub(first)));
                self.timer(evaluates).settle();
            }
            Delivery::Sent { last, .. } => self.timer(evaluates).sample(now.saturating_sub(last)),
        }
    }

    /// Notes that an answer came twice: the first one was on its way when the request was repeated, so its time counts.
    pub(crate) fn repeated(&mut self) {
        if let Some((evaluates, took)) = self.ambiguous.take() {
            self.timer(evaluates).sample(took);
        }
    }

    /// Notes that the worker identified itself as it was asked to.
    pub(crate) fn recognised(&mut self) {
        self.identification = Identification::Settled;
    }

    /// Repeats the request after an identification; false if that has happened too often.
    #[must_use]
    pub(crate) fn resume(&mut self) -> bool {
        self.checks += 1;
        self.checks <= CHECKS_MAX
    }

    /// Returns whether the request is to be sent again now that `deadline` has passed.
    #[must_use]
    pub(crate) fn expired(&mut self, deadline: Duration) -> bool {
        if self.deadline != Some(deadline) {
            return false;
        }
        self.deadline = None;
        if !self.is_sent() {
            // A pause is over.
            return true;
        }
        let evaluates = self.asked().evaluates();
        self.timer(evaluates).back_off();
        self.repeats += 1;
        self.unanswered += 1;
        self.evaded();
        if self.repeats.is_multiple_of(ATTEMPTS_UNTIL_CHECK) {
            self.check();
        }
        true
    }

    /// Repeats the request on a reopened link, which may lead to another board.
    pub(crate) fn interrupted(&mut self) {
        if self.is_sent() && self.stage.greets() {
            self.repeat();
        }
        self.check();
    }

    /// Has the worker identify itself before the request is repeated, unless it does so anyway.
    pub(crate) fn check(&mut self) {
        let is_settled = self.identification == Identification::Settled;
        if is_settled && !self.stage.greets() && self.stage != Stage::Idle {
            self.identification = Identification::Requested;
            self.echo = self.echo.wrapping_add(1);
            self.repeat();
        }
    }

    /// The next copy is not the first one, though no answer was missed.
    fn repeat(&mut self) {
        self.repeats = self.repeats.max(1);
        self.evaded();
    }

    /// Has the worker identify itself, even where it waits for the others. The Hello has a new number, so that an
    /// answer to an earlier one does not count.
    pub(crate) fn challenge(&mut self) {
        self.identification = Identification::Required;
        self.delivery = match self.delivery {
            Delivery::Unsent | Delivery::Paused(_) => Delivery::Unsent,
            Delivery::Sent { .. } => self.delivery,
        };
        self.echo = self.echo.wrapping_add(1);
        self.repeat();
    }

    /// The last requests were all sent in vain.
    pub(crate) fn is_in_vain(&self) -> bool {
        self.unanswered >= ATTEMPTS_UNTIL_CHECK
    }

    /// Two workers swap their links. The number of the last Hello stays with the link, so that a late answer on it is
    /// recognised as such.
    pub(crate) fn swap_links(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.echo, &mut other.echo);
        (self.unanswered, other.unanswered) = (0, 0);
    }

    /// Since when a useful answer has been awaited, if it is overdue.
    pub(crate) fn overdue_since(&self) -> Option<Duration> {
        match self.silence {
            Silence::Overdue(since) if self.stage != Stage::Idle => Some(since),
            Silence::None | Silence::Suspected | Silence::Awaited(_) | Silence::Overdue(_) => None,
        }
    }

    /// The same, but not before a worker that has nothing to do was last heard.
    pub(crate) fn silent_since(&self) -> Option<Duration> {
        Some(self.overdue_since()?.max(self.heard_at))
    }

    /// When any answer came last, useful or not.
    pub(crate) fn answered_at(&self) -> Duration {
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
        assert!(
            exchange.expired(deadline) && !exchange.expired(deadline),
            "a deadline passes once"
        );
        assert_eq!(exchange.silent_since(), Some(100 * SECOND));
    }

    #[test]
    fn an_answer_to_a_repeated_request_tells_nothing_of_the_line() {
        let mut exchange = Exchange::default();
        exchange.enter(Stage::Round);
        let (deadline, _) = exchange.sent(SECOND, Duration::ZERO);
        assert!(exchange.expired(deadline));
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
    fn the_third_missed_answer_asks_who_is_there() {
        let mut exchange = Exchange::default();
        exchange.enter(Stage::Round);
        assert_eq!(exchange.echo_awaited(), None);
        let before = exchange.echo;
        for expected in [Stage::Round, Stage::Round, Stage::Greet] {
            let (deadline, _) = exchange.sent(SECOND, Duration::ZERO);
            assert!(exchange.expired(deadline));
            assert_eq!(exchange.asked(), expected);
        }
        assert_eq!(exchange.echo_awaited(), Some(before + 1));
    }
}
