//! What a board sees live.

use crate::problem::dataset::{Windows, is_same_full_scale};
use crate::units::quantity::counted;
use crate::units::shown::shown;
use smidgen_protocol::message::{Live, LiveState};
use smidgen_protocol::recipe::Recipe;

/// What a board sees live, as [`Live`].
#[derive(Clone, Debug, PartialEq)]
pub struct LiveView {
    /// Whether the board classifies live windows.
    pub state: LiveState,
    /// Number of channels of the sensor; 0 without one.
    pub channels: u8,
    /// For each of them the value of sample 2^15 in its unit, g or °/s; `None` if the board does not know it.
    pub full_scales: Vec<Option<f64>>,
    /// Recipe of the model; `None` without a model.
    pub recipe: Option<Recipe>,
    /// Number of samples since the board got its model.
    pub samples: u32,
    /// Number of gaps between them.
    pub gaps: u32,
    /// Number of windows that were classified.
    pub windows: u32,
    /// The latest window: its class and score; `None` before the first.
    pub latest: Option<(String, f64)>,
}

impl From<&Live<'_>> for LiveView {
    fn from(live: &Live) -> Self {
        let score = |mantissa: i64, exponent: i32| mantissa as f64 * f64::from(-exponent).exp2();
        let known = |&thousandths: &u32| (thousandths > 0).then(|| f64::from(thousandths) / 1000.0);
        let full_scales = live.full_scales.iter().map(known).take(live.channels.into());
        Self {
            state: live.state,
            channels: live.channels,
            full_scales: full_scales.collect(),
            recipe: live.recipe,
            samples: live.samples,
            gaps: live.gaps,
            windows: live.windows,
            latest: live
                .latest
                .map(|seen| (seen.name.to_owned(), score(seen.score, seen.exponent))),
        }
    }
}

impl LiveView {
    /// Says why the sensor is not that of a model of such windows, and what to do, as far as that is known without the
    /// model; `None` if it may be.
    pub fn misfit(&self, windows: &Windows) -> Option<String> {
        if self.state == LiveState::Unsupported {
            return self.obstacle();
        }
        // The number of channels of a sensor that does not tell its full scale may follow the model.
        let is_fixed = self.channels == 0 || self.full_scales.iter().any(Option::is_some);
        let (channels, needed) = (self.channels, windows.channels.len());
        if is_fixed && usize::from(channels) != needed {
            return Some(other_channels(channels, needed));
        }
        let pairs = windows.channels.iter().zip(&self.full_scales);
        let other = pairs.filter_map(|(channel, theirs)| {
            let (ours, theirs) = (channel.full_scale?, (*theirs)?);
            (!is_same_full_scale(ours, theirs)).then_some((channel, ours, theirs))
        });
        let (channel, ours, theirs) = other.into_iter().next()?;
        Some(format!(
            "its largest sample is {theirs} g or °/s, but that of channel `{}` of the model is {ours}; train with \
             --full-scale {} on files in g or °/s, or on rows of such boards (--data on-board)",
            shown(&channel.name),
            listed(self.full_scales.iter().flatten()),
        ))
    }

    /// Says which full scales a model needs of a sensor that does not tell its own; `None` if it does, or the model
    /// does not know them.
    pub fn unchecked(&self, windows: &Windows) -> Option<String> {
        let needed: Option<Vec<f64>> =
            windows.channels.iter().map(|channel| channel.full_scale).collect();
        let is_known = self.full_scales.iter().any(Option::is_some);
        let needed = needed.filter(|_| !is_known)?;
        Some(format!(
            "it does not tell its full scale; the largest samples of the model's channels are {}: those of its sensor \
             must be the same",
            listed(&needed)
        ))
    }

    /// Says why the board sees nothing, and what to do; `None` if it watches or will.
    pub fn obstacle(&self) -> Option<String> {
        let channels = self.channels;
        Some(match self.state {
            LiveState::Watching | LiveState::Recording => return None,
            LiveState::Unsupported => {
                "its firmware does not record; flash the image of a board with a sensor".into()
            }
            LiveState::NoModel => {
                "it holds no model of recordings; put one there with `smidgen load MODEL --port …`".into()
            }
            LiveState::Channels => {
                let needed = self.recipe.map_or(0, |recipe| recipe.channels);
                other_channels(channels, needed.into())
            }
            LiveState::Rate => {
                "its sensor is not sampled as often as the model needs; load a model that was trained on rows of a \
                 lower rate"
                    .into()
            }
            LiveState::Window { need, room } => format!(
                "a window of the model has {need} values, but the board has room for {room}; train one with shorter \
                 windows"
            ),
        })
    }
}

fn other_channels(channels: u8, needed: usize) -> String {
    format!(
        "its sensor has {}, but the model needs {needed}; load a model that was trained on rows of such a sensor",
        counted(channels.into(), "channel", "channels")
    )
}

/// Lists full scales as `--full-scale` takes them.
pub fn listed<'f>(full_scales: impl IntoIterator<Item = &'f f64>) -> String {
    full_scales.into_iter().map(f64::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::dataset::Channel;
    use smidgen_protocol::recipe::Features;

    fn model(full_scale: Option<f64>) -> Windows {
        let channel = |name: &str| Channel { name: name.into(), full_scale };
        Windows {
            channels: ["x", "y"].map(channel).to_vec(),
            rate_millihertz: 10_000,
            window: 50,
            hop: 25,
            features: Features::DEFAULT,
        }
    }

    fn sensor(full_scales: &[Option<f64>]) -> LiveView {
        LiveView {
            state: LiveState::NoModel,
            channels: full_scales.len() as u8,
            full_scales: full_scales.to_vec(),
            recipe: None,
            samples: 0,
            gaps: 0,
            windows: 0,
            latest: None,
        }
    }

    #[test]
    fn other_full_scale_or_number_of_channels_is_a_misfit() {
        let misfit = |full_scales: &[Option<f64>], model| sensor(full_scales).misfit(&model);
        let said = misfit(&[Some(4.0), Some(4.0)], model(Some(2.0))).unwrap();
        assert!(
            said.starts_with("its largest sample is 4 g or °/s, but that of channel `x`"),
            "{said}"
        );
        assert!(said.contains("train with --full-scale 4,4 on files"), "{said}");
        assert_eq!(misfit(&[Some(4.0), Some(4.0)], model(Some(4.0))), None);
        assert_eq!(misfit(&[Some(4.0), Some(4.0)], model(None)), None);
        let said = misfit(&[Some(4.0); 3], model(Some(4.0))).unwrap();
        assert!(said.starts_with("its sensor has 3 channels, but the model needs 2"), "{said}");
        assert!(misfit(&[], model(None)).unwrap().contains("0 channels"));
        // A line takes as many channels as the model has.
        assert_eq!(misfit(&[None], model(Some(4.0))), None);
    }

    #[test]
    fn full_scale_that_cannot_be_compared_is_named() {
        let said = sensor(&[None]).unchecked(&model(Some(0.5))).unwrap();
        assert!(
            said.contains("the largest samples of the model's channels are 0.5,0.5: those"),
            "{said}"
        );
        assert_eq!(sensor(&[Some(4.0); 2]).unchecked(&model(Some(4.0))), None);
        assert_eq!(sensor(&[None]).unchecked(&model(None)), None);
    }
}
