//! `pullgate rbac generate`: manifests, or what the user may list of a cluster → Roles to apply, on standard output.

use std::io;
use std::process::ExitCode;

use serde_json::Value;

use crate::args::rbac::{GenerateArgs, Reach};
use crate::cli::input::{InputError, Inputs};
use crate::cli::{CommandError, block_on, exit, print, warn};
use crate::cluster::{Listed, Workloads};
use crate::grants::{Grantee, Wanted};
use crate::manifests::Source;

/// Writes the roles. Exit code 3: some kinds could not be listed, so that some Secrets may be missing; 2: so could a file.
pub fn run(args: GenerateArgs) -> Result<ExitCode, CommandError> {
    let GenerateArgs {
        files,
        recursive,
        kube,
        namespaces,
        all_namespaces,
        mode,
        name,
        service_account,
        release_namespace,
    } = args;
    let (mut wanted, mut listed, mut unread) = (Wanted::default(), Listed::default(), Vec::new());
    if !files.is_empty() {
        let default = namespaces.first().map_or("default", String::as_str);
        let Inputs { files, errors, .. } = Inputs::read(&files, recursive);
        unread.extend(errors);
        for object in files.iter().flat_map(Source::objects) {
            match object {
                Ok(object) => wanted.add(&object.value(), default),
                Err(error) => unread.push(InputError::Manifest(error)),
            }
        }
        if !namespaces.is_empty() {
            wanted.only(&namespaces);
        }
    } else if all_namespaces || !namespaces.is_empty() {
        block_on(async {
            let workloads = Workloads::connect(&kube.options()).await?;
            let mut take = |object: &Value| wanted.add(object, "default");
            if all_namespaces {
                workloads.each(None, &mut listed, &mut take).await?;
            }
            for namespace in &namespaces {
                workloads.each(Some(namespace), &mut listed, &mut take).await?;
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
    let mut text = format!(
        "# {places} namespace{} with {secrets} pull secret{}, by pullgate rbac generate\n",
        if places == 1 { "" } else { "s" },
        if secrets == 1 { "" } else { "s" },
    );
    for object in &objects {
        text += "---\n";
        text += &serde_saphyr::to_string(object).map_err(|error| io::Error::other(error.to_string()))?;
    }
    print(&text)?;
    for line in &listed.unseen {
        warn(&format!("not seen: {line}"));
    }
    for error in &unread {
        warn(&error.to_string());
    }
    if !unread.is_empty() {
        return Ok(exit(2));
    }
    Ok(if listed.unseen.is_empty() { ExitCode::SUCCESS } else { exit(3) })
}
