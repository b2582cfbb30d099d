//! Measured times of a worker's round, as far as the host's clock can show.
//!
//! ```text
//!  sent ─── n bytes down ─── the worker computes ─── first f bytes up ─── began ─── the rest ─── answered
//!  └──────────────────── waited ────────────────────────────────────────────┘└──── receiving ────┘
//!  line = what is known of n + f bytes  (≤ waited)                        +        receiving
//! ```
//!
//! The host does not see when a request reaches the worker. It estimates how long the line takes for n + f bytes from
//! requests without a gradient: at most as long as a recent one of as many bytes or more took, and at most as long as
//! one of fewer bytes took, plus the rest at the rate of the line. Until there was such a request, bytes count at that
//! rate. A board that is always slow to read its line cannot be distinguished from a slow line, nor a slow board from a
//! slow host.

use std::time::Duration;

/// Answers without a gradient after which a measurement is forgotten, since a line may become slower.
const MEMORY: u32 = 32;

/// Measured times of a worker's round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elapsed {
    /// From the first request of the round to the last byte of the update.
    pub round_trip: Duration,
    /// Part of it on the line.
    pub line: Duration,
    /// Part of it between the first and the last copy of repeated requests: a frame was lost, or the worker was slow.
    pub repeating: Duration,
    /// Bytes on the link in this round, both ways.
    pub bytes: u64,
}

impl Elapsed {
    /// Part of it in which the worker computed: the rest.
    pub fn board(&self) -> Duration {
        self.round_trip.saturating_sub(self.line + self.repeating)
    }
}

/// A request that has not been answered.
#[derive(Clone, Copy, Debug)]
struct Flight {
    first_sent: Duration,
    last_sent: Duration,
    len: usize,
    /// It was sent more than once.
    repeated: bool,
}

/// Splits the time of a worker's rounds.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    /// When the first request of this round was sent.
    since: Option<Duration>,
    /// When the update was complete.
    updated: Option<Duration>,
    line: Duration,
    repeating: Duration,
    flight: Option<Flight>,
    /// When the present frame began to arrive, and how many of its bytes came then.
    arrival: Option<(Duration, usize)>,
    /// Fastest recent times by byte count, each with the number of its answer; none is implied by a later one.
    known: Vec<(u32, usize, Duration)>,
    /// Number of answers to requests without a gradient.
    answers: u32,
}

impl Stopwatch {
    /// Notes that a frame of `len` bytes was handed to the link.
    pub(crate) fn sent(&mut self, now: Duration, len: usize) {
        self.since.get_or_insert(now);
        let first_sent = self.flight.map_or(now, |flight| flight.first_sent);
        let repeated = self.flight.is_some();
        self.flight = Some(Flight { first_sent, last_sent: now, len, repeated });
    }

    /// Notes that `len` bytes of a frame have come.
    pub(crate) fn arriving(&mut self, now: Duration, len: usize) {
        self.arrival.get_or_insert((now, len));
    }

    /// Notes that the frame has ended.
    pub(crate) fn frame_ended(&mut self) {
        self.arrival = None;
    }

    /// Notes that the frame was the answer to a request, which needed a gradient if it `evaluates`.
    pub(crate) fn answered(&mut self, now: Duration, evaluates: bool, byte_time: Duration) {
        let (began, head) = self.arrival.take().unwrap_or((now, 0));
        let Some(flight) = self.flight.take() else { return };
        let Flight { first_sent, last_sent, len, repeated } = flight;
        // A frame that began before the request was repeated answers an earlier copy.
        let began = began.max(last_sent);
        let (bytes, waited) = (len + head, began - last_sent);
        // The answer to one of several copies, or after a gradient, says nothing about the line.
        if !repeated && !evaluates {
            self.learn(bytes, waited, byte_time);
        }
        let least = |&(_, len, took): &_| at_most((len, took), bytes, byte_time);
        let known = self.known.iter().map(least).min();
        // The line cannot have taken longer than the answer.
        let unseen = known.unwrap_or(byte_time * bytes as u32).min(waited);
        // The request is one of an earlier round.
        let Some(since) = self.since else { return };
        self.line += unseen + now.saturating_sub(began);
        self.repeating += last_sent.saturating_sub(first_sent.max(since));
    }

    /// Notes that the line took no longer than `waited` for `bytes`.
    fn learn(&mut self, bytes: usize, waited: Duration, byte_time: Duration) {
        self.answers = self.answers.wrapping_add(1);
        let answers = self.answers;
        // Measurements that an earlier one implies are kept, since that is forgotten first.
        self.known.retain(|&(answer, len, took)| {
            let is_implied = at_most((bytes, waited), len, byte_time) <= took;
            answers.wrapping_sub(answer) < MEMORY && !is_implied
        });
        self.known.push((answers, bytes, waited));
    }

    /// Notes that the update is complete.
    pub(crate) fn updated(&mut self, now: Duration) {
        self.updated = Some(now);
    }

    /// Ends a round with `bytes` on the link; returns its times if the worker took part in it.
    pub(crate) fn close(&mut self, bytes: u64) -> Option<Elapsed> {
        let (since, updated) = (self.since.take(), self.updated.take());
        let (line, repeating) =
            (std::mem::take(&mut self.line), std::mem::take(&mut self.repeating));
        let round_trip = updated?.saturating_sub(since?);
        Some(Elapsed { round_trip, line, repeating, bytes })
    }

    /// Two workers swap their links; what is known of a link stays with it.
    pub(crate) fn swap_links(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.known, &mut other.known);
        std::mem::swap(&mut self.answers, &mut other.answers);
        (self.arrival, other.arrival) = (None, None);
    }
}

/// Upper bound of the time of a line for `bytes`, if `len` bytes `took` that long.
fn at_most((len, took): (usize, Duration), bytes: usize, byte_time: Duration) -> Duration {
    took + byte_time * bytes.saturating_sub(len) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTE: Duration = Duration::from_micros(100);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A stopwatch that has seen a request of 20 bytes without a gradient take `waited` to the first 10 bytes of its
    /// answer.
    fn greeted(waited: Duration) -> Stopwatch {
        let mut watch = Stopwatch::default();
        watch.sent(ms(0), 20);
        watch.arriving(waited, 10);
        watch.answered(waited, false, BYTE);
        watch.close(0);
        watch
    }

    /// A round that begins at one second: 30 bytes down, the first 10 of the update after `waited`, the rest after
    /// `receiving`.
    fn round(mut watch: Stopwatch, waited: Duration, receiving: Duration) -> Elapsed {
        let start = ms(1000);
        watch.sent(start, 30);
        watch.arriving(start + waited, 10);
        let end = start + waited + receiving;
        watch.arriving(end, 10);
        watch.answered(end, true, BYTE);
        watch.updated(end);
        watch.close(60).unwrap()
    }

    #[test]
    fn line_and_board_are_told_apart_by_what_is_known_of_the_line() {
        // 20 + 10 bytes took 5 ms, 10 more take a millisecond.
        let elapsed = round(greeted(ms(5)), ms(56), ms(3));
        assert_eq!(elapsed.round_trip, ms(59));
        assert_eq!((elapsed.line, elapsed.board()), (ms(5 + 1 + 3), ms(50)));
    }

    #[test]
    fn a_line_faster_than_its_rate_leaves_the_time_to_the_board() {
        let elapsed = round(greeted(Duration::ZERO), ms(56), ms(0));
        assert_eq!((elapsed.line, elapsed.board()), (ms(1), ms(55)));
        let quick = round(greeted(ms(3)), ms(2), ms(0));
        assert_eq!((quick.line, quick.board()), (ms(2), ms(0)), "no more than what passed");
    }

    #[test]
    fn unknown_lines_count_bytes_at_their_baud_rate() {
        let elapsed = round(Stopwatch::default(), ms(56), ms(3));
        assert_eq!((elapsed.line, elapsed.board()), (ms(7), ms(52)));
    }

    #[test]
    fn the_least_counts_and_what_later_ones_imply_is_forgotten() {
        let mut watch = greeted(ms(40));
        for (len, took, known) in [
            // The same time for 310 bytes also bounds the time of fewer bytes.
            (300, ms(40), vec![(2, 310, ms(40))]),
            (300, ms(50), vec![(2, 310, ms(40)), (3, 310, ms(50))]),
            // At the rate of the line, 280 more bytes take 28 ms more: less than what was known.
            (20, ms(9), vec![(4, 30, ms(9))]),
            (120, ms(25), vec![(4, 30, ms(9)), (5, 130, ms(25))]),
            (120, ms(15), vec![(4, 30, ms(9)), (6, 130, ms(15))]),
        ] {
            watch.sent(ms(100), len);
            watch.arriving(ms(100) + took, 10);
            watch.answered(ms(100) + took, false, BYTE);
            assert_eq!(watch.known, known, "{len} bytes in {took:?}");
        }
    }

    #[test]
    fn a_line_that_becomes_slow_is_no_slow_board() {
        let mut watch = greeted(ms(4));
        let mut boards = vec![];
        for number in 0..100 {
            // The line takes 5 ms each way, from the twentieth round on 50; the board computes for 20.
            let line = if number < 20 { ms(5) } else { ms(50) };
            let start = ms(1000 * (number + 1));
            watch.sent(start, 30);
            watch.arriving(start + line + ms(20), 10);
            watch.answered(start + line + ms(20), true, BYTE);
            let more = start + ms(500);
            watch.sent(more, 30);
            watch.arriving(more + line, 10);
            watch.answered(more + line, false, BYTE);
            watch.updated(more + line);
            let elapsed = watch.close(80).unwrap();
            boards.push(elapsed.round_trip - elapsed.line);
            assert!(watch.known.len() <= MEMORY as usize);
        }
        // All of a round but the time of the line: of 505 ms and of 550 ms.
        assert_eq!((boards[19], boards[99]), (ms(495), ms(450)), "{boards:?}");
    }

    #[test]
    fn waits_for_repeated_requests_teach_nothing() {
        let mut watch = Stopwatch::default();
        watch.sent(ms(0), 20);
        watch.sent(ms(500), 20);
        watch.arriving(ms(503), 10);
        watch.answered(ms(503), false, BYTE);
        assert_eq!(watch.known, []);
        watch.updated(ms(503));
        let elapsed = watch.close(30).unwrap();
        assert_eq!((elapsed.repeating, elapsed.line, elapsed.board()), (ms(500), ms(3), ms(0)));
    }

    #[test]
    fn an_answer_to_the_first_of_two_requests_counts_once() {
        let mut watch = Stopwatch::default();
        watch.sent(ms(0), 20);
        watch.arriving(ms(498), 10);
        watch.sent(ms(500), 20);
        watch.answered(ms(501), true, BYTE);
        watch.updated(ms(501));
        let elapsed = watch.close(50).unwrap();
        assert_eq!((elapsed.round_trip, elapsed.repeating), (ms(501), ms(500)));
        assert_eq!((elapsed.line, elapsed.board()), (ms(1), ms(0)));
    }

    #[test]
    fn a_round_without_an_update_has_no_times_and_leaves_none() {
        let mut watch = greeted(ms(5));
        watch.sent(ms(10), 30);
        assert_eq!(watch.close(30), None);
        // The answer to a request of the round before.
        watch.answered(ms(400), false, BYTE);
        watch.sent(ms(400), 30);
        watch.arriving(ms(406), 10);
        watch.answered(ms(406), true, BYTE);
        watch.updated(ms(406));
        let elapsed = watch.close(60).unwrap();
        assert_eq!((elapsed.round_trip, elapsed.line, elapsed.repeating), (ms(6), ms(6), ms(0)));
    }
}
