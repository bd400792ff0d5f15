//! Whether an answer shows that a registry gave it. What stands in front of one (a balancer's default backend, a mesh, a
//! proxy) answers 401, 403 and 404 in its place while the registry is away, and such a page says nothing about an image.

use super::{Authority, Refusal};
use crate::registry::said::Said;
use crate::registry::transport::Response;

/// The header line of the API (distribution/distribution `docs/content/spec/api.md`, "API Version Check").
const API_VERSION: &str = "docker-distribution-api-version";

/// Refusals that are known to show none of the signs: the end of the registry's name, who answers and how. Each is held
/// by a row of `docs/DIALECTS.md` whose evidence is documented or seen.
const UNSIGNED: [(&str, Authority, u16); 1] = [(".pkg.dev", Authority::Token, 401)];

/// Looks for the header line of the API, the error body of the distribution specification, or a challenge, whoever can
/// answer it. A token server has no specification for its errors: there, a JSON object and an empty body will do, too.
pub(super) fn of(refusal: Refusal<'_>, answer: &Response, said: &Said) -> bool {
    let challenged = answer.header("www-authenticate").is_some_and(|value| !value.trim().is_empty());
    let token = || refusal.authority == Authority::Token && (said.object || answer.body.trim_ascii().is_empty());
    answer.header(API_VERSION).is_some() || said.envelope || challenged || token() || documented(refusal)
}

fn documented(refusal: Refusal<'_>) -> bool {
    let host = refusal.host.to_ascii_lowercase();
    let is = |&(end, authority, status): &(&str, Authority, u16)| {
        host.ends_with(end) && (refusal.authority, refusal.status) == (authority, status)
    };
    UNSIGNED.iter().any(is)
}

#[cfg(test)]
mod tests {
    use super::super::{Failure, Presented};
    use super::*;
    use crate::finding::Code;

    const BASE: Refusal<'_> = Refusal {
        authority: Authority::Manifest,
        status: 404,
        error: None,
        presented: Presented::Nobody,
        by_digest: false,
        asked_for_body: true,
        challenged: false,
        host: "registry.corp.io",
    };

    fn answered(refusal: Refusal<'_>, header: Option<(&str, &str)>, body: &str) -> Failure {
        let headers = header.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        let answer =
            Response { status: refusal.status, headers, body: body.as_bytes().to_vec(), ..Response::default() };
        Failure::refused(refusal, &answer, String::new())
    }

    #[test]
    fn a_page_that_no_registry_signs_is_certain_of_nothing() {
        for status in [401, 403, 404, 412, 451] {
            for body in [
                "",
                "default backend - 404",
                "404 page not found\n",
                "RBAC: access denied",
                "<html>404 Not Found</html>",
                "<Error><Code>NoSuchKey</Code></Error>",
                r#"{"message":"Forbidden"}"#,
                r#"{"status":"DOWN"}"#,
                r#"{"timestamp":1,"status":404,"error":"Not Found","path":"/v2/"}"#,
                r#"{"errors":[]}"#,
                r#"{"errors":[{"status":404,"message":"Not Found"}]}"#,
                r#"{"errors":[{"code":"404","title":"Not Found"}]}"#,
                r#"{"errors":[{"code":404}]}"#,
                r#"{"errors":["NOT_FOUND"]}"#,
            ] {
                let refusal = Refusal { status, ..BASE };
                assert_eq!(answered(refusal, None, body).code, Code::RegistryError, "{status} {body}");
                let signed = answered(refusal, Some(("docker-distribution-api-version", "registry/2.0")), body);
                assert!(signed.code.certain() || body.starts_with('<') && status == 403, "{status} {body}");
            }
        }
    }

    #[test]
    fn an_error_body_of_the_specification_or_a_challenge_is_a_sign() {
        let envelope = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
        assert_eq!(answered(BASE, None, envelope).code, Code::TagNotFound);
        for challenge in ["Negotiate", "Basic realm=\"r\"", "Digest realm=\"r\""] {
            let answer = answered(Refusal { status: 401, ..BASE }, Some(("www-authenticate", challenge)), "");
            assert!(answer.code.certain(), "{challenge}");
        }
    }

    #[test]
    fn a_head_waits_for_the_words_of_a_get() {
        let head = answered(Refusal { asked_for_body: false, ..BASE }, None, "");
        assert!(head.code == Code::TagNotFound && head.in_doubt() && !head.explained);
        let for_good = head.for_good();
        assert!(for_good.code == Code::RegistryError && for_good.explained && !for_good.in_doubt());
        let signed =
            answered(Refusal { asked_for_body: false, ..BASE }, Some(("docker-distribution-api-version", "")), "");
        assert!(!signed.in_doubt() && signed.for_good().code == Code::TagNotFound);
        // No GET follows a login that was refused.
        let login = Refusal { status: 401, presented: Presented::Basic, asked_for_body: false, ..BASE };
        assert_eq!(answered(login, None, "").code, Code::RegistryError);
        assert_eq!(answered(login, Some(("www-authenticate", "Basic")), "").code, Code::CredentialsRejected);
    }

    #[test]
    fn a_token_server_may_refuse_in_any_json_or_without_a_word() {
        let token = Refusal { authority: Authority::Token, status: 401, presented: Presented::Token, ..BASE };
        for (body, certain) in [
            ("", true),
            (r#"{"details":"incorrect username or password"}"#, true),
            ("Jwt verification fails", false),
            ("<html>Sign in</html>", false),
        ] {
            assert_eq!(answered(token, None, body).code.certain(), certain, "{body}");
        }
        let google = Refusal { host: "europe-docker.pkg.dev", ..token };
        assert_eq!(answered(google, None, "<html>Error 401</html>").code, Code::CredentialsRejected);
    }

    #[test]
    fn what_is_known_without_a_sign_stands_in_the_dialects() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialects");
        let texts: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        for (end, _, status) in UNSIGNED {
            let shows = |row: &&str| {
                let line = |key: &str| row.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
                let host = line("image: ").split('/').next().unwrap_or_default();
                host.ends_with(end)
                    && ["seen", "documented"].iter().any(|word| line("evidence: ").starts_with(word))
                    && row.contains(&format!("\nHTTP/1.1 {status} "))
            };
            assert!(texts.iter().flat_map(|text| text.split("\n=== ")).any(|row| shows(&row)), "{end} {status}");
        }
    }
}
