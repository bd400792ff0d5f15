//! A message → the commands that it says to type. What stands for something of the reader's own is `USER` and `PASSWORD`.

/// The first words of every command that a fix may print. A test types each of them (`tests/cluster`), and another sees
/// to it that no message has any other (`tests/suite`).
pub(crate) const KINDS: [&str; 9] = [
    "aws ecr get-login-password",
    "aws ecr-public get-login-password",
    "az acr login",
    "docker buildx build",
    "kubectl apply",
    "kubectl create secret",
    "kubectl delete secret",
    "kubectl patch serviceaccount",
    "skopeo list-tags",
];

/// What a command may leave to its reader.
pub(crate) const PLACEHOLDERS: [&str; 2] = ["USER", "PASSWORD"];

/// What a line to type begins with.
const TOOLS: [&str; 12] =
    ["aws", "az", "crane", "crictl", "ctr", "curl", "docker", "gcloud", "helm", "kubectl", "openssl", "skopeo"];

/// Where a command ends, outside of quotes and `$(…)`.
const ENDS: [&str; 4] = ["; ", ", then ", ", or ", ": "];

/// The commands of a message, in order, as they stand there.
pub(crate) fn commands(text: &str) -> Vec<String> {
    taken_apart(text).0
}

/// What a message prints that looks like part of a command and is in none of [`commands`].
pub(crate) fn stray(text: &str) -> Option<String> {
    let rest = taken_apart(text).1;
    let stray = |line: &&str| ["--", "$(", "://", " | "].iter().any(|sign| line.contains(sign));
    // Words of registries hold addresses, and so do the keys of pull secrets.
    let ours = rest.replace("https://www.", "").replace("https://index.docker.io/v1/", "").replace("\"https://", "");
    ours.lines().filter(|line| !line.contains("the registry says: ")).find(stray).map(str::to_owned)
}

/// The first words of every simple command in a line: of each part of a pipe and of each `$(…)`.
pub(crate) fn kinds(command: &str) -> Vec<String> {
    let parts = command.replace("$(", "|").replace("&&", "|");
    parts.split('|').filter_map(kind).collect()
}

/// Words in capitals that stand for something, and ellipses.
pub(crate) fn placeholders(command: &str) -> Vec<String> {
    let words = command.split(|c: char| !c.is_ascii_alphanumeric() && c != '…');
    let stands = |word: &&str| *word == "…" || word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase());
    words.filter(stands).map(str::to_owned).collect()
}

fn kind(part: &str) -> Option<String> {
    let mut words = part.split_ascii_whitespace().peekable();
    let tool = words.next().filter(|word| TOOLS.contains(word))?;
    if words.peek() == Some(&"-n") {
        words.nth(1);
    }
    let plain = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
    let rest: Vec<&str> = words.take_while(plain).take(2).collect();
    (!rest.is_empty()).then(|| [&[tool], rest.as_slice()].concat().join(" "))
}

/// Commands, and the text without them.
fn taken_apart(text: &str) -> (Vec<String>, String) {
    let (mut commands, mut rest) = (Vec::new(), String::new());
    for mut line in text.lines() {
        while let Some(at) = start(line) {
            let command = &line[at..];
            let command = &command[..end(command)];
            rest += &line[..at];
            commands.push(command.trim_end_matches(['.', ',']).to_owned());
            line = &line[at + command.len()..];
        }
        rest += line;
        rest.push('\n');
    }
    (commands, rest)
}

/// Where the first command of a line begins: at a tool with words of its own, not in brackets.
fn start(line: &str) -> Option<usize> {
    let begins = |at: usize| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| c == ' ' || c == '`') && kind(&line[at..]).is_some()
    };
    line.char_indices().map(|(at, _)| at).find(|at| begins(*at))
}

fn end(command: &str) -> usize {
    let (mut quote, mut depth) = (None, 0_usize);
    for (at, c) in command.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (None, '\'') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return at,
            (None, ')') => depth -= 1,
            (None, '`') => return at,
            (None, _) if depth == 0 && ENDS.iter().any(|end| command[at..].starts_with(end)) => return at,
            (Some(_) | None, _) => {}
        }
    }
    command.len()
}
