//! `pullgate rbac generate`: manifests, or what the user may list of a cluster → Roles to apply, on standard output.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use crate::args::KubeArgs;
use crate::args::rbac::{GenerateArgs, Reach};
use crate::cli::{CommandError, block_on, check, exit, print};
use crate::cluster::{KubeOptions, Listed, Workloads};
use crate::grants::{Grantee, Wanted};
use crate::{manifests, printable};

/// Writes the roles. Exit code 3: some kinds could not be listed, so that some Secrets may be missing.
pub fn run(args: GenerateArgs) -> Result<ExitCode, CommandError> {
    let GenerateArgs { files, kube, namespaces, all_namespaces, mode, name, service_account, release_namespace } = args;
    let (mut wanted, mut listed) = (Wanted::default(), Listed::default());
    if !files.is_empty() {
        let default = namespaces.first().map_or("default", String::as_str);
        for path in &files {
            for object in check::read(path)?.iter().flat_map(manifests::Source::objects) {
                wanted.add(&object?.value(), default);
            }
        }
        if !namespaces.is_empty() {
            wanted.only(&namespaces);
        }
    } else if all_namespaces || !namespaces.is_empty() {
        let KubeArgs { kubeconfig, context } = kube;
        block_on(async {
            let workloads = Workloads::connect(&KubeOptions { kubeconfig, context }).await?;
            let mut take = |object: &Value| wanted.add(object, "default");
            if all_namespaces {
                workloads.each(None, &mut listed, &mut take).await;
            }
            for namespace in &namespaces {
                workloads.each(Some(namespace), &mut listed, &mut take).await;
            }
            Ok(())
        })?;
    } else {
        return Err(CommandError::Nowhere);
    }
    let to = Grantee { name, service_account, namespace: release_namespace };
    let objects = match mode {
        Reach::Named => wanted.by_name(&to),
        Reach::Namespaced => wanted.by_namespace(&to),
    };
    let (places, secrets) = wanted.counts();
    let mut text = format!("# {places} namespaces with {secrets} pull secrets, by pullgate rbac generate\n");
    for object in &objects {
        text += "---\n";
        text += &serde_saphyr::to_string(object).map_err(|error| io::Error::other(error.to_string()))?;
    }
    print(&text)?;
    for line in &listed.unseen {
        // Without a standard error there is nobody to tell.
        _ = writeln!(io::stderr(), "pullgate: not seen: {}", printable::lines(line));
    }
    Ok(if listed.unseen.is_empty() { ExitCode::SUCCESS } else { exit(3) })
}
