//! Which registries get a label of their own: those that the operator names, and the first fifty that served a manifest.
//!
//! Image names are chosen by tenants, so a name alone earns no label: whoever writes fifty names that lead nowhere must not
//! take the label of the registry that the cluster lives on.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Registries that get a label because an image was found there; the rest is [`OTHER`].
const MAX_SERVING: usize = 50;

/// The label of every registry without one of its own.
pub(super) const OTHER: &str = "other";

/// Where a reference without a registry leads, so it needs nobody to name it.
const HUB: &str = "docker.io";

/// The registries that have a label.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<Labelled>);

#[derive(Debug, Default)]
struct Labelled {
    named: BTreeSet<String>,
    serving: BTreeSet<String>,
}

// === impl Hosts ===

impl Hosts {
    /// The operator names these; those named before keep their label.
    pub(super) fn name<'h>(&self, hosts: impl Iterator<Item = &'h str>) {
        self.labelled().named.extend(hosts.map(str::to_ascii_lowercase));
    }

    /// An image was found there.
    pub(super) fn serves(&self, host: &str) {
        let mut labelled = self.labelled();
        if labelled.serving.len() < MAX_SERVING && !labelled.serving.contains(host) {
            labelled.serving.insert(host.to_owned());
        }
    }

    /// Whether a registry has a label of its own.
    pub(super) fn has(&self, host: &str) -> bool {
        let Labelled { named, serving } = &*self.labelled();
        host == HUB || serving.contains(host) || named.contains(host)
    }

    fn labelled(&self) -> MutexGuard<'_, Labelled> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_earns_its_label_by_an_image_and_the_operators_need_not() {
        let hosts = Hosts::default();
        hosts.name(["Registry.corp.io:5000"].into_iter());
        assert!(hosts.has("docker.io") && hosts.has("registry.corp.io:5000"));
        assert!(!hosts.has("ghcr.io"));
        hosts.serves("ghcr.io");
        for number in 0..2 * MAX_SERVING {
            hosts.serves(&format!("r{number}.example"));
        }
        assert!(hosts.has("ghcr.io") && hosts.has("r0.example"));
        assert!(!hosts.has(&format!("r{MAX_SERVING}.example")), "the labels are bounded");
        hosts.name(["late.corp.io"].into_iter());
        assert!(hosts.has("late.corp.io") && hosts.has("registry.corp.io:5000"), "the operator's are beyond the bound");
    }
}
