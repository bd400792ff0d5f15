//! `WWW-Authenticate` lines: bounded by their input, in containerd's order, and written out they are read as the same.

use pullgate::registry::challenge::{Challenge, parse};

/// Reads every line of `data` as one header line.
pub fn property(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.split('\n').collect();
    let challenges = parse(lines.iter().copied());
    assert!(challenges.len() <= lines.len());
    assert!(challenges.iter().map(size).sum::<usize>() <= text.len(), "{challenges:?}");
    assert!(challenges.is_sorted_by_key(rank), "{challenges:?}");
    // Lines do not know of each other.
    let mut alone: Vec<Challenge> = lines.iter().flat_map(|line| parse([*line])).collect();
    alone.sort_by_key(rank);
    assert_eq!(alone, challenges);
    for challenge in &challenges {
        if let Challenge::Bearer { scopes, .. } = challenge {
            assert!(scopes.iter().all(|scope| !scope.contains(' ')), "{scopes:?}");
        }
        assert_eq!(parse([written(challenge).as_str()]), std::slice::from_ref(challenge));
    }
    challenges.iter().any(|challenge| matches!(challenge, Challenge::Bearer { realm, .. } if !realm.is_empty()))
}

fn size(challenge: &Challenge) -> usize {
    match challenge {
        Challenge::Bearer { realm, service, scopes, error } => {
            let scopes: usize = scopes.iter().map(String::len).sum();
            realm.len() + service.len() + scopes + error.as_ref().map_or(0, String::len)
        }
        Challenge::Basic => 0,
    }
}

fn rank(challenge: &Challenge) -> u8 {
    match challenge {
        Challenge::Bearer { .. } => 0,
        Challenge::Basic => 1,
    }
}

/// One header line that says the same.
fn written(challenge: &Challenge) -> String {
    let Challenge::Bearer { realm, service, scopes, error } = challenge else {
        return format!("{challenge:?}");
    };
    let scope = scopes.join(" ");
    let quoted = |name: &str, value: &str| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        (!value.is_empty()).then(|| format!("{name}=\"{value}\""))
    };
    let error = error.as_deref().and_then(|error| quoted("error", error));
    // An empty scope is one, and none is none.
    let scope = quoted("scope", &scope).or_else(|| (!scopes.is_empty()).then(|| "scope=\"\"".to_owned()));
    let parts = [quoted("realm", realm), quoted("service", service), scope, error];
    format!("Bearer {}", parts.into_iter().flatten().collect::<Vec<_>>().join(","))
}
