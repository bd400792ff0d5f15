//! Pods created per second through this API server: with no webhook, with two webhooks that only echo the uid, with
//! pullgate's two in audit mode (which never patch), and with them in enforce mode, where every pod is pinned; at 10
//! and 50 clients, in turns within one run.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use pullgate::server::{self, Certificate, Limits, TlsFiles};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::Failure;
use crate::kubectl::until;
use crate::objects::{ALICE, pod_with, pull_secret};
use crate::parts::{Part, free_ports};
use crate::world::{AUDITED, TEAM, World};

/// Excluded by the chart's namespaceSelector: no webhook is called.
const UNWATCHED: &str = "kube-public";

const CLIENTS: [usize; 2] = [10, 50];
const ROUNDS: usize = 3;
const MEASURED: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_millis(1500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Webhooks {
    None,
    Echo,
    Auditing,
    Pinning,
}

/// Measures and prints.
pub(crate) fn run(world: &mut World) -> Result<(), Failure> {
    for namespace in [TEAM, AUDITED, UNWATCHED] {
        let secret = pull_secret(namespace, "basic", &[(&world.places.basic, ALICE)]);
        world.kubectl.apply(&secret)?.succeeded()?;
    }
    world.install()?;
    let world = &*world;
    let (echo, echo_port) = start_echo(world)?;
    let runtime = Runtime::new()?;
    let client = client(world)?;
    let mut rates = Vec::new();
    for _round in 0..ROUNDS {
        for webhooks in [Webhooks::None, Webhooks::Echo, Webhooks::Auditing, Webhooks::Pinning] {
            point_webhooks(world, webhooks, echo_port)?;
            for clients in CLIENTS {
                let namespace = match webhooks {
                    Webhooks::None => UNWATCHED,
                    Webhooks::Auditing => AUDITED,
                    Webhooks::Echo | Webhooks::Pinning => TEAM,
                };
                runtime.block_on(created(&client, world, namespace, clients, WARM_UP))?;
                let rate = runtime.block_on(created(&client, world, namespace, clients, MEASURED))?;
                rates.push((webhooks, clients, rate));
            }
        }
    }
    drop(echo);

    println!("\npods created per second, median of {ROUNDS} rounds of {} s (lowest, highest)", MEASURED.as_secs());
    let header = ["no webhook", "two that echo", "pullgate, audit", "pullgate, pinning", "audit/echo", "pinning/echo"];
    println!("clients  {}", header.map(|column| format!("{column:<20}")).concat());
    for clients in CLIENTS {
        let of = |webhooks| {
            let mut of: Vec<f64> = rates
                .iter()
                .filter(|(which, at, _)| (*which, *at) == (webhooks, clients))
                .map(|(_, _, rate)| *rate)
                .collect();
            of.sort_by(f64::total_cmp);
            of
        };
        let measured = [Webhooks::None, Webhooks::Echo, Webhooks::Auditing, Webhooks::Pinning].map(of);
        let [_, echo, auditing, pinning] = &measured;
        let ratio = |of: &[f64]| format!("{:<20.2}", of[ROUNDS / 2] / echo[ROUNDS / 2]);
        let rates = measured.each_ref().map(|of| {
            let text = format!("{:.0} ({:.0}, {:.0})", of[ROUNDS / 2], of[0], of[ROUNDS - 1]);
            format!("{text:<20}")
        });
        println!("{clients:>7}  {}{}{}", rates.concat(), ratio(auditing), ratio(pinning));
    }
    Ok(())
}

/// Creates pods until `time` is over; gives their number per second. Every one must be created.
async fn created(
    client: &reqwest::Client,
    world: &World,
    namespace: &str,
    clients: usize,
    time: Duration,
) -> Result<f64, Failure> {
    let mut pod = pod_with(namespace, "", &world.basic("alice/app:v1"), &["basic"]);
    pod["metadata"] = json!({ "generateName": "bench-" });
    let body = Bytes::from(pod.to_string());
    let url = format!("{}/api/v1/namespaces/{namespace}/pods", world.stack.server);
    let started = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (client, body, url) = (client.clone(), body.clone(), url.clone());
            tokio::spawn(async move {
                let mut count = 0_u32;
                while started.elapsed() < time {
                    let request = client.post(&url).header(CONTENT_TYPE, "application/json").body(body.clone());
                    let answer = request.send().await?;
                    let status = answer.status();
                    let body = answer.bytes().await?;
                    if status.as_u16() != 201 {
                        return Err(Failure::from(format!("{status}: {}", String::from_utf8_lossy(&body))));
                    }
                    count += 1;
                }
                Ok(count)
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await??;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

/// A client of the API server with the administrator's certificate.
pub(crate) fn client(world: &World) -> Result<reqwest::Client, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(world.authority.pem.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(world.stack.admin.chain(), world.stack.admin.key_der())?;
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).http1_only().no_proxy().build()?)
}

/// Points the chart's webhooks, with their rules and conditions, and waits until the API server has understood.
fn point_webhooks(world: &World, to: Webhooks, echo_port: u16) -> Result<(), Failure> {
    let port = match to {
        Webhooks::None => return Ok(()),
        Webhooks::Echo => echo_port,
        Webhooks::Auditing | Webhooks::Pinning => world.gate()?.webhook,
    };
    world.point_webhooks(port)?;
    let probe = pod_with(TEAM, "probe", &world.basic("alice/app:v1"), &["basic"]);
    until("the API server to call the other webhooks", || {
        let said = world.kubectl.feed("apply --dry-run=server -o yaml -f -", &probe)?.succeeded()?;
        Ok((said.stdout.contains("@sha256:") != (to == Webhooks::Echo)).then_some(()))
    })
}

/// Starts this program again as the echo, so that it has a process of its own like pullgate.
fn start_echo(world: &World) -> Result<(Part, u16), Failure> {
    let [port] = free_ports()?;
    let (certificate, key) = (world.workshop.dir.join("tls.crt"), world.workshop.dir.join("tls.key"));
    let arguments = ["--echo".into(), port.to_string().into(), certificate.into(), key.into()];
    Ok((world.workshop.start("echo", &env::current_exe()?, &arguments)?.wait_for(port)?, port))
}

/// `--echo PORT CERTIFICATE KEY`: the least that a webhook can do, on the server that pullgate runs on.
pub(crate) fn echo(arguments: &[String]) -> Result<(), Failure> {
    let [port, cert, key] = arguments else {
        return Err("--echo takes a port, a certificate and a key".into());
    };
    let files = TlsFiles { cert: PathBuf::from(cert), key: PathBuf::from(key) };
    let tls = Arc::new(server::server_config(Arc::new(Certificate::load(files)?))?);
    let address = format!("127.0.0.1:{port}").parse()?;
    Runtime::new()?.block_on(async {
        let bound = server::bind(address, Some(tls), Limits::default(), "--echo").await?;
        let answer = async |body: Bytes| {
            let uid = uid(&body).unwrap_or_default().to_owned();
            let response = json!({ "uid": uid, "allowed": true });
            let review =
                json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response });
            ([(CONTENT_TYPE, "application/json")], review.to_string())
        };
        let router = Router::new().route("/validate", post(answer)).route("/mutate", post(answer));
        bound.serve(router, std::future::pending()).await;
        Ok(())
    })
}

/// The first uid of a review is that of its request.
fn uid(body: &[u8]) -> Option<&str> {
    const KEY: &[u8] = b"\"uid\":\"";
    let start = body.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    let length = body.get(start..)?.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&body[start..start + length]).ok()
}
