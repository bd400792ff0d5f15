//! Every password of the tests begins with one word, so that its trace can be searched for wherever pullgate writes: as
//! it is, and as base64 writes it wherever it stands in an encoded login. `tests/run.sh` searches the logs of all suites
//! for the same forms.

/// The beginning of every password, and what base64 makes of it after 0, 1 and 2 bytes (modulo 3) of something else.
pub(crate) const FORMS: [&str; 4] = ["canary-", "Y2FuYXJ5L", "NhbmFyeS", "jYW5hcnkt"];

/// The surroundings of the first trace of a password in a text.
pub(crate) fn trace(text: &str) -> Option<&str> {
    let at = FORMS.iter().find_map(|form| text.find(form))?;
    let (from, to) = (text.floor_char_boundary(at.saturating_sub(80)), text.floor_char_boundary(at + 80));
    text.get(from..to)
}
