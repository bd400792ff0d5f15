//! The shape of the source, held by a test: which modules are pure, who alone may know which library, how files are
//! named and how long they get. A broken rule is reported with file and line.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Input to output: no async, no clock, no network, no files. A name ending in `*` includes what lies below.
const PURE: [&str; 53] = [
    "admission/affinity",
    "admission/patch",
    "admission/response",
    "admission/review*",
    "admission/told",
    "certificates/plan*",
    "certificates/read",
    "certificates/seen",
    "cluster/installation/objects",
    "config*",
    "credentials*",
    "doctor*",
    "facts",
    "finding*",
    "go_duration",
    "grants",
    "kubernetes_name",
    "manifests*",
    "message*",
    "nodes*",
    "node_credentials/cache",
    "node_credentials/declaration*",
    "node_credentials/protocol",
    "node_credentials/unusable",
    "output*",
    "policy*",
    "printable",
    "reference*",
    "go_json*",
    "go_time",
    "registry/auth/answer",
    "registry/auth/realm",
    "registry/challenge",
    "registry/dialogue/progress",
    "registry/failure*",
    "registry/said",
    "registry/guard",
    "registry/host_port",
    "registry/hosts",
    "registry/hosts/server",
    "registry/hosts/text",
    "registry/hosts/ways",
    "registry/http/certificate",
    "registry/manifest",
    "registry/node",
    "registry/probes/plan*",
    "registry/proxies",
    "registry/throttle",
    "resolver/shared/seal",
    "suggest*",
    "verdict*",
    "workload*",
    "yaml*",
];

/// What a pure module may not say.
const IMPURE: [&str; 12] = [
    "async ",
    ".await",
    "tokio::",
    "reqwest::",
    "hyper::",
    "axum::",
    "std::net::Tcp",
    "std::fs",
    "std::env",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
];

/// Words that belong to few modules.
const CONFINED: [(&str, &[&str]); 5] = [
    ("reqwest::", &["registry/http*", "demo*", "telemetry/traces"]),
    ("granit_parser::", &["yaml/events", "yaml/syntax"]),
    ("kube::", &["cluster*"]),
    ("redis::", &["resolver/shared/server"]),
    ("std::env::var", &["args"]),
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] = ["mod", "util", "utils", "common", "helper", "helpers", "manager", "misc"];

/// Lines of a file, its tests included.
const LONGEST: usize = 400;

#[test]
fn the_source_keeps_its_layers() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&source, "", &mut files);
    assert!(files.len() > 10, "the source is read");
    let mut report = String::new();
    for (path, text) in &files {
        for (line, rule) in violations(path, text) {
            writeln!(report, "src/{path}:{line}: {rule}").expect("a string takes text");
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn every_pure_module_exists() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for module in PURE {
        let file = source.join(format!("{}.rs", module.trim_end_matches('*')));
        assert!(file.is_file(), "{} is called pure and is not there", file.display());
    }
}

#[test]
fn planted_violations_are_noticed() {
    let long = format!("//! A.\n{}", "// x\n".repeat(LONGEST));
    for (path, text, expected) in [
        ("verdict.rs", "//! A.\nasync fn f() {}\n", Some((2, "async "))),
        ("verdict.rs", "//! A.\nfn f() {\n    g().await;\n}\n", Some((3, ".await"))),
        ("reference/digest.rs", "//! A.\nuse std::fs;\n", Some((2, "std::fs"))),
        ("registry/guard.rs", "//! A.\n\n\nlet t = Instant::now();\n", Some((4, "Instant::now"))),
        ("resolver.rs", "//! A.\nlet t = Instant::now();\n", None),
        ("credentials/keyring.rs", "//! A.\n// tokio::\n/* async { /* a */ .await } */\n", None),
        ("message.rs", "//! A.\nlet a = \"std::fs \\\" async \";\nlet b = r#\"tokio::\"#;\n", None),
        ("message.rs", "//! A.\nlet a = '\"';\ntokio::spawn(b);\n", Some((3, "tokio::"))),
        ("message.rs", "//! A.\nfn f<'a>(a: &'a str) { tokio::spawn(a) }\n", Some((2, "tokio::"))),
        ("policy.rs", "//! A.\nlet my_async = not_tokio::b;\n", None),
        ("policy.rs", "//! A.\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n", None),
        ("policy.rs", "//! A.\n#[cfg(test)]\nmod tests {\n    fn f() {}\n}\nuse std::fs;\n", Some((6, "std::fs"))),
        ("policy.rs", "//! A.\n#[cfg(test)]\nmod tests;\nuse std::env;\n", Some((4, "std::env"))),
        ("policy/tests.rs", "//! A.\nuse std::fs;\n", None),
        ("server.rs", "//! A.\nuse reqwest::Client;\n", Some((2, "reqwest::"))),
        ("registry/http.rs", "//! A.\nuse reqwest::Client;\n", None),
        ("demo/stage.rs", "//! A.\nuse reqwest::Client;\n", None),
        ("scan.rs", "//! A.\nuse kube::Client;\n", Some((2, "kube::"))),
        ("cluster/live.rs", "//! A.\nuse kube::Client;\n", None),
        ("server.rs", "//! A.\nlet a = std::env::var(\"A\");\n", Some((2, "std::env::var"))),
        ("args.rs", "//! A.\nlet a = std::env::var(\"A\");\n", None),
        ("check.rs", "use a::b;\n", Some((1, "//!"))),
        ("check.rs", "", Some((1, "//!"))),
        ("check.rs", &long, Some((401, "400 lines"))),
        ("server/mod.rs", "//! A.\n", Some((1, "`mod`"))),
        ("server/util.rs", "//! A.\n", Some((1, "`util`"))),
        ("manager.rs", "//! A.\n", Some((1, "`manager`"))),
    ] {
        let found = violations(path, text);
        match expected {
            None => assert!(found.is_empty(), "{path} {text:?}: {found:?}"),
            Some((line, word)) => {
                let noticed = found.iter().any(|(at, rule)| *at == line && rule.contains(word));
                assert!(noticed, "{path} {text:?}: {found:?} instead of {expected:?}");
            }
        }
    }
}

/// Every `.rs` file below `dir`, with its path from there.
fn collect(dir: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry")).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().expect("a UTF-8 name");
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), files);
        } else if Path::new(&name).extension().is_some_and(|extension| extension == "rs") {
            files.push((path, fs::read_to_string(entry.path()).expect("a readable file")));
        }
    }
}

/// The rules that the file at `path` (from `src`) breaks, with the line of each.
fn violations(path: &str, text: &str) -> Vec<(usize, String)> {
    let module = path.trim_end_matches(".rs");
    let mut found = Vec::new();
    let name = module.rsplit('/').next().unwrap_or(module);
    if EMPTY_NAMES.contains(&name) {
        found.push((1, format!("a file called `{name}` says nothing; name what is inside")));
    }
    if !text.starts_with("//!") {
        found.push((1, "the file does not open with `//!`: say what it turns into what".to_owned()));
    }
    let lines = text.lines().count();
    if lines > LONGEST {
        found.push((LONGEST + 1, format!("{lines} lines are more than {LONGEST} lines: split by subject")));
    }
    if path.split('/').any(|part| matches!(part, "tests" | "tests.rs")) {
        return found;
    }
    let pure = PURE.iter().any(|pattern| matches(pattern, module));
    let code = without_tests(&without_text(text));
    for (index, line) in code.lines().enumerate() {
        let says = |word: &str| said(line, word);
        if pure && let Some(word) = IMPURE.iter().find(|word| says(word)) {
            found.push((index + 1, format!("`{word}` in a pure module")));
        }
        for (word, homes) in CONFINED {
            if says(word) && !homes.iter().any(|home| matches(home, module)) {
                found.push((index + 1, format!("`{word}` outside {}", homes.join(", "))));
            }
        }
    }
    found
}

/// Whether `line` has `word`, not as the end of a longer one.
fn said(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        word.starts_with('.') || !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn matches(pattern: &str, module: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(root) => module.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        None => module == pattern,
    }
}

/// `source` with comments and literals blanked, line by line as it was.
fn without_text(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let length = literal(rest);
        if length == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            // The `r` of an identifier does not open a raw string.
            while c.is_alphanumeric() && rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                let next = rest.chars().next().unwrap_or_default();
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        } else {
            out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    out
}

/// Bytes of the comment or literal that `source` starts with; zero if it starts with neither.
fn literal(source: &str) -> usize {
    let until = |from: usize, end: &str| source[from..].find(end).map_or(source.len(), |at| from + at + end.len());
    if source.starts_with("//") {
        return source.find('\n').unwrap_or(source.len());
    }
    if source.starts_with("/*") {
        let (mut depth, mut at) = (0, 0);
        while at < source.len() {
            match source.as_bytes()[at..] {
                [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
                [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
                _ => at += 1,
            }
            if depth == 0 {
                return at;
            }
        }
        return source.len();
    }
    let unprefixed = source.strip_prefix('b').unwrap_or(source);
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let hashes = raw.bytes().take_while(|byte| *byte == b'#').count();
        if raw[hashes..].starts_with('"') {
            let open = source.len() - raw.len() + hashes + 1;
            return until(open, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if unprefixed.starts_with('"') {
        let open = source.len() - unprefixed.len() + 1;
        return escaped(source, open, '"');
    }
    if let Some(inside) = unprefixed.strip_prefix('\'') {
        let open = source.len() - inside.len();
        let mut chars = inside.chars();
        match (chars.next(), chars.next()) {
            (Some('\\'), _) => return escaped(source, open, '\''),
            (Some(c), Some('\'')) => return open + c.len_utf8() + 1,
            _ => {} // a lifetime
        }
    }
    0
}

/// Where the literal opened before `from` ends, behind its closing quote.
fn escaped(source: &str, from: usize, quote: char) -> usize {
    let mut chars = source[from..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            c if c == quote => return from + at + 1,
            _ => {}
        }
    }
    source.len()
}

/// `code`, already without text, with every item under `#[cfg(test)]` blanked.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let end = item_end(&out[start..]) + start;
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

/// Where the first item of `code` ends: at its semicolon, or behind the brace that closes its first one.
fn item_end(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}
