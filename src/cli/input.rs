//! The files behind `--file`: each is read by itself, and one that cannot be read does not hide the others.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::manifests::{ManifestError, Source};
use crate::printable::os_error;

/// Names that kubectl reads in a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// What was read, and what was not.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// In the order of the flags, the files of a directory by name.
    pub(super) files: Vec<Source>,
    /// Files and directories that cannot be read.
    pub(super) errors: Vec<InputError>,
    /// Directories that were left out for want of `--recursive`.
    pub(super) skipped: Vec<PathBuf>,
}

/// A file, or a part of one, that could not be judged.
#[derive(Debug)]
pub(super) enum InputError {
    /// The operating system did not give it.
    Unreadable(PathBuf, io::Error),
    /// A document or an object of it is wrong.
    Manifest(ManifestError),
    /// It has to be rendered before it is a manifest.
    Rendered(Render, String),
}

/// What makes manifests of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Render {
    /// A template of Helm.
    HelmTemplate,
    /// `Chart.yaml`, or the values of a chart.
    HelmChart,
    /// `kustomization.yaml`.
    Kustomization,
}

// === impl Inputs ===

impl Inputs {
    /// Reads files, directories and standard input (`-`).
    pub(super) fn read(paths: &[PathBuf], recursive: bool) -> Self {
        let mut inputs = Self::default();
        for path in paths {
            if path == Path::new("-") {
                inputs.standard_input();
            } else if path.is_dir() {
                inputs.directory(path, recursive);
            } else {
                inputs.file(path);
            }
        }
        inputs
    }

    fn standard_input(&mut self) {
        let mut bytes = Vec::new();
        match io::stdin().read_to_end(&mut bytes) {
            Ok(_) => self.files.push(Source::new("-", bytes)),
            Err(error) => self.errors.push(InputError::Unreadable("standard input".into(), error)),
        }
    }

    fn file(&mut self, path: &Path) {
        match std::fs::read(path) {
            Ok(bytes) => self.files.push(Source::new(&path.display().to_string(), bytes)),
            Err(error) => self.errors.push(InputError::Unreadable(path.to_owned(), error)),
        }
    }

    /// As kubectl walks: by name, links to directories not followed.
    fn directory(&mut self, path: &Path, recursive: bool) {
        let entries = path.read_dir().and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.errors.push(InputError::Unreadable(path.to_owned(), error)),
        };
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let linked = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if path.is_dir() {
                match (linked, recursive) {
                    (false, true) => self.directory(&path, true),
                    _ => self.skipped.push(path),
                }
            } else if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
                self.file(&path);
            }
        }
    }
}

// === impl Render ===

impl Render {
    /// What a file is by its name.
    pub(super) fn by_name(file: &str) -> Option<Self> {
        let name = Path::new(file).file_name()?.to_str()?;
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        match name {
            "kustomization.yaml" | "kustomization.yml" | "Kustomization" => Some(Self::Kustomization),
            "Chart.yaml" | "Chart.yml" => Some(Self::HelmChart),
            _ => {
                let values = stem == "values" || stem.starts_with("values-") || stem.starts_with("values.");
                let values = values || stem.ends_with("-values") || stem.ends_with(".values");
                values.then_some(Self::HelmChart)
            }
        }
    }

    /// The line that renders the file and checks what comes of it.
    fn line(self, file: &str) -> String {
        let directory = Path::new(file).parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let quoted = |path: &Path| {
            let path = path.display().to_string();
            let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
        };
        match self {
            Self::Kustomization => format!("kustomize build {} | pullgate check -f -", quoted(directory)),
            Self::HelmChart | Self::HelmTemplate => {
                let is_chart = |path: &&Path| path.join("Chart.yaml").is_file();
                let chart = directory.ancestors().find(is_chart);
                format!("helm template {} | pullgate check -f -", quoted(chart.unwrap_or(Path::new("."))))
            }
        }
    }
}

impl fmt::Display for Render {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HelmTemplate => "a template of Helm",
            Self::HelmChart => "a part of a Helm chart",
            Self::Kustomization => "a kustomization",
        })
    }
}

// === impl InputError ===

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "--file {}: {}", path.display(), os_error(error)),
            Self::Manifest(error) => write!(f, "--file {error}"),
            Self::Rendered(what, file) => {
                write!(f, "--file {file}: {what} and no manifest; render it first: {}", what.line(file))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_have_to_be_rendered_are_known_by_their_names() {
        for (file, expected) in [
            ("a/kustomization.yaml", Some(Render::Kustomization)),
            ("Kustomization", Some(Render::Kustomization)),
            ("a/Chart.yaml", Some(Render::HelmChart)),
            ("values.yaml", Some(Render::HelmChart)),
            ("values-prod.yml", Some(Render::HelmChart)),
            ("prod.values.yaml", Some(Render::HelmChart)),
            ("a/values/pod.yaml", None),
            ("revalues.yaml", None),
            ("-", None),
        ] {
            assert_eq!(Render::by_name(file), expected, "{file}");
        }
    }

    #[test]
    fn the_line_to_type_names_the_directory_of_the_chart_or_kustomization() {
        let folder = tempfile::tempdir().unwrap();
        let chart = folder.path().join("my chart");
        std::fs::create_dir_all(chart.join("templates/web")).unwrap();
        std::fs::write(chart.join("Chart.yaml"), "name: c\n").unwrap();
        let file = chart.join("templates/web/pod.yaml").display().to_string();
        let expected = format!("helm template '{}' | pullgate check -f -", chart.display());
        assert_eq!(Render::HelmTemplate.line(&file), expected);
        assert_eq!(Render::HelmTemplate.line("x.yaml"), "helm template . | pullgate check -f -");
        assert_eq!(Render::Kustomization.line("b/kustomization.yaml"), "kustomize build b | pullgate check -f -");
    }

    #[test]
    fn directories_are_walked_by_name_and_only_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a/z.yml", "a/y/x.json", "a/README.md", "c.txt"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).unwrap();
        let paths = [folder.path().to_owned(), folder.path().join("none.yaml")];
        for (recursive, expected, skipped) in
            [(false, &["b.yaml"][..], 1), (true, &["a/y/x.json", "a/z.yml", "b.yaml"], 1)]
        {
            let inputs = Inputs::read(&paths, recursive);
            let names: Vec<&str> = inputs
                .files
                .iter()
                .map(|file| {
                    file.name().strip_prefix(&*folder.path().display().to_string()).unwrap().trim_start_matches('/')
                })
                .collect();
            assert_eq!((names.as_slice(), inputs.skipped.len()), (expected, skipped));
            assert!(inputs.errors[0].to_string().ends_with("none.yaml: No such file or directory"));
        }
    }
}
