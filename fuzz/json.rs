//! A mutator for inputs that are one letter and JSON, perhaps with lines `---` between documents: it changes the tree,
//! so that most of what it makes is still JSON. Now and then, and where there is no JSON, bytes are changed instead.

use serde_json::{Map, Value};

/// Words that mean something in one of the formats.
const WORDS: &[&str] = &[
    "", "auto", "Always", "IfNotPresent", "Never", "CREATE", "UPDATE", "DELETE", "Pod", "v1", "apps/v1", "app:1", "app",
    "registry.corp.io/team/app:1", "localhost:5000", "registry.corp.io:5000/team/ap", "docker.io/library/skip1",
    "app:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "team-a", "kube-system",
    "kubernetes.io/arch", "In", "amd64", "arm64", "linux", "v8", "sha256:CONFIG", "CONFIG", "Y29ycDpodW50ZXIyLUtxN3ZYdzN6",
    "hunter2-Kq7vXw3z", "https://index.docker.io/v1/", "*.corp.io", "https://u:hunter2-Kq7vXw3z@corp.io/v2/", "é\u{202e}\n",
    "application/vnd.in-toto+json", "application/vnd.cncf.helm.config.v1+json", "ephemeralcontainers", "a/b~c",
];

/// Names of members, mostly with a meaning.
const KEYS: &[&str] = &[
    "image", "imagePullPolicy", "containers", "initContainers", "ephemeralContainers", "volumes", "reference", "name",
    "spec", "template", "metadata", "ownerReferences", "controller", "affinity", "nodeAffinity", "nodeSelector",
    "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms", "matchExpressions", "key", "operator", "values",
    "imagePullSecrets", "operation", "object", "oldObject", "subResource", "dryRun", "kind", "apiVersion", "namespace",
    "annotations", "kubernetes.io/config.mirror", "auths", "username", "password", "auth", "manifests", "platform", "os",
    "architecture", "variant", "config", "digest", "mediaType", "layers", "HttpHeaders", "a/b~c",
];

/// A small generator (xorshift), enough to choose with.
struct Dice(u64);

/// Changes the first `size` bytes of `data`; the new size.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut dice = Dice(u64::from(seed) << 16 | 0x9e37);
    if size > 1 && dice.roll(12) > 0 {
        let text = &data[1..size];
        let documents: Vec<&[u8]> = cut(text);
        let mut parsed: Vec<Value> = documents.iter().filter_map(|text| serde_json::from_slice(text).ok()).collect();
        if parsed.len() == documents.len() {
            let which = dice.roll(parsed.len());
            for _ in 0..=dice.roll(3) {
                change(&mut parsed[which], &mut dice);
            }
            let texts: Vec<String> = parsed.iter().map(Value::to_string).collect();
            let text = texts.join("\n---\n");
            if text.len() < max_size {
                if dice.roll(8) == 0 {
                    data[0] = data[0].wrapping_add(1);
                }
                data[1..=text.len()].copy_from_slice(text.as_bytes());
                return text.len() + 1;
            }
        }
    }
    libfuzzer_sys::fuzzer_mutate(data, size, max_size)
}

fn cut(text: &[u8]) -> Vec<&[u8]> {
    const LINE: &[u8] = b"\n---\n";
    match text.windows(LINE.len()).position(|window| window == LINE) {
        Some(at) => vec![&text[..at], &text[at + LINE.len()..]],
        None => vec![text],
    }
}

/// One change somewhere in the tree.
fn change(value: &mut Value, dice: &mut Dice) {
    let inside = match value {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    if inside > 0 && dice.roll(6) > 0 {
        let which = dice.roll(inside);
        let child = match value {
            Value::Object(map) => map.values_mut().nth(which),
            Value::Array(list) => list.get_mut(which),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        };
        if let Some(child) = child {
            return change(child, dice);
        }
    }
    match value {
        Value::Object(map) => change_map(map, dice),
        Value::Array(list) => change_list(list, dice),
        Value::String(text) if dice.roll(3) > 0 => change_text(text, dice),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => *value = any(dice, 2),
    }
}

fn change_map(map: &mut Map<String, Value>, dice: &mut Dice) {
    let key = map.keys().nth(dice.roll(map.len().max(1))).cloned();
    match (dice.roll(5), key) {
        (0, Some(key)) => drop(map.remove(&key)),
        (1, Some(key)) => {
            if let Some(value) = map.remove(&key) {
                map.insert(dice.pick(KEYS).to_owned(), value);
            }
        }
        (2, Some(key)) => {
            let mut key = key;
            let value = map.get(&key).cloned().unwrap_or_default();
            change_text(&mut key, dice);
            map.insert(key, value);
        }
        _ => drop(map.insert(dice.pick(KEYS).to_owned(), any(dice, 3))),
    }
}

fn change_list(list: &mut Vec<Value>, dice: &mut Dice) {
    let at = dice.roll(list.len().max(1));
    match dice.roll(5) {
        0 if !list.is_empty() => drop(list.remove(at)),
        1 | 2 if !list.is_empty() && list.len() < 1_100 => {
            let copy = list[at].clone();
            list.insert(at, copy);
        }
        3 if !list.is_empty() => {
            let to = dice.roll(list.len());
            list.swap(at, to);
        }
        _ => list.push(any(dice, 3)),
    }
}

fn change_text(text: &mut String, dice: &mut Dice) {
    let at = text.floor_char_boundary(dice.roll(text.len() + 1));
    match dice.roll(5) {
        0 => dice.pick(WORDS).clone_into(text),
        1 => text.insert_str(at, dice.pick(WORDS)),
        2 => text.insert(at, char::from(b"/:@.-_%a0A*\\\"\n~"[dice.roll(15)])),
        3 => text.truncate(at),
        _ => drop(text.pop()),
    }
}

fn any(dice: &mut Dice, depth: usize) -> Value {
    match dice.roll(if depth == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => Value::Bool(dice.roll(2) == 0),
        2 => Value::from(dice.roll(70_000)),
        3 | 4 => Value::from(dice.pick(WORDS)),
        5 => Value::Array((0..dice.roll(3)).map(|_| any(dice, depth - 1)).collect()),
        _ => Value::Object((0..dice.roll(4)).map(|_| (dice.pick(KEYS).to_owned(), any(dice, depth - 1))).collect()),
    }
}

// === impl Dice ===

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or_default() % sides.max(1)
    }

    fn pick(&mut self, words: &'static [&'static str]) -> &'static str {
        words[self.roll(words.len())]
    }
}
