//! When certificates end, and what the keeper had to repair.

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Handles to the families. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct CertificateMetrics {
    expiry: Family<Ends, Gauge>,
    repairs: Family<Repaired, Counter>,
    held: Gauge,
    looked: Gauge,
}

/// Of which certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The authority that signs.
    Ca,
    /// The serving certificate.
    Leaf,
    /// The first to end in the webhook objects' bundles.
    Bundle,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ends {
    which: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Repaired {
    what: &'static str,
}

// === impl CertificateMetrics ===

impl CertificateMetrics {
    /// What a replica tells.
    pub fn of_replica(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "End of the leaf, the authority, and the first to end of the bundle in the webhook objects";
        registry.register("certificate_expiry_timestamp_seconds", help, metrics.expiry.clone());
        metrics
    }

    /// What a keeper tells.
    pub fn of_keeper(registry: &mut Registry) -> Self {
        let metrics = Self::of_replica(registry);
        let help = "Written because it was missing or wrong, by what: ca, leaf, bundle, path";
        registry.register("certificate_repairs", help, metrics.repairs.clone());
        registry.register("keeper_lease_held", "Whether this keeper holds the Lease", metrics.held.clone());
        let help = "When the last look at all certificates came to a good end";
        registry.register("keeper_last_good_look_timestamp_seconds", help, metrics.looked.clone());
        for what in ["ca", "leaf", "bundle", "path"] {
            drop(metrics.repairs.get_or_create(&Repaired { what }));
        }
        metrics
    }

    /// When a certificate ends; none if there is none.
    pub fn expires(&self, which: Which, at: Option<Timestamp>) {
        let label = Ends {
            which: match which {
                Which::Ca => "ca",
                Which::Leaf => "leaf",
                Which::Bundle => "bundle",
            },
        };
        match at {
            Some(at) => {
                self.expiry.get_or_create(&label).set(at.as_second());
            }
            None => {
                self.expiry.remove(&label);
            }
        }
    }

    /// Something was missing or wrong, and is written: `ca`, `leaf`, `bundle`, `path`.
    pub fn repaired(&self, what: &'static str) {
        self.repairs.get_or_create(&Repaired { what }).inc();
    }

    /// Whether this keeper holds the Lease.
    pub fn held(&self, held: bool) {
        self.held.set(i64::from(held));
    }

    /// A look came to a good end.
    pub fn looked(&self, at: Timestamp) {
        self.looked.set(at.as_second());
    }
}
