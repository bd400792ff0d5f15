//! A Prometheus beside the whole run: it scrapes pullgate and the API server and evaluates the chart's alerts; at the end
//! it is asked what each panel of the chart's dashboard asks, and must have an answer. `DASHBOARD=FILE` draws them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::Failure;
use crate::kubectl::until;
use crate::objects::pod;
use crate::parts::{Part, free_ports};
use crate::picture;
use crate::report::Report;
use crate::world::{TEAM, World};

/// What Grafana puts there.
const RATE_INTERVAL: (&str, &str) = ("$__rate_interval", "15s");

/// A running Prometheus.
pub(crate) struct Watcher {
    port: u16,
    began: f64,
    _part: Part,
}

/// One panel and what its queries brought.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) heat: bool,
    pub(crate) unit: String,
    pub(crate) series: Vec<Series>,
}

/// One line: its legend, and values by time.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// What was asked for is there.
pub(crate) fn cases(world: &mut World, report: &mut Report) {
    if let Some(watcher) = &world.watcher {
        watcher.cases(world, report);
    }
}

// === impl Watcher ===

impl Watcher {
    /// Starts it; pullgate and the API server run.
    pub(crate) fn start(world: &World) -> Result<Self, Failure> {
        // An error says that it is installed already.
        pullgate::cli::install_crypto();
        let [port] = free_ports()?;
        let workshop = &world.workshop;
        let file = |name: &str, text: &str| workshop.file(name, text);
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let api_server = world.stack.server.trim_start_matches("https://");
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [root.join("charts/pullgate/alerts.yaml")],
            "scrape_configs": [
                { "job_name": "pullgate", "static_configs": [{ "targets": [format!("127.0.0.1:{}", world.gate()?.admin)] }] },
                {
                    "job_name": "apiserver", "scheme": "https",
                    "tls_config": {
                        "ca_file": file("prometheus-ca.pem", &world.authority.pem)?,
                        "cert_file": file("prometheus.crt", world.stack.admin.certificate_pem())?,
                        "key_file": file("prometheus.key", &world.stack.admin.key_pem())?,
                    },
                    "static_configs": [{ "targets": [api_server] }],
                },
            ],
        });
        let arguments = [
            format!("--config.file={}", file("prometheus.yaml", &config.to_string())?.display()),
            format!("--storage.tsdb.path={}", workshop.dir.join("prometheus").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--enable-feature=exemplar-storage".to_owned(),
        ];
        let paths = env::var_os("PATH").unwrap_or_default();
        let program =
            env::split_paths(&paths).map(|folder| folder.join("prometheus")).find(|program| program.is_file());
        let program = program.ok_or("prometheus is not there: apt-get install prometheus")?;
        let started = workshop.start("prometheus", &program, &arguments.map(Into::into))?.wait_for(port)?;
        Ok(Self { port, began: now()?, _part: started })
    }

    /// Both are scraped, no rule is broken, and every panel has an answer.
    fn cases(&self, world: &World, report: &mut Report) {
        report.case("dashboard: a registry that counts is in its panel, and both targets are scraped", |_| {
            world.kubectl.apply(&pod(TEAM, "counted", &world.fault(3, "counted")))?.succeeded()?;
            until("the quota in Prometheus", || {
                let left = self.ask("query", &[("query", "pullgate_registry_quota_left == 76")])?;
                Ok((!list(&left["result"]).is_empty()).then_some(()))
            })?;
            let up = self.ask("query", &[("query", "sum(up)")])?;
            match up["result"][0]["value"][1].as_str() {
                Some("2") => Ok("2 targets are up".to_owned()),
                _ => Err(format!("not both targets are up: {up}").into()),
            }
        });
        report.case("dashboard: every alert can be evaluated", |_| {
            let rules = self.ask("rules", &[])?;
            let rules: Vec<&Value> = list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"])).collect();
            match rules.iter().find(|rule| rule["health"] != "ok") {
                Some(bad) => Err(format!("{bad}").into()),
                None => Ok(format!("{} alerts", rules.len())),
            }
        });
        report.case("dashboard: every panel has an answer", |_| {
            let panels = self.panels()?;
            let empty: Vec<&str> = panels
                .iter()
                .filter(|panel| panel.series.iter().all(|series| series.points.is_empty()))
                .map(|panel| panel.title.as_str())
                .collect();
            if !empty.is_empty() {
                return Err(format!("nothing to see in {empty:?}").into());
            }
            if let Some(file) = env::var_os("DASHBOARD") {
                fs::write(file, picture::draw(&panels))?;
            }
            let series: usize = panels.iter().map(|panel| panel.series.len()).sum();
            Ok(format!("{} panels, {series} series", panels.len()))
        });
    }

    fn panels(&self) -> Result<Vec<Panel>, Failure> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/pullgate/dashboard.json");
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut panels = Vec::new();
        for panel in list(&dashboard["panels"]) {
            let mut series = Vec::new();
            for target in list(&panel["targets"]) {
                series.extend(self.asked(&text(&target["expr"]), &text(&target["legendFormat"]))?);
            }
            let (title, unit) = (text(&panel["title"]), text(&panel["fieldConfig"]["defaults"]["unit"]));
            panels.push(Panel { title, unit, heat: panel["type"] == "heatmap", series });
        }
        Ok(panels)
    }

    fn asked(&self, query: &str, legend: &str) -> Result<Vec<Series>, Failure> {
        let query = query.replace(RATE_INTERVAL.0, RATE_INTERVAL.1);
        let (start, end) = (self.began.to_string(), now()?.to_string());
        let data = self.ask("query_range", &[("query", &query), ("start", &start), ("end", &end), ("step", "1")])?;
        let series = list(&data["result"]).iter().map(|result| {
            let labels: BTreeMap<String, String> = serde_json::from_value(result["metric"].clone())?;
            let name = labels
                .iter()
                .fold(legend.to_owned(), |name, (label, value)| name.replace(&format!("{{{{{label}}}}}"), value));
            let values = list(&result["values"]).iter();
            let point = |pair: &Value| Some((pair[0].as_f64()? - self.began, pair[1].as_str()?.parse::<f64>().ok()?));
            let points = values.filter_map(point).filter(|(_, value)| value.is_finite()).collect();
            Ok::<_, Failure>(Series { name, points })
        });
        series.collect()
    }

    fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Result<Value, Failure> {
        let url = format!("http://127.0.0.1:{}/api/v1/{what}", self.port);
        let url = reqwest::Url::parse_with_params(&url, parameters)?;
        let asking = async {
            let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
            client.get(url).send().await?.bytes().await
        };
        let mut answer: Value = serde_json::from_slice(&Runtime::new()?.block_on(asking)?)?;
        if answer["status"] == "success" { Ok(answer["data"].take()) } else { Err(answer.to_string().into()) }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "Prometheus is asked by the time of day")]
fn now() -> Result<f64, Failure> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}
