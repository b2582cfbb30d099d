//! Windows of samples: a ring over the caller's memory.

use smidgen_protocol::recipe::Recipe;

/// The latest samples of a recording, as many as a window has.
#[derive(Debug)]
pub struct Window<'m> {
    memory: &'m mut [i16],
    shape: Shape,
    /// Place of the next sample: that of the oldest, once the window is full.
    next: usize,
    /// Samples until the next window is full; 0 before the first start.
    missing: u32,
}

/// What a recipe says about windows.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    channels: usize,
    /// Number of values in a window.
    len: usize,
    window: u16,
    hop: u16,
}

/// The memory is too small for a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Number of values in a window.
    pub need: u32,
    /// Number of values in the memory.
    pub room: u32,
}

impl<'m> Window<'m> {
    /// Creates a window that takes samples once it is started.
    pub fn new(memory: &'m mut [i16]) -> Self {
        Self { memory, shape: Shape::default(), next: 0, missing: 0 }
    }

    /// Starts a recording: drops all samples and takes those of a valid recipe.
    pub fn start(&mut self, recipe: &Recipe) -> Result<(), TooLong> {
        let (need, room) = (recipe.window_len(), self.memory.len());
        if need > room {
            let [need, room] = [need, room].map(|len| u32::try_from(len).unwrap_or(u32::MAX));
            return Err(TooLong { need, room });
        }
        let Recipe { channels, window, hop, .. } = *recipe;
        self.shape = Shape { channels: channels.into(), len: need, window, hop };
        self.restart();
        Ok(())
    }

    /// Drops all samples, so that no window spans a gap.
    pub fn restart(&mut self) {
        self.next = 0;
        self.missing = self.shape.window.into();
    }

    /// Adds a sample, one value per channel; returns the samples of the window that it completes.
    pub fn push(&mut self, sample: &[i16]) -> Option<Samples<'_>> {
        let Shape { channels, len, hop, .. } = self.shape;
        debug_assert_eq!(sample.len(), channels, "a sample has one value per channel");
        let ring = self.memory.get_mut(..len)?;
        let place = ring.get_mut(self.next..)?.get_mut(..channels)?;
        place.iter_mut().zip(sample).for_each(|(place, &value)| *place = value);
        self.next += channels;
        if self.next == len {
            self.next = 0;
        }
        self.missing = self.missing.checked_sub(1)?;
        if self.missing > 0 {
            return None;
        }
        self.missing = hop.into();
        let (newer, older) = ring.split_at_checked(self.next)?;
        Some(Samples { older, newer, channels })
    }
}

/// The samples of a full window.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'w> {
    older: &'w [i16],
    newer: &'w [i16],
    channels: usize,
}

impl<'w> Samples<'w> {
    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The samples of a channel, oldest first.
    pub fn channel(&self, channel: usize) -> impl Iterator<Item = i16> + Clone + 'w {
        // `max` excludes the panic of a chunk without values.
        let samples = |part: &'w [i16]| part.chunks_exact(self.channels.max(1));
        let samples = samples(self.older).chain(samples(self.newer));
        samples.filter_map(move |sample| sample.get(channel).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smidgen_protocol::recipe::Features;

    fn recipe(channels: u8, window: u16, hop: u16) -> Recipe {
        Recipe { channels, window, hop, features: Features::DEFAULT, rate_millihertz: 1 }
    }

    /// Channel c of sample t.
    fn value(t: usize, c: usize) -> i16 {
        (t * 7 + c) as i16
    }

    proptest! {
        #[test]
        fn windows_are_those_of_the_recipe(
            channels in 1u8..5, window in 1u16..20, hop in 1u16..30, gap in 0usize..60, samples in 0usize..100,
        ) {
            let recipe = recipe(channels, window, hop);
            let mut memory = vec![-1; recipe.window_len() + 3];
            let mut ring = Window::new(&mut memory);
            ring.start(&recipe).unwrap();
            let width = usize::from(channels);
            let mut found = vec![];
            for t in 0..samples {
                if t == gap {
                    ring.restart();
                }
                let sample: Vec<_> = (0..width).map(|c| value(t, c)).collect();
                if let Some(full) = ring.push(&sample) {
                    prop_assert_eq!(full.channels(), width);
                    let window: Vec<Vec<_>> = (0..width).map(|c| full.channel(c).collect()).collect();
                    prop_assert!(full.channel(width).next().is_none());
                    found.push(window);
                }
            }
            let gap = gap.min(samples);
            let stretches = [0..gap, gap..samples];
            let starts = stretches.iter().flat_map(|stretch| {
                let rows = recipe.rows(stretch.len() as u32) as usize;
                (0..rows).map(move |row| stretch.start + row * usize::from(hop))
            });
            let channel = |start, c| (start..start + usize::from(window)).map(|t| value(t, c)).collect();
            let window = |start| (0..width).map(|c| channel(start, c)).collect();
            let expected: Vec<Vec<Vec<_>>> = starts.map(window).collect();
            prop_assert_eq!(found, expected);
            prop_assert!(memory[recipe.window_len()..].iter().all(|&beyond| beyond == -1));
        }
    }

    #[test]
    fn too_long_window_is_refused_and_the_former_one_stays() {
        let mut memory = [0; 6];
        let mut ring = Window::new(&mut memory);
        assert!(ring.push(&[]).is_none());
        ring.start(&recipe(2, 3, 1)).unwrap();
        assert_eq!(ring.start(&recipe(2, 4, 1)), Err(TooLong { need: 8, room: 6 }));
        let full = (0..3).filter(|_| ring.push(&[1, 2]).is_some()).count();
        assert_eq!(full, 1);
    }
}
