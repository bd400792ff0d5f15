//! Flags whose defaults the environment of other tools gives: kubectl's files, docker's logins.

use std::ffi::OsString;
use std::path::PathBuf;

use super::variable;
use crate::cli::CommandError;
use crate::cluster::KubeOptions;

/// Flags that name a cluster. What they leave open, `KUBECONFIG` and the home directory decide, as for kubectl.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct KubeArgs {
    /// Kubeconfig file (default: those of KUBECONFIG, else ~/.kube/config, then the pod's own token)
    #[arg(long, env = "PULLGATE_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, env = "PULLGATE_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
}

/// The flag for the logins of this machine. Without it nothing of them is read.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DockerConfigArgs {
    /// The logins of docker login, as a pull secret before all others: config.json, or its directory (without a value:
    /// that of `DOCKER_CONFIG`, else ~/.docker)
    #[arg(long, value_name = "FILE|DIR", num_args = 0..=1, default_missing_value = "")]
    docker_config: Option<OsString>,
}

// === impl KubeArgs ===

impl KubeArgs {
    /// The flags, and where kubectl looks for what they leave open.
    pub fn options(&self) -> KubeOptions {
        self.options_in(variable)
    }

    fn options_in(&self, variable: impl Fn(&str) -> Option<OsString>) -> KubeOptions {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        KubeOptions {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            variable: set("KUBECONFIG").map(|files| std::env::split_paths(&files).collect()),
            home: set("HOME").or_else(|| set("USERPROFILE")).map(|home| PathBuf::from(home).join(".kube/config")),
        }
    }
}

// === impl DockerConfigArgs ===

impl DockerConfigArgs {
    /// The file or directory; none where none is asked for.
    ///
    /// # Errors
    /// When it is asked for and nothing says where it is.
    pub fn path(&self) -> Result<Option<PathBuf>, CommandError> {
        self.path_in(variable)
    }

    fn path_in(&self, variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<PathBuf>, CommandError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        match &self.docker_config {
            None => Ok(None),
            Some(path) if !path.is_empty() => Ok(Some(path.into())),
            Some(_) => {
                let home = || set("HOME").or_else(|| set("USERPROFILE")).map(|home| home.join(".docker"));
                let path = set("DOCKER_CONFIG").or_else(home);
                path.map(Some).ok_or(CommandError::NoDockerConfig)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        let variables: Vec<(String, OsString)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        move |name| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn kubeconfigs_are_looked_for_where_kubectl_looks() {
        let paths = |names: &[&str]| Some(names.iter().map(PathBuf::from).collect::<Vec<_>>());
        for (variables, variable, home) in [
            (&[][..], None, None),
            (&[("HOME", "/h")], None, Some("/h/.kube/config")),
            (&[("KUBECONFIG", ""), ("HOME", "/h")], None, Some("/h/.kube/config")),
            (&[("KUBECONFIG", "a:/b")], paths(&["a", "/b"]), None),
            (&[("KUBECONFIG", ":a")], paths(&["", "a"]), None),
        ] {
            let options = KubeArgs::default().options_in(set(variables));
            assert_eq!((options.variable, options.home), (variable, home.map(PathBuf::from)), "{variables:?}");
        }
    }

    #[test]
    fn docker_logins_are_read_only_where_they_are_asked_for() {
        let given = |path: Option<&str>| DockerConfigArgs { docker_config: path.map(OsString::from) };
        let variables = [("DOCKER_CONFIG", "/d"), ("HOME", "/h")];
        for (flag, variables, expected) in [
            (None, &variables[..], None),
            (Some("/x"), &variables, Some("/x")),
            (Some(""), &variables, Some("/d")),
            (Some(""), &variables[1..], Some("/h/.docker")),
        ] {
            assert_eq!(given(flag).path_in(set(variables)).unwrap(), expected.map(PathBuf::from), "{flag:?}");
        }
        assert!(given(Some("")).path_in(set(&[])).is_err());
    }
}
