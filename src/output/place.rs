//! Where a field is written: in a file, on standard input or on the command line; and how other tools name that.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::manifests::{Object, Position};

/// The name of standard input where files are given.
const STDIN_ARGUMENT: &str = "-";

/// What an object was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// An image of the command line.
    CommandLine,
    /// Standard input.
    Stdin,
    /// A file, by the name that it was given.
    File(Arc<str>),
}

/// The place of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) input: Input,
    pub(super) position: Option<Position>,
}

// === impl Input ===

impl Input {
    pub(super) fn of(origin: Option<&Object>) -> Self {
        match origin.map(Object::file) {
            None => Self::CommandLine,
            Some(file) if **file == *STDIN_ARGUMENT => Self::Stdin,
            Some(file) => Self::File(Arc::clone(file)),
        }
    }

    /// The name for people and in JSON; `None` for the command line.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::CommandLine => None,
            Self::Stdin => Some("stdin"),
            Self::File(file) => Some(file),
        }
    }

    /// The path from `directory` on, with forward slashes; absolute where the file is elsewhere. `None` without a file.
    pub(super) fn path(&self, directory: &Path) -> Option<String> {
        match self {
            Self::CommandLine | Self::Stdin => None,
            Self::File(file) => Some(relative(directory, file)),
        }
    }

    /// A URI reference (RFC 3986), relative to `directory` where that can be. What is no file has a name that is always
    /// the same, because code scanning refuses a result without one.
    pub(super) fn uri(&self, directory: &Path) -> String {
        match self.path(directory) {
            None => self.name().unwrap_or("command-line").to_owned(),
            Some(path) if path.starts_with('/') => format!("file://{}", encoded(&path)),
            Some(path) => encoded(&path),
        }
    }
}

// === impl Place ===

impl Place {
    /// The place of the field at `path`; of the nearest field around it where it is not written.
    pub(super) fn of(input: &Input, origin: Option<&Object>, path: &str) -> Self {
        Self { input: input.clone(), position: origin.and_then(|origin| origin.position(path)) }
    }

    pub(super) fn line(&self) -> Option<usize> {
        self.position.map(|position| position.line)
    }

    pub(super) fn column(&self) -> Option<usize> {
        self.position.map(|position| position.column)
    }

    /// `FILE:LINE`, for people.
    pub(super) fn short(&self) -> String {
        let name = self.input.name().unwrap_or("command line");
        self.line().map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"))
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("file", &self.input.name())?;
        map.serialize_entry("line", &self.line())?;
        map.serialize_entry("column", &self.column())?;
        map.end()
    }
}

/// `file` as seen from `directory`: `.` and `..` resolved by their words alone, with forward slashes.
fn relative(directory: &Path, file: &str) -> String {
    let absolute = without_dots(&directory.join(file));
    let path = absolute.strip_prefix(without_dots(directory)).unwrap_or(&absolute);
    let mut text = String::new();
    for component in path.components() {
        match component {
            Component::RootDir => {}
            Component::Prefix(_) | Component::CurDir | Component::ParentDir | Component::Normal(_) => {
                if !text.is_empty() || path.has_root() {
                    text.push('/');
                }
                text.push_str(&component.as_os_str().to_string_lossy());
            }
        }
    }
    text
}

fn without_dots(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(clean.components().next_back(), Some(Component::Normal(_))) => {
                clean.pop();
            }
            component => clean.push(component),
        }
    }
    clean
}

fn encoded(path: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes().map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_from_the_directory_of_the_run() {
        for (directory, file, path, uri) in [
            ("/srv/app", "m/a.yaml", "m/a.yaml", "m/a.yaml"),
            ("/srv/app", "./m//a.yaml", "m/a.yaml", "m/a.yaml"),
            ("/srv/app", "m/../k/a.yaml", "k/a.yaml", "k/a.yaml"),
            ("/srv/app", "../app/a.yaml", "a.yaml", "a.yaml"),
            ("/srv/app", "/srv/app/m/a.yaml", "m/a.yaml", "m/a.yaml"),
            ("/srv/app", "/srv/apple/a.yaml", "/srv/apple/a.yaml", "file:///srv/apple/a.yaml"),
            ("/srv/app", "../other/a b.yaml", "/srv/other/a b.yaml", "file:///srv/other/a%20b.yaml"),
            ("/srv/app", "a:b,100%.yaml", "a:b,100%.yaml", "a%3Ab%2C100%25.yaml"),
            ("/srv/app", "größe\n.yaml", "größe\n.yaml", "gr%C3%B6%C3%9Fe%0A.yaml"),
            ("", "m/a.yaml", "m/a.yaml", "m/a.yaml"),
            ("", "../a.yaml", "../a.yaml", "../a.yaml"),
        ] {
            let input = Input::File(file.into());
            assert_eq!(input.path(Path::new(directory)).as_deref(), Some(path), "{file}");
            assert_eq!(input.uri(Path::new(directory)), uri, "{file}");
        }
    }

    #[test]
    fn what_is_no_file_has_a_name_of_its_own() {
        let directory = Path::new("/srv/app");
        assert_eq!((Input::Stdin.path(directory), Input::Stdin.uri(directory)), (None, "stdin".to_owned()));
        assert_eq!(Input::CommandLine.uri(directory), "command-line");
    }
}
