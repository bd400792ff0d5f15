//! The metrics text of a replica → the few numbers that a check wants.

/// One sample: labels as they are written, and the value.
struct Sample<'t> {
    labels: &'t str,
    value: f64,
}

fn samples<'t>(text: &'t str, name: &str) -> impl Iterator<Item = Sample<'t>> {
    let name = name.to_owned();
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name.as_str())?;
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_once('}')?,
            None => ("", rest),
        };
        // An exemplar may follow the value.
        let value = rest.strip_prefix(' ')?.split(' ').next()?.parse().ok()?;
        Some(Sample { labels, value })
    })
}

/// The value of a label in `a="1",b="2"`. None of ours holds a quote or a comma.
fn label<'t>(labels: &'t str, name: &str) -> Option<&'t str> {
    labels.split(',').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| value.trim_matches('"'))
    })
}

/// Every sample of a metric that has a label, with that label's value.
pub(super) fn by_label<'t>(text: &'t str, metric: &str, name: &'static str) -> Vec<(&'t str, f64)> {
    samples(text, metric).filter_map(|sample| Some((label(sample.labels, name)?, sample.value))).collect()
}

/// Every sample of a metric that has both labels, with their values.
pub(super) fn by_labels<'t>(
    text: &'t str,
    metric: &str,
    names: [&'static str; 2],
) -> impl Iterator<Item = ([&'t str; 2], f64)> {
    samples(text, metric).filter_map(move |sample| {
        let [one, other] = names.map(|name| label(sample.labels, name));
        Some(([one?, other?], sample.value))
    })
}

/// The sum over all samples of a metric.
pub(super) fn sum(text: &str, metric: &str) -> f64 {
    samples(text, metric).map(|sample| sample.value).sum()
}

/// The bound below which `share` of the observations of all replicas lie; nothing where there is none.
pub(super) fn quantile(texts: &[&str], metric: &str, share: f64) -> Option<f64> {
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for (bound, count) in texts.iter().flat_map(|text| by_label(text, &format!("{metric}_bucket"), "le")) {
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
        match buckets.iter_mut().find(|(known, _)| known.total_cmp(&bound).is_eq()) {
            Some((_, sum)) => *sum += count,
            None => buckets.push((bound, count)),
        }
    }
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let all = buckets.last()?.1;
    (all > 0.0).then(|| buckets.iter().find(|(_, count)| *count >= all * share).map(|(bound, _)| *bound)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP x y\nx_bucket{path=\"v\",le=\"0.1\"} 90\nx_bucket{path=\"v\",le=\"1.0\"} 99 # {uid=\"a\"} 0.5\n\
        x_bucket{path=\"v\",le=\"+Inf\"} 100\nx_total{a=\"1\"} 3\nx_total 4\n";

    #[test]
    fn numbers_are_read_from_the_text() {
        assert!((sum(TEXT, "x_total") - 7.0).abs() < f64::EPSILON);
        assert_eq!(by_label(TEXT, "x_total", "a"), [("1", 3.0)]);
        for (share, expected) in [(0.5, Some(0.1)), (0.99, Some(1.0)), (1.0, Some(f64::INFINITY))] {
            assert_eq!(quantile(&[TEXT, TEXT], "x", share), expected, "{share}");
        }
        assert_eq!(quantile(&[], "x", 0.99), None);
        assert_eq!(quantile(&["x_bucket{le=\"+Inf\"} 0"], "x", 0.99), None);
    }
}
