//! The panels of the dashboard with what Prometheus answered → one picture: plain SVG with colours for light and dark pages.

use crate::dashboard::{Panel, Series};

const WIDTH: f64 = 1180.0;
const LEFT: f64 = 62.0;
const PANEL: f64 = 496.0;
const HEIGHT: f64 = 130.0;
const COLUMN: f64 = PANEL + 84.0;
const ROW: f64 = 236.0;
const TOP: f64 = 100.0;

/// Lines that get a legend; the others are drawn only.
const NAMED: usize = 6;

const STYLE: &str = "
  svg { color-scheme: light dark; }
  text { font: 11px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #59636e; }
  .page { fill: #ffffff; }
  .title { font-size: 20px; font-weight: 600; fill: #1f2328; }
  .panel { font-size: 13px; font-weight: 600; fill: #1f2328; }
  .grid { stroke: #d8dee4; stroke-width: 1; }
  .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
  .c0 { stroke: #0f7a8a; } .c1 { stroke: #c4551d; } .c2 { stroke: #6f42c1; } .c3 { stroke: #2da44e; }
  .c4 { stroke: #bf3989; } .c5 { stroke: #9a6700; } .c6 { stroke: #0969da; } .c7 { stroke: #818b98; }
  .heat { fill: #c4551d; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1; }
    .page { fill: #0d1117; }
    .title, .panel { fill: #e6edf3; }
    .grid { stroke: #2b323b; }
    .c0 { stroke: #39c5cf; } .c1 { stroke: #f0883e; } .c2 { stroke: #a371f7; } .c3 { stroke: #3fb950; }
    .c4 { stroke: #db61a2; } .c5 { stroke: #d29922; } .c6 { stroke: #58a6ff; } .c7 { stroke: #9198a1; }
    .heat { fill: #f0883e; }
  }
";

/// Where one panel is, and how its values lie in it.
struct Frame {
    x: f64,
    y: f64,
    end: f64,
    highest: f64,
}

/// All panels, two in a row.
pub(crate) fn draw(panels: &[Panel]) -> String {
    let height = TOP + ROW * float(panels.len().div_ceil(2));
    let points = || panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
    let end = points().map(|(time, _)| *time).fold(1.0, f64::max);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-label=\"The panels of pullgate's dashboard with measured data\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n"
    );
    text(&mut svg, "title", LEFT, 36.0, "pullgate");
    let under = format!(
        "the dashboard's own queries, answered by a Prometheus that scraped pullgate and a kube-apiserver for {end:.0} s of the suite; rates over 15 s"
    );
    text(&mut svg, "", LEFT, 58.0, &under);
    for (index, panel) in panels.iter().enumerate() {
        let x = LEFT + COLUMN * float(index % 2);
        let y = TOP + ROW * float(index / 2);
        let highest =
            panel.series.iter().flat_map(|series| &series.points).map(|(_, value)| *value).fold(0.0, f64::max);
        let frame = Frame { x, y, end, highest: if highest > 0.0 { highest } else { 1.0 } };
        text(&mut svg, "panel", x, y - 10.0, &panel.title);
        if panel.heat { heat(&mut svg, &frame, panel) } else { lines(&mut svg, &frame, panel) }
    }
    svg + "</svg>\n"
}

fn lines(svg: &mut String, frame: &Frame, panel: &Panel) {
    for share in [0.0, 0.5, 1.0] {
        let y = frame.y(frame.highest * share);
        svg.push_str(&format!(
            "<line class=\"grid\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n",
            frame.x,
            frame.x + PANEL
        ));
        end_text(svg, frame.x - 6.0, y + 4.0, &value(frame.highest * share, &panel.unit));
    }
    for (index, series) in panel.series.iter().enumerate() {
        let mut path = String::new();
        let mut before = f64::NEG_INFINITY;
        for (time, at) in &series.points {
            // What is not there for some seconds is a gap.
            let step = if time - before > 3.0 { 'M' } else { 'L' };
            path.push_str(&format!("{step}{:.1} {:.1}", frame.x(*time), frame.y(*at)));
            before = *time;
        }
        svg.push_str(&format!("<path class=\"line c{}\" d=\"{path}\"/>\n", index % 8));
    }
    for (index, Series { name, .. }) in panel.series.iter().take(NAMED).enumerate() {
        let (x, y) = (frame.x + PANEL / 3.0 * float(index % 3), frame.y + HEIGHT + 20.0 + 16.0 * float(index / 3));
        svg.push_str(&format!(
            "<line class=\"line c{index}\" x1=\"{x:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n",
            x + 14.0
        ));
        text(svg, "", x + 18.0, y + 4.0, &name.chars().take(27).collect::<String>());
    }
    if let Some(more) = panel.series.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text(svg, "", frame.x, frame.y + HEIGHT + 56.0, &format!("and {more} more"));
    }
}

/// Cumulative counts by `le` → cells that are darker the more reviews fall between two bounds.
fn heat(svg: &mut String, frame: &Frame, panel: &Panel) {
    let bound = |series: &Series| series.name.parse::<f64>().unwrap_or(f64::INFINITY);
    let mut rows: Vec<&Series> = panel.series.iter().collect();
    rows.sort_by(|a, b| bound(a).total_cmp(&bound(b)));
    let (tall, wide) = (HEIGHT / float(rows.len().max(1)), PANEL / frame.end);
    for (index, row) in rows.iter().enumerate() {
        let y = frame.y + HEIGHT - tall * float(index + 1);
        let below = index.checked_sub(1).and_then(|below| rows.get(below));
        for (time, count) in &row.points {
            let lower = below
                .and_then(|below| below.points.iter().find(|(at, _)| (at - time).abs() < 0.5))
                .map_or(0.0, |(_, count)| *count);
            let share = ((count - lower) / frame.highest).sqrt();
            if share > 0.0 {
                svg.push_str(&format!(
                    "<rect class=\"heat\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{wide:.2}\" height=\"{tall:.1}\" opacity=\"{share:.2}\"/>\n",
                    frame.x(*time)
                ));
            }
        }
        if index % 3 == 0 {
            end_text(svg, frame.x - 6.0, y + tall, &format!("{} s", row.name));
        }
    }
}

// === impl Frame ===

impl Frame {
    fn x(&self, time: f64) -> f64 {
        self.x + PANEL * time / self.end
    }

    fn y(&self, value: f64) -> f64 {
        self.y + HEIGHT * (1.0 - value / self.highest)
    }
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    svg.push_str(&format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>\n"));
}

fn end_text(svg: &mut String, x: f64, y: f64, words: &str) {
    svg.push_str(&format!("<text text-anchor=\"end\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>\n"));
}

fn value(value: f64, unit: &str) -> String {
    match unit {
        "s" if value < 1.0 => format!("{:.0} ms", value * 1000.0),
        "s" => format!("{value:.1} s"),
        "percentunit" => format!("{:.0} %", value * 100.0),
        "reqps" => format!("{value:.1}/s"),
        _ => format!("{value:.0}"),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a handful of panels")]
fn float(count: usize) -> f64 {
    count as f64
}
