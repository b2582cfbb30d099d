//! Charts as SVG. The colours below are names: the page's style sheet replaces them by those of the
//! reader's light or dark theme.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Axis, Scale, Unit};
use super::curve::{Comparison, Mark, Measure, thinned};
use super::quantity;

/// SVG units in a point of the page: the backend draws on whole units, which are finer than points.
const FINE: u32 = 4;
/// Width of a chart in SVG units.
pub const WIDTH: u32 = 420 * FINE;
/// Height of a chart in SVG units.
pub const HEIGHT: u32 = 300 * FINE;

const INK: RGBColor = RGBColor(0x20, 0x24, 0x2B);
const GRID: RGBColor = RGBColor(0xD0, 0xD4, 0xDA);
const FAINT: RGBColor = RGBColor(0xEB, 0xED, 0xF0);
const RUN: RGBColor = RGBColor(0x0B, 0x5F, 0xC6);
const BASELINE: RGBColor = RGBColor(0xC2, 0x55, 0x0A);

/// What a curve is drawn against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// Rounds.
    Rounds,
    /// Bytes on the wire, up and down.
    Bytes,
    /// Seconds on the link.
    Seconds,
}

impl Against {
    /// All three, in the order of the page.
    pub const ALL: [Self; 3] = [Self::Rounds, Self::Bytes, Self::Seconds];

    /// What the chart is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rounds => "rounds",
            Self::Bytes => "wire bytes",
            Self::Seconds => "link time",
        }
    }

    const fn axis_label(self) -> &'static str {
        match self {
            Self::Rounds => "round t",
            Self::Bytes => "bytes on the wire, up and down",
            Self::Seconds => "time on the link (s)",
        }
    }

    const fn unit(self) -> Unit {
        match self {
            Self::Rounds => Unit::Count,
            Self::Bytes => Unit::Bytes,
            Self::Seconds => Unit::Seconds,
        }
    }

    fn of(self, mark: &Mark) -> f64 {
        match self {
            Self::Rounds => f64::from(mark.round),
            Self::Bytes => mark.total.wire_bytes() as f64,
            Self::Seconds => mark.total.link_seconds,
        }
    }
}

/// A measure against rounds, bytes or seconds, of a run and of dense gradient descent.
pub struct Chart<'a> {
    /// What is drawn.
    pub measure: Measure,
    /// What it is drawn against.
    pub against: Against,
    /// The run.
    pub run: &'a [Mark],
    /// Dense gradient descent; may be empty.
    pub baseline: &'a [Mark],
    /// Where to draw how much less the run needed, if it is of this measure.
    pub comparison: Option<Comparison>,
}

impl Chart<'_> {
    /// Known values that have no place in the chart: not finite, or not positive on a logarithmic axis.
    pub fn left_out(&self) -> usize {
        let (x, y) = (self.x_axis(), self.y_axis());
        let marks = self.run.iter().chain(self.baseline);
        let known = marks.filter_map(|mark| Some((self.against.of(mark), self.measure.of(mark)?)));
        known.filter(|&(a, b)| x.place(a).is_none() || y.place(b).is_none()).count()
    }

    /// The elements inside the chart's `<svg>`, whose size is [`WIDTH`] by [`HEIGHT`].
    pub fn draw(&self) -> String {
        let mut svg = String::new();
        self.draw_on(SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)))
            .expect("drawing into a string cannot fail");
        let inside = svg.split_once('>').map_or("", |(_root, inside)| inside);
        inside.trim_end().trim_end_matches("</svg>").to_owned()
    }

    /// Costs are drawn on a logarithmic axis if one method's would else be a sliver at the rim.
    fn x_axis(&self) -> Axis {
        let last = |marks: &[Mark]| marks.last().map(|mark| self.against.of(mark));
        let ratio = match (last(self.run), last(self.baseline)) {
            (Some(run), Some(baseline)) => (run / baseline).max(baseline / run),
            _ => 1.0,
        };
        let logarithmic = self.against != Against::Rounds && ratio > 4.0;
        let scale = if logarithmic { Scale::Logarithmic } else { Scale::Linear };
        let marks = self.run.iter().chain(self.baseline);
        Axis::new(scale, self.against.unit(), marks.map(|mark| self.against.of(mark)), 0.02)
    }

    /// Norms are drawn on a logarithmic axis; so is a loss that falls by orders of magnitude.
    fn y_axis(&self) -> Axis {
        let values = || self.run.iter().chain(self.baseline).filter_map(|m| self.measure.of(m));
        let ends = (values().reduce(f64::min), values().reduce(f64::max));
        let steep = matches!(ends, (Some(low), Some(high)) if low > 0.0 && high / low > 50.0);
        let logarithmic = self.measure != Measure::Loss || steep;
        let scale = if logarithmic { Scale::Logarithmic } else { Scale::Linear };
        Axis::new(scale, Unit::Number, values(), 0.05)
    }

    fn draw_on(&self, backend: SVGBackend) -> Drawn<'_> {
        let (x, y) = (self.x_axis(), self.y_axis());
        let area = backend.into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin_top(10 * FINE)
            .margin_right(22 * FINE)
            .x_label_area_size(44 * FINE)
            .y_label_area_size(70 * FINE)
            .build_cartesian_2d(x.clone(), y.clone())?;
        let text = |size: u32| ("sans-serif", size * FINE).into_font().color(&INK);
        chart
            .configure_mesh()
            .axis_style(GRID.stroke_width(FINE))
            .bold_line_style(GRID.stroke_width(FINE))
            .light_line_style(FAINT.stroke_width(FINE))
            .set_all_tick_mark_size(4 * FINE)
            .label_style(text(15))
            .axis_desc_style(text(16))
            .x_desc(self.against.axis_label())
            .y_desc(self.measure.symbol())
            .draw()?;
        for (marks, colour) in [(self.baseline, BASELINE), (self.run, RUN)] {
            let places = marks.iter().filter_map(|mark| {
                Some((x.place(self.against.of(mark))?, y.place(self.measure.of(mark)?)?))
            });
            let points = thinned(places.collect());
            let end = points.last().copied();
            chart.draw_series(LineSeries::new(points, colour.stroke_width(2 * FINE)))?;
            let dot = end.map(|end| Circle::new(end, 4 * FINE, colour.filled()));
            chart.draw_series(dot)?;
        }
        if let Some(bridge) = self.bridge(&x, &y) {
            let line = [(bridge.from, bridge.level), (bridge.to, bridge.level)];
            chart.draw_series([PathElement::new(line, INK.stroke_width(FINE))])?;
            let above = text(17).pos(Pos::new(HPos::Center, VPos::Bottom));
            let middle = ((bridge.from + bridge.to) / 2.0, bridge.level);
            chart.draw_series([Text::new(bridge.label, middle, above)])?;
        }
        area.present()
    }

    /// The distance between both methods at the level of the comparison, if it is wide enough to see.
    fn bridge(&self, x: &Axis, y: &Axis) -> Option<Bridge> {
        let comparison = self.comparison.filter(|comparison| comparison.measure == self.measure)?;
        let (run, baseline) =
            (self.against.of(&comparison.run), self.against.of(&comparison.baseline));
        let (from, to) = (x.place(run)?, x.place(baseline)?);
        let wide = (to - from).abs() > 0.1 * (x.range.end - x.range.start);
        let cost = self.against != Against::Rounds;
        let label = format!("{}×", quantity::number((baseline / run).max(run / baseline)));
        (wide && cost).then_some(Bridge { from, to, level: y.place(comparison.level)?, label })
    }
}

/// What drawing into a string gives.
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// A level line from where one method reached it to where the other did.
struct Bridge {
    from: f64,
    to: f64,
    level: f64,
    label: String,
}
