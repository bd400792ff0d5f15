//! Names of Kubernetes objects, as API servers check them.

/// The longest name of an object.
const MAX_SUBDOMAIN: usize = 253;

/// Whether an object such as a Secret or a `ServiceAccount` can have this name: small letters, digits, `-` and `.`, each
/// part between dots beginning and ending with a letter or a digit (RFC 1123; kubernetes/kubernetes
/// `staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go`, `IsDNS1123Subdomain`).
pub fn is_dns_subdomain(name: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let label = |label: &str| {
        label.bytes().all(|byte| alphanumeric(byte) || byte == b'-')
            && [label.bytes().next(), label.bytes().next_back()].into_iter().all(|end| end.is_some_and(alphanumeric))
    };
    name.len() <= MAX_SUBDOMAIN && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_an_api_server_takes() {
        for name in ["a", "regcred", "reg-cred.v1", "0", "a--b", &"a".repeat(253)] {
            assert!(is_dns_subdomain(name), "{name}");
        }
        for name in [
            "",
            "RegCred",
            "reg_cred",
            "$REGCRED",
            "-a",
            "a-",
            "a..b",
            ".a",
            "a.",
            "a.-b",
            "a b",
            "ä",
            "a/b",
            &"a".repeat(254),
        ] {
            assert!(!is_dns_subdomain(name), "{name}");
        }
    }
}
