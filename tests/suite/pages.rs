//! The pages of the codes, held by a test: every code has one in the same frame, the table lists each once, no link
//! leads nowhere, and the metric knows the same words.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use pullgate::finding::Code;
use pullgate::metrics::Metrics;

/// The headings of every page, below the first, in this order.
const FRAME: [&str; 6] = [
    "## What you see",
    "## What it means",
    "## Why it happens",
    "## How to be sure",
    "## How to fix",
    "## How to stop it from coming back",
];

/// Where the words of notices are declared; they have no list of their own.
const FINDINGS: &str = concat!(include_str!("../../src/finding.rs"), include_str!("../../src/finding/cause.rs"));

/// What a word is worth: the second cell of the table, and the first word of `What it means`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    Certain,
    Uncertain,
    Notice,
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let words: BTreeSet<String> = words().into_iter().map(|(word, _)| word).collect();
    let pages: BTreeSet<String> = markdown(&codes())
        .iter()
        .filter_map(|file| file.file_stem()?.to_str().map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    let difference: Vec<_> = words.symmetric_difference(&pages).collect();
    assert!(difference.is_empty(), "docs/codes: a code without a page, or a page without a code: {difference:?}");
}

#[test]
fn every_page_keeps_the_frame() {
    let mut report = String::new();
    for (word, worth) in words() {
        let Ok(text) = fs::read_to_string(codes().join(format!("{word}.md"))) else { continue };
        for fault in faults(&word, worth, &text) {
            writeln!(report, "docs/codes/{word}.md: {fault}").expect("a string takes text");
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn the_table_lists_every_code_once() {
    let text = read(&codes().join("README.md"));
    let mut listed: Vec<(String, Worth)> = text.lines().filter_map(row).collect();
    let mut expected = words();
    listed.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(listed, expected, "docs/codes/README.md lists other codes, or calls them otherwise");
}

#[test]
fn every_cause_has_a_paragraph_on_a_page() {
    let pages: String = markdown(&codes()).iter().map(|file| read(file)).collect();
    for cause in variants("Cause") {
        let word = format!("`{}`", cause.to_lowercase());
        assert!(pages.contains(&word), "no page in docs/codes explains the cause {word}");
    }
}

#[test]
fn no_link_in_the_documentation_leads_nowhere() {
    let mut files = markdown(&root().join("docs"));
    files.push(root().join("README.md"));
    assert!(files.len() > 20, "the documentation is read");
    let mut report = String::new();
    for file in files {
        for target in links(&read(&file)) {
            let folder = file.parent().expect("a file is in a folder");
            if !folder.join(&target).exists() {
                writeln!(report, "{}: {target} is not there", file.display()).expect("a string takes text");
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn the_metric_of_findings_knows_the_codes_and_no_other() {
    let text = Metrics::new().render();
    let samples = text.lines().filter(|line| line.starts_with("pullgate_findings_total{"));
    let mut labelled: Vec<(String, Worth)> = samples
        .map(|line| {
            let certain = label(line, "certain") == Some("true");
            let worth = if certain { Worth::Certain } else { Worth::Uncertain };
            (label(line, "code").expect("a finding has a code").to_owned(), worth)
        })
        .collect();
    let mut expected: Vec<(String, Worth)> = words().into_iter().filter(|(_, worth)| *worth != Worth::Notice).collect();
    labelled.sort_by(|a, b| a.0.cmp(&b.0));
    // A code may start with several causes.
    labelled.dedup();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(labelled, expected, "pullgate_findings_total starts with other codes than there are");
}

#[test]
fn the_list_of_codes_is_whole() {
    let listed: Vec<String> = Code::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(listed, variants("Code"), "Code::ALL and the words of the codes are the variants, in their order");
}

#[test]
fn planted_faults_are_noticed() {
    let page = |meaning: &str| {
        format!(
            "# TagNotFound\n\nIt is not there.\n\n## What you see\n\n```text\n# no heading\nTagNotFound: x\n```\n\n\
             ## What it means\n\n{meaning}\n\n## Why it happens\n\n1. A.\n\n## How to be sure\n\n```sh\na\n```\n\n\
             ## How to fix\n\nB.\n\n## How to stop it from coming back\n\n- C.\n"
        )
    };
    let good = page("**Certain.** So.");
    let found = |text: &str| faults("TagNotFound", Worth::Certain, text);
    assert_eq!(found(&good), Vec::<String>::new());
    for (text, expected) in [
        (good.replace("# TagNotFound\n", "# TagsNotFound\n"), "headings"),
        (good.replace("## How to fix", "## Fix"), "headings"),
        (good.replace("## Why it happens\n\n1. A.\n\n", ""), "headings"),
        (good.replace("- C.\n", "- C.\n\n## More\n\nD.\n"), "headings"),
        (good.replace("B.\n", "B.\n\n### Small\n"), "headings"),
        (good.replace("It is not there.\n\n", ""), "sentence"),
        (good.replace("B.\n\n", ""), "`## How to fix` is empty"),
        (good.replace("TagNotFound: x", "TagAbsent: x"), "message"),
        (good.replace("```sh\na\n```", "Look."), "command"),
        (page("**Uncertain.** So."), "**Certain.**"),
        (page("So."), "**Certain.**"),
    ] {
        let faults = found(&text);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:?} in {text}");
    }
    let text =
        "[a](A.md) `[b](B.md)` [`c`](../C.md#part)\n```sh\n[d](D.md)\n```\n[e](https://e.example) [f](#f) ![g](g.svg)";
    assert_eq!(links(text), ["A.md", "../C.md", "g.svg"]);
    assert_eq!(row("| [`A`](A.md) | no | it |"), Some(("A".to_owned(), Worth::Uncertain)));
    for line in
        ["| [`A`](B.md) | no | it |", "| [`A`](A.md) | maybe | it |", "| `A` | yes | it |", "| code | certain | it |"]
    {
        assert_eq!(row(line), None, "{line}");
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn codes() -> PathBuf {
    root().join("docs/codes")
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).expect("a readable file")
}

/// Every word of findings and notices, and what it is worth.
fn words() -> Vec<(String, Worth)> {
    let worth = |code: Code| if code.certain() { Worth::Certain } else { Worth::Uncertain };
    let codes = Code::ALL.into_iter().map(|code| (code.to_string(), worth(code)));
    codes.chain(variants("NoticeCode").into_iter().map(|word| (word, Worth::Notice))).collect()
}

/// The variants of an enum of `src/finding.rs`, in their order.
fn variants(name: &str) -> Vec<String> {
    let opening = format!("\npub enum {name} {{\n");
    let start = FINDINGS.find(&opening).expect("the enum is declared there") + opening.len();
    let body = &FINDINGS[start..];
    let body = &body[..body.find("\n}").expect("the enum ends")];
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with('#'));
    lines.filter_map(|line| line.strip_suffix(',')).map(str::to_owned).collect()
}

/// Every `.md` file in `folder` and below.
fn markdown(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files.extend(markdown(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    files
}

/// The lines of a page outside of its blocks of code; a line of a block is empty.
fn prose(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.lines()
        .map(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            if fence || inside { "" } else { line }
        })
        .collect()
}

/// What is wrong with the page of `word`.
fn faults(word: &str, worth: Worth, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let prose = prose(text);
    let headings: Vec<&str> = prose.iter().copied().filter(|line| line.starts_with('#')).collect();
    let title = format!("# {word}");
    let expected: Vec<&str> = std::iter::once(title.as_str()).chain(FRAME).collect();
    if headings != expected {
        faults.push(format!("its headings are {headings:?} instead of {expected:?}"));
        return faults;
    }
    // From each heading to the next one, as written.
    let lines: Vec<&str> = text.lines().collect();
    let starts: Vec<usize> = (0..prose.len()).filter(|index| prose[*index].starts_with('#')).collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    let sections: Vec<String> = starts.iter().zip(ends).map(|(start, end)| lines[start + 1..end].join("\n")).collect();
    for (heading, section) in headings.iter().zip(&sections) {
        if section.trim().is_empty() {
            let what = if *heading == title {
                "no sentence stands below its title".to_owned()
            } else {
                format!("`{heading}` is empty")
            };
            faults.push(what);
        }
    }
    let [_, seen, meaning, _, sure, ..] = sections.as_slice() else { return faults };
    if !seen.contains(&format!("\n{word}: ")) {
        faults.push("`What you see` does not show the message as it is printed".to_owned());
    }
    if !sure.contains("```sh\n") {
        faults.push("`How to be sure` has no command".to_owned());
    }
    let opening = match worth {
        Worth::Certain => "**Certain",
        Worth::Uncertain => "**Uncertain",
        Worth::Notice => "**A notice",
    };
    if !meaning.trim_start().starts_with(opening) {
        faults.push(format!("`What it means` does not begin with {opening}.**"));
    }
    faults
}

/// Word and worth in a row of the table, where the link leads to the page of the word.
fn row(line: &str) -> Option<(String, Worth)> {
    let mut cells = line.strip_prefix("| ")?.split(" | ");
    let (word, target) = cells.next()?.strip_prefix("[`")?.strip_suffix(".md)")?.split_once("`](")?;
    let worth = match cells.next()? {
        "yes" => Worth::Certain,
        "no" => Worth::Uncertain,
        "notice" => Worth::Notice,
        _ => return None,
    };
    (word == target).then(|| (word.to_owned(), worth))
}

/// The files that a page links to: targets that are no addresses and no places within the page, without their fragment.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    // By paragraphs: a forgotten backtick does not reach beyond its own.
    for paragraph in prose(text).join("\n").split("\n\n") {
        // Every second part stands between backticks, where nothing is a link.
        let paragraph: String = paragraph.split('`').step_by(2).collect();
        for part in paragraph.split("](").skip(1) {
            let target = part.split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                targets.push(target.to_owned());
            }
        }
    }
    targets
}

/// The value of a label in one sample of a metric.
fn label<'a>(sample: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = sample.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}
