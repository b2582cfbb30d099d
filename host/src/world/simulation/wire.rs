//! One direction of a modelled serial line.

use crate::units::serial_line::byte_time;
use crate::world::fault_injector::{FaultInjector, LineStatistics};
use std::time::Duration;

/// A wire that carries bytes one after another.
#[derive(Debug)]
pub struct Wire {
    byte_time: Duration,
    latency: Duration,
    faults: FaultInjector,
    free_at: Duration,
}

impl Wire {
    /// A wire at `baud` with injected faults.
    pub fn new(baud: u32, latency: Duration, faults: FaultInjector) -> Self {
        Self { byte_time: byte_time(baud), latency, faults, free_at: Duration::ZERO }
    }

    /// Injects no faults from now on.
    pub fn clear_faults(&mut self) {
        self.faults.clear_faults();
    }

    /// Counts of its bytes and frames so far.
    pub fn statistics(&self) -> LineStatistics {
        self.faults.statistics()
    }

    /// When the last byte that was sent so far arrives.
    pub fn clear_at(&self) -> Duration {
        self.free_at + self.latency
    }

    /// Sends a frame; `deliver` gets the arriving pieces and their times, in order.
    pub fn send(
        &mut self,
        now: Duration,
        frame: &[u8],
        mut deliver: impl FnMut(Duration, Vec<u8>),
    ) {
        let start = now.max(self.free_at);
        let mut end = start;
        self.faults.pass(frame, |piece| {
            end += self.byte_time * piece.len() as u32;
            deliver(end + self.latency, piece);
        });
        // A lost frame occupies the wire as well, and a duplicated one occupies it twice.
        self.free_at = end.max(start + self.byte_time * frame.len() as u32);
    }

    /// Puts a frame of another sender on the wire and returns its time of arrival.
    pub fn inject(&mut self, now: Duration, frame: &[u8]) -> Duration {
        self.faults.count_foreign(frame.len());
        self.free_at = now.max(self.free_at) + self.byte_time * frame.len() as u32;
        self.clear_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Faults;
    use crate::world::fault_injector::Direction;

    const BYTE_TIME: Duration = Duration::from_micros(100);
    const LATENCY: Duration = Duration::from_millis(1);

    fn wire(faults: Faults) -> Wire {
        Wire::new(100_000, LATENCY, FaultInjector::new(faults, 7, 0, Direction::Up))
    }

    /// Arrivals of frames of ten and of five bytes that are sent at once.
    fn arrivals(faults: Faults) -> Vec<(Duration, usize)> {
        let (mut wire, mut arrivals) = (wire(faults), vec![]);
        for len in [10, 5] {
            wire.send(Duration::ZERO, &vec![1; len], |at, bytes| arrivals.push((at, bytes.len())));
        }
        arrivals
    }

    #[test]
    fn frames_queue_and_arrive_after_the_time_of_their_bytes() {
        let at = |bytes: u32| BYTE_TIME * bytes + LATENCY;
        assert_eq!(arrivals(Faults::default()), [(at(10), 10), (at(15), 5)]);
        let twice = Faults { duplicate: 1.0, ..Faults::default() };
        assert_eq!(arrivals(twice), [(at(10), 10), (at(20), 10), (at(25), 5), (at(30), 5)]);
    }

    #[test]
    fn lost_frame_occupies_the_line() {
        let mut wire = wire(Faults { loss: 1.0, ..Faults::default() });
        wire.send(Duration::ZERO, &[1; 10], |_, _| panic!("it is lost"));
        assert_eq!(wire.free_at, BYTE_TIME * 10);
    }

    #[test]
    fn pieces_arrive_in_their_order() {
        let faults =
            Faults { loss: 0.2, corrupt: 0.1, duplicate: 0.2, split: true, ..Faults::default() };
        let (mut wire, mut last) = (wire(faults), Duration::ZERO);
        for _ in 0..1000 {
            wire.send(Duration::ZERO, &[3; 20], |at, _| {
                assert!(at > last);
                last = at;
            });
        }
    }
}
