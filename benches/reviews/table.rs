//! Rows → the table, and the few statistics that the rows are made of.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};

/// One figure.
pub(crate) struct Row {
    what: String,
    figure: String,
    goal: &'static str,
    kept: Option<bool>,
}

// === impl Row ===

impl Row {
    /// A figure with a goal.
    pub(crate) fn held(what: impl Into<String>, figure: impl Into<String>, goal: &'static str, kept: bool) -> Self {
        Self { what: what.into(), figure: figure.into(), goal, kept: Some(kept) }
    }

    /// A figure that explains another.
    pub(crate) fn beside(what: impl Into<String>, figure: impl Into<String>) -> Self {
        Self { what: what.into(), figure: figure.into(), goal: "", kept: None }
    }
}

pub(crate) fn render(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["what", "figure", "goal", ""]);
    for row in rows {
        let kept = match row.kept {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        table.add_row([&row.what, &row.figure, row.goal, kept]);
    }
    table.to_string()
}

/// The value that `share` of all values do not exceed; zero of none.
pub(crate) fn quantile<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among far fewer than 2^52 values"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}

pub(crate) fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(&sorted(values), 0.5)
}

/// `median (smallest to largest)`.
pub(crate) fn spread(values: &[f64], digits: usize) -> String {
    let values = sorted(values.iter().copied());
    let (least, most) = (quantile(&values, 0.0), quantile(&values, 1.0));
    format!("{:.digits$} ({least:.digits$} to {most:.digits$})", quantile(&values, 0.5))
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(crate) fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
