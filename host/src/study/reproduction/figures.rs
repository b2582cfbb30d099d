//! Figures in the text of a study: `{rounds w1a 1/2}` is replaced by a measured number.
//!
//! | placeholder | replaced by |
//! |---|---|
//! | `{rounds PANEL A/B}` | rounds to the level of the panel, curve A divided by curve B |
//! | `{bytes PANEL A/B}` | bytes on all wires to that level, curve A divided by curve B |
//! | `{end PANEL A}` | ‖∇f(x)‖² of curve A in its last round |
//!
//! Curves are numbered from 1, in the order of the file.

use std::str::FromStr;

/// Quantity of a figure, with the indices of its curves, from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quantity {
    /// Rounds to the level, the first curve divided by the second.
    Rounds(usize, usize),
    /// Bytes on all wires to the level, the first curve divided by the second.
    Bytes(usize, usize),
    /// ‖∇f(x)‖² in the last round.
    End(usize),
}

/// A measured number in a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// Its quantity.
    pub quantity: Quantity,
    /// Name of its panel.
    pub panel: String,
}

/// Braces in a text do not contain a figure.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{{{0}}}` is not a figure: write {{rounds PANEL 1/2}}, {{bytes PANEL 1/2}} or {{end PANEL 1}} with panels and \
     curves of the file"
)]
pub(super) struct FigureError(pub String);

impl FromStr for Figure {
    type Err = FigureError;

    fn from_str(text: &str) -> Result<Self, FigureError> {
        let parse = || {
            let [what, panel, curves] = text.split(' ').collect::<Vec<_>>().try_into().ok()?;
            let index = |number: &str| number.parse::<usize>().ok()?.checked_sub(1);
            let pair = || curves.split_once('/').and_then(|(a, b)| Some((index(a)?, index(b)?)));
            let quantity = match what {
                "rounds" => pair().map(|(a, b)| Quantity::Rounds(a, b))?,
                "bytes" => pair().map(|(a, b)| Quantity::Bytes(a, b))?,
                "end" => Quantity::End(index(curves)?),
                _ => return None,
            };
            Some(Self { quantity, panel: String::from(panel) })
        };
        parse().ok_or_else(|| FigureError(text.into()))
    }
}

impl Figure {
    /// Returns the largest index of its curves.
    fn last_curve(&self) -> usize {
        match self.quantity {
            Quantity::Rounds(a, b) | Quantity::Bytes(a, b) => a.max(b),
            Quantity::End(a) => a,
        }
    }
}

/// Checks that the figures in `text` name these panels, and curves below `curve_count`.
///
/// # Errors
/// The first figure that does not.
pub(super) fn check(text: &str, panels: &[&str], curve_count: usize) -> Result<(), FigureError> {
    pieces(text).filter_map(|(_, figure)| figure).try_for_each(|written| {
        let figure: Figure = written.parse()?;
        let known = panels.contains(&&*figure.panel) && figure.last_curve() < curve_count;
        if known { Ok(()) } else { Err(FigureError(written.into())) }
    })
}

/// Replaces the figures in `text`, which has passed [`check`], by those of `show`.
pub(super) fn fill(text: &str, show: impl Fn(&Figure) -> String) -> String {
    let fill = |(words, figure): (&str, Option<&str>)| {
        let figure = figure.map(|f| f.parse().expect("the figures of a study are checked"));
        [String::from(words), figure.as_ref().map_or_else(String::new, &show)]
    };
    pieces(text).flat_map(fill).collect()
}

/// Splits a text into pieces of plain text and the contents of the braces after each.
fn pieces(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.split('}').map(|piece| match piece.split_once('{') {
        Some((words, figure)) => (words, Some(figure)),
        None => (piece, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_replace_their_braces() {
        let text = "{rounds w1a 1/2} times, {bytes a 3/1} times, to {end a 2}.";
        assert!(check(text, &["a", "w1a"], 3).is_ok());
        let shown = fill(text, |Figure { quantity, panel }| format!("<{quantity:?} {panel}>"));
        assert_eq!(shown, "<Rounds(0, 1) w1a> times, <Bytes(2, 0) a> times, to <End(1) a>.");
        assert_eq!(fill("No figures.", |_| unreachable!()), "No figures.");
    }

    #[test]
    fn unknown_figure_is_refused() {
        for wrong in
            ["rounds a 1", "rounds a 0/1", "rounds a 1/3", "end b 1", "end a 3", "miles a 1", ""]
        {
            let error = check(&format!("It is {{{wrong}}}."), &["a"], 2).unwrap_err().to_string();
            assert!(error.contains(&format!("`{{{wrong}}}` is not a figure")), "{error}");
        }
    }
}
