//! Every shape of a dockerconfigjson entry.

use secrecy::ExposeSecret;

use super::*;

fn decoded(shape: Shape, json: &str) -> Vec<(String, String, String)> {
    let entries = decode(shape, json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error:?}"));
    entries
        .into_iter()
        .map(|(name, credential)| (name, credential.username.clone(), credential.password.expose_secret().to_owned()))
        .collect()
}

fn error(shape: Shape, json: &str) -> (String, Option<String>) {
    match decode(shape, json.as_bytes()) {
        Ok(entries) => panic!("{json}: {entries:?}"),
        Err(error) => (error.go_error, error.entry),
    }
}

#[test]
fn entries_decode_as_in_the_kubelet() {
    let table = [
        (r#"{"auth":"dTpw"}"#, "u", "p"),
        (r#"{"auth":"dTpw","username":"x","password":"y"}"#, "u", "p"),
        (r#"{"auth":"","username":"x","password":"y"}"#, "x", "y"),
        (r#"{"auth":null,"username":"x"}"#, "x", ""),
        (r#"{"username":"x","password":"y"}"#, "x", "y"),
        ("{}", "", ""),
        ("null", "", ""),
        (r#"{"identitytoken":"t"}"#, "", ""),
        (r#"{"registrytoken":"t"}"#, "", ""),
        (r#"{"identitytoken":1}"#, "", ""),
        (r#"{"auth":"dTo=","identitytoken":"t"}"#, "u", ""),
        (r#"{"auth":"dTpwOnE="}"#, "u", "p:q"),
        (r#"{"auth":"dTpwOnE"}"#, "u", "p:q"),
        (r#"{"auth":"OnA="}"#, "", "p"),
        (r#"{"auth":"dTpwCg=="}"#, "u", "p\n"),
        (r#"{"auth":"dTpw\n"}"#, "u", "p"),
        (r#"{"auth":"dTpwCg==\r\n"}"#, "u", "p\n"),
        (r#"{"auth":"Og=="}"#, "", ""),
        (r#"{"auth":"dTr/"}"#, "u", "\u{fffd}"),
        (r#"{"AUTH":"dTpw"}"#, "u", "p"),
        ("{\"U\u{17f}ername\":\"u\",\"PaS\u{17f}word\":\"p\"}", "u", "p"),
        (r#"{"username":"a","username":"b","password":"p","password":null}"#, "b", "p"),
        (r#"{"email":"me@example.com","auth":"dTpw","other":[{"auth":1}]}"#, "u", "p"),
    ];
    for (entry, username, password) in table {
        let expected = [("a.io".to_owned(), username.to_owned(), password.to_owned())];
        assert_eq!(
            decoded(Shape::DockerConfigJson, &format!(r#"{{"auths":{{"a.io":{entry}}}}}"#)),
            expected,
            "{entry}"
        );
        assert_eq!(decoded(Shape::DockerCfg, &format!(r#"{{"a.io":{entry}}}"#)), expected, "{entry}");
    }
}

#[test]
fn malformed_entries_are_reported_as_go_reports_them() {
    let colon = "unable to parse auth field, must be formatted as base64(username:password)";
    let cannot = "json: cannot unmarshal";
    let table = [
        (r#"{"auth":"dQ=="}"#, colon.to_owned()),
        (r#"{"auth":"\n"}"#, colon.to_owned()),
        (r#"{"auth":"dTpw "}"#, "illegal base64 data at input byte 4".to_owned()),
        (r#"{"auth":" dTpw"}"#, "illegal base64 data at input byte 0".to_owned()),
        (r#"{"auth":"dTo-"}"#, "illegal base64 data at input byte 3".to_owned()),
        (r#"{"auth":"u:p"}"#, "illegal base64 data at input byte 1".to_owned()),
        (r#"{"auth":"dTpwCg=="#, "unexpected end of JSON input".to_owned()),
    ];
    for (entry, expected) in table {
        let closed = if entry.ends_with('}') { "}}" } else { "" };
        let (text, name) = error(Shape::DockerConfigJson, &format!(r#"{{"auths":{{"a.io":{entry}{closed}"#));
        assert_eq!(text, expected, "{entry}");
        assert_eq!(name.is_some(), entry.ends_with('}'), "{entry}");
    }
    let with_auth = "credentialprovider.dockerConfigEntryWithAuth";
    for (entry, json, cfg) in [
        (
            r#"{"username":1}"#,
            format!("{cannot} number into Go struct field DockerConfigJSON.auths.username of type string"),
            format!("{cannot} number into Go struct field dockerConfigEntryWithAuth.username of type string"),
        ),
        (
            r#"{"EMAIL":[],"auth":"bad"}"#,
            format!("{cannot} array into Go struct field DockerConfigJSON.auths.email of type string"),
            format!("{cannot} array into Go struct field dockerConfigEntryWithAuth.email of type string"),
        ),
        (
            r#""dTpw""#,
            format!("{cannot} string into Go struct field DockerConfigJSON.auths of type {with_auth}"),
            format!("{cannot} string into Go value of type {with_auth}"),
        ),
        (
            "true",
            format!("{cannot} bool into Go struct field DockerConfigJSON.auths of type {with_auth}"),
            format!("{cannot} bool into Go value of type {with_auth}"),
        ),
    ] {
        let name = Some("a.io".to_owned());
        assert_eq!(error(Shape::DockerConfigJson, &format!(r#"{{"auths":{{"a.io":{entry}}}}}"#)), (json, name.clone()));
        assert_eq!(error(Shape::DockerCfg, &format!(r#"{{"a.io":{entry}}}"#)), (cfg, name));
    }
}

#[test]
fn documents_of_the_wrong_shape_have_no_entries() {
    for json in
        ["null", "{}", r#"{"auths":null}"#, r#"{"auths":{}}"#, r#"{"a.io":{"auth":"dTpw"}}"#, r#"{"credsStore":1}"#]
    {
        assert_eq!(decoded(Shape::DockerConfigJson, json), [], "{json}");
    }
    // The other way round, `auths` is the name of an entry.
    let (name, username, _) = decoded(Shape::DockerCfg, r#"{"auths":{"a.io":{"auth":"dTpw"}}}"#).remove(0);
    assert_eq!((name.as_str(), username.as_str()), ("auths", ""));
}

#[test]
fn documents_of_the_wrong_type_fail() {
    let cannot = "json: cannot unmarshal";
    let table = [
        (
            Shape::DockerConfigJson,
            "[]",
            format!("{cannot} array into Go value of type credentialprovider.DockerConfigJSON"),
        ),
        (Shape::DockerCfg, "1", format!("{cannot} number into Go value of type credentialprovider.DockerConfig")),
        (
            Shape::DockerConfigJson,
            r#"{"auths":[]}"#,
            format!(
                "{cannot} array into Go struct field DockerConfigJSON.auths of type credentialprovider.DockerConfig"
            ),
        ),
        (
            Shape::DockerConfigJson,
            r#"{"HttpHeaders":1}"#,
            format!("{cannot} number into Go struct field DockerConfigJSON.HttpHeaders of type map[string]string"),
        ),
        (
            Shape::DockerConfigJson,
            r#"{"httpheaders":{"a":null,"b":"","c":[]},"auths":true}"#,
            format!("{cannot} array into Go struct field DockerConfigJSON.HttpHeaders of type string"),
        ),
        (Shape::DockerConfigJson, "\u{feff}{}", "invalid character 'ï' looking for beginning of value".to_owned()),
        (Shape::DockerConfigJson, "{} {}", "invalid character '{' after top-level value".to_owned()),
    ];
    for (shape, json, expected) in table {
        assert_eq!(error(shape, json), (expected, None), "{json}");
    }
}

#[test]
fn an_entrys_error_comes_before_an_earlier_wrong_type() {
    let (text, entry) = error(Shape::DockerConfigJson, r#"{"HttpHeaders":1,"auths":{"a.io":{},"b.io":{"auth":"!"}}}"#);
    assert_eq!(text, "illegal base64 data at input byte 0");
    assert_eq!(entry.as_deref(), Some("b.io"));
}

#[test]
fn repeated_members_merge_maps_and_replace_entries() {
    let json = r#"{"auths":{"a":{"username":"1","password":"x"},"b":{}},"Auths":{"a":{"username":"2"},"c":null}}"#;
    let names: Vec<_> = decoded(Shape::DockerConfigJson, json);
    let expected = [("a", "2", ""), ("b", "", ""), ("c", "", "")];
    assert_eq!(names, expected.map(|(name, user, password)| (name.to_owned(), user.to_owned(), password.to_owned())));
    assert_eq!(decoded(Shape::DockerConfigJson, r#"{"auths":{"a":{}},"auths":null}"#), []);
}
