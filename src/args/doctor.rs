//! Flags of `doctor`.

use clap::ValueEnum;

use super::KubeArgs;

/// Output formats of `doctor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Flags of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Before an installation: could it be made here?
    #[arg(long, conflicts_with = "review")]
    pub pre: bool,
    /// Also create a pod with a bad image, in a dry run, and see that pullgate was asked about it
    #[arg(long)]
    pub review: bool,
    /// A namespace of users: may pullgate read pull secrets there? Also that of the dry run (default: the context's)
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Output format
    #[arg(short, long, default_value = "table", value_name = "FORMAT")]
    pub output: DoctorFormat,
    /// Which cluster, said as kubectl takes it
    #[command(flatten)]
    pub kube: KubeArgs,
}
