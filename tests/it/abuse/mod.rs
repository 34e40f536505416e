//! What hostile clients do to a real server: others are served, its memory has a
//! bound, and what it takes of the processor is told.

mod attacks;
mod raw;
mod victim;

use std::time::Duration;

use self::{
    attacks::Attack,
    victim::{Caller, Victim},
};

/// Longer than anything here takes, for a machine under load.
const PATIENCE: Duration = Duration::from_secs(240);
/// What the server may take while it is attacked, over what it took before: its
/// answers that nobody takes, half of them (128 MiB), the requests that are read (64
/// MiB), and as much again for what calls and connections take and the allocator keeps.
/// docs/memory.md adds it up.
const MOST_MORE: u64 = 384 << 20;
/// Calls that another caller makes meanwhile.
const CALLS: u32 = 40;

/// Attacks until it was tried so often and the other caller had its answers.
async fn others_are_served_during(attack: Attack, tries: u64) {
    let victim = Victim::start().await;
    let caller = Caller::of(&victim).await;
    // what the calls themselves take is there before
    caller.call(10).await;
    let before = victim.usage();
    let attacking = attack.start(victim.grpc);
    let served = async {
        let mut highest = before.resident;
        let mut calls = 0;
        while calls < CALLS || attacking.tries() < tries {
            caller.call(1).await;
            // a connection of its own, as one who comes has
            Caller::of(&victim).await.call(1).await;
            calls += 2;
            highest = highest.max(victim.usage().resident);
        }
        (highest, calls)
    };
    let served = tokio::time::timeout(PATIENCE, served).await;
    let tried = attacking.tries();
    let (highest, calls) = served.unwrap_or_else(|_| panic!("{attack:?}: tried {tried} times"));
    let after = victim.usage();
    let seconds = (after.at - before.at).as_secs_f64();
    println!(
        "{attack:?}: {seconds:.1} s, {tried} tries, {calls} other calls; {:.2} s of processor \
         a second; {} MiB resident before, {} at most",
        (after.cpu - before.cpu) / seconds,
        before.resident >> 20,
        highest >> 20,
    );
    assert!(
        highest < before.resident + MOST_MORE,
        "{attack:?}: {} MiB more",
        (highest - before.resident) >> 20
    );
    attacking.stop();
    caller.call(10).await;
}

#[tokio::test]
async fn rapid_reset() {
    others_are_served_during(Attack::RapidReset, 20_000).await;
}

#[tokio::test]
async fn rapid_reset_one_by_one() {
    others_are_served_during(Attack::SlowReset, 2_000).await;
}

#[tokio::test]
async fn pings() {
    others_are_served_during(Attack::Pings, 100_000).await;
}

#[tokio::test]
async fn settings() {
    others_are_served_during(Attack::Settings, 100_000).await;
}

#[tokio::test]
async fn a_megabyte_of_headers() {
    others_are_served_during(Attack::Headers, 100).await;
}

#[tokio::test]
async fn continuations_without_an_end() {
    others_are_served_during(Attack::Continuations, 100).await;
}

#[tokio::test]
async fn answers_that_nobody_reads() {
    others_are_served_during(Attack::UnreadAnswers, 8 * 199).await;
}

#[tokio::test]
async fn requests_that_never_end() {
    others_are_served_during(Attack::HalfRequests, 4 * 150).await;
}

#[tokio::test]
async fn connections_that_say_nothing() {
    others_are_served_during(Attack::Silence, 500).await;
}
