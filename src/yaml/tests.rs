//! What is read, what is refused where, and that whatever is written reads back.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn text(bytes: impl Into<Vec<u8>>) -> Arc<Text> {
    Arc::new(Text::new(bytes.into()))
}

/// The documents as JSON, and `line:column: words` for those that are none.
fn read(bytes: impl Into<Vec<u8>>) -> Vec<Result<Value, String>> {
    let text = text(bytes);
    documents(&text)
        .map(|document| match document {
            Ok(tree) => Ok(tree.root().json()),
            Err(SyntaxError { at, syntax }) => {
                let Position { line, column } = text.position(at);
                Err(format!("{line}:{column}: {syntax}"))
            }
        })
        .collect()
}

#[test]
fn documents_are_what_kubectl_makes_of_them() {
    let one = |value: Value| vec![value];
    for (text, expected) in [
        ("", vec![]),
        ("# nothing\n---\n---\nnull\n---\n~\n...\n", vec![]),
        ("a: 1\n---\n# c\nb: [x, {w: z}]\n", vec![json!({"a": 1}), json!({"b": ["x", {"w": "z"}]})]),
        ("--- {a: 1}\n--- [b]\n", vec![json!({"a": 1}), json!(["b"])]),
        ("%YAML 1.1\n---\na: 1\n", one(json!({"a": 1}))),
        ("a: 1\n...\nb: 2\n", vec![json!({"a": 1}), json!({"b": 2})]),
        // streams of JSON, with and without separators, and YAML behind them
        ("{\"a\":1}{\"b\":2}\n {\"c\":3}\n", vec![json!({"a": 1}), json!({"b": 2}), json!({"c": 3})]),
        ("{\"a\":1}\n---\n{\"b\":2}", vec![json!({"a": 1}), json!({"b": 2})]),
        ("{\"a\":1}\n# the end\n", one(json!({"a": 1}))),
        ("{\"a\":1}\nb: 2\n", vec![json!({"a": 1}), json!({"b": 2})]),
        ("{a: 1, 'b': yes,}", one(json!({"a": 1, "b": true}))),
        ("\t{\"a\": \"\\u00fc\\ud83d\\ude80\\/\\ud800x\"}", one(json!({"a": "\u{fc}\u{1f680}/\u{fffd}x"}))),
        ("{\"a\": [-0.5e3, true, null, {}, []]}", one(json!({"a": [-500.0, true, null, {}, []]}))),
        // of equal keys the last, merges in their place
        ("{a: 1, b: 2, a: 3}", one(json!({"a": 3, "b": 2}))),
        ("{\"a\": 1, \"a\": 2}", one(json!({"a": 2}))),
        (
            "x: &x {a: 1, b: 1}\nw: {a: 2, <<: *x}\nz: {<<: *x, a: 2}\n",
            one(json!({"x": {"a": 1, "b": 1}, "w": {"a": 1, "b": 1}, "z": {"a": 2, "b": 1}})),
        ),
        (
            "x: &x {a: 1}\nw: {<<: [{a: 2, b: 2}, *x], c: 3}\nz: {'<<': *x}",
            one(json!({"x": {"a": 1}, "w": {"a": 2, "b": 2, "c": 3}, "z": {"<<": {"a": 1}}})),
        ),
        ("x: &x {<<: {a: 1, b: 1}, b: 2}\nw: {<<: *x}", one(json!({"x": {"a": 1, "b": 2}, "w": {"a": 1, "b": 2}}))),
        (
            "a: &a [1, &b 2]\nb: *a\nc: *b\n*b : d\n&k k: *k\n",
            one(json!({"a": [1, 2], "b": [1, 2], "c": 2, "2": "d", "k": "k"})),
        ),
        ("a: &a 1\nb: &a 2\nc: *a\n", one(json!({"a": 1, "b": 2, "c": 2}))),
        // words of YAML 1.1, tags, keys that are no strings
        (
            "[yes, Off, y, 0o14, 0644, 1_000, 12:30:45, .5, 0x1F, =, ~, 2024-01-01, 1.20]",
            one(json!([true, false, true, 12, 420, 1000, "12:30:45", 0.5, 31, "=", null, "2024-01-01", 1.2])),
        ),
        (
            "['yes', \"5\", !!str 5, !!int \"5\", !own 5, !!binary aGk=, !!float 1.5, ! x]",
            one(json!(["yes", "5", "5", 5, "5", "hi", 1.5, "x"])),
        ),
        ("8080: a\ntrue: b\n1.50: c\n0x10: d\n", one(json!({"8080": "a", "true": "b", "1.5": "c", "16": "d"}))),
        ("? a\n: - b\n? 'c'\n", one(json!({"a": ["b"], "c": null}))),
        (
            "a: |\n  x\n  ---\n   y\nb: >-\n  c\n  d\ne: 'f\n\n  g'\n",
            one(json!({"a": "x\n---\n y\n", "b": "c d", "e": "f\ng"})),
        ),
    ] {
        let expected: Vec<_> = expected.into_iter().map(Ok).collect();
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn a_mistake_is_placed_and_the_next_document_is_read() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        ("a: [1\n", "1:4: a [ is not closed"),
        ("a: {b: 1\nc: 2\n", "2:2: expected a comma or } here"),
        ("{\"a\": 1, ", "1:10: the text ends here inside a list or a mapping"),
        ("{\"a\":1}\n{\"b\":", "2:6: the text ends here inside a list or a mapping"),
        ("a: *b\n", "1:4: no anchor of this name stands in front of the alias in its document"),
        ("a: &a [*a]\n", "1:8: the alias stands inside of what it stands for"),
        ("{{ .Values.a }}: b\n", "1:1: a list, a mapping or nothing stands in place of a key"),
        ("a: {{ .Values.a }}\n", "1:5: a list, a mapping or nothing stands in place of a key"),
        ("[a]: b\n", "1:1: a list, a mapping or nothing stands in place of a key"),
        ("~: b\n", "1:1: a list, a mapping or nothing stands in place of a key"),
        ("a:\n\tb: 1\n", "2:2: a tab stands where only blanks may"),
        ("a: b: c\n", "1:5: no colon with a value can stand here"),
        ("a: 'b\n", "2:1: the indentation of this line fits nothing above it"),
        ("a: .nan\n", "1:4: Kubernetes has no such number"),
        ("a: {<<: b}\n", "1:9: what is merged with << is no mapping"),
        ("a: !!binary '%'\n", "1:13: the value of !!binary is not base64"),
        ("a: @b\n", "1:4: the character @ cannot stand here"),
        ("a: \"\u{1b}\"\n", "1:5: the character U+001B cannot stand in a text: remove it"),
        ("a: 1\0\n", "1:5: the character U+0000 cannot stand in a text: remove it"),
        ("a: 1\nb\nc: 2\n", "2:1: expected a colon behind the key"),
        ("a: b\u{feff}c\n \u{feff}d: e\n", "2:4: no colon with a value can stand here"),
    ] {
        let all = read(format!("x: 1\n---\n{text}\n---\nw: 2\n"));
        let ends = (all.first(), all.last());
        assert_eq!(ends, (Some(&Ok(json!({"x": 1}))), Some(&Ok(json!({"w": 2})))), "{text:?}");
        let Some(Err(error)) = read(text).pop() else { panic!("{text:?}") };
        if !error.starts_with(expected) || error.contains(['`', '_']) {
            wrong.push((text, error));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_depth_meets_the_stack() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("{\"a\":", "}")] {
        let deep = |depth: usize| format!("{{\"x\": {}1{}}}", open.repeat(depth), close.repeat(depth));
        assert!(read(deep(9_999))[0].is_ok(), "{open}");
        let error = read(deep(20_000)).remove(0).unwrap_err();
        assert!(error.ends_with("lists and mappings stand in each other more than 10000 deep"), "{open}: {error}");
    }
    let indented = (0..2_000).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n");
    assert!(read(indented)[0].is_ok());
    let step = |n: usize| format!("a{n}: &a{n} {}*a{}{}\n", "[".repeat(100), n - 1, "]".repeat(100));
    let steps = (1..300).fold(String::new(), |text, n| text + &step(n));
    let error = read(format!("a0: &a0 x\n{steps}")).remove(0).unwrap_err();
    assert!(error.contains("10000 deep"), "{error}");
}

#[test]
fn aliases_cost_nothing_until_they_stand_for_too_much() {
    let list = |name: &str, of: &str, times: usize| {
        format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); times].join(", "))
    };
    let many = format!("a: &a {{b: c, d: [e]}}\n{}", list("x", "a", 100_000));
    assert!(read(many)[0].is_ok());
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut merges = "m0: &m0 {a: b}\n".to_owned();
    for (of, name) in ["a", "b", "c", "d", "e", "f", "g", "h"].windows(2).map(|pair| (pair[0], pair[1])) {
        bomb += &list(name, of, 9);
    }
    for level in 1..40 {
        merges += &format!("m{level}: &m{level} {{<<: [*m{0}, *m{0}]}}\n", level - 1);
    }
    let long = format!("s: &s '{}'\n{}", "x".repeat(1 << 20), list("l", "s", 1_000));
    for text in [bomb, merges, long] {
        let error = read(text).remove(0).unwrap_err();
        assert!(
            error.ends_with("the aliases of this document stand for more than 4 million values: write fewer"),
            "{error}"
        );
    }
}

#[test]
fn comments_have_no_limit() {
    let notes = |indent: usize| format!("{}# note\n", " ".repeat(indent)).repeat(5_000);
    let text = format!("{}a:\n{}  b:\n  -\n{}    c: d\n{}", notes(0), notes(2), notes(4), notes(1));
    assert_eq!(read(text), [Ok(json!({"a": {"b": [{"c": "d"}]}}))]);
}

#[test]
fn dialects_differ_in_equal_keys_and_words() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Small {
        a: String,
        #[serde(default)]
        b: Vec<Spanned<bool>>,
    }
    use serde::Deserialize;
    let small = |text: &str, dialect| single::<Small>(text.as_bytes(), dialect);
    let said = |text: &str, dialect| {
        let Mistake { at: Position { line, column }, sentence } = small(text, dialect).unwrap_err();
        format!("{line}:{column}: {sentence}")
    };
    assert_eq!(small("# c\n", Dialect::Strict), Ok(None));
    let spanned = Spanned { value: true, at: Position { line: 2, column: 5 } };
    for (text, dialect) in [("a: x\nb: [yes]", Dialect::Manifest), ("a: x\r\nb: [on]", Dialect::Own)] {
        assert_eq!(small(text, dialect), Ok(Some(Small { a: "x".to_owned(), b: vec![spanned.clone()] })));
    }
    assert_eq!(small("{a: x, a: z}", Dialect::Manifest).unwrap().unwrap().a, "z");
    assert_eq!(said("a: x\na: z", Dialect::Own), "2:1: key \"a\" is given twice");
    assert_eq!(said("{\"a\": \"x\",\n\"a\": 1}", Dialect::Strict), "2:1: key \"a\" is given twice");
    assert_eq!(small("a: off", Dialect::Own).unwrap().unwrap().a, "off");
    assert_eq!(said("a: 5", Dialect::Manifest), "1:4: a: expected a string, found a number: put the value in quotes");
    assert_eq!(said("a: [x]", Dialect::Own), "1:4: a: expected a string, found a list");
    assert_eq!(said("a: x\nb: [true, 1]", Dialect::Own), "2:11: b[1]: expected true or false, found a number");
    assert_eq!(said("a: x\nb: {}", Dialect::Own), "2:4: b: expected a list, found a mapping");
    assert_eq!(said("b: []", Dialect::Own), "1:1: key \"a\" is missing");
    assert_eq!(
        said("a: gr\u{fc}n\n".replace('\u{fc}', "\u{0}").as_str(), Dialect::Own),
        "1:6: this is neither UTF-8 nor UTF-16 with a byte order mark"
    );
    let utf16: Vec<u8> = "\u{feff}a: \u{fc}".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(single::<Small>(&utf16, Dialect::Own).unwrap().unwrap().a, "\u{fc}");
}

fn value() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        "[ -~\u{a0}-\u{fff}\u{1f680}]{0,12}",
        prop::sample::select(vec![
            "yes", "y", "off", "1.20", "0o14", "1_000", "~", "", "<<", "=", "a: b", "- x", "# c", "---", "\n", "a\nb\n"
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|number: f64| Value::from((number * 8.0).round() / 8.0 + 0.125)),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(word.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Whether every string, where the text has it in one piece, is at its place.
fn is_placed(node: Node<'_>, text: &str) -> bool {
    match node.kind() {
        Kind::List => node.items().all(|item| is_placed(item, text)),
        Kind::Map => node.pairs().iter().all(|pair| is_placed(pair.value, text)),
        Kind::Text(word) if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            text[node.at()..].trim_start_matches(['"', '\'']).starts_with(word)
        }
        _ => true,
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_in_its_place(value in value().prop_map(|value| json!({ "v": value })), utf16: bool, mark: bool) {
        let block = serde_saphyr::to_string(&value).unwrap();
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        for written in [block.clone(), pretty.clone(), value.to_string(), format!("--- # a\n{pretty}\n---\n"), block.replace('\n', "\r\n")] {
            let written = if mark || utf16 { format!("\u{feff}{written}") } else { written };
            let bytes: Vec<u8> = if utf16 { written.encode_utf16().flat_map(u16::to_le_bytes).collect() } else { written.clone().into() };
            let text = text(bytes);
            let trees: Vec<_> = documents(&text).collect::<Result<_, _>>().map_err(|error| TestCaseError::fail(format!("{error:?} in {written}")))?;
            prop_assert_eq!(trees.len(), 1, "{}", &written);
            prop_assert_eq!(&trees[0].root().json(), &value, "{}", &written);
            prop_assert!(is_placed(trees[0].root(), text.as_str()), "{}", &written);
        }
        let stream = format!("{value}{pretty}\n{value}");
        prop_assert_eq!(read(stream), vec![Ok(value.clone()), Ok(value.clone()), Ok(value)]);
    }

    #[test]
    fn any_bytes_are_read_or_refused_in_their_place(bytes: Vec<u8>, lines in "[-{}\\[\\]:,&*!|>'\"%#? \t\n\ra-c]{0,60}") {
        for bytes in [bytes, lines.into_bytes()] {
            let text = text(bytes);
            for document in documents(&text) {
                match document {
                    Ok(tree) => drop(tree.root().json()),
                    Err(error) => prop_assert!(error.at <= text.as_str().len()),
                }
            }
        }
    }
}
