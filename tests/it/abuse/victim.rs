//! A server to attack, and one who calls it meanwhile.

use std::{net::SocketAddr, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
    time::{Instant, timeout},
};
use tonic::transport::Channel;
use trailgate::{
    clock::Clock,
    proto::v1::{LookupEventsRequest, event_service_client::EventServiceClient},
};

use super::{
    super::serve::{FREE, trailgate},
    PATIENCE,
};

/// `trailgate serve --demo`.
pub(super) struct Victim {
    pub(super) grpc: SocketAddr,
    child: Child,
}

/// What a process has used.
pub(super) struct Usage {
    pub(super) at: Instant,
    /// Seconds of processor time.
    pub(super) cpu: f64,
    /// Bytes.
    pub(super) resident: u64,
}

impl Victim {
    pub(super) async fn start() -> Self {
        let mut command = trailgate(&[&["serve", "--demo"], &FREE[..]].concat());
        // what it logs is nobody's to read, and must not fill a pipe
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap();
        let line = line.unwrap().unwrap();
        let (_, rest) = line.split_once("grpc://").unwrap();
        let (address, _) = rest.split_once(' ').unwrap();
        Self {
            grpc: address.parse().unwrap(),
            child,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        let proc = format!("/proc/{}", self.child.id().unwrap());
        let stat = std::fs::read_to_string(format!("{proc}/stat")).unwrap();
        // behind its name: utime and stime are the 14th and 15th, in ticks of which
        // Linux has 100 a second (proc(5))
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks: f64 = [11, 12]
            .map(|at| fields[at].parse::<f64>().unwrap())
            .iter()
            .sum();
        let status = std::fs::read_to_string(format!("{proc}/status")).unwrap();
        let (_, rest) = status.split_once("VmRSS:").unwrap();
        let kib: u64 = rest.split_whitespace().next().unwrap().parse().unwrap();
        Usage {
            at: Instant::now(),
            cpu: ticks / 100.0,
            resident: kib << 10,
        }
    }
}

/// Asks for an answer of more than a megabyte, of the demo's history, which is held
/// once it was read.
pub(super) fn much() -> LookupEventsRequest {
    let now = Clock::system().now_secs();
    // whole days, so that those who ask for it ask the same
    let end = now / 86_400 * 86_400 - 86_400;
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    LookupEventsRequest {
        start_time: time(end - 7 * 86_400),
        end_time: time(end),
        page_size: 1000,
        ..LookupEventsRequest::default()
    }
}

/// One who calls.
pub(super) struct Caller(EventServiceClient<Channel>);

impl Caller {
    pub(super) async fn of(victim: &Victim) -> Self {
        let url = format!("http://{}", victim.grpc);
        let connecting = Channel::from_shared(url).unwrap();
        let channel = timeout(PATIENCE, connecting.connect()).await.unwrap();
        let client = EventServiceClient::new(channel.unwrap());
        Self(client.max_decoding_message_size(8 << 20))
    }

    /// Calls so often, and has each answered well.
    pub(super) async fn call(&self, times: u32) {
        for _ in 0..times {
            let mut client = self.0.clone();
            let answer = timeout(PATIENCE, client.lookup_events(much())).await;
            let answer = answer.unwrap().unwrap().into_inner();
            assert!(!answer.events.is_empty());
        }
    }
}
