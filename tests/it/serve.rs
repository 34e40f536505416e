//! The command `trailgate serve`, as a process.

use std::{io::Write, process::Stdio, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::Command,
};
use tokio_util::sync::CancellationToken;
use trailgate::{
    clock::Clock,
    simulator::{self, Options, Simulator},
};

/// Longer than anything here takes, for a machine under load.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// `trailgate serve`, with an environment of its own.
fn serve(args: &[&str]) -> Command {
    trailgate(&[&["serve"], args].concat())
}

/// Any command, with an environment of its own.
pub(super) fn trailgate(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailgate"));
    command
        .args(args)
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(super) const FREE: [&str; 4] = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];

/// Exit status and what was said, of a process that ends by itself.
pub(super) async fn ends(command: &mut Command) -> (Option<i32>, String, String) {
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .unwrap()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn broken_settings_end_it_with_one_clear_line_before_a_port_is_bound() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "rate: 2\nregoin: us-east-1").unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let missing = format!("{path}.missing");
    for (args, part) in [
        (&["--rate", "fast"][..], "fast"),
        (&["--rate=-1"], "-1"),
        (&["--lissen", "127.0.0.1:1"], "--listen"),
        (&["--listen", "0.0.0.0:0"], "--insecure"),
        (&["--http-listen", "0.0.0.0:0"], "--insecure"),
        (&["--history", "soon"], "90d"),
        (&["--cache-size", "big"], "256MB"),
        (&["--account", "12"], "12 digits"),
        (&["--region", "Ireland"], "eu-central-1"),
        (&["--log-level", "loud=very=much"], "loud"),
        (&["--aws-endpoint-url", "localhost:1"], "http://"),
        (&["--config", &path], "\"region\"?"),
        (&["--config", &missing], "No such file"),
        (&[], "--region"),
    ] {
        let (code, out, err) = ends(&mut serve(args)).await;
        assert_eq!(code, Some(64), "{args:?}: {err}");
        assert_eq!(out, "", "{args:?}");
        assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
        assert!(err.contains(part), "{args:?}: {err}");
    }
}

#[tokio::test]
async fn a_variable_that_nobody_reads_ends_it_with_what_was_meant() {
    let (code, out, err) = ends(serve(&["--demo"]).env("TRAILGATE_REGOIN", "us-east-1")).await;
    assert_eq!((code, out.as_str()), (Some(64), ""), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(
        err.contains("TRAILGATE_REGOIN") && err.contains("TRAILGATE_REGION?"),
        "{err}"
    );
    // those of other commands, of tests and of Kubernetes pass
    let mut others = serve(&["--rate=-1"]);
    for name in ["ENDPOINT", "TEST_X", "SERVICE_HOST", "PORT_50051_TCP"] {
        others.env(format!("TRAILGATE_{name}"), "x");
    }
    let (_, _, err) = ends(&mut others).await;
    assert!(err.contains("--rate -1"), "{err}");
}

#[tokio::test]
async fn another_accounts_credentials_are_refused() {
    let accounts = vec!["111122223333".to_owned(), "444455556666".to_owned()];
    let options = Options {
        accounts,
        ..Options::default()
    };
    let simulator = Arc::new(Simulator::new(options, Clock::system(), Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    tokio::spawn(simulator::serve(
        listener,
        simulator,
        stop.clone().cancelled_owned(),
    ));
    let named = |account| {
        let args = [
            "--aws-endpoint-url",
            &url,
            "--credentials",
            "chain",
            "--region",
            "us-east-1",
        ];
        let mut command = serve(&[&args, &["--account", account][..], &FREE].concat());
        command
            .env("AWS_ACCESS_KEY_ID", "444455556666")
            .env("AWS_SECRET_ACCESS_KEY", "x");
        command
    };
    let (code, _, err) = ends(&mut named("111122223333")).await;
    assert_eq!(code, Some(64), "{err}");
    assert!(
        err.contains("111122223333") && err.contains("444455556666"),
        "{err}"
    );
    let mut right = named("444455556666").spawn().unwrap();
    let mut lines = BufReader::new(right.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(line.starts_with("listening on grpc://127.0.0.1:"), "{line}");
    stop.cancel();
}

#[tokio::test]
async fn without_credentials_the_account_must_be_named() {
    let (code, _, err) = ends(&mut serve(&["--region", "us-east-1"])).await;
    assert_eq!(code, Some(69), "{err}");
    assert!(err.lines().last().unwrap().contains("--account"), "{err}");
}
