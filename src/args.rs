//! Every flag and variable, and nothing else: raw text in, a checked command out. Only this file reads the environment.

mod certificates;
mod doctor;
pub mod rbac;
pub mod release;
mod surroundings;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Parser, Subcommand, ValueEnum};

pub use self::certificates::{Certificates, KeepArgs, TlsArgs};
pub use self::doctor::{DoctorArgs, DoctorFormat};
pub use self::surroundings::{DockerConfigArgs, KubeArgs};
use crate::cli;
use crate::policy::Mode;
use crate::registry::proxies::Variables;

/// Says at kubectl apply what the kubelet would say minutes later.
#[derive(Debug, Parser)]
#[command(name = "pullgate", version, about, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The webhook: POST /validate and POST /mutate over HTTPS, probes and metrics on the admin port
    Serve(ServeArgs),
    /// The keeper of certificates and of the path segment: Secrets, and what the webhook configurations say of them
    Keep(KeepArgs),
    /// Judge manifests or images before they reach a cluster
    Check(CheckArgs),
    /// Show how one image is understood: reference, credentials in the kubelet's order, answer
    Explain(ExplainArgs),
    /// Is the installation sound? A line a check: certificates, webhooks, replicas, rights, registries
    Doctor(DoctorArgs),
    /// Show the gate at work: no cluster and no network needed
    Demo,
    /// Permissions on pull secrets, no wider than needed
    #[command(subcommand)]
    Rbac(rbac::RbacCommand),
    /// Wait until a replica of the webhook is ready
    Ready(release::ReadyArgs),
    /// Delete the webhook configurations, then what the keeper made; helm uninstall runs it before it deletes the rest
    Uninstall(release::UninstallArgs),
}

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Configuration file (YAML); watched, a bad change keeps the running one
    #[arg(long, env = "PULLGATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of the webhook
    #[arg(long, env = "PULLGATE_LISTEN", default_value = "0.0.0.0:10250", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Address of /livez, /readyz and /metrics (plain HTTP)
    #[arg(long, env = "PULLGATE_ADMIN_LISTEN", default_value = "0.0.0.0:9090", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,
    /// Its certificate, and who is told everything
    #[command(flatten)]
    pub tls: TlsArgs,
    /// Mode of every namespace without one of its own: enforce, warn or audit (default: the configuration's)
    #[arg(long, env = "PULLGATE_MODE", value_name = "MODE")]
    pub mode: Option<Mode>,
    /// Secrets and `ServiceAccounts` from files instead of a cluster: a file or a directory of YAML or JSON
    #[arg(long, env = "PULLGATE_CLUSTER_FROM", value_name = "PATH", conflicts_with_all = ["kubeconfig", "context"])]
    pub cluster_from: Option<PathBuf>,
    /// Which cluster, said as kubectl takes it
    #[command(flatten)]
    pub kube: KubeArgs,
    /// What nodes hold by themselves
    #[command(flatten)]
    pub nodes: NodeArgs,
    /// The namespace that pullgate itself runs in: never judged (default: that of its `ServiceAccount`)
    #[arg(long, env = "PULLGATE_NAMESPACE", value_name = "NAMESPACE")]
    pub own_namespace: Option<String>,
    /// How long to keep serving after a signal to stop, with readiness gone, before connections are drained
    #[arg(long, env = "PULLGATE_SHUTDOWN_DELAY", default_value = "5s", value_parser = duration, value_name = "DURATION")]
    pub shutdown_delay: Duration,
    /// Log filter: error, warn, info, debug, trace, or per module
    #[arg(long, env = "PULLGATE_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// Log format
    #[arg(long, env = "PULLGATE_LOG_FORMAT", default_value = "json", value_name = "FORMAT")]
    pub log_format: crate::telemetry::LogFormat,
    /// Send spans to an OpenTelemetry collector: the root of its OTLP/HTTP API
    #[cfg(feature = "otlp")]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

/// Flags that declare what nodes hold by themselves, named as the kubelet names its own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct NodeArgs {
    /// The kubelets' `CredentialProviderConfig`: a file, or a directory of .json, .yaml and .yml
    #[arg(
        long,
        env = "PULLGATE_IMAGE_CREDENTIAL_PROVIDER_CONFIG",
        value_name = "PATH",
        requires = "image_credential_provider_bin_dir"
    )]
    pub image_credential_provider_config: Option<PathBuf>,
    /// Directory of the plugins that it names
    #[arg(long, env = "PULLGATE_IMAGE_CREDENTIAL_PROVIDER_BIN_DIR", value_name = "DIR")]
    pub image_credential_provider_bin_dir: Option<PathBuf>,
    /// Make `ServiceAccount` tokens for plugins that want one. Needs `create` on serviceaccounts/token: who may do that
    /// may act as any workload
    #[arg(long, env = "PULLGATE_IMAGE_CREDENTIAL_PROVIDER_TOKENS")]
    pub image_credential_provider_tokens: bool,
    /// The nodes' docker configuration file; may be given several times, the first that is of use counts
    #[arg(long = "node-docker-config", env = "PULLGATE_NODE_DOCKER_CONFIG", value_name = "FILE")]
    pub node_docker_configs: Vec<PathBuf>,
}

/// Where objects, rules and Secrets of the command line come from.
#[derive(Debug, clap::Args)]
pub struct SourceArgs {
    /// Configuration file (YAML): registries, guard, exceptions
    #[arg(long, env = "PULLGATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Secrets and `ServiceAccounts`: a file or a directory of YAML or JSON
    #[arg(long, env = "PULLGATE_CLUSTER_FROM", value_name = "PATH", conflicts_with_all = ["kubeconfig", "context"])]
    pub cluster_from: Option<PathBuf>,
    /// Which cluster, said as kubectl takes it
    #[command(flatten)]
    pub kube: KubeArgs,
    /// What nodes hold by themselves
    #[command(flatten)]
    pub nodes: NodeArgs,
    /// Namespace of objects that name none (default: the context's)
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Pull secret of the images given on the command line, in the pod's order
    #[arg(long = "pull-secret", value_name = "NAME")]
    pub pull_secrets: Vec<String>,
    /// `ServiceAccount` of the images given on the command line
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub service_account: String,
    /// Limit for one object
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub timeout: Duration,
}

/// Output formats of `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// The same as YAML
    Yaml,
    /// For test reports of continuous integration
    Junit,
    /// For code scanning
    Sarif,
    /// Annotations of a GitHub workflow
    Github,
}

/// One report: its format, and the file it goes to instead of standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it is written.
    pub format: Format,
    /// None: standard output.
    pub file: Option<PathBuf>,
}

/// Output formats of `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExplainFormat {
    /// For people
    Table,
    /// For programs
    Json,
}

/// When `explain` writes in colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Flags of `check`.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("subjects").required(true).multiple(true).args(["files", "images"])))]
pub struct CheckArgs {
    /// Manifests: a file, a directory, or - for standard input; may be given several times
    #[arg(short, long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Also read the sub-directories of a directory
    #[arg(short = 'R', long, requires = "files")]
    pub recursive: bool,
    /// An image; may be given several times
    #[arg(long = "image", value_name = "REF")]
    pub images: Vec<String>,
    /// End with 0 where there is nothing to judge
    #[arg(long)]
    pub allow_empty: bool,
    /// The logins of docker login, tried before all pull secrets
    #[command(flatten)]
    pub docker_config: DockerConfigArgs,
    /// table, json, yaml, junit, sarif or github; with =FILE into a file. May be given several times
    #[arg(short, long = "output", default_value = "table", value_parser = output, value_name = "FORMAT[=FILE]")]
    pub outputs: Vec<Output>,
    /// Where everything comes from
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Flags of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Stop before the network: the parsed reference and the candidates in order
    #[arg(long)]
    pub offline: bool,
    /// Output format
    #[arg(short, long, default_value = "table", value_name = "FORMAT")]
    pub output: ExplainFormat,
    /// Colours of the table
    #[arg(long, default_value = "auto", value_name = "WHEN")]
    pub color: Color,
    /// The logins of docker login, as the pod's first pull secret. No cluster is needed
    #[command(flatten)]
    pub docker_config: DockerConfigArgs,
    /// Where everything comes from
    #[command(flatten)]
    pub source: SourceArgs,
}

// === impl Args ===

impl Args {
    /// Parses the command line, runs the command, and gives its exit code: 0, 1 certain findings, 2 usage or
    /// configuration, 3 only uncertain findings.
    pub fn parse_and_run() -> ExitCode {
        let Self { command } = Self::parse();
        let done = match command {
            Command::Serve(args) => cli::serve::run(args),
            Command::Keep(args) => cli::keep::run(args),
            Command::Check(args) => cli::check::run(args),
            Command::Explain(args) => cli::explain::run(args),
            Command::Doctor(args) => cli::doctor::run(args),
            Command::Demo => crate::demo::run(),
            Command::Rbac(rbac::RbacCommand::Generate(args)) => cli::rbac::run(args),
            Command::Ready(args) => cli::release::ready(args),
            Command::Uninstall(args) => cli::release::uninstall(args),
        };
        done.unwrap_or_else(|error| {
            cli::print_error(&error);
            ExitCode::from(2)
        })
    }
}

/// `json`, `sarif=report.sarif`.
fn output(text: &str) -> Result<Output, String> {
    let (format, file) = match text.split_once('=') {
        Some((_, "")) => return Err("no file behind the =".to_owned()),
        Some((format, file)) => (format, Some(PathBuf::from(file))),
        None => (text, None),
    };
    let format =
        Format::from_str(format, false).map_err(|_| "not one of table, json, yaml, junit, sarif, github".to_owned())?;
    Ok(Output { format, file })
}

/// The proxy variables that Go programs read, of each the first that is not empty.
#[expect(clippy::disallowed_methods, reason = "these are no flags of pullgate: every program of the pod reads them")]
pub fn proxy_variables() -> Variables {
    let first = |names: [&str; 2]| {
        names.iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty()).unwrap_or_default()
    };
    Variables {
        http: first(["HTTP_PROXY", "http_proxy"]),
        https: first(["HTTPS_PROXY", "https_proxy"]),
        no: first(["NO_PROXY", "no_proxy"]),
    }
}

/// A variable that is no flag of pullgate: other tools read it, too.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

// === impl Color ===

impl Color {
    /// Whether colours are wanted on a standard output that is a terminal or not (<https://no-color.org>).
    pub fn wanted(self, terminal: bool) -> bool {
        self.wanted_in(terminal, variable)
    }

    fn wanted_in(self, terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        match self {
            Self::Auto => terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb"),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// `500ms`, `5s`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| "not a duration such as 500ms, 5s or 2m".to_owned())?;
    Duration::try_from(parsed).map_err(|_| "a duration cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn colours_are_for_terminals_that_take_them_and_for_who_asks() {
        for (color, terminal, no_color, term, expected) in [
            (Color::Auto, true, None, Some("xterm"), true),
            (Color::Auto, true, None, None, true),
            (Color::Auto, true, Some(""), None, true),
            (Color::Auto, true, Some("1"), Some("xterm"), false),
            (Color::Auto, true, None, Some("dumb"), false),
            (Color::Auto, false, None, Some("xterm"), false),
            (Color::Always, false, Some("1"), Some("dumb"), true),
            (Color::Never, true, None, Some("xterm"), false),
        ] {
            let variable = |name: &str| if name == "TERM" { term } else { no_color }.map(OsString::from);
            assert_eq!(color.wanted_in(terminal, variable), expected, "{color:?} {terminal} {no_color:?} {term:?}");
        }
    }

    #[test]
    fn the_flags_of_every_command_fit_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn serve_takes_its_certificate_from_one_place() {
        let files = ["--tls-cert-file=a", "--tls-private-key-file=b"];
        for (flags, good) in [
            (&files[..], true),
            (&["--tls-secret=a"], true),
            (&[], false),
            (&files[..1], false),
            (&files[1..], false),
            (&[files[0], files[1], "--tls-secret=c"], false),
            (&["--tls-secret=a", "--path-file=b"], false),
            (&["--tls-secret=a", "--webhook-configuration=b"], false),
            (&["--tls-secret=a", "--webhook-configuration=b", "--service=c"], true),
            (&["--tls-secret=a", "--client-name=b"], false),
        ] {
            let parsed = Args::try_parse_from(["pullgate", "serve"].iter().chain(flags));
            assert_eq!(parsed.is_ok(), good, "{flags:?}");
        }
    }
}
