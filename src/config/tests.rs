use super::*;

fn refused(settings: Settings) -> String {
    Config::try_from(settings).unwrap_err().to_string()
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = Config::try_from(Settings::default()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(config.http_listen.to_string(), "127.0.0.1:8080");
    assert!((config.rate - 2.0).abs() < f64::EPSILON);
    assert_eq!(config.history, Some(Duration::from_secs(90 * 86_400)));
    assert_eq!(config.signing, Signing::Chain);
}

#[test]
fn beyond_loopback_needs_to_be_said() {
    let open = || Settings {
        listen: "0.0.0.0:1".parse().ok(),
        ..Settings::default()
    };
    assert!(refused(open()).contains("--listen 0.0.0.0:1"));
    let http = Settings {
        http_listen: "[::]:1".parse().ok(),
        ..Settings::default()
    };
    assert!(refused(http).contains("--http-listen [::]:1"));
    assert!(
        Config::try_from(Settings {
            insecure: Some(true),
            ..open()
        })
        .is_ok()
    );
    let v6 = Settings {
        listen: "[::1]:1".parse().ok(),
        ..Settings::default()
    };
    assert!(Config::try_from(v6).is_ok());
}

#[test]
fn settings_that_cannot_be_used_are_named_with_what_would_do() {
    let d = Settings::default;
    for (settings, part) in [
        (
            Settings {
                rate: Some(-1.0),
                ..d()
            },
            "--rate -1",
        ),
        (
            Settings {
                rate: Some(f64::NAN),
                ..d()
            },
            "--rate NaN",
        ),
        (
            Settings {
                aws_keys: Some("keys.yaml".into()),
                ..d()
            },
            "--serve-aws",
        ),
        (
            Settings {
                aws_endpoint_url: Some("localhost:4599".into()),
                ..d()
            },
            "http://",
        ),
        (
            Settings {
                account: vec!["12".into()],
                ..d()
            },
            "12 digits",
        ),
        (
            Settings {
                region: vec!["Ireland".into()],
                ..d()
            },
            "eu-central-1",
        ),
        (
            Settings {
                account: vec!["111122223333".into(), "444455556666".into()],
                ..d()
            },
            "credentials for one",
        ),
        (
            Settings {
                rate: Some(0.0),
                ..d()
            },
            "--rate 0",
        ),
        (
            Settings {
                rate: Some(1e-9),
                ..d()
            },
            "0.001",
        ),
        (
            Settings {
                max_upstream_calls: Some(0),
                ..d()
            },
            "--max-upstream-calls 0",
        ),
        (
            Settings {
                replicas: Some(0),
                ..d()
            },
            "--replicas 0",
        ),
        (
            Settings {
                replicas: Some(65),
                ..d()
            },
            "1 to 64",
        ),
        (
            Settings {
                replicas: Some(2),
                rate: Some(0.001),
                ..d()
            },
            "--replicas 2 less than 0.001",
        ),
        (
            Settings {
                max_connection_age: "0".parse().ok(),
                ..d()
            },
            "--max-connection-age 0s",
        ),
        (
            Settings {
                demo: Some(true),
                aws_endpoint_url: Some("http://x".into()),
                ..d()
            },
            "--demo",
        ),
        (
            Settings {
                trail: vec!["s3://trail".into()],
                ..d()
            },
            "--queue",
        ),
        (
            Settings {
                queue: vec!["https://sqs.eu-central-1.amazonaws.com/1/q".into()],
                trail: vec!["trail/AWSLogs/111122223333".into()],
                ..d()
            },
            "--trail: \"trail/AWSLogs/111122223333\" is not the place",
        ),
    ] {
        let message = refused(settings);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn only_plain_http_to_this_machine_is_taken_for_a_simulator() {
    for (url, local) in [
        ("http://127.0.0.1:4599", true),
        ("http://localhost:4599/", true),
        ("http://[::1]:1", true),
        ("https://127.0.0.1:1", false),
        ("http://127.0.0.1.example.com", false),
        ("http://10.0.0.1:4599", false),
    ] {
        assert_eq!(is_local(url), local, "{url}");
        let settings = Settings {
            aws_endpoint_url: Some(url.into()),
            account: vec!["111122223333".into()],
            ..Settings::default()
        };
        let signing = Config::try_from(settings).unwrap().signing;
        assert_eq!(signing == Signing::Simulator, local, "{url}");
    }
}
