//! The archive of real servers: killed again and again while they write and merge
//! it, nothing is lost, nothing is twice, and who reads it meanwhile never fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep, timeout};
use tonic::Streaming;
use trailgate::{
    archive::{Archive, Options},
    clock::Clock,
    config::Settings,
    event::{Scope, TimeRange},
    proto::v1::{
        SubscribeEventsRequest, SubscribeEventsResponse, subscribe_events_response::Payload,
    },
    simulator,
};

use super::{
    kills::{ACCOUNT, REGIONS, Server, Trail, kills},
    server::{World, world_with},
};

const PATIENCE: Duration = Duration::from_secs(240);

/// The archive as anybody may read it; `None`: it is not there yet.
async fn open(dir: &Path) -> Option<Archive> {
    let store = Arc::new(LocalFileSystem::new_with_prefix(dir).ok()?);
    let root = object_store::path::Path::default();
    let options = Options::default();
    match Archive::open_to_read(store, root, Clock::system(), options).await {
        Ok(archive) => Some(archive),
        Err(trailgate::archive::Error::Missing { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// How often each event is in the archive.
async fn read(archive: &Archive) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for region in REGIONS {
        let all = TimeRange::new(0, 1 << 40);
        let events = archive.read(&Scope::new(ACCOUNT, region), all, false);
        let events: Vec<_> = events.try_collect().await.unwrap();
        for event in events.iter().flatten() {
            *found.entry(event.id().to_owned()).or_default() += 1;
        }
    }
    found
}

#[tokio::test]
async fn what_happened_is_kept_once_however_often_it_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("archive");
    let more = ["--archive-interval", "1s", "--archive-compaction", "1s"];
    let mut more: Vec<_> = more.map(str::to_owned).to_vec();
    more.push(format!("--archive={}", place.display()));
    let trail = Trail::start(0, 50).await;
    let mut server = Server::start_with(&trail.url, 0, more).await;
    // from its first commit on it is kept
    let begun = async {
        loop {
            let archive = open(&place).await;
            if archive.is_some_and(|archive| archive.state().is_some()) {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, begun).await.unwrap();
    let before = trail.happened.lock().unwrap().clone();
    let reading = {
        let place = place.clone();
        tokio::spawn(async move {
            let (mut readings, mut most) = (0_u32, 0);
            loop {
                let found = read(&open(&place).await.unwrap()).await;
                let twice: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
                assert!(twice.is_empty(), "twice in one version: {twice:?}");
                assert!(found.len() >= most, "{} after {most}", found.len());
                (readings, most) = (readings + 1, found.len());
                tracing::debug!(readings, most);
                sleep(Duration::from_millis(50)).await;
            }
        })
    };
    let mut random = StdRng::seed_from_u64(43);
    for _ in 0..kills() {
        sleep(Duration::from_millis(random.random_range(200..3000))).await;
        server.kill().await;
    }
    trail.task.abort();
    let happened = trail.happened.lock().unwrap().clone();
    let wanted: BTreeSet<_> = happened.difference(&before).cloned().collect();
    assert!(wanted.len() > 20);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = read(&open(&place).await.unwrap()).await;
        let lost: Vec<_> = wanted
            .iter()
            .filter(|id| !found.contains_key(*id))
            .collect();
        if lost.is_empty() {
            let invented: Vec<_> = found.keys().filter(|id| !happened.contains(*id)).collect();
            assert!(invented.is_empty(), "{invented:?}");
            break;
        }
        assert!(
            Instant::now() < deadline,
            "lost {} of {}: {:?} to {:?}",
            lost.len(),
            wanted.len(),
            lost.first(),
            lost.last()
        );
        sleep(Duration::from_millis(200)).await;
    }
    assert!(!reading.is_finished(), "{:?}", reading.await);
    reading.abort();
}

/// A stream of what arrives from now on.
async fn subscribed(world: &mut World) -> Streaming<SubscribeEventsResponse> {
    let request = SubscribeEventsRequest::default();
    let stream = world.client.subscribe_events(request).await;
    stream.unwrap().into_inner()
}

#[tokio::test]
async fn a_stop_leaves_what_arrived_and_a_start_goes_on_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut found = BTreeMap::new();
    for turn in 0..2 {
        let options = simulator::Options::default();
        let mut world = world_with(options, |settings| {
            settings.archive = dir.path().to_str().map(str::to_owned);
        })
        .await;
        let archive = async {
            loop {
                let archive = open(dir.path()).await;
                if let Some(archive) = archive.filter(|archive| archive.state().is_some()) {
                    break archive;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, archive).await.unwrap();
        let mut stream = subscribed(&mut world).await;
        // later than whatever was there before it was collected
        world.happens(turn, -2);
        // it is told long before it is committed
        let told = async {
            loop {
                let response = stream.message().await.unwrap().unwrap();
                if let Some(Payload::Batch(_)) = response.payload {
                    break;
                }
            }
        };
        timeout(PATIENCE, told).await.unwrap();
        drop(stream);
        world.stop_server.take().unwrap().send(()).unwrap();
        (&mut world.server).await.unwrap().unwrap();
        found = read(&open(dir.path()).await.unwrap()).await;
        assert_eq!(found.len(), turn + 1, "{found:?}");
    }
    assert!(found.values().all(|times| *times == 1), "{found:?}");
}

#[tokio::test]
async fn what_is_no_archive_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("_delta_log");
    std::fs::create_dir(&log).unwrap();
    let first = log.join("00000000000000000000.json");
    let newer = r#"{"protocol":{"minReaderVersion":99,"minWriterVersion":99}}"#;
    std::fs::write(&first, newer).unwrap();
    let settings = Settings {
        listen: "127.0.0.1:0".parse().ok(),
        http_listen: "127.0.0.1:0".parse().ok(),
        // nobody is asked
        aws_endpoint_url: Some("http://127.0.0.1:9".into()),
        account: vec![ACCOUNT.into()],
        region: vec![REGIONS[0].into()],
        archive: dir.path().to_str().map(str::to_owned),
        ..Settings::default()
    };
    let start = Box::pin(trailgate::app::Server::start(settings.try_into().unwrap()));
    let refused = start.await.unwrap_err().to_string();
    assert!(refused.starts_with("--archive "), "{refused}");
    assert!(refused.contains("99"), "{refused}");
    assert_eq!(std::fs::read_to_string(&first).unwrap(), newer);
    assert_eq!(std::fs::read_dir(&log).unwrap().count(), 1);
}
