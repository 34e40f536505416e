//! What goes wrong when it is asked to.

use std::{collections::HashSet, time::Duration};

use tokio::time::Instant;

use super::*;
use crate::simulator::Faults;

fn with(faults: &[&str], seed: u64) -> Simulator {
    let faults: Faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let events = (0..120).map(|n| event(&n.to_string(), NOW - 200 + n));
    simulator(
        Options {
            faults,
            seed,
            ..unmetered()
        },
        events,
    )
}

async fn outcomes(simulator: &Simulator) -> Vec<Option<String>> {
    let mut outcomes = Vec::new();
    for _ in 0..60 {
        let answer = simulator.lookup_events(&scope(), &everything()).await;
        outcomes.push(answer.err().map(|error| error.code));
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn each_kind_has_its_error() {
    for (fault, kind, code) in [
        ("throttle=1", ErrorKind::Throttled, "ThrottlingException"),
        ("5xx=1", ErrorKind::Transient, "InternalFailure"),
        ("disconnect=1", ErrorKind::Transient, "Disconnect"),
        (
            "denied-region=1",
            ErrorKind::Denied,
            "AccessDeniedException",
        ),
        (
            "denied-region=eu-west-1",
            ErrorKind::Denied,
            "AccessDeniedException",
        ),
        (
            "expired-credentials=1",
            ErrorKind::Credentials,
            "ExpiredTokenException",
        ),
    ] {
        let simulator = with(&[fault], 1);
        assert_eq!(
            refused(&simulator, &everything()).await,
            (kind, code.to_owned()),
            "{fault}"
        );
        let counted = simulator.stats().operation(&scope(), "LookupEvents");
        assert_eq!((counted.requests, counted.refused), (1, 1));
        assert_eq!(counted.errors.get(code), Some(&1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_named_region_is_denied_and_no_other() {
    let simulator = with(&["denied-region=us-east-1"], 1);
    ask(&simulator, &everything()).await;
    let denied = Scope::new("111122223333", "us-east-1");
    let error = simulator
        .lookup_events(&denied, &everything())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_goes_wrong_the_same() {
    let faults = ["throttle=0.2", "5xx=0.2", "disconnect=0.1"];
    let of_seed = async |seed| outcomes(&with(&faults, seed)).await;
    let first = of_seed(4).await;
    assert_eq!(first, of_seed(4).await);
    assert_ne!(first, of_seed(5).await);
    let kinds: HashSet<_> = first.into_iter().collect();
    assert!(kinds.len() >= 4, "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn slow_is_slow_on_tokios_clock() {
    let simulator = with(&["slow=1"], 1);
    let begun = Instant::now();
    assert_eq!(ask(&simulator, &everything()).await.events.len(), 50);
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expired_stays_so_and_the_next_has_its_own_chance() {
    let simulator = with(&["expired-token=0.5"], 1);
    let (mut expired, mut good) = (0, 0);
    for _ in 0..40 {
        let token = ask(&simulator, &everything()).await.next_token;
        let follow = PageRequest {
            token,
            ..everything()
        };
        let first = simulator.lookup_events(&scope(), &follow).await;
        assert_eq!(
            simulator.lookup_events(&scope(), &follow).await.is_ok(),
            first.is_ok()
        );
        match first {
            Ok(_) => good += 1,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::InvalidToken);
                expired += 1;
            }
        }
    }
    assert!(expired > 8 && good > 8, "{expired} {good}");
}

#[tokio::test(start_paused = true)]
async fn duplicates_stand_twice() {
    let simulator = with(&["duplicate=0.3"], 1);
    let stats = simulator.stats();
    assert!((140..175).contains(&stats.records), "{}", stats.records);
    let page = ask(&simulator, &everything()).await;
    let distinct: HashSet<_> = ids(&page).into_iter().collect();
    assert!(distinct.len() < page.events.len());
}

#[tokio::test(start_paused = true)]
async fn late_ones_come_after_the_planning_figure() {
    let simulator = with(&["late=1"], 1);
    simulator.insert(&scope(), event("late", NOW), None);
    let one = by(AttributeKey::EventId, "late");
    tokio::time::advance(Duration::from_secs(20 * 60 - 1)).await;
    assert_eq!(ask(&simulator, &one).await.events.len(), 0);
    tokio::time::advance(Duration::from_secs(40 * 60 + 1)).await;
    assert_eq!(ask(&simulator, &one).await.events.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn short_pages_lose_nothing() {
    let simulator = with(&["short-page=1"], 1);
    let mut found = Vec::new();
    let mut short = 0;
    let mut next = everything();
    loop {
        let page = ask(&simulator, &next).await;
        found.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(token) = page.next_token else { break };
        short += u32::from(page.events.len() < 50);
        next = PageRequest {
            token: Some(token),
            ..next
        };
    }
    let expected: Vec<String> = (0..120).rev().map(|n: i32| n.to_string()).collect();
    assert_eq!(found, expected);
    assert!(short > 0, "{short}");
}
