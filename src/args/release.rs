//! Flags of the commands that the chart's hooks run.

use std::time::Duration;

use super::{KubeArgs, duration};

/// Flags of `ready`.
#[derive(Debug, clap::Args)]
pub struct ReadyArgs {
    /// Which cluster, said as kubectl takes it
    #[command(flatten)]
    pub kube: KubeArgs,
    /// Namespace of the release
    #[arg(short, long, env = "PULLGATE_NAMESPACE", default_value = "pullgate", value_name = "NAMESPACE")]
    pub namespace: String,
    /// Deployment of the webhook
    #[arg(long, default_value = "pullgate", value_name = "NAME")]
    pub deployment: String,
    /// Also wait until each webhook of the configurations of this name has a CA bundle
    #[arg(long, value_name = "NAME")]
    pub webhook_configuration: Option<String>,
    /// How long to wait
    #[arg(long, default_value = "4m", value_parser = duration, value_name = "DURATION")]
    pub timeout: Duration,
}

/// Flags of `uninstall`.
#[derive(Debug, clap::Args)]
pub struct UninstallArgs {
    /// Which cluster, said as kubectl takes it
    #[command(flatten)]
    pub kube: KubeArgs,
    /// Namespace of the release
    #[arg(short, long, env = "PULLGATE_NAMESPACE", default_value = "pullgate", value_name = "NAMESPACE")]
    pub namespace: String,
    /// Full name of the release, which its webhook configurations have
    #[arg(long, default_value = "pullgate", value_name = "NAME")]
    pub name: String,
    /// The emergency stop: delete the webhook configurations, and nothing else
    #[arg(long)]
    pub webhooks_only: bool,
    /// A Secret that the keeper made; may be given several times
    #[arg(long = "secret", value_name = "NAME", conflicts_with = "webhooks_only")]
    pub secrets: Vec<String>,
}
