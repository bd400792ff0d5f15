//! Two days → one picture: requests per window, waiting for the registry, and pods that nobody looked at. Plain SVG with
//! colours for light and dark pages.

use crate::figures::{Figures, STEPS};

/// The whole picture, and one panel in it.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 884.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 124.0;
const PANEL: f64 = 196.0;
const GAP: f64 = 66.0;

/// Both palettes; everything else names a class.
const STYLE: &str = "
  svg { color-scheme: light dark; }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328; }
  .page { fill: #ffffff; }
  .title { font-size: 20px; font-weight: 600; }
  .panel { font-size: 14px; font-weight: 600; }
  .soft { fill: #59636e; font-size: 12px; }
  .grid { stroke: #d8dee4; stroke-width: 1; }
  .axis { stroke: #818b98; stroke-width: 1; }
  .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
  .thin { stroke-width: 1.6; stroke-dasharray: 2 4; }
  .without { stroke: #c4551d; }
  .with { stroke: #0f7a8a; }
  .limit { stroke: #59636e; stroke-width: 1.4; stroke-dasharray: 7 5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .page { fill: #0d1117; }
    .soft { fill: #9198a1; }
    .grid { stroke: #2b323b; }
    .axis { stroke: #656c76; }
    .without { stroke: #f0883e; }
    .with { stroke: #39c5cf; }
    .limit { stroke: #9198a1; }
  }
";

/// A picture that grows.
struct Drawing(String);

/// Where values lie.
struct Panel {
    top: f64,
    highest: f64,
}

/// One curve.
struct Curve<'a> {
    class: &'a str,
    values: Vec<f64>,
    /// Where a new count begins: the curve falls to zero there.
    starts: usize,
}

/// The picture of a day at this limit.
pub(crate) fn draw(limit: u64, without: &Figures, with: &Figures) -> String {
    let mut drawing = Drawing::new();
    drawing.head(limit, without, with);
    let requests = |figures: &Figures| figures.in_window().into_iter().map(float).collect::<Vec<_>>();
    let waited = |figures: &Figures, share| figures.waited(share).into_iter().map(float).collect::<Vec<_>>();
    let both = |values: &dyn Fn(&Figures) -> Vec<f64>, starts| {
        [("without", without), ("with", with)].map(|(class, figures)| Curve { class, values: values(figures), starts })
    };

    let curves = both(&requests, 12);
    let panel = drawing.panel(0, "Manifest requests since the window began", &curves, "");
    let y = panel.y(float(limit));
    drawing.rule("limit", LEFT, y, WIDTH - RIGHT, y);
    let limit = format!("dashed: the limit, {}; then 429", grouped(limit));
    drawing.text("soft", WIDTH - RIGHT, panel.top - 10.0, "end", &limit);
    for curve in &curves {
        drawing.curve(&panel, curve);
    }

    let medians = both(&|figures| waited(figures, 0.5), 0);
    let tails = both(&|figures| waited(figures, 0.99), 0);
    let panel = drawing.panel(1, "Waiting for the registry, per pod (mutate and validate together)", &tails, " ms");
    for curve in &medians {
        drawing.curve(&panel, curve);
    }
    for curve in tails {
        drawing.curve(&panel, &Curve { class: &format!("{} thin", curve.class), ..curve });
    }
    drawing.text("soft", WIDTH - RIGHT, panel.top - 10.0, "end", "solid: median · dotted: 99th percentile");

    let unchecked = both(&Figures::unchecked, 0);
    let full = [Curve { class: "", values: vec![100.0], starts: 0 }];
    let panel = drawing.panel(2, "Pods admitted unchecked", &full, " %");
    for curve in &unchecked {
        drawing.curve(&panel, curve);
    }
    drawing.0 + "</svg>\n"
}

// === impl Drawing ===

impl Drawing {
    fn new() -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             role=\"img\" aria-label=\"Registry requests, waiting and unchecked pods over a simulated day\">\n\
             <style>{STYLE}</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n"
        ))
    }

    fn head(&mut self, limit: u64, without: &Figures, with: &Figures) {
        self.text("title", LEFT, 38.0, "start", "A day of 10,000 pods against a rate-limited registry");
        let under =
            format!("simulated time, real resolver and registry client; {} manifest requests in 6 h", grouped(limit));
        self.text("soft", LEFT, 58.0, "start", &under);
        for (index, (class, name, figures)) in
            [("without", "no cache", without), ("with", "pullgate", with)].into_iter().enumerate()
        {
            let x = LEFT + 430.0 * float(index as u64);
            self.rule(&format!("line {class}"), x, 82.0, x + 26.0, 82.0);
            let words = format!(
                "{name}: {} requests, {} pods unchecked",
                grouped(figures.requests.len() as u64),
                grouped(figures.pods_unchecked() as u64)
            );
            self.text("", x + 34.0, 86.5, "start", &words);
        }
    }

    /// Title, grid and axes, high enough for these curves.
    fn panel(&mut self, index: u64, title: &str, curves: &[Curve<'_>], unit: &str) -> Panel {
        let top = TOP + float(index) * (PANEL + GAP);
        let highest = curves.iter().flat_map(|curve| &curve.values).copied().fold(1.0, f64::max);
        let step = nice(highest / 4.0);
        let panel = Panel { top, highest: (highest / step).ceil() * step };
        self.text("panel", LEFT, top - 10.0, "start", title);
        let mut value = 0.0;
        while value <= panel.highest {
            let y = panel.y(value);
            self.rule(if value == 0.0 { "axis" } else { "grid" }, LEFT, y, WIDTH - RIGHT, y);
            self.text("soft", LEFT - 8.0, y + 4.0, "end", &format!("{}{unit}", grouped(whole(value))));
            value += step;
        }
        for hour in (0..=24).step_by(3) {
            let x = x(float(hour) * 2.0);
            self.rule(
                if hour % 6 == 0 { "axis" } else { "grid" },
                x,
                top,
                x,
                top + PANEL + if hour % 6 == 0 { 4.0 } else { 0.0 },
            );
            self.text("soft", x, top + PANEL + 18.0, "middle", &format!("{hour:02}:00"));
        }
        panel
    }

    fn curve(&mut self, panel: &Panel, curve: &Curve<'_>) {
        let mut points = String::new();
        let mut command = 'M';
        for (index, value) in curve.values.iter().enumerate() {
            if curve.starts > 0 && index % curve.starts == 0 {
                points += &format!("M{:.1} {:.1}", x(float(index as u64)), panel.y(0.0));
                command = 'L';
            }
            // A count stands at the end of its half hour, a share in the middle.
            let at = float(index as u64) + if curve.starts > 0 { 1.0 } else { 0.5 };
            points += &format!("{command}{:.1} {:.1}", x(at), panel.y(*value));
            command = 'L';
        }
        self.0 += &format!("<path class=\"line {}\" d=\"{points}\"/>\n", curve.class);
    }

    fn rule(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
        self.0 += &format!("<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n");
    }

    fn text(&mut self, class: &str, x: f64, y: f64, anchor: &str, words: &str) {
        self.0 +=
            &format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>\n");
    }
}

// === impl Panel ===

impl Panel {
    fn y(&self, value: f64) -> f64 {
        self.top + PANEL * (1.0 - value / self.highest)
    }
}

/// The place of a time, in steps since midnight.
fn x(steps: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * steps / float(STEPS as u64)
}

/// The next of 1, 2, 5, 10, …
fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|nice| *nice >= step).unwrap_or(step)
}

#[expect(clippy::cast_precision_loss, reason = "counts of one day")]
fn float(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mark on an axis")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// `12,345`
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
