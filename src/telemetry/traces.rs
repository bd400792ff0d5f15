//! Spans of reviews, images and registry requests → an OpenTelemetry collector, over OTLP with protobuf in HTTP. Nothing is
//! sent where no endpoint is named; a collector that is away costs no review anything, its spans are dropped.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{Metadata, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, Filtered, LevelFilter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{LogFormat, SPANS, TelemetryError, log, parse_filter};

/// Where traces are taken, below the endpoint (opentelemetry-specification `protocol/exporter.md`).
const PATH: &str = "v1/traces";

/// Limit for one batch of spans.
const SENDING: Duration = Duration::from_secs(5);

/// The longest that the end of the process waits for the last batch.
const LAST_BATCH: Duration = Duration::from_secs(2);

/// The spans under way; the last are sent when it is dropped.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

/// What takes spans from a subscriber.
pub type TracesLayer<S> = Filtered<OpenTelemetryLayer<S, SdkTracer>, FilterFn, S>;

/// Sends on the runtime: the exporter's own thread has none.
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

/// Sets up the log of the process, and spans beside it where `endpoint` is given. Call it on the runtime.
///
/// # Errors
/// A flag that does not parse, an endpoint that is no URL.
pub fn init(format: LogFormat, filter: &str, endpoint: Option<&str>) -> Result<Option<Traces>, TelemetryError> {
    let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) else {
        return super::init(format, filter).map(|()| None);
    };
    let log = log(format).with_filter(parse_filter(filter)?);
    let (layer, traces) = to(endpoint)?;
    tracing_subscriber::registry().with(log).with(layer).try_init().map_err(TelemetryError::Again)?;
    Ok(Some(traces))
}

/// A layer that sends pullgate's spans to `endpoint`. Sampling, headers and the resource are told by the standard `OTEL_…`
/// variables, which the exporter reads by itself.
///
/// # Errors
/// An endpoint that is no URL.
pub fn to<S>(endpoint: &str) -> Result<(TracesLayer<S>, Traces), TelemetryError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let refuse = |reason: String| TelemetryError::Endpoint { endpoint: endpoint.to_owned(), reason };
    let http = reqwest::Client::builder().timeout(SENDING).redirect(reqwest::redirect::Policy::none()).build();
    let client = Client { http: http.map_err(|error| refuse(error.to_string()))?, runtime: Handle::current() };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/{PATH}", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|error: ExporterBuildError| refuse(error.to_string()))?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
    let ours =
        FilterFn::new((|metadata| metadata.is_span() && metadata.target() == SPANS) as fn(&Metadata<'_>) -> bool)
            .with_max_level_hint(LevelFilter::TRACE);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("pullgate"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(ours);
    Ok((layer, Traces(provider)))
}

/// What the variables say, under pullgate's own name where they say none.
fn resource() -> Resource {
    let said = Resource::builder().build();
    let name = opentelemetry::Key::from_static_str("service.name");
    let unnamed = said.get(&name).is_none_or(|name| name.as_str().starts_with("unknown_service"));
    let builder = Resource::builder();
    if unnamed { builder.with_service_name("pullgate").build() } else { builder.build() }
}

// === impl Traces ===

impl Traces {
    /// Sends what has ended so far. Blocks; not for a thread of the runtime.
    ///
    /// # Errors
    /// The collector did not take it.
    pub fn flush(&self) -> Result<(), String> {
        self.0.force_flush().map_err(|error| error.to_string())
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // What the collector does not take now is lost, and nobody is left to be told.
        drop(self.0.shutdown_with_timeout(LAST_BATCH));
    }
}

// === impl Client ===

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 'f>(
        &'a self,
        request: axum::http::Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<axum::http::Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        let http = self.http.clone();
        let sending = self.runtime.spawn(async move {
            let (parts, body) = request.into_parts();
            let url = parts.uri.to_string();
            let answer = http.request(parts.method, url).headers(parts.headers).body(body).send().await?;
            let mut taken = axum::http::Response::new(Bytes::new());
            *taken.status_mut() = answer.status();
            *taken.headers_mut() = answer.headers().clone();
            Ok::<_, reqwest::Error>(taken)
        });
        Box::pin(async move { Ok(sending.await??) })
    }
}
