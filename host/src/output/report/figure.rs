//! A chart of several curves as a separate SVG file with title, legend and colours for both themes.

use maud::{PreEscaped, html};
use plotters::style::RGBColor;

use super::against::Against;
use super::chart::{self, Chart, Line};
use super::curve::Measure;
use super::mark::Mark;

/// Maximum number of points per curve. Figures are committed to a repository, so they must be small.
const POINT_COUNT_MAX: usize = 240;
/// Height of a line of text in SVG units.
const ROW: u32 = 88;
/// Margin in SVG units.
const MARGIN: u32 = 40;
/// Left end of the legend, aligned with the chart's y axis.
const KEY_LEFT: u32 = MARGIN + 280;

/// Keys of the colours of the curves; the style sheet replaces them.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x0B, 0x5F, 0xC6),
    RGBColor(0xC2, 0x55, 0x0A),
    RGBColor(0x1B, 0x7F, 0x4B),
    RGBColor(0x8E, 0x3F, 0xA8),
    RGBColor(0x8A, 0x6D, 0x01),
    RGBColor(0xC2, 0x18, 0x5B),
    RGBColor(0x01, 0x79, 0x8C),
    RGBColor(0x6B, 0x72, 0x80),
];

/// Maximum number of curves, one per colour.
pub const CURVE_COUNT_MAX: usize = COLOURS.len();

/// A method in a figure.
#[derive(Clone, Copy, Debug)]
pub struct Curve<'a> {
    /// Its name in the legend.
    pub label: &'a str,
    /// Its progress per round.
    pub marks: &'a [Mark],
}

/// Draws ‖∇f(x)‖² of several methods as an SVG file.
///
/// # Panics
/// If there are more than [`CURVE_COUNT_MAX`].
pub fn figure(title: &str, against: Against, curves: &[Curve<'_>]) -> String {
    assert!(curves.len() <= CURVE_COUNT_MAX, "{} curves have no colours", curves.len());
    let lines =
        curves.iter().zip(COLOURS).map(|(curve, colour)| Line { marks: curve.marks, colour });
    let chart = Chart {
        measure: Measure::Gradient,
        against,
        lines: lines.collect(),
        point_count_max: POINT_COUNT_MAX,
        comparison: None,
    };
    let (width, chart_top) = (chart::WIDTH + MARGIN, MARGIN + ROW);
    let key_top = chart_top + chart::HEIGHT + ROW / 2;
    let height = key_top + curves.len() as u32 * ROW + MARGIN;
    let drawing = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}")) width=(width / 4)
            height=(height / 4) role="img" {
            title { (title) }
            style { (PreEscaped(include_str!("figure.css"))) }
            rect.paper width="100%" height="100%" {}
            text.title x=(width / 2) y=(MARGIN + ROW * 2 / 3) { (title) }
            g transform=(format!("translate({MARGIN} {chart_top})")) { (PreEscaped(chart.draw())) }
            @for (n, (curve, RGBColor(r, g, b))) in (0..).zip(curves.iter().zip(COLOURS)) {
                @let y = key_top + n * ROW + ROW / 3;
                @let colour = format!("#{r:02X}{g:02X}{b:02X}");
                line x1=(KEY_LEFT) x2=(KEY_LEFT + 120) y1=(y) y2=(y) stroke=(colour) stroke-width="12" {}
                text.key x=(KEY_LEFT + 152) y=(y + ROW / 5) { (curve.label) }
            }
        }
    };
    drawing.into_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::report::curve::of_run;
    use crate::record::{Cost, RoundRecord, Traffic};

    #[test]
    fn figure_has_title_legend_and_one_curve_per_method() {
        let record = |round| RoundRecord {
            round,
            gradient_norm_squared: Some(f64::from(round + 1).recip()),
            cost: Cost {
                uplink: Traffic { wire_bytes: 10, ..Traffic::default() },
                ..Cost::default()
            },
            ..RoundRecord::default()
        };
        let marks = of_run(&(0..2000).map(record).collect::<Vec<_>>());
        let curve = |label| Curve { label, marks: &marks };
        let curves = [curve("old <step>"), curve("new step")];
        for against in [Against::Rounds, Against::Uplink] {
            let svg = figure("w1a & co", against, &curves);
            assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
            assert!(svg.contains("w1a &amp; co") && svg.contains("old &lt;step&gt;"));
            for colour in ["#0B5FC6", "#C2550A"] {
                let curve = format!("stroke=\"{colour}\" stroke-width=\"8\"");
                assert_eq!(svg.matches(&curve).count(), 1, "{colour}: {svg}");
            }
            assert!(svg.len() < 40_000, "{} bytes", svg.len());
        }
    }

    #[test]
    fn style_sheet_replaces_every_colour() {
        let sheet = include_str!("figure.css");
        for RGBColor(r, g, b) in COLOURS {
            for part in ["stroke", "fill"] {
                let selector = format!("[{part}=\"#{r:02X}{g:02X}{b:02X}\"]");
                assert!(sheet.contains(&selector), "{selector}");
            }
        }
    }
}
