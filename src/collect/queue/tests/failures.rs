//! What cannot be read, what may not be, and what nobody knows.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_is_a_gap_after_some_receives() {
    let mut world = World::new();
    world.buckets.put(&key(2), lines(&record("b")));
    // one that it names twice waits for nobody
    world.queue.send(&announce(&[key(1), key(2), key(1)]));
    world.start();
    world.drained().await;
    world.stop().await;
    assert_eq!((world.buckets.gets(&key(1)), world.sink.came("b")), (3, 1));
    let lost = world.sink.lost.lock().unwrap();
    let [lost] = &lost[..] else {
        panic!("{lost:?}");
    };
    assert_eq!(lost.object.as_ref().unwrap().key, key(1));
    assert_eq!(lost.scope, Some(Scope::new("111122223333", "eu-west-1")));
    assert_eq!((lost.time, &lost.why), (Some(DELIVERED), &Why::Gone));
    assert!(!lost.is_kept);
    let range = TimeRange::new(DELIVERED - 900, DELIVERED + 60);
    assert_eq!(lost.range(Duration::from_secs(900)), Some(range));
    let digest = Lost {
        kind: Some(Kind::Digest),
        ..lost.clone()
    };
    assert_eq!(digest.range(Duration::ZERO), None);
    assert_eq!((world.counts().not_found, world.counts().lost), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_is_never_deleted_and_said() {
    let mut world = World::new();
    *world.queue.policy.lock().unwrap() = None;
    for file in 0..60 {
        world
            .buckets
            .put(&key(file), lines(&record(&file.to_string())));
        world.buckets.denied.lock().unwrap().push(key(file));
        world.queue.send(&announce(&[key(file)]));
    }
    world.start();
    sleep(Duration::from_secs(3 * 3600)).await;
    assert_eq!(world.counts().deleted, 0);
    let State::Failing { reason, since } = world.collector.snapshot().state else {
        panic!("failing");
    };
    assert!(
        reason.contains("s3://b/") && reason.contains("AccessDenied"),
        "{reason}"
    );
    assert_eq!(since.as_second(), 1_714_982_400);
    // receives are spared: one a minute, not one after the other
    let received: u32 = (0..60).map(|id| world.queue.received(id)).sum();
    assert!((100..400).contains(&received), "{received}");
    world.buckets.denied.lock().unwrap().clear();
    let start = Instant::now();
    world.drained().await;
    // one tries, then all that are back
    assert!(start.elapsed() < Duration::from_secs(1_000));
    assert_eq!(world.collector.snapshot().state, State::Receiving);
    assert!((0..60).all(|file| world.sink.came(&file.to_string()) == 1));
    // one that never comes again is not told for ever
    world.buckets.denied.lock().unwrap().push(key(99));
    let object = ObjectRef {
        bucket: "b".into(),
        key: key(99),
        ..ObjectRef::default()
    };
    let denied = world.collector.read(&object).await;
    assert!(matches!(denied, Outcome::Again(_)));
    assert_ne!(world.collector.snapshot().state, State::Receiving);
    sleep(Duration::from_secs(3601)).await;
    assert_eq!(world.collector.snapshot().state, State::Receiving);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_cut_a_bomb_or_empty_gives_what_came_before_and_goes() {
    for (odd, fault) in [
        ("!cut\n", Fault::Truncated),
        ("!bomb\n", Fault::TooLarge(1000)),
        ("!large\n", Fault::RecordTooLarge(100)),
        ("", Fault::NoRecords),
    ] {
        let mut world = World::new();
        let content = match odd {
            "" => String::new(),
            _ => format!("{}{odd}{}", record("a"), record("z")),
        };
        world.buckets.put(&key(1), lines(&content));
        world.queue.send(&announce(&[key(1)]));
        world.start();
        let start = Instant::now();
        world.drained().await;
        let took = start.elapsed();
        assert!(took > Duration::from_secs(60), "{took:?}");
        world.stop().await;
        let came = u32::from(!odd.is_empty()) * 5;
        // a record that is too large ends no file
        assert_eq!(world.sink.came("z"), u32::from(odd == "!large\n") * 5);
        assert_eq!(
            (world.buckets.gets(&key(1)), world.sink.came("a")),
            (5, came)
        );
        let counts = world.counts();
        assert_eq!((counts.faults, counts.poison, counts.deleted), (5, 5, 1));
        assert_eq!(counts.too_large, u64::from(odd == "!large\n") * 5);
        assert!(world.sink.ingested.lock().unwrap().is_empty());
        let lost = world.sink.lost.lock().unwrap();
        assert_eq!((lost.len(), &lost[0].why), (1, &Why::Fault(fault)));
        assert!(!lost[0].is_kept);
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_dead_letter_queue_poison_is_left_to_it() {
    for (policy, told_at) in [(7, 5), (3, 3)] {
        let mut world = World::new();
        *world.queue.policy.lock().unwrap() = Some(policy);
        let id = world.queue.send("{\"never\":\"seen\"}");
        let good = world.queue.send(&announce(&[key(1)]));
        world.buckets.put(&key(1), lines(&record("a")));
        world.start();
        world
            .until(|world| world.sink.lost.lock().unwrap().len() == 1)
            .await;
        assert_eq!(world.queue.received(id), told_at);
        world.drained().await;
        world.stop().await;
        assert_eq!(*world.queue.dead.lock().unwrap(), [id]);
        assert_eq!(*world.queue.deleted.lock().unwrap(), [good]);
        let lost = world.sink.lost.lock().unwrap();
        assert_eq!(lost.len(), 1);
        assert!(lost[0].is_kept && lost[0].object.is_none());
        assert_eq!(lost[0].time, Some(7));
        assert!(lost[0].why.to_string().contains("members never"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_no_known_form_goes_and_is_told() {
    let mut world = World::new();
    let id = world.queue.send("hello");
    // where nobody knows whether it would be kept, it stays
    world.queue.failing_policy.store(true, Relaxed);
    world.start();
    world.until(|world| world.queue.received(id) == 8).await;
    assert!(world.sink.lost.lock().unwrap().is_empty());
    world.queue.failing_policy.store(false, Relaxed);
    world.drained().await;
    world.stop().await;
    let lost = world.sink.lost.lock().unwrap();
    assert_eq!((lost.len(), lost[0].is_kept), (1, false));
    assert_eq!((world.counts().poison, world.counts().deleted), (9, 1));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_breaks_off_is_tried_again_and_then_the_message_is() {
    let mut world = World::new();
    let broken = [lines(&record("a")), vec![Step::Fail]].concat();
    world.buckets.put(&key(1), broken);
    // a second message of the same file waits, and comes again too
    world.queue.send(&announce(&[key(1)]));
    world.queue.send(&announce(&[key(1)]));
    world.start();
    sleep(Duration::from_secs(4)).await;
    assert_eq!(world.buckets.gets(&key(1)), 3);
    let State::Failing { reason, .. } = world.collector.snapshot().state else {
        panic!("failing");
    };
    assert!(reason.contains("reset"), "{reason}");
    world.buckets.put(&key(1), lines(&record("a")));
    world.drained().await;
    assert_eq!(world.collector.snapshot().state, State::Receiving);
    // one that says nothing
    let silent = vec![Step::Wait(Duration::from_secs(100_000))];
    world.buckets.put(&key(2), silent);
    let object = ObjectRef {
        bucket: "b".into(),
        key: key(2),
        ..ObjectRef::default()
    };
    let read = world.collector.read(&object).await;
    assert!(
        matches!(&read, Outcome::Again(why) if why.contains("60s")),
        "{read:?}"
    );
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_that_is_not_safe() {
    let mut world = World::new();
    world.buckets.put(&key(1), lines(&record("a")));
    world.sink.refuses.store(true, Relaxed);
    world.queue.send(&announce(&[key(1)]));
    world
        .queue
        .send("{\"eventVersion\":\"1.08\",\"eventID\":\"e\"}");
    world.start();
    sleep(Duration::from_secs(600)).await;
    assert!(world.queue.deleted.lock().unwrap().is_empty());
    let State::Failing { reason, .. } = world.collector.snapshot().state else {
        panic!("failing");
    };
    assert!(reason.contains("full"), "{reason}");
    world.sink.refuses.store(false, Relaxed);
    // taken, but a long while not safe
    world.sink.slow.store(600_000, Relaxed);
    world
        .until(|world| world.sink.came("a") + world.sink.came("e") > 0)
        .await;
    sleep(Duration::from_secs(590)).await;
    assert!(world.queue.deleted.lock().unwrap().is_empty());
    world.drained().await;
    assert_eq!((world.sink.came("a"), world.sink.came("e")), (1, 1));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fails_for_ten_minutes_is_asked_less_and_less() {
    let mut world = World::new();
    let mended = Instant::now() + Duration::from_secs(600);
    *world.queue.failing_until.lock().unwrap() = Some(mended);
    world.buckets.put(&key(1), lines(&record("a")));
    world.queue.send(&announce(&[key(1)]));
    world.start();
    sleep(Duration::from_secs(599)).await;
    let asked = world.queue.receives.load(Relaxed);
    assert!((15..40).contains(&asked), "{asked}");
    let snapshot = world.collector.snapshot();
    let State::Failing { reason, since } = snapshot.state else {
        panic!("failing");
    };
    assert!(reason.contains("no route"), "{reason}");
    assert_eq!(since.as_second(), 1_714_982_400);
    assert_eq!(snapshot.last_message_at, None);
    world.drained().await;
    assert!(mended.elapsed() < Duration::from_secs(61));
    assert_eq!(world.collector.snapshot().state, State::Receiving);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_wait_is_not_asked_all_the_time() {
    let options = Options {
        wait: Duration::ZERO,
        ..Options::default()
    };
    let mut world = World::with(options, SourceFilter::default());
    world.start();
    sleep(Duration::from_secs(60)).await;
    let asked = world.queue.receives.load(Relaxed);
    assert!((100..130).contains(&asked), "{asked}");
    world.stop().await;
}
