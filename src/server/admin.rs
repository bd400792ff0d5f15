//! The second port: is the process alive, is it ready and if not for want of what, and its metrics.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

/// What [`crate::metrics::exposition`] writes.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Named conditions that must all hold before requests should come.
#[derive(Debug, Default)]
pub struct Readiness {
    conditions: Mutex<BTreeMap<&'static str, bool>>,
}

/// `/livez`, `/readyz` and `/metrics`; `metrics` writes the text of the last.
pub fn router(readiness: Arc<Readiness>, metrics: impl Fn() -> String + Clone + Send + Sync + 'static) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async move || readiness.report()))
        .route("/metrics", get(async move || ([(CONTENT_TYPE, OPENMETRICS)], metrics())))
}

// === impl Readiness ===

impl Readiness {
    /// Conditions that do not hold yet.
    pub fn new(names: &[&'static str]) -> Self {
        Self { conditions: Mutex::new(names.iter().map(|name| (*name, false)).collect()) }
    }

    /// Says whether a condition holds.
    pub fn set(&self, name: &'static str, holds: bool) {
        self.lock().insert(name, holds);
    }

    /// Whether all conditions hold.
    pub fn is_ready(&self) -> bool {
        self.lock().values().all(|holds| *holds)
    }

    /// Every condition, and whether it holds.
    pub fn all(&self) -> Vec<(&'static str, bool)> {
        self.lock().iter().map(|(name, holds)| (*name, *holds)).collect()
    }

    /// The conditions that do not hold, by name.
    pub fn unmet(&self) -> Vec<&'static str> {
        self.lock().iter().filter(|(_, holds)| !**holds).map(|(name, _)| *name).collect()
    }

    fn report(&self) -> impl IntoResponse + use<> {
        let conditions = self.lock();
        let ready = conditions.values().all(|holds| *holds);
        let mut text = String::from(if ready { "ready\n" } else { "not ready\n" });
        for (name, holds) in conditions.iter() {
            // Writing to a string does not fail.
            writeln!(text, "{name}: {}", if *holds { "ok" } else { "not yet" }).unwrap_or_default();
        }
        (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, bool>> {
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::metrics::exposition;

    async fn answer(router: &Router, path: &str) -> (StatusCode, String, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = TowerToHyperService::new(router.clone()).call(request).await.unwrap();
        let kind = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let (status, body) = (response.status(), response.into_body().collect().await.unwrap().to_bytes());
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_names_what_is_missing() {
        let readiness = Arc::new(Readiness::new(&["certificate", "cluster"]));
        let router = router(Arc::clone(&readiness), String::new);
        readiness.set("cluster", true);
        let (status, _, text) = answer(&router, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "not ready\ncertificate: not yet\ncluster: ok\n");
        assert_eq!(readiness.unmet(), ["certificate"]);

        readiness.set("certificate", true);
        let (status, _, text) = answer(&router, "/readyz").await;
        assert_eq!((status, text.as_str()), (StatusCode::OK, "ready\ncertificate: ok\ncluster: ok\n"));
        assert!(readiness.is_ready());
        assert_eq!(answer(&router, "/livez").await.2, "ok\n");
    }

    #[tokio::test]
    async fn metrics_are_openmetrics() {
        let counter = Counter::<u64>::default();
        let mut registry = Registry::default();
        registry.register("reviews", "Reviews answered", counter.clone());
        let registry = Arc::new(registry);
        let router = router(Arc::default(), move || exposition(&registry));
        counter.inc();
        let (_, kind, text) = answer(&router, "/metrics").await;
        assert_eq!(kind, OPENMETRICS);
        assert!(text.contains("reviews_total 1\n") && text.ends_with("# EOF\n"), "{text}");
    }
}
