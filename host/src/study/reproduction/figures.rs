//! Figures in what a study says it measured: `{rounds w1a 1/2}` stands for a number that the run fills in.
//!
//! | written | filled in |
//! |---|---|
//! | `{rounds PANEL A/B}` | how many times fewer rounds curve B takes to the level of its panel than curve A |
//! | `{bytes PANEL A/B}` | the same of bytes on all wires |
//! | `{end PANEL A}` | ‖∇f(x)‖² of curve A at its end |
//!
//! Curves are counted from 1, in their order.

use std::str::FromStr;

/// What a figure is of, and the numbers of its curves, from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// Rounds to the level, of the first curve by those of the second.
    Rounds(usize, usize),
    /// Bytes on all wires to the level, of the first curve by those of the second.
    Bytes(usize, usize),
    /// ‖∇f(x)‖² at the end.
    End(usize),
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is of.
    pub quantity: Quantity,
    /// The name of its panel.
    pub panel: String,
}

/// Why braces hold no figure.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{{{0}}}` is not a figure: write {{rounds PANEL 1/2}}, {{bytes PANEL 1/2}} or {{end PANEL 1}} with panels and curves of the file"
)]
pub struct FigureError(pub String);

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
    /// The highest number of its curves, from 0.
    fn last_curve(&self) -> usize {
        match self.quantity {
            Quantity::Rounds(a, b) | Quantity::Bytes(a, b) => a.max(b),
            Quantity::End(a) => a,
        }
    }
}

/// Makes sure that all figures of `text` are of these panels, which have `curve_count` curves each.
///
/// # Errors
/// The first figure that is not.
pub fn check(text: &str, panels: &[&str], curve_count: usize) -> Result<(), FigureError> {
    pieces(text).filter_map(|(_, figure)| figure).try_for_each(|written| {
        let figure: Figure = written.parse()?;
        let known = panels.contains(&&*figure.panel) && figure.last_curve() < curve_count;
        if known { Ok(()) } else { Err(FigureError(written.into())) }
    })
}

/// `text`, which passed [`check`], with its figures as `show` gives them.
pub fn fill(text: &str, show: impl Fn(&Figure) -> String) -> String {
    let fill = |(words, figure): (&str, Option<&str>)| {
        let figure = figure.map(|f| f.parse().expect("the figures of a study are checked"));
        [String::from(words), figure.as_ref().map_or_else(String::new, &show)]
    };
    pieces(text).flat_map(fill).collect()
}

/// Words, and the inside of the braces that follow them.
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
    fn figures_take_the_place_of_their_braces() {
        let text = "{rounds w1a 1/2} times, {bytes a 3/1} times, to {end a 2}.";
        assert!(check(text, &["a", "w1a"], 3).is_ok());
        let shown = fill(text, |Figure { quantity, panel }| format!("<{quantity:?} {panel}>"));
        assert_eq!(shown, "<Rounds(0, 1) w1a> times, <Bytes(2, 0) a> times, to <End(1) a>.");
        assert_eq!(fill("No figures.", |_| unreachable!()), "No figures.");
    }

    #[test]
    fn what_is_no_figure_of_the_study_is_refused() {
        for wrong in
            ["rounds a 1", "rounds a 0/1", "rounds a 1/3", "end b 1", "end a 3", "miles a 1", ""]
        {
            let error = check(&format!("It is {{{wrong}}}."), &["a"], 2).unwrap_err().to_string();
            assert!(error.contains(&format!("`{{{wrong}}}` is not a figure")), "{error}");
        }
    }
}
