//! How long messages stay, and how they leave.

use super::*;

/// A file that takes this many seconds.
fn slow(id: &str, seconds: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    for second in (0..seconds).step_by(30) {
        steps.push(Step::Wait(Duration::from_secs(30)));
        steps.extend(lines(&record(&format!("{id}{second}"))));
    }
    steps.extend(lines(&record(id)));
    steps
}

#[tokio::test(start_paused = true)]
async fn a_slow_file_outlives_its_visibility_many_times() {
    let mut world = World::new();
    world.buckets.put(&key(1), slow("a", 3600));
    world.queue.send(&announce(&[key(1)]));
    world.start();
    world.drained().await;
    assert_eq!((world.sink.came("a"), world.counts().messages), (1, 1));
    let stays = world.queue.stays.lock().unwrap().len();
    assert!((115..125).contains(&stays), "{stays}");
    assert_eq!(world.buckets.gets(&key(1)), 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_message_stays_longer_than_twelve_hours() {
    let mut world = World::new();
    world.buckets.put(&key(1), slow("a", 13 * 3600));
    let id = world.queue.send(&announce(&[key(1)]));
    world.start();
    sleep(Duration::from_secs(12 * 3600 + 60)).await;
    assert_eq!((world.counts().let_go, world.queue.received(id)), (1, 2));
    assert_eq!(world.buckets.gets(&key(1)), 2);
    world.buckets.put(&key(1), lines(&record("a")));
    world.drained().await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_left_us_is_finished_and_not_deleted_twice() {
    let mut world = World::new();
    world.buckets.put(&key(1), slow("a", 300));
    world.queue.failing_extends.store(true, Relaxed);
    let id = world.queue.send(&announce(&[key(1)]));
    world.start();
    // it comes again while it is worked on
    world.until(|world| world.queue.received(id) == 2).await;
    world.queue.failing_extends.store(false, Relaxed);
    world.drained().await;
    assert_eq!((world.buckets.gets(&key(1)), world.sink.came("a")), (1, 1));
    let counts = world.counts();
    assert_eq!((counts.deleted, counts.duplicates), (1, 1));
    assert_eq!(*world.queue.deleted.lock().unwrap(), [id]);
    assert_eq!(world.queue.delete_requests.load(Relaxed), 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_fails_is_tried_again_and_costs_no_second_reading() {
    let mut world = World::new();
    world.buckets.put(&key(1), lines(&record("a")));
    world.queue.failing_deletes.store(2, Relaxed);
    world.queue.send(&announce(&[key(1)]));
    world.start();
    world.drained().await;
    let counts = world.counts();
    assert_eq!((counts.messages, counts.deletes_failed), (1, 0));
    world.buckets.put(&key(2), lines(&record("b")));
    world.queue.failing_deletes.store(4, Relaxed);
    world.queue.send(&announce(&[key(2)]));
    world.drained().await;
    let counts = world.counts();
    assert_eq!((counts.messages, counts.deletes_failed), (3, 1));
    assert_eq!((world.buckets.gets(&key(2)), world.sink.came("b")), (1, 1));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_taking_and_deleting_loses_nothing() {
    let mut world = World::new();
    world.buckets.put(&key(1), lines(&record("a")));
    world.queue.failing_deletes.store(u32::MAX, Relaxed);
    world.queue.send(&announce(&[key(1)]));
    world.start();
    world.until(|world| world.sink.came("a") == 1).await;
    world.crash().await;
    world.queue.failing_deletes.store(0, Relaxed);
    let mut next = World::among(
        Arc::clone(&world.queue),
        Arc::clone(&world.buckets),
        Arc::clone(&world.sink),
        Options::default(),
        SourceFilter::default(),
    );
    next.start();
    let start = Instant::now();
    next.drained().await;
    assert!(start.elapsed() < Duration::from_secs(62));
    assert_eq!(next.sink.came("a"), 2, "the sink sees a repeat");
    next.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_it_can_and_gives_the_rest_back() {
    let mut world = World::new();
    world.buckets.put(&key(1), slow("a", 60));
    world.buckets.put(&key(2), slow("b", 600));
    let first = world.queue.send(&announce(&[key(1)]));
    let second = world.queue.send(&announce(&[key(2)]));
    world.start_with(Duration::from_secs(90));
    sleep(Duration::from_secs(5)).await;
    let late = {
        world.stop.cancel();
        tokio::task::yield_now().await;
        world.queue.send(&announce(&[key(1)]))
    };
    let start = Instant::now();
    world.stop().await;
    assert_eq!(start.elapsed().as_secs(), 90);
    assert_eq!(*world.queue.deleted.lock().unwrap(), [first]);
    assert_eq!(*world.queue.given_back.lock().unwrap(), [second]);
    assert_eq!(world.queue.received(late), 0);
    assert_eq!((world.counts().given_back, world.sink.came("a")), (1, 1));
    let snapshot = world.collector.snapshot();
    assert_eq!((snapshot.messages_now, snapshot.files_now), (0, 0));
    assert_eq!(snapshot.state, State::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_stop_with_nothing_under_way_is_at_once() {
    let mut world = World::new();
    world.start();
    sleep(Duration::from_secs(5)).await;
    let start = Instant::now();
    world.stop().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}
