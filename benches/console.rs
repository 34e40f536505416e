//! A page of the console out of the cache: what it costs the server in processor
//! time, beside the same events by gRPC.
//!
//! The server is a process of its own; it is asked one question after the other,
//! by turns of pages and calls. The figure is the processor time of its process.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

use support::{Server, cpu_seconds, is_smoke};
use trailgate::proto::v1::{
    EventView, LookupEventsRequest, event_service_client::EventServiceClient,
};

/// Milliseconds that a page of 50 events may take.
const WANTED: f64 = 5.0;
/// Events of a page.
const EVENTS: i32 = 50;
/// Rounds, and questions of each kind in one: a second or so.
const ROUNDS: usize = 9;
const QUESTIONS: usize = 300;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let place = ["--account", "111122223333", "--region", "us-east-1"];
    let (_simulator, aws) = start(&[
        &[
            "simulate",
            "--synthetic",
            "5000",
            "--days",
            "1",
            "--rate",
            "0",
        ],
        &["--listen", "127.0.0.1:0"],
        &place[..],
    ]);
    let aws = aws.rsplit(' ').next().expect("an address").to_owned();
    let (server, line) = start(&[
        &["serve", "--aws-endpoint-url", &aws, "--rate", "0"],
        &["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"],
        &place[..],
    ]);
    let mut addresses = line.split("://").skip(1).map(|part| {
        let end = part.find(' ').unwrap_or(part.len());
        part.split_at(end).0.to_owned()
    });
    let grpc = addresses.next().expect("where gRPC listens");
    let http = addresses.next().expect("where HTTP listens");
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{grpc}"));
    let channel = endpoint.expect("an address").connect().await;
    let mut client = EventServiceClient::new(channel.expect("connects"));
    // settled when it is read: nothing of it is asked for again
    let now = trailgate::clock::Clock::system().now_secs();
    let at = |second| prost_types::Timestamp {
        seconds: second,
        nanos: 0,
    };
    let request = LookupEventsRequest {
        start_time: Some(at(now - 20 * 3600)),
        end_time: Some(at(now - 3600)),
        page_size: EVENTS,
        view: EventView::Basic.into(),
        ..LookupEventsRequest::default()
    };
    let path = format!(
        "/events?from={}&to={}",
        time(now - 20 * 3600),
        time(now - 3600)
    );
    // what AWS tells at once may be a little less than a page
    for _ in 0..3 {
        page(&http, &format!("{path}&size=200"));
    }
    let text = page(&http, &path);
    let rows = text.matches("<tr").count() - 1;
    assert_eq!(rows, usize::try_from(EVENTS).expect("few"), "{text}");
    let questions = if is_smoke() { 20 } else { QUESTIONS };
    let pid = server.0.id();
    let mut figures = Vec::new();
    // the first round warms up
    for round in 0..=ROUNDS {
        let begin = cpu_seconds(pid);
        for _ in 0..questions {
            page(&http, &path);
        }
        let pages = cpu_seconds(pid);
        for _ in 0..questions {
            let answer = client.lookup_events(request.clone()).await.expect("a page");
            let stats = answer.into_inner().stats.expect("stats");
            assert_eq!(stats.upstream_calls, 0, "AWS was asked");
        }
        let calls = cpu_seconds(pid);
        if round > 0 {
            let each = |seconds: f64| seconds * 1e3 / questions as f64;
            figures.push((each(pages - begin), each(calls - pages)));
        }
    }
    figures.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (page, call) = figures.get(ROUNDS / 2).copied().expect("rounds");
    println!(
        "a page of {EVENTS} events, {} bytes; wanted <= {WANTED} ms",
        text.len()
    );
    println!(
        "page {page:.2} ms   call {call:.2} ms   page/call {:.1}",
        page / call
    );
}

fn time(second: i64) -> String {
    jiff::Timestamp::from_second(second)
        .expect("a time")
        .to_string()
}

/// A page, over a connection of its own.
fn page(http: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(http).expect("connects");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("read");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    text
}

/// Starts the program, and gives the first line that it says.
fn start(args: &[&[&str]]) -> (Server, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailgate"));
    command
        .args(args.concat())
        .env("AWS_ACCESS_KEY_ID", "111122223333")
        .env("AWS_SECRET_ACCESS_KEY", "none")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("starts");
    let mut line = String::new();
    let out = child.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("a line");
    assert!(!line.is_empty(), "{args:?} said nothing");
    (Server(child), line.trim().to_owned())
}
