//! How long answers are held, who shares a call, and who does not wait for it.

use super::*;

fn counting(scope: &str, duration: &str) -> String {
    let rest = format!(
        "\"cacheKeyType\":\"{scope}\",{duration}\"auth\":{{\"*.io\":{{\"username\":\"u\",\"password\":\"p\"}}}}"
    );
    format!("echo x >>$HERE/calls\n{}", answer(&rest))
}

#[tokio::test]
async fn answers_are_held_by_their_key_as_long_as_they_say() {
    type Lookup<'a> = (&'a str, i64, usize);
    let (app, beside, elsewhere) = ("reg.io/team/app", "reg.io/other", "two.io/team/app");
    let table: [(&str, &str, &[Lookup<'_>]); 6] = [
        ("Image", "", &[(app, 0, 1), (app, 60, 1), (app, 61, 2), (beside, 61, 3), (elsewhere, 61, 4)]),
        ("Registry", "", &[(app, 0, 1), (beside, 60, 1), (elsewhere, 60, 2), (beside, 61, 3)]),
        ("Global", "", &[(app, 0, 1), (beside, 60, 1), (elsewhere, 60, 1), (elsewhere, 61, 2)]),
        ("Global", "\"cacheDuration\":null,", &[(app, 0, 1), (app, 60, 1), (app, 61, 2)]),
        ("Global", "\"cacheDuration\":\"10s\",", &[(app, 0, 1), (app, 10, 1), (app, 11, 2)]),
        ("Global", "\"cacheDuration\":\"0s\",", &[(app, 0, 1), (app, 0, 2)]),
    ];
    for (scope, duration, lookups) in table {
        let mut stage = Stage::new();
        stage.plugin("plugin", &counting(scope, duration));
        let credentials = stage.credentials();
        for &(image, second, calls) in lookups {
            stage.at(second);
            let lookup = look(&credentials, image).await;
            assert_eq!(users(&lookup), ["u"], "{:?}", lookup.broken);
            assert_eq!(stage.calls(), calls, "{scope} {duration} {image} at {second}");
        }
    }
}

#[tokio::test]
async fn failures_are_not_held() {
    let mut stage = Stage::new();
    stage.plugin("plugin", &format!("[ -f $HERE/mended ] || exit 1\n{}", logins(&[("reg.io", "u")])));
    let credentials = stage.credentials();
    assert_eq!(look(&credentials, "reg.io/app").await.broken.len(), 1);
    fs::write(stage.dir.path().join("mended"), "").unwrap();
    assert_eq!(users(&look(&credentials, "reg.io/app").await), ["u"]);
}

#[tokio::test]
async fn callers_of_one_image_share_a_call_and_a_registry_needs_few() {
    let mut stage = Stage::new();
    stage.plugin("plugin", &format!("sleep 0.5\n{}", counting("Registry", "")));
    let credentials = stage.credentials();
    let lookups = join_all((0..100).map(|_| look(&credentials, "reg.io/app"))).await;
    assert!(lookups.iter().all(|lookup| users(lookup) == ["u"]));
    assert_eq!(stage.calls(), 1);
    let images: Vec<String> = (0..40).map(|number| format!("two.io/{number}")).collect();
    let lookups = join_all(images.iter().map(|image| look(&credentials, image))).await;
    assert!(lookups.iter().all(|lookup| users(lookup) == ["u"]));
    assert!(stage.calls() <= 9, "{}", stage.calls());
}

#[tokio::test]
async fn a_review_that_cannot_wait_leaves_and_the_next_one_finds_the_answer() {
    let mut stage = Stage::new();
    stage.plugin("slow", &format!("sleep 1\n{}", counting("Image", "")));
    let credentials = stage.credentials();
    let deadline = Instant::now() + Duration::from_millis(100);
    let lookup = credentials.candidates("reg.io/app", NOBODY, None, deadline).await;
    assert_eq!(broken(&lookup), ["credential provider \"slow\": it did not answer before the deadline of the review"]);
    assert_eq!(users(&look(&credentials, "reg.io/app").await), ["u"]);
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn who_wants_a_fresh_answer_gets_one_and_who_does_not_gets_what_is_held() {
    let mut stage = Stage::new();
    stage.plugin("plugin", &counting("Global", ""));
    let credentials = stage.credentials();
    look(&credentials, "reg.io/app").await;
    let began = stage.at(5);
    for calls in [2, 2] {
        credentials.candidates("reg.io/app", NOBODY, Some(began), soon()).await;
        assert_eq!(stage.calls(), calls);
    }
    look(&credentials, "reg.io/app").await;
    assert_eq!(stage.calls(), 2);
}
