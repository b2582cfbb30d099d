//! Charts as SVG. The colours below are keys: a style sheet replaces them by those of the reader's light or dark theme.

use super::against::Against;
use super::axis::{Axis, Scale, Unit};
use super::curve::{Comparison, Measure, thin};
use super::mark::Mark;
use crate::units::quantity;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// SVG units per point of the page. The backend rounds to whole units, so a unit is finer than a point.
const FINE: u32 = 4;
/// Width of a chart in SVG units.
pub const WIDTH: u32 = 420 * FINE;
/// Height of a chart in SVG units.
pub const HEIGHT: u32 = 300 * FINE;

const INK: RGBColor = RGBColor(0x20, 0x24, 0x2B);
const GRID: RGBColor = RGBColor(0xD0, 0xD4, 0xDA);
const FAINT: RGBColor = RGBColor(0xEB, 0xED, 0xF0);
/// Colour of the run.
pub const RUN: RGBColor = RGBColor(0x0B, 0x5F, 0xC6);
/// Colour of dense gradient descent.
pub const BASELINE: RGBColor = RGBColor(0xC2, 0x55, 0x0A);

/// One method in a chart.
pub struct Line<'a> {
    /// Its progress.
    pub marks: &'a [Mark],
    /// Key of its colour.
    pub colour: RGBColor,
}

/// Chart of a measure against rounds, bytes or seconds, of one or more methods.
pub struct Chart<'a> {
    /// Quantity of the y axis.
    pub measure: Measure,
    /// Quantity of the x axis.
    pub against: Against,
    /// The methods, the last one on top. Methods without marks are not drawn.
    pub lines: Vec<Line<'a>>,
    /// Maximum number of points per line.
    pub point_count_max: usize,
    /// Comparison whose distance is drawn if it is by this measure.
    pub comparison: Option<Comparison>,
}

impl Chart<'_> {
    /// Returns the number of known values that cannot be drawn: not finite, or not positive on a logarithmic axis.
    pub fn undrawable(&self) -> usize {
        let (x, y) = (self.x_axis(), self.y_axis());
        let known =
            self.marks().filter_map(|mark| Some((self.against.of(mark), self.measure.of(mark)?)));
        known.filter(|&(a, b)| x.place(a).is_none() || y.place(b).is_none()).count()
    }

    fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.lines.iter().flat_map(|line| line.marks)
    }

    /// Returns the elements inside the chart's `<svg>`, whose size is [`WIDTH`] by [`HEIGHT`].
    pub fn draw(&self) -> String {
        let mut svg = String::new();
        self.draw_on(SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)))
            .expect("drawing into a string cannot fail");
        let inside = svg.split_once('>').map_or("", |(_root, inside)| inside);
        inside.trim_end().trim_end_matches("</svg>").to_owned()
    }

    /// Returns the x axis. Costs that differ by more than a factor of 4 get a logarithmic one: on a linear axis the
    /// curve of the cheaper method would be too narrow to read.
    fn x_axis(&self) -> Axis {
        let ends =
            || self.lines.iter().filter_map(|line| Some(self.against.of(line.marks.last()?)));
        let (least, most) = (ends().reduce(f64::min), ends().reduce(f64::max));
        let ratio = most.unwrap_or(1.0) / least.unwrap_or(1.0);
        let logarithmic = self.against.is_cost() && ratio > 4.0;
        let scale = if logarithmic { Scale::Logarithmic } else { Scale::Linear };
        let values = self.marks().map(|mark| self.against.of(mark));
        Axis::new(scale, self.against.unit(), values, 0.02)
    }

    /// Returns the y axis: logarithmic for norms, and for a loss that falls by orders of magnitude.
    fn y_axis(&self) -> Axis {
        let values = || self.marks().filter_map(|mark| self.measure.of(mark));
        let ends = (values().reduce(f64::min), values().reduce(f64::max));
        let steep = matches!(ends, (Some(low), Some(high)) if low > 0.0 && high / low > 50.0);
        let logarithmic = match self.measure {
            Measure::Loss => steep,
            Measure::Gradient | Measure::Estimator => true,
        };
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
        for Line { marks, colour } in &self.lines {
            let places = marks.iter().filter_map(|mark| {
                Some((x.place(self.against.of(mark))?, y.place(self.measure.of(mark)?)?))
            });
            let points = thin(places.collect(), self.point_count_max);
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

    /// Returns the distance between both methods at the level of the comparison, if it is wide enough to see.
    fn bridge(&self, x: &Axis, y: &Axis) -> Option<Bridge> {
        let comparison = self.comparison.filter(|comparison| comparison.measure == self.measure)?;
        let (run, baseline) =
            (self.against.of(&comparison.run), self.against.of(&comparison.baseline));
        let (from, to) = (x.place(run)?, x.place(baseline)?);
        let wide = (to - from).abs() > 0.1 * (x.range.end - x.range.start);
        let label = format!("{}×", quantity::number((baseline / run).max(run / baseline)));
        (wide && self.against.is_cost()).then_some(Bridge {
            from,
            to,
            level: y.place(comparison.level)?,
            label,
        })
    }
}

/// Result of drawing into a string.
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// A horizontal line between the points at which both methods reached a level.
struct Bridge {
    from: f64,
    to: f64,
    level: f64,
    label: String,
}
