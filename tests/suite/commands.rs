//! Whatever the product says to type is typed by a test: its messages hold no command that `tests/cluster` does not know.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../parts/commands.rs"]
mod known;

use self::known::{KINDS, PLACEHOLDERS, commands, kinds, placeholders, stray};

/// Texts with messages as they are printed, and the texts that they are made of.
fn printed() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let snapshots = fs::read_dir(root.join("tests/suite/snapshots")).expect("snapshots");
    let mut files: Vec<PathBuf> = snapshots.flatten().map(|entry| entry.path()).collect();
    files.push(root.join("docs/TROUBLESHOOTING.md"));
    // On the page, messages stand in blocks; all else is prose.
    let block = |text: &str| text.split("```").skip(1).step_by(2).collect::<String>();
    let messages = |text: String| if text.contains("```") { block(&text) } else { text };
    files.into_iter().map(|file| (file.clone(), messages(fs::read_to_string(&file).expect("a text")))).collect()
}

#[test]
fn every_command_that_a_message_prints_is_typed_by_a_test() {
    let mut seen = 0;
    for (file, text) in printed() {
        for command in commands(&text) {
            seen += 1;
            let kinds = kinds(&command);
            let unknown = kinds.iter().find(|kind| !KINDS.contains(&kind.as_str()));
            assert_eq!(unknown, None, "{}: nobody types {command}", file.display());
        }
    }
    assert!(seen > 30, "the messages are read: {seen} commands");
}

#[test]
fn no_message_leaves_more_than_a_login_to_find_out() {
    for (file, text) in printed() {
        for command in commands(&text) {
            // A token of ECR that came through another registry does not say its region.
            let allowed = |word: &String| PLACEHOLDERS.contains(&word.as_str()) || word == "REGION";
            let other: Vec<String> = placeholders(&command).into_iter().filter(|word| !allowed(word)).collect();
            assert!(other.is_empty(), "{}: {other:?} in {command}", file.display());
        }
    }
}

#[test]
fn no_message_has_a_part_of_a_command_that_is_none_of_the_known_ones() {
    for (file, text) in printed() {
        let messages = text.lines().filter(|line| line.starts_with("  ")).collect::<Vec<_>>().join("\n");
        assert_eq!(stray(&messages), None, "{}", file.display());
    }
}

/// Templates are written with what they leave open in braces; a command that no snapshot shows is found all the same.
#[test]
fn every_command_in_the_sources_of_the_messages_is_typed_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.join("message"), root.join("verdict"), root.join("credentials")];
    let mut files = vec![root.join("message.rs"), root.join("verdict.rs")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let mut seen = 0;
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        let text = fs::read_to_string(file).expect("a source");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let literals = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in literals.flat_map(|line| line.split('"').skip(1).step_by(2)) {
            // What is left open does not tell commands apart.
            for command in commands(&line.replace("\\", "").replace("{namespace}", "NS").replace("-n {}", "-n NS")) {
                seen += 1;
                for kind in kinds(&command) {
                    let known = KINDS.iter().any(|known| known.starts_with(&kind));
                    assert!(known, "{}: nobody types {kind}: {command}", file.display());
                }
            }
        }
    }
    assert!(seen > 4, "the sources are read: {seen} commands");
}

#[test]
fn commands_are_found_whole() {
    let line = "renew it: kubectl -n a create secret docker-registry b --docker-password=\"$(aws ecr get-login-password --region r)\" -o yaml | kubectl apply -f -; then attach it: kubectl -n a patch serviceaccount c -p '{\"x\": 1; }'";
    let [create, patch] = commands(line).try_into().expect("two commands");
    assert!(create.ends_with("apply -f -") && patch.ends_with("1; }'"), "{create}\n{patch}");
    assert_eq!(kinds(&create), ["kubectl create secret", "aws ecr get-login-password", "kubectl apply"]);
    assert_eq!(kinds(&patch), ["kubectl patch serviceaccount"]);
    assert_eq!(placeholders("create --u=USER --p=PASSWORD x REGION … AWS"), ["USER", "PASSWORD", "REGION", "…"]);
    for text in ["  use oras pull --all x", "  see x://y", "  dig a | head"] {
        assert!(stray(text).is_some(), "{text}");
    }
    assert_eq!(stray(line), None);
    assert_eq!(commands("only what follows is the password (aws ecr get-login-password)"), Vec::<String>::new());
}
