//! A reader's terminal: bash with kubectl and skopeo on the PATH, the company's proxy and authority in the environment,
//! and stand-ins for what cannot be had here: the command lines of clouds, which only print a token, and `docker`, which
//! needs a daemon.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::Failure;
use crate::images::{self, OCI_MANIFEST};
use crate::kubectl::Said;
use crate::net::PROXY;
use crate::objects::ALICE;
use crate::world::World;

/// The login that the stand-ins for clouds print.
pub(crate) const FRESH: &str = "canary-fresh-token";

/// Where commands are typed.
pub(crate) struct Shell {
    home: PathBuf,
    variables: Vec<(&'static str, String)>,
}

// === impl Shell ===

impl Shell {
    pub(crate) fn new(world: &World) -> Result<Self, Failure> {
        let home = world.workshop.dir.join("reader");
        let bin = home.join("bin");
        fs::create_dir_all(&bin)?;
        symlink(&world.kubectl.binary, bin.join("kubectl"))?;
        // Exactly what the messages ask for; anything else is a failure.
        for (tool, asked) in [
            ("aws", ["ecr get-login-password --region eu-west-1", "ecr-public get-login-password --region us-east-1"]),
            ("az", ["acr login -n acme --expose-token --query accessToken -o tsv"; 2]),
        ] {
            let [one, other] = asked;
            script(&bin.join(tool), &format!("[ \"$*\" = '{one}' ] || [ \"$*\" = '{other}' ] && echo {FRESH}"))?;
        }
        // This program pushes what would have been built.
        let own = env::current_exe()?.display().to_string();
        script(&bin.join("docker"), &format!("exec '{own}' --build '{}' \"$@\"", world.places.seed))?;
        let login = json!({ "auth": STANDARD.encode(format!("{}:{}", ALICE.0, ALICE.1)) });
        let auth = json!({ "auths": { "registry.corp.io": login } });
        let auth = world.workshop.file("reader/auth.json", auth.to_string())?;
        let variables = vec![
            ("PATH", format!("{}:/usr/bin:/bin", bin.display())),
            ("HOME", home.display().to_string()),
            ("KUBECONFIG", world.kubectl.kubeconfig.display().to_string()),
            ("HTTPS_PROXY", format!("http://{PROXY}")),
            ("SSL_CERT_FILE", world.all_ca.display().to_string()),
            ("REGISTRY_AUTH_FILE", auth.display().to_string()),
        ];
        Ok(Self { home, variables })
    }

    /// Types one line; it must pass.
    pub(crate) fn type_in(&self, line: &str) -> Result<Said, Failure> {
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        let done = Command::new("/usr/bin/timeout")
            .args(["60", "/bin/bash", "-o", "pipefail", "-c", line])
            .env_clear()
            .envs(variables)
            .current_dir(&self.home)
            .output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = Said {
            command: line.to_owned(),
            code: done.status.code(),
            stdout: text(&done.stdout),
            stderr: text(&done.stderr),
        };
        said.succeeded()
    }
}

fn script(path: &Path, line: &str) -> Result<(), Failure> {
    fs::write(path, format!("#!/bin/sh\n{line}\n"))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// `--build REGISTRY buildx build --platform linux/ARCH -t IMAGE --push .`: pushes an image for that platform, or an index for several.
pub(crate) fn build(arguments: &[String]) -> Result<(), Failure> {
    let after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag);
        at.and_then(|at| arguments.get(at + 1)).map(String::as_str).ok_or_else(|| format!("no {flag}"))
    };
    let [to, buildx, build, ..] = arguments else { return Err("no registry to push to".into()) };
    if [buildx.as_str(), build.as_str()] != ["buildx", "build"] {
        return Err(format!("this is no docker buildx build: {arguments:?}").into());
    }
    let to: SocketAddr = to.parse()?;
    let platforms = after("--platform")?.split(',').map(|platform| platform.strip_prefix("linux/"));
    let architectures = platforms.collect::<Option<Vec<&str>>>().ok_or("platforms of Linux")?;
    let (_, image) = after("-t")?.split_once('/').ok_or("a registry in front")?;
    let (repository, tag) = image.rsplit_once(':').ok_or("a tag")?;
    match architectures.as_slice() {
        [architecture] => images::image(to, repository, tag, OCI_MANIFEST, architecture, "built again").map(drop),
        several => images::index(to, repository, tag, several).map(drop),
    }
}
