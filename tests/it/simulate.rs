//! The command `trailgate simulate`, as a process.

use std::{net::SocketAddr, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Command,
};

fn simulate(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailgate"));
    command
        .arg("simulate")
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn the_command_says_where_it_listens_and_ends_when_told() {
    let mut child = simulate(&[
        "--listen",
        "127.0.0.1:0",
        "--synthetic",
        "50",
        "--seed",
        "1",
    ])
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let address: SocketAddr = line
        .strip_prefix("listening on http://")
        .unwrap()
        .parse()
        .unwrap();
    assert_ne!(address.port(), 0);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /_simulator/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#""records":50"#), "{answer}");
    let pid = child.id().unwrap().to_string();
    let kill = Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .await
        .unwrap();
    assert!(kill.success());
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn what_cannot_be_used_is_said_before_a_port_is_bound() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.json");
    std::fs::write(&empty, "").unwrap();
    let empty = empty.to_str().unwrap();
    for (args, status, says) in [
        (&["--listen", "0.0.0.0:0"][..], 64, "--insecure"),
        (&["--account", "12"], 64, "12 digits"),
        (&["--region", "Europe"], 64, "no Region"),
        (&["--rate", "-1"], 64, "not a rate"),
        (&["--fault", "fire=1"], 64, "no fault kind \"fire\""),
        (&["--delay", "soon"], 64, "no span of time"),
        (&["--slow-by", "2m"], 64, "more than 60s"),
        (
            &["--shift-to-now", "--unlimited-history"],
            64,
            "cannot be used with",
        ),
        (&["--records", "/nonexistent"], 64, "no such file"),
        (
            &["--records", empty],
            65,
            "no record of the given files can be used",
        ),
    ] {
        let output = simulate(args).output().await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}
