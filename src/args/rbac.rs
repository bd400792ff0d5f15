//! Flags of `rbac generate`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::KubeArgs;

/// What `rbac` does.
#[derive(Debug, Subcommand)]
pub enum RbacCommand {
    /// Write the Roles with which pullgate can read the pull secrets in use, and no others
    Generate(GenerateArgs),
}

/// How far the roles go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reach {
    /// The Secrets in use, by name: a new one needs a new run
    Named,
    /// Every Secret of each namespace, by the role of the chart for the whole cluster
    Namespaced,
}

/// Flags of `rbac generate`.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// Manifests instead of a cluster: a file, a directory, or - for standard input; may be given several times
    #[arg(short, long = "file", value_name = "FILE", conflicts_with_all = ["kubeconfig", "context"])]
    pub files: Vec<PathBuf>,
    /// Also read the sub-directories of a directory
    #[arg(short = 'R', long, requires = "files")]
    pub recursive: bool,
    /// Which cluster, said as kubectl takes it; Secrets are not read
    #[command(flatten)]
    pub kube: KubeArgs,
    /// A namespace; may be given several times
    #[arg(short, long = "namespace", value_name = "NAMESPACE")]
    pub namespaces: Vec<String>,
    /// Every namespace
    #[arg(short = 'A', long, conflicts_with = "namespaces")]
    pub all_namespaces: bool,
    /// How far the roles go
    #[arg(long, default_value = "named", value_name = "MODE")]
    pub mode: Reach,
    /// Full name of the release; the roles have `-generated` behind it
    #[arg(long, default_value = "pullgate", value_name = "NAME")]
    pub name: String,
    /// `ServiceAccount` of the webhook
    #[arg(long, default_value = "pullgate", value_name = "NAME")]
    pub service_account: String,
    /// Its namespace
    #[arg(long, default_value = "pullgate", value_name = "NAMESPACE")]
    pub release_namespace: String,
}
