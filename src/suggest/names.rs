//! The name of a repository that is not there and names that are → the few that were probably meant.

use super::slip;

/// Names given at most.
pub const SHOWN: usize = 2;

/// A longer name is compared with nothing: a message has no room for it.
const MAX_NAME: usize = 100;

/// How near one name is; less is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// The same path at another registry.
    Elsewhere,
    /// A slip in the path: so many letters changed, left out, added or swapped.
    Slip(usize),
    /// The same path below another.
    Below,
}

/// The names that were probably meant by `wanted`, nearest first, at most [`SHOWN`]. All are normal forms without tag and
/// digest: `docker.io/library/busybox`.
pub fn nearest<'n>(wanted: &str, known: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let mut near: Vec<(Nearness, &str)> =
        known.into_iter().filter_map(|name| Some((nearness(wanted, name)?, name))).collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().map(|(_, name)| name).take(SHOWN).collect()
}

fn nearness(wanted: &str, name: &str) -> Option<Nearness> {
    if wanted == name || wanted.len() > MAX_NAME || name.len() > MAX_NAME {
        return None;
    }
    let ((registry, path), (other, known)) = (parts(wanted)?, parts(name)?);
    if path == known {
        return Some(Nearness::Elsewhere);
    }
    if known.strip_suffix(path).is_some_and(|above| above.ends_with('/')) {
        return Some(Nearness::Below);
    }
    if registry != other {
        return None;
    }
    // Part by part, so that a long path does not make a short name any like another: `team/a` is not `team/b`.
    let slips = if path.split('/').count() == known.split('/').count() {
        let parts = path.split('/').zip(known.split('/'));
        parts.map(|(one, other)| if one == other { Some(0) } else { slip(one, other) }).sum()
    } else {
        slip(path, known)
    };
    slips.map(Nearness::Slip)
}

/// Registry and path, without what only Docker Hub puts in front.
fn parts(name: &str) -> Option<(&str, &str)> {
    let (registry, path) = name.split_once('/')?;
    let own = path.strip_prefix("library/").filter(|_| registry == "docker.io");
    Some((registry, own.unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_comes_first_and_what_is_far_does_not_come() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("r.io/team/apj", &["r.io/team/api", "r.io/team/web"], &["r.io/team/api"]),
            ("r.io/taem/api", &["r.io/team/api"], &["r.io/team/api"]),
            ("r.io/team/a", &["r.io/team/b"], &[]),
            ("r.io/team-a/api", &["r.io/team-b/api"], &["r.io/team-b/api"]),
            ("r.io/teamapi", &["r.io/team/api"], &["r.io/team/api"]),
            ("r.io/api", &["r.io/team/api", "r.io/team/rapi"], &["r.io/team/api"]),
            ("r.io/team/apj", &["s.io/team/api"], &[]),
            ("r.io/team/api", &["s.io/team/api", "r.io/team/apis"], &["s.io/team/api", "r.io/team/apis"]),
            (
                "docker.io/library/encoder",
                &["s.io/encoder", "s.io/team/encoder"],
                &["s.io/encoder", "s.io/team/encoder"],
            ),
            ("docker.io/library/ngnix", &["docker.io/library/nginx"], &["docker.io/library/nginx"]),
            ("docker.io/library/api", &["docker.io/acme/api"], &["docker.io/acme/api"]),
            ("s.io/library/api", &["s.io/api"], &[]),
            ("r.io/team/api", &["r.io/team/api"], &[]),
            ("r.io/team/api", &["r.io/team/apj", "r.io/team/apk", "r.io/team/ap"], &["r.io/team/ap", "r.io/team/apj"]),
            ("r.io/team/api", &[], &[]),
        ];
        for (wanted, known, expected) in table {
            assert_eq!(nearest(wanted, known.iter().copied()), *expected, "{wanted} among {known:?}");
            assert_eq!(nearest(wanted, known.iter().rev().copied()), *expected, "{wanted} in another order");
        }
    }

    #[test]
    fn a_name_that_a_message_has_no_room_for_is_not_given() {
        let long = format!("r.io/{}", "a".repeat(MAX_NAME));
        assert_eq!(nearest("r.io/a", [&*format!("{long}a")]), [""; 0]);
        assert_eq!(nearest(&long, [&*format!("{long}a")]), [""; 0]);
    }
}
