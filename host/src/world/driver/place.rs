//! The place at the end of a link: its state, and the messages about it for the user.

use super::flood::Gauge;
use crate::world::transport::Address;
use smidgen_aggregator::retry_delay;
use std::time::{Duration, Instant};

/// A link that stays up for longer than this is stable.
const HELD_TIME: Duration = Duration::from_secs(10);
/// Losses in a row that are reported one by one; the next message covers the rest.
const TOLD_LOSSES_MAX: u32 = 2;

/// The end of a link.
pub(crate) struct Place {
    /// Its name for the user.
    pub name: String,
    /// A port that the link has found, until its board is identified, and since when.
    pub guess: Option<(Address, Instant)>,
    pub gauge: Gauge,
    /// The reason why the board is permanently gone, if it is.
    pub lost: Option<String>,
    /// Number of times that the link was closed because of a flood.
    floods: u32,
    /// The host is closing it, and the user was told.
    is_shut: bool,
    /// Losses since the link was last stable, and when it was opened.
    losses: u32,
    up_since: Instant,
}

impl Place {
    pub(crate) fn new(name: String) -> Self {
        let gauge = Gauge::default();
        let up_since = Instant::now();
        Self {
            name,
            guess: None,
            gauge,
            lost: None,
            floods: 0,
            is_shut: false,
            losses: 0,
            up_since,
        }
    }

    /// Number of times that the link was lost right after it was opened.
    pub(crate) fn losses(&self) -> u32 {
        self.losses
    }

    /// Closes the link because of a flood. Returns for how long, and the message.
    pub(crate) fn shut(&mut self) -> (Duration, String) {
        let pause = retry_delay(self.floods);
        self.floods += 1;
        self.is_shut = true;
        self.gauge = Gauge::default();
        let seconds = pause.as_secs();
        (pause, format!("{} sends without end: closed for {seconds} s", self.name))
    }

    /// Closes a found port that is the wrong one and returns it; `None` if it was not a guess.
    pub(crate) fn abandon(&mut self) -> Option<Address> {
        let (address, _) = self.guess.take()?;
        self.is_shut = true;
        self.gauge = Gauge::default();
        Some(address)
    }

    /// Notes that the link is lost. Returns a message unless it would repeat earlier ones; the search ends at
    /// `deadline`.
    pub(crate) fn lose(&mut self, reason: &str, deadline: Duration) -> Option<String> {
        // A port that was only tried was not the one.
        if self.guess.take().is_some() || self.is_shut {
            return None;
        }
        if self.up_since.elapsed() > HELD_TIME {
            self.losses = 0;
        }
        self.losses = self.losses.saturating_add(1);
        let Self { name, losses, .. } = self;
        match *losses {
            ..=TOLD_LOSSES_MAX => {
                let seconds = deadline.as_secs();
                Some(format!("{name} is gone ({reason}): looking for it, for {seconds} s"))
            }
            losses if losses == TOLD_LOSSES_MAX + 1 => {
                Some(format!("{name} is lost each time it is opened ({reason})"))
            }
            _ => None,
        }
    }

    /// Notes that the link is open again, at an address that may be a guess. Returns a message unless it would repeat
    /// earlier ones.
    pub(crate) fn regain(&mut self, address: Address, is_guess: bool) -> Option<String> {
        let (at, name) = (address.to_string(), &self.name);
        let is_elsewhere = at != *name && address.port().is_some();
        let note = match (is_guess, is_elsewhere) {
            (true, _) => format!("{at} has appeared: asking whether {name} is there"),
            (false, true) => format!("{name} is back, as {at}"),
            (false, false) => format!("{name} is back"),
        };
        self.up_since = Instant::now();
        self.is_shut = false;
        self.gauge = Gauge::default();
        self.guess = is_guess.then_some((address, self.up_since));
        (self.losses <= TOLD_LOSSES_MAX).then_some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_losses_of_a_link_give_few_messages() {
        let address = Address::Tcp("localhost:1".into());
        let mut place = Place::new(address.to_string());
        let mut notes = vec![];
        for _ in 0..100 {
            notes.extend(place.lose("closed", Duration::from_secs(12)));
            notes.extend(place.regain(address.clone(), false));
        }
        let gone = "tcp:localhost:1 is gone (closed): looking for it, for 12 s";
        let back = "tcp:localhost:1 is back";
        let again = "tcp:localhost:1 is lost each time it is opened (closed)";
        assert_eq!(notes, [gone, back, gone, back, again]);
        place.up_since -= HELD_TIME;
        assert_eq!(place.lose("closed", Duration::from_secs(12)).as_deref(), Some(gone));
    }

    #[test]
    fn flooded_link_stays_closed_longer_each_time() {
        let mut place = Place::new("here".into());
        let pauses = [(); 9].map(|()| place.shut().0.as_secs());
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 640, 640]);
        assert_eq!(place.lose("closed", Duration::ZERO), None, "it was told already");
    }
}
