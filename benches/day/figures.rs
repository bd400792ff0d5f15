//! What a day came to: requests by the half hour, how long pods waited, and how many nobody looked at.

use crate::registry::{Asked, WINDOW};
use crate::traffic::{DAY, MINUTE};

/// The columns of [`Figures::row`].
pub(crate) const HEAD: &str =
    "limit in 6 h  cache      requests  refused  busiest window  p50 ms  p99 ms  pods unchecked";

/// Points of the picture.
pub(crate) const STEP: u64 = 30 * MINUTE;
pub(crate) const STEPS: usize = 48;

/// One object that was reviewed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Review {
    /// Milliseconds since midnight.
    pub(crate) at: u64,
    /// Milliseconds for the registry, both webhooks together.
    pub(crate) waited: u64,
    /// Every image was answered by the registry, now or within the hour.
    pub(crate) checked: bool,
    /// No pod.
    pub(crate) template: bool,
}

/// A whole day.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) reviews: Vec<Review>,
    pub(crate) requests: Vec<Asked>,
}

// === impl Figures ===

impl Figures {
    /// Requests of each window so far, at the end of every step; refused ones included.
    pub(crate) fn in_window(&self) -> Vec<u64> {
        let mut counts = vec![0; STEPS];
        for request in &self.requests {
            counts[step(request.at)] += 1;
        }
        let steps = usize::try_from(WINDOW / STEP).unwrap_or(1);
        for index in 0..STEPS {
            if index % steps != 0 {
                counts[index] += counts[index - 1];
            }
        }
        counts
    }

    /// This share of the pods of each step waited no longer, in milliseconds.
    pub(crate) fn waited(&self, share: f64) -> Vec<u64> {
        let waits = |index| self.pods().filter(move |pod| step(pod.at) == index).map(|pod| pod.waited);
        (0..STEPS).map(|index| quantile(waits(index).collect(), share)).collect()
    }

    /// Percent of the pods of each step that nobody looked at.
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    pub(crate) fn unchecked(&self) -> Vec<f64> {
        let share = |index| {
            let pods: Vec<&Review> = self.pods().filter(|pod| step(pod.at) == index).collect();
            let unchecked = pods.iter().filter(|pod| !pod.checked).count();
            100.0 * unchecked as f64 / pods.len().max(1) as f64
        };
        (0..STEPS).map(share).collect()
    }

    /// Pods that nobody looked at.
    pub(crate) fn pods_unchecked(&self) -> usize {
        self.pods().filter(|pod| !pod.checked).count()
    }

    /// One line of the table.
    pub(crate) fn row(&self, limit: u64, name: &str) -> String {
        let limit = if limit == u64::MAX { "none".to_owned() } else { limit.to_string() };
        let refused = self.requests.iter().filter(|request| request.refused).count();
        let busiest = self.in_window().into_iter().max().unwrap_or_default();
        let waits: Vec<u64> = self.pods().map(|pod| pod.waited).collect();
        format!(
            "{limit:>12}  {name:<9}  {:>8}  {refused:>7}  {busiest:>14}  {:>6}  {:>6}  {:>6} of {}",
            self.requests.len(),
            quantile(waits.clone(), 0.5),
            quantile(waits, 0.99),
            self.pods_unchecked(),
            self.pods().count(),
        )
    }

    fn pods(&self) -> impl Iterator<Item = &Review> {
        self.reviews.iter().filter(|review| !review.template)
    }
}

fn step(at: u64) -> usize {
    usize::try_from(at.min(DAY - 1) / STEP).unwrap_or_default()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index below the length"
)]
fn quantile(mut values: Vec<u64>, share: f64) -> u64 {
    values.sort_unstable();
    let index = (values.len() as f64 * share) as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}
