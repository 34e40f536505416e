//! `trailgate config`, and settings that are read again, as processes.

use std::{fs, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};

use tonic::{Code, transport::Channel};
use trailgate::proto::v1::{
    ListScopesRequest, LookupEventsRequest, Operator, event_service_client::EventServiceClient,
    scope_service_client::ScopeServiceClient,
};

use super::{
    serve::{FREE, PATIENCE, ends, trailgate},
    server::filter,
};

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    file
}

#[tokio::test]
async fn what_is_checked_is_said_in_a_line() {
    let good = file("rate: 1\nregion: us-east-1\nlog_level: debug\n");
    let bad = file("rate: 1\nregoin: us-east-1\n");
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
    let (code, out, err) =
        ends(trailgate(&["config", "check", "--config", &path(&good)]).env("TRAILGATE_RATE", "2"))
            .await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "the settings can be used: gRPC on 127.0.0.1:50051, HTTP on 127.0.0.1:8080\n"
    );
    // what can be used, and is hardly meant
    let policy = file("rules: [{callers: [alerts], methods: ['*']}]");
    for (args, parts) in [
        (&[][..], &["no Region to search is named"][..]),
        (
            &["--policy", &path(&policy), "--demo"],
            &["warning: --policy", "rules[0]"],
        ),
    ] {
        let mut command = trailgate(&[&["config", "check"], args].concat());
        let (code, out, err) = ends(&mut command).await;
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        assert!(parts.iter().all(|part| out.contains(part)), "{out}");
    }
    for (value, is_taken) in [("1", true), ("no", true), ("maybe", false)] {
        let mut command = trailgate(&["config", "check", "--region", "us-east-1"]);
        let (code, _, err) = ends(command.env("TRAILGATE_DEMO", value)).await;
        assert_eq!(code == Some(0), is_taken, "{err}");
    }
    for (args, part) in [
        (&["--config", &path(&bad)][..], "\"region\"?"),
        (&["--replicas", "65"], "1 to 64"),
        (&["--replicas", "many"], "many"),
        (&["--max-connection-age", "1ms"], "100ms"),
        (&["--log-level", "loud"], "loud"),
        (&["--organization"], "--assume-role-arn"),
    ] {
        for what in ["check", "show"] {
            let (code, out, err) = ends(&mut trailgate(&[&["config", what], args].concat())).await;
            assert_eq!((code, out.as_str()), (Some(64), ""), "{args:?}: {err}");
            assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
            assert!(err.contains(part), "{args:?}: {err}");
        }
    }
    let mut command = trailgate(&["config", "check"]);
    let (code, _, err) = ends(command.env("TRAILGATE_HISTROY", "1d")).await;
    assert_eq!(code, Some(64));
    assert!(err.contains("TRAILGATE_HISTORY?"), "{err}");
}

#[tokio::test]
async fn what_is_shown_says_who_said_it_and_is_read_again() {
    let given = file("rate: 1\ncache_size: 1MiB\nassume_role_external_id: secret\n");
    let path = given.path().to_str().unwrap();
    let mut command = trailgate(&["config", "show", "--config", path, "--rate", "0.5"]);
    command
        .env("TRAILGATE_ACCOUNT", "111122223333,444455556666")
        .env("TRAILGATE_ASSUME_ROLE_ARN", "arn:aws:iam::{account}:role/R");
    let (code, out, err) = ends(&mut command).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for line in [
        "rate: 0.5 # --rate",
        "account: [\"111122223333\",\"444455556666\"] # TRAILGATE_ACCOUNT",
        "cache_size: \"1MiB\" # file",
        "# assume_role_external_id: \"****\" # file",
        "poll: \"full\" # default",
        "# queue: not set",
    ] {
        assert!(out.lines().any(|it| it == line), "{line}: {out}");
    }
    let again = file(&out);
    let path = again.path().to_str().unwrap();
    let (code, second, err) = ends(&mut trailgate(&["config", "show", "--config", path])).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let line = |line: &str| line.rsplit_once(" # ").unwrap().0.to_owned();
        lines.map(line).collect()
    };
    assert_eq!(values(&second), values(&out));
}

/// `trailgate serve --demo`, with what it says.
struct Serving {
    child: Child,
    url: String,
    log: Lines<BufReader<ChildStderr>>,
    _out: Lines<BufReader<ChildStdout>>,
}

impl Serving {
    async fn start(args: &[&str]) -> Self {
        let args = [&["serve", "--demo"], &FREE[..], args].concat();
        let mut command = trailgate(&args);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = timeout(PATIENCE, out.next_line()).await.unwrap().unwrap();
        let listening = listening.unwrap();
        let url = listening.strip_prefix("listening on grpc").unwrap();
        let (url, _) = url.split_once(" and ").unwrap();
        Self {
            url: format!("http{url}"),
            log: BufReader::new(child.stderr.take().unwrap()).lines(),
            child,
            _out: out,
        }
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let mut kill = Command::new("kill");
        let status = kill.args([format!("-{name}"), id]).status().await.unwrap();
        assert!(status.success());
    }

    /// A call, which is a line at the level of debug.
    async fn call(&self) {
        let channel = Channel::from_shared(self.url.clone()).unwrap();
        let mut scopes = ScopeServiceClient::new(channel.connect().await.unwrap());
        let request = ListScopesRequest::default();
        scopes.list_scopes(request).await.unwrap();
    }

    /// The next log line that has it.
    async fn says(&mut self, part: &str) -> String {
        loop {
            let line = timeout(PATIENCE, self.log.next_line()).await;
            let line = line.unwrap().unwrap().unwrap();
            if line.contains(part) {
                return line;
            }
        }
    }
}

#[tokio::test]
async fn the_file_is_read_again_when_it_is_told_so() {
    let file = file("log_level: info\nrate: 1\n");
    let write = |text: &str| fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap();
    let mut serving = Serving::start(&["--config", path, "--log-format", "json"]).await;

    // nothing has changed
    serving.signal("HUP").await;
    serving.says("settings were read again").await;

    // what can be changed is, what cannot is named
    write("log_level: debug\nrate: 1.5\nreplicas: 2\nassume_role_external_id: secret\n");
    serving.signal("HUP").await;
    let line = serving.says("cannot be used").await;
    assert!(line.contains("ERROR"), "{line}");
    assert!(line.contains("--assume-role-external-id"), "{line}");
    write("log_level: debug\nrate: 1.5\nreplicas: 2\n");
    serving.signal("HUP").await;
    let line = serving.says("a restart").await;
    assert!(
        line.contains("WARN") && line.contains("rate, replicas"),
        "{line}"
    );
    serving.call().await;
    serving.says("DEBUG").await;

    // a file that cannot be used changes nothing
    for (text, part) in [
        ("log_levle: warn\n", "log_level"),
        ("log_level: loud\n", "loud"),
        ("rate: -1\n", "--rate -1"),
    ] {
        write(text);
        serving.signal("HUP").await;
        let line = serving.says("cannot be used").await;
        assert!(line.contains("ERROR") && line.contains(part), "{line}");
    }
    fs::remove_file(file.path()).unwrap();
    serving.signal("HUP").await;
    serving.says("cannot be used").await;
    serving.call().await;
    serving.says("DEBUG").await;

    // flags are in front of the file, and what is as it was is not named
    write("log_level: info\nrate: 1\nlog_format: text\n");
    serving.signal("HUP").await;
    let line = serving.says("settings were read again").await;
    assert!(line.contains("log_level"), "{line}");
    serving.call().await;
    serving.signal("TERM").await;
    // and neither a call nor a restart is
    loop {
        let line = serving.says("").await;
        assert!(
            !line.contains("DEBUG") && !line.contains("a restart"),
            "{line}"
        );
        if line.contains("stopping") {
            break;
        }
    }
    let ended = timeout(PATIENCE, serving.child.wait()).await.unwrap();
    assert_eq!(ended.unwrap().code(), Some(0));
}

#[tokio::test]
async fn the_files_that_settings_name_are_read_again_too() {
    let policy = file("rules:\n  - anonymous: true\n    methods: ['*']\n");
    let write = |text: &str| fs::write(policy.path(), text).unwrap();
    let path = policy.path().to_str().unwrap();
    let mut serving = Serving::start(&["--policy", path]).await;
    serving.call().await;

    // one that cannot be used is said each time
    write("rules:\n  - anonymus: true\n");
    for _ in 0..2 {
        serving.signal("HUP").await;
        let line = serving.says("the policy stays as it was").await;
        assert!(
            line.contains("ERROR") && line.contains("anonymus"),
            "{line}"
        );
        serving.call().await;
    }
    let (code, _, err) = ends(&mut trailgate(&["config", "check", "--policy", path])).await;
    assert_eq!(code, Some(64));
    assert!(err.contains("anonymus"), "{err}");

    write("rules: []\n");
    serving.signal("HUP").await;
    serving.says("a new policy is in force").await;
    let channel = Channel::from_shared(serving.url.clone()).unwrap();
    let mut scopes = ScopeServiceClient::new(channel.connect().await.unwrap());
    let refused = scopes.list_scopes(ListScopesRequest::default()).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn told_twice_it_ends_at_once_with_the_signals_status() {
    for (name, status) in [("TERM", 143), ("INT", 130)] {
        let mut serving = Serving::start(&["--shutdown-grace", "1h"]).await;
        // a call that goes on for as long as it may
        let channel = Channel::from_shared(serving.url.clone()).unwrap();
        let channel = channel.connect().await.unwrap();
        let mut client = EventServiceClient::new(channel.clone());
        let lookup = LookupEventsRequest {
            filters: vec![filter("errorCode", Operator::Equals, &["none has it"])],
            ..LookupEventsRequest::default()
        };
        let call = tokio::spawn(async move { client.lookup_events(lookup).await });
        let mut scopes = ScopeServiceClient::new(channel);
        let is_under_way = async {
            loop {
                let request = ListScopesRequest::default();
                let scopes = scopes.list_scopes(request).await.unwrap().into_inner();
                if scopes.scopes.iter().any(|scope| scope.requests_bought > 0) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, is_under_way).await.unwrap();
        serving.signal(name).await;
        serving.says("stopping").await;
        serving.signal(name).await;
        serving.says("told to stop twice").await;
        let ended = timeout(PATIENCE, serving.child.wait()).await.unwrap();
        assert_eq!(ended.unwrap().code(), Some(status));
        assert!(call.await.unwrap().is_err());
    }
}
