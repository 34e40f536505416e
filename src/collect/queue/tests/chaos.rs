//! Everything fails now and then: whatever can be read is in the sink before its
//! message is gone.

use proptest::prelude::*;

use super::*;

async fn chaos(odds: [u32; 3], crashes: Vec<u64>, files: u32, per_message: usize, visibility: u64) {
    let options = Options {
        visibility: Duration::from_secs(visibility),
        files: 2,
        batch_bytes: 3000,
        unsettled: 2,
        remembered: 8,
        ..Options::default()
    };
    let mut world = World::with(options, SourceFilter::default());
    let [queue, buckets, sink] = odds;
    world.queue.chance.odds.store(queue, Relaxed);
    world.buckets.chance.odds.store(buckets, Relaxed);
    world.sink.chance.odds.store(sink, Relaxed);
    world.sink.slow.store(300, Relaxed);
    for file in 0..files {
        let mut steps = Vec::new();
        for i in 0..4 {
            steps.extend(lines(&record(&format!("{file}-{i}"))));
            steps.push(Step::Wait(Duration::from_secs(u64::from(file % 4))));
        }
        world.buckets.put(&key(file), steps);
    }
    let keys: Vec<String> = (0..files).map(key).collect();
    for some in keys.chunks(per_message) {
        world.queue.send(&announce(some));
        // by another route
        world.queue.send(&created(&some[0], "e"));
    }
    for after in crashes {
        world.start();
        sleep(Duration::from_secs(after)).await;
        world.crash().await;
        let (queue, buckets) = (Arc::clone(&world.queue), Arc::clone(&world.buckets));
        let sink = Arc::clone(&world.sink);
        world = World::among(queue, buckets, sink, options, SourceFilter::default());
    }
    world.start();
    let want = usize::try_from(files * 4).unwrap();
    world.drained().await;
    let came = world.sink.events.lock().unwrap().len();
    assert_eq!(came, want, "{:?}", world.collector);
    assert_eq!(*world.sink.lost.lock().unwrap(), []);
    assert!(world.buckets.most.load(Relaxed) <= 2);
    assert!(world.sink.most_unsettled.load(Relaxed) <= 4);
    world.stop().await;
    let snapshot = world.collector.snapshot();
    assert_eq!((snapshot.messages_now, snapshot.files_now), (0, 0));
}

proptest! {
    // an eighth of what others have: each is a small world
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 8))]

    #[test]
    fn whatever_fails_nothing_is_lost(
        odds in [0_u32..9, 0_u32..9, 0_u32..9].prop_map(|odds| odds.map(|n| if n < 3 { 0 } else { n })),
        crashes in prop::collection::vec(1_u64..100, 0..4),
        files in 1_u32..24,
        per_message in 1_usize..6,
        visibility in 2_u64..40,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(chaos(odds, crashes, files, per_message, visibility));
    }
}
