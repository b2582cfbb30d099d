//! Bar chart of the cost of methods: uplink and downlink bytes, one bar per method.

use maud::{PreEscaped, html};

use crate::record::Cost;
use crate::units::quantity::bytes;

/// Width of the drawing in points.
const WIDTH: f64 = 760.0;
/// Left end of the bars; their labels are to the left of it.
const LEFT: f64 = 290.0;
/// Space for the figure to the right of the longest bar.
const RIGHT: f64 = 90.0;
/// Height of a bar and the gap below it.
const ROW: f64 = 26.0;
/// Height of title and key together.
const TOP: f64 = 74.0;

/// A method and its cost to reach the target.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Name of the method.
    pub label: String,
    /// Its cost; `None` if it did not reach the target.
    pub cost: Option<Cost>,
}

/// Returns a bar chart of wire bytes as an SVG file, with bars in the given order.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    let most = bars.iter().filter_map(|bar| bar.cost).map(|cost| cost.wire_bytes()).max();
    let scale = (WIDTH - LEFT - RIGHT) / most.unwrap_or(1).max(1) as f64;
    let height = TOP + bars.len() as f64 * ROW + 10.0;
    let length = |bytes: u64| format!("{:.1}", bytes as f64 * scale);
    let after = |bytes: u64| format!("{:.1}", LEFT + bytes as f64 * scale);
    let drawing = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {height}")) width=(WIDTH)
            height=(height) role="img" {
            title { (title) }
            style { (PreEscaped(include_str!("bars.css"))) }
            rect.paper width="100%" height="100%" {}
            text.title x=(WIDTH / 2.0) y="26" { (title) }
            rect.up x=(LEFT) y="44" width="14" height="14" {}
            text x=(LEFT + 20.0) y="56" { "up" }
            rect.down x=(LEFT + 60.0) y="44" width="14" height="14" {}
            text x=(LEFT + 80.0) y="56" { "down" }
            @for (bar, row) in bars.iter().zip(0..) {
                @let y = TOP + f64::from(row) * ROW;
                text.label x=(LEFT - 10.0) y=(y + 14.0) { (bar.label) }
                @if let Some(Cost { uplink, downlink, .. }) = bar.cost {
                    @let (up, total) = (uplink.wire_bytes, uplink.wire_bytes + downlink.wire_bytes);
                    rect.up x=(LEFT) y=(y) width=(length(up)) height="18" {}
                    rect.down x=(after(up)) y=(y) width=(length(total - up)) height="18" {}
                    text x=(format!("{:.1}", LEFT + total as f64 * scale + 8.0)) y=(y + 14.0) { (bytes(total)) }
                } @else {
                    text.absent x=(LEFT) y=(y + 14.0) { "not reached" }
                }
            }
        }
    };
    drawing.into_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Traffic;

    #[test]
    fn bar_lengths_follow_bytes_and_missed_targets_are_named() {
        let traffic = |wire_bytes| Traffic { wire_bytes, ..Traffic::default() };
        let cost = Cost { uplink: traffic(100), downlink: traffic(280), ..Cost::default() };
        let svg = bars(
            "t",
            &[Bar { label: "a".into(), cost: Some(cost) }, Bar { label: "b".into(), cost: None }],
        );
        assert!(svg.contains(r#"class="up" x="290" y="74" width="100.0""#), "{svg}");
        assert!(svg.contains(r#"class="down" x="390.0" y="74" width="280.0""#), "{svg}");
        assert!(svg.contains("380\u{a0}B") && svg.matches("not reached").count() == 1);
    }
}
