//! `Content-Type` as CRI-O reads it: Go's `mime.ParseMediaType` (golang/go `mime/mediatype.go`), which
//! containers/image uses in `docker/docker_image_src.go`, `simplifyContentType`.

/// The media type in lower case without blanks and parameters; `None` where Go refuses the type or a parameter.
pub(super) fn for_cri_o(content_type: &str) -> Option<String> {
    let (media_type, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let media_type = media_type.trim().to_lowercase();
    let (kind, subtype) = media_type.split_once('/')?;
    let parses = is_token(kind) && is_token(subtype) && (parameters.trim().is_empty() || are_parameters(parameters));
    parses.then_some(media_type)
}

/// Whether what follows the first semicolon is a list of parameters, none of them twice with two values.
fn are_parameters(text: &str) -> bool {
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut rest = text;
    loop {
        let Some((name, after)) = rest.trim_start().split_once('=') else { return false };
        let name = name.trim_end().to_lowercase();
        let Some((value, after)) = value(after.trim_start()).filter(|_| is_token(&name)) else { return false };
        if seen.iter().any(|(known, other)| *known == name && *other != value) {
            return false;
        }
        seen.push((name, value));
        match after.trim_start().strip_prefix(';') {
            _ if after.trim().is_empty() => return true,
            Some(next) if next.trim().is_empty() => return true,
            Some(next) => rest = next,
            None => return false,
        }
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_token_char(c)).unwrap_or(text.len());
        let (token, rest) = text.split_at(end);
        return (!token.is_empty()).then(|| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            '\r' | '\n' => return None,
            c => value.push(c),
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_graphic() && !r#"()<>@,;:\"/[]?="#.contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_parameters_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("a/b", Some("a/b")),
            (" A/B ", Some("a/b")),
            ("a/b ; c=d", Some("a/b")),
            ("a/b;", Some("a/b")),
            ("a/b; c=d;", Some("a/b")),
            ("a/b; c=\"d;e\"", Some("a/b")),
            ("a/b; c=\"\"", Some("a/b")),
            ("a/b; c=d; C=d", Some("a/b")),
            ("a/b; c = d", Some("a/b")),
            ("a/b; c=d; C=e", None),
            ("a/b; c", None),
            ("a/b; c=", None),
            ("a/b; =d", None),
            ("a/b;; c=d", None),
            ("a/b; c=\"d", None),
            ("a/b; c=d e", None),
            ("a/b, c/d", None),
            ("a/b c/d", None),
            ("a/", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(for_cri_o(text).as_deref(), expected, "{text}");
        }
    }
}
