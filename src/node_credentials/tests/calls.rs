//! One call: every version, every way to go wrong.

use std::io;

use super::*;

const IMAGE: &str = "reg.io/team/app";

#[tokio::test]
async fn a_plugin_gets_the_request_of_its_version_and_its_logins_are_used() {
    for version in ["v1", "v1beta1", "v1alpha1"] {
        let mut stage = Stage::new();
        let script = format!(
            "cat >$HERE/said\necho \"$#:$1:$2:$V:${{PATH:+path}}\" >>$HERE/said\n{}",
            logins(&[("reg.io", "u")])
        );
        stage.declared("plugin", version, "", &script);
        let lookup = look(&stage.credentials(), IMAGE).await;
        assert_eq!(users(&lookup), ["u"], "{version}: {:?}", lookup.broken);
        let said = fs::read_to_string(stage.dir.path().join("said")).unwrap();
        let request = format!(
            "{{\"kind\":\"CredentialProviderRequest\",\"apiVersion\":\"credentialprovider.kubelet.k8s.io/{version}\",\"image\":\"{IMAGE}\"}}\n"
        );
        assert_eq!(said, format!("{request}2:first::{version}:path\n"));
        assert!(stage.counted("plugin", "ok", 1));
    }
}

#[tokio::test]
async fn whatever_a_plugin_does_wrong_is_counted_and_makes_it_broken() {
    let good = logins(&[("reg.io", "u")]);
    let other_version = logins(&[]).replace("\"$V\"", "v1beta1");
    let table = [
        ("exit 1".to_owned(), Unusable::Exit(1)),
        (format!("{good}\nexit 3"), Unusable::Exit(3)),
        ("kill -SEGV $$".to_owned(), Unusable::Signal(11)),
        ("kill -KILL $$".to_owned(), Unusable::Signal(9)),
        (String::new(), Unusable::Malformed { line: 1, column: 0 }),
        ("echo hunter2".to_owned(), Unusable::Malformed { line: 1, column: 1 }),
        (format!("{good}\n{good}"), Unusable::Malformed { line: 1, column: 187 }),
        (other_version, Unusable::OtherVersion("credentialprovider.kubelet.k8s.io/v1")),
        (good.replace("Response", "Request"), Unusable::OtherKind),
        (good.replace("Image", "Pod"), Unusable::CacheKeyType),
        ("exec yes hunter2".to_owned(), Unusable::TooMuch),
        ("exec cat /dev/zero".to_owned(), Unusable::TooMuch),
    ];
    for (script, expected) in table {
        let mut stage = Stage::new();
        stage.plugin("bad", &script);
        stage.plugin("good", &good);
        let lookup = look(&stage.credentials(), IMAGE).await;
        assert_eq!(users(&lookup), ["u"], "the other plugin is of use: {script}");
        let [Broken { part, why }] = <[Broken; 1]>::try_from(lookup.broken).unwrap();
        assert_eq!(part, Source::Plugin("bad".into()));
        match (&why, &expected) {
            (Unusable::Malformed { .. }, Unusable::Malformed { .. }) => {}
            _ => assert_eq!(why, expected, "{script}"),
        }
        assert!(
            stage.counted("bad", expected.as_str(), 1) && stage.counted("bad", "ok", 0),
            "{}",
            stage.metrics.render()
        );
    }
}

#[tokio::test]
async fn a_binary_that_is_not_there_or_does_not_start_is_broken() {
    let mut stage = Stage::new();
    stage.plugin("gone", "");
    stage.plugin("not-executable", "");
    stage.plugin("no-interpreter", "");
    fs::remove_file(stage.dir.path().join("gone")).unwrap();
    let plain = stage.dir.path().join("not-executable");
    fs::remove_file(&plain).unwrap();
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    let rewrite = format!("sed -i '1s,.*,#!/no/such/shell,' {}", stage.dir.path().join("no-interpreter").display());
    assert!(Command::new("sh").arg("-c").arg(rewrite).status().unwrap().success());
    let lookup = look(&stage.credentials(), IMAGE).await;
    let why: Vec<_> = lookup.broken.into_iter().map(|broken| broken.why).collect();
    assert_eq!(why, [Unusable::Missing, Unusable::NotStarted(io::ErrorKind::PermissionDenied), Unusable::Missing]);
    assert!(stage.counted("gone", "missing", 1));
}

#[tokio::test]
async fn a_plugin_that_hangs_is_killed_with_its_children() {
    for script in ["sleep 600 & echo $! >$HERE/pid; wait", "sleep 600 & echo $! >$HERE/pid"] {
        let mut stage = Stage::new();
        stage.limit = Duration::from_secs(1);
        stage.plugin("hangs", script);
        let lookup = look(&stage.credentials(), IMAGE).await;
        assert_eq!(
            broken(&lookup),
            ["credential provider \"hangs\": it did not end within 1s and was killed"],
            "{script}"
        );
        assert!(stage.counted("hangs", "timeout", 1));
        let child = fs::read_to_string(stage.dir.path().join("pid")).unwrap();
        let stat = format!("/proc/{}/stat", child.trim());
        let alive = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        for _ in 0..100 {
            if !alive() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!alive(), "{script}");
    }
}

#[tokio::test]
async fn an_answer_counts_although_nothing_was_read_and_much_was_said_on_the_side() {
    let mut stage = Stage::new();
    let script = format!("exec 0<&-\nhead -c 3000000 /dev/zero >&2\n{}", logins(&[("reg.io", "u")]));
    stage.plugin("plugin", &script);
    let lookup = look(&stage.credentials(), IMAGE).await;
    assert_eq!(users(&lookup), ["u"], "{:?}", lookup.broken);
}

#[tokio::test]
async fn what_a_plugin_prints_reaches_no_log_no_metric_and_no_message() {
    let logged = Arc::new(Mutex::new(Vec::new()));
    let writer = {
        let logged = Arc::clone(&logged);
        move || Sink(Arc::clone(&logged))
    };
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(writer).with_ansi(false).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let mut stage = Stage::new();
    stage.plugin("loud", "echo 'password=hunter2' >&2; echo hunter2; exit 1");
    stage.plugin("odd", "echo '{\"apiVersion\":\"hunter2\",\"kind\":\"hunter2\",\"auth\":\"hunter2\"}'");
    let lookup = look(&stage.credentials(), IMAGE).await;
    drop(guard);
    let logged = String::from_utf8(logged.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("plugin=\"loud\"") && logged.contains("stderr_bytes=17"), "{logged}");
    for text in [logged, format!("{lookup:?}"), broken(&lookup).concat(), stage.metrics.render()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
