//! How scopes are polled.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_event_comes_within_an_interval_of_its_being_told() {
    let mut setup = Setup::default();
    setup.options.max_interval = setup.options.interval;
    let world = setup.build();
    let scope = scope("us-east-1");
    let mut stream = world.subscribe(&of_kinds(&[]), &[], Start::Now);
    assert!(stream.within(1).await.is_empty());
    for number in 0..60 {
        let at = i64::try_from(number * 2).unwrap() + 10;
        world.happens(&scope, number, at, 0, "A");
    }
    let mut told = 0;
    while world.now() < 140 {
        for event in stream.within(1).await {
            let waited = world.clock.now_secs() - event.time;
            // the interval, and what is lost of a second
            assert!(waited <= 6, "{waited}");
            told += 1;
        }
    }
    assert_eq!(told, 60);
}
