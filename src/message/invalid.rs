//! An image that does not parse → how it is written right, by what is seen in it. Pure.

/// What templates, shells and formatters leave where nothing was filled in.
const UNFILLED: [&str; 9] = ["<no value>", "%!", "<nil>", "${", "$(", "{{", "}}", "@@", "__"];

/// Words in capitals that stand for a part of an image's name until something replaces them.
const PLACEHOLDERS: [&str; 17] = [
    "APP",
    "AUTO",
    "CHANGEME",
    "FIXME",
    "IMAGE",
    "NAME",
    "NAMESPACE",
    "NONE",
    "NULL",
    "ORG",
    "OWNER",
    "PLACEHOLDER",
    "PROJECT",
    "REGISTRY",
    "REPO",
    "REPOSITORY",
    "TODO",
];

/// What to do about an image that does not parse.
pub(crate) fn written_right(image: &str) -> String {
    let tag = image.rsplit('/').next().unwrap_or_default();
    let words = if image.trim().is_empty() {
        "it is empty: is a variable not set? write registry/repository:tag"
    } else if image.starts_with("ko://") {
        "ko:// is a placeholder: ko resolve builds the image and writes its name; check what ko resolve prints"
    } else if unfilled(image) {
        "a variable or placeholder in it was not replaced; set it, and write registry/repository:tag"
    } else if image.contains("://") {
        "leave the scheme out: registry/repository:tag"
    } else if image.contains(['\'', '"', '`']) {
        "take the quotes out: registry/repository:tag"
    } else if image.contains(',') {
        "name one image only: registry/repository:tag"
    } else if image.contains(char::is_whitespace) {
        "take the blank or line end out: registry/repository:tag"
    } else if image.chars().any(crate::printable::acts) {
        "take the character that is not seen out: registry/repository:tag"
    } else if has_login(image) {
        "leave the login out: it belongs into a pull secret; write registry/repository:tag"
    } else if image.contains("@sha256:") {
        "a sha256 digest has 64 hexadecimal digits in lower case: registry/repository@sha256:…"
    } else if image.contains(":sha256:") {
        "a digest follows @: registry/repository@sha256:…"
    } else if tag.contains('+') {
        "a tag has letters, digits, _, . and - only; builds mostly put _ or - in the place of +"
    } else if slash_in_tag(image) {
        "a tag has letters, digits, _, . and - only; builds mostly put - in the place of /"
    } else if image.contains(|c: char| c.is_ascii_uppercase()) {
        "write it as registry/repository:tag, the repository in lower case"
    } else {
        "write it as registry/repository:tag or registry/repository@sha256:…"
    };
    words.to_owned()
}

/// Whether a part of it waits for a value: a variable, what a template prints for a missing value, `<your-image>`,
/// `%IMAGE%`, a word in capitals such as `IMAGE_NAME`.
fn unfilled(image: &str) -> bool {
    let marked = UNFILLED.iter().any(|mark| image.contains(mark));
    let framed = |open: char, close: char| {
        image.split_once(open).is_some_and(|(_, rest)| rest.find(close).is_some_and(|length| length > 0))
    };
    marked
        || image.contains(['$', '{', '}'])
        || framed('<', '>')
        || framed('[', ']') && !image.starts_with('[')
        || framed('%', '%')
        || image.split(['/', ':', '@']).any(|part| placeholder(part, image))
}

fn placeholder(part: &str, image: &str) -> bool {
    let capitals = part.contains(|c: char| c.is_ascii_uppercase())
        && part.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "_-".contains(c));
    let known = |word: &str| PLACEHOLDERS.contains(&word.to_ascii_uppercase().as_str());
    // Python prints `None`.
    let whole = part == image && known(part);
    whole || capitals && (known(part) || part.contains('_'))
}

/// `user:password@registry/repository`.
fn has_login(image: &str) -> bool {
    image.split_once('@').is_some_and(|(login, rest)| {
        login.contains(':') && !login.contains('/') && rest.contains('/') && !rest.starts_with("sha")
    })
}

/// `registry/repository:feature/login`: a colon behind the first slash, and a slash behind it.
fn slash_in_tag(image: &str) -> bool {
    let path = image.split_once('/').map_or("", |(_, path)| path);
    path.split_once(':').is_some_and(|(_, tag)| tag.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_does_not_parse_is_written_right_by_what_is_seen_in_it() {
        for (images, expected) in [
            (vec!["https://registry.corp.io/a:v1", "docker://a:v1"], "leave the scheme out"),
            (vec!["", " ", "\t\n"], "is a variable not set?"),
            (vec!["ko://github.com/corp/app/cmd/web"], "ko resolve"),
            (
                vec![
                    "registry.corp.io/a:$TAG",
                    "registry.corp.io/{{ .Values.image }}",
                    "registry.corp.io/a:<no value>",
                    "registry.corp.io/a:%!d(string=x)",
                    "<registry>/a:v1",
                    "%APP_IMAGE%",
                    "@@TAG@@",
                    "__TAG__",
                    "IMAGE",
                    "REPLACE_ME",
                    "None",
                    "registry.corp.io/ORG/app:v1",
                    "registry.corp.io/team/IMAGE_NAME:v1",
                    "registry.corp.io/[your-app]:v1",
                ],
                "a variable or placeholder in it was not replaced",
            ),
            (vec!["registry.corp.io/a:v1\n", "registry.corp.io/a :v1", "a:v1\u{a0}"], "take the blank or line end out"),
            (vec!["\u{200b}registry.corp.io/a:v1", "\u{feff}a"], "the character that is not seen"),
            (vec!["'registry.corp.io/a:v1'", "a:\"v1\""], "take the quotes out"),
            (vec!["registry.corp.io/a:v1,registry.corp.io/b:v1"], "name one image only"),
            (vec!["registry.corp.io/a:1.0+b5"], "in the place of +"),
            (vec!["registry.corp.io/a:fix/1"], "in the place of /"),
            (vec!["registry.corp.io/Team/a:v1", "registry.corp.io/TeamA/API:v1"], "the repository in lower case"),
            (vec!["ann:pw@registry.corp.io/a:v1"], "leave the login out"),
            (vec!["registry.corp.io/a@sha256:0"], "64 hexadecimal digits"),
            (vec!["registry.corp.io/a:sha256:0"], "a digest follows @"),
            (vec!["registry.corp.io/a:", "/a:v1", "[::1]:5000/:v1"], "write it as registry/repository:tag or"),
        ] {
            for image in images {
                let words = written_right(image);
                assert!(words.contains(expected), "{image}: {words}");
                assert!(crate::reference::Reference::parse(image).is_err(), "{image} parses");
            }
        }
    }
}
