//! `pullgate ready` and `pullgate uninstall`: what the chart's hooks wait for and delete.

use std::process::ExitCode;

use crate::args::KubeArgs;
use crate::args::release::{ReadyArgs, UninstallArgs};
use crate::cli::{CommandError, block_on, print};
use crate::cluster::Release;

/// Waits for the first ready replica.
pub fn ready(args: ReadyArgs) -> Result<ExitCode, CommandError> {
    let ReadyArgs { kube, namespace, deployment, webhook_configuration, timeout } = args;
    block_on(async move {
        connect(kube, namespace).await?.ready(&deployment, webhook_configuration.as_deref(), timeout).await?;
        print(&format!("deployment/{deployment} has a ready replica\n"))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Deletes the webhook configurations before anything else, so that no request waits for what goes.
pub fn uninstall(args: UninstallArgs) -> Result<ExitCode, CommandError> {
    let UninstallArgs { kube, namespace, name, webhooks_only, secrets } = args;
    block_on(async move {
        let release = connect(kube, namespace).await?;
        let mut deleted = release.delete_webhooks(&name).await?;
        if !webhooks_only {
            deleted.extend(release.delete_rest(&name, &secrets).await?);
        }
        if deleted.is_empty() {
            deleted.push("nothing was there".to_owned());
        }
        print(&(deleted.join("\n") + "\n"))?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn connect(kube: KubeArgs, namespace: String) -> Result<Release, CommandError> {
    Ok(Release::connect(&kube.options(), namespace).await?)
}
