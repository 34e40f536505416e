//! What AWS does.

use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::{
    awsjson::{Code, LookupRequest, Several},
    simulator::{Refusal, lookup::Answer},
};

async fn wire(simulator: &Simulator, body: &str) -> Result<Answer, Code> {
    let several = simulator.options().several;
    let parse = || LookupRequest::parse(body.as_bytes(), several);
    simulator
        .lookup(&scope(), parse)
        .await
        .map_err(|refusal| match refusal {
            Refusal::Error(error) => error.code,
            Refusal::Disconnect => panic!("no such fault"),
        })
}

#[tokio::test(start_paused = true)]
async fn newest_first_and_both_ends_included() {
    let simulator = simulator(
        unmetered(),
        [1, 4, 2, 3].map(|n| event(&n.to_string(), NOW - 10 + n)),
    );
    assert_eq!(
        ids(&ask(&simulator, &everything()).await),
        ["4", "3", "2", "1"]
    );
    let body = format!("{{\"StartTime\":{},\"EndTime\":{}}}", NOW - 8, NOW - 7);
    let answer = wire(&simulator, &body).await.unwrap();
    let found: Vec<_> = answer
        .events
        .iter()
        .map(|e| e.event_id.clone().unwrap())
        .collect();
    assert_eq!(found, ["3", "2"]);
    assert_eq!(
        ids(&ask(&simulator, &request(NOW - 8, NOW - 7)).await),
        ["2"],
        "half-open"
    );
}

#[tokio::test(start_paused = true)]
async fn each_attribute_matches_exactly_and_by_case() {
    let mut other = event("other", NOW - 2);
    other.event_name = Some("getuser".into());
    other.read_only = Some("false".into());
    other.username = None;
    other.access_key_id = Some("AKIA".into());
    other.resources.clear();
    let simulator = simulator(unmetered(), [event("one", NOW - 1), other]);
    for (key, value, found) in [
        (AttributeKey::EventName, "GetUser", &["one"][..]),
        (AttributeKey::EventName, "getuser", &["other"]),
        (AttributeKey::EventName, "Get", &[]),
        (AttributeKey::EventId, "one", &["one"]),
        (
            AttributeKey::EventSource,
            "iam.amazonaws.com",
            &["one", "other"],
        ),
        (AttributeKey::ReadOnly, "true", &["one"]),
        (AttributeKey::ReadOnly, "false", &["other"]),
        (AttributeKey::ReadOnly, "True", &[]),
        (AttributeKey::Username, "ann", &["one"]),
        (AttributeKey::Username, "Ann", &[]),
        (AttributeKey::AccessKeyId, "AKIA", &["other"]),
        (AttributeKey::ResourceType, "AWS::IAM::User", &["one"]),
        (AttributeKey::ResourceName, "ben", &["one"]),
        (AttributeKey::ResourceName, "ann", &[]),
    ] {
        assert_eq!(
            ids(&ask(&simulator, &by(key, value)).await),
            found,
            "{key}={value}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn history_has_ninety_days_unless_it_has_no_end() {
    let edge = NOW - 90 * 86_400;
    let events = || [event("edge", edge), event("gone", edge - 1)];
    let ninety = simulator(unmetered(), events());
    assert_eq!(ids(&ask(&ninety, &everything()).await), ["edge"]);
    assert_eq!(wire(&ninety, "{}").await.unwrap().events.len(), 1);
    advance(Duration::from_secs(1)).await;
    assert_eq!(ids(&ask(&ninety, &everything()).await), [""; 0]);

    let unlimited = Options {
        unlimited_history: true,
        ..unmetered()
    };
    let unlimited = simulator(unlimited, events());
    assert_eq!(ids(&ask(&unlimited, &everything()).await), ["edge", "gone"]);
    assert_eq!(wire(&unlimited, "{}").await.unwrap().events.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_quota_is_each_scopes_own_and_refusals_take_nothing() {
    let simulator = simulator(Options::default(), [event("one", NOW - 1)]);
    let other = Scope::new("111122223333", "eu-west-2");
    for _ in 0..2 {
        ask(&simulator, &everything()).await;
    }
    for _ in 0..5 {
        let (kind, code) = refused(&simulator, &everything()).await;
        assert_eq!(
            (kind, code.as_str()),
            (ErrorKind::Throttled, "ThrottlingException")
        );
    }
    assert!(simulator.lookup_events(&other, &everything()).await.is_ok());
    advance(Duration::from_millis(500)).await;
    ask(&simulator, &everything()).await;
    assert_eq!(
        refused(&simulator, &everything()).await.0,
        ErrorKind::Throttled
    );

    let stats = simulator.stats();
    let here = stats.operation(&scope(), "LookupEvents");
    assert_eq!(
        (here.requests, here.refused, here.throttled, here.events),
        (9, 6, 6, 3)
    );
    assert_eq!(here.errors.get("ThrottlingException"), Some(&6));
    assert_eq!(stats.operation(&other, "LookupEvents").requests, 1);
    assert_eq!(
        (stats.requests, stats.refused, stats.events, stats.records),
        (10, 6, 3, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_read_has_used_its_turn() {
    let simulator = simulator(Options::default(), []);
    assert_eq!(wire(&simulator, "[").await, Err(Code::Serialization));
    assert_eq!(
        wire(&simulator, r#"{"MaxResults":51}"#).await,
        Err(Code::InvalidMaxResults)
    );
    assert_eq!(wire(&simulator, "{}").await, Err(Code::Throttling));
}

#[tokio::test(start_paused = true)]
async fn a_token_goes_with_its_request_alone() {
    let simulator = simulator(
        Options {
            token_ttl: Some(Duration::from_secs(60)),
            ..unmetered()
        },
        (0..120).map(|n| event(&n.to_string(), NOW - 200 + n)),
    );
    let first = ask(&simulator, &everything()).await;
    assert_eq!(first.events.len(), 50);
    let follow = PageRequest {
        token: first.next_token.clone(),
        ..everything()
    };
    assert_eq!(ids(&ask(&simulator, &follow).await)[0], "69");
    // the same token again: the same page again
    assert_eq!(ids(&ask(&simulator, &follow).await)[0], "69");

    let invalid = (
        ErrorKind::InvalidToken,
        "InvalidNextTokenException".to_owned(),
    );
    let token = follow.token.clone();
    for changed in [
        PageRequest {
            range: TimeRange::new(0, NOW),
            ..follow.clone()
        },
        PageRequest {
            category: Category::Insight,
            ..follow.clone()
        },
        PageRequest {
            token,
            ..by(AttributeKey::Username, "ann")
        },
        PageRequest {
            token: Some("garbage".into()),
            ..everything()
        },
    ] {
        assert_eq!(refused(&simulator, &changed).await, invalid);
    }
    let elsewhere = Scope::new("111122223333", "eu-west-2");
    let error = simulator
        .lookup_events(&elsewhere, &follow)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidToken);

    advance(Duration::from_secs(60)).await;
    ask(&simulator, &follow).await;
    advance(Duration::from_millis(1)).await;
    assert_eq!(refused(&simulator, &follow).await, invalid);
}

#[tokio::test(start_paused = true)]
async fn a_walk_neither_repeats_nor_loses_when_events_come_in() {
    let simulator = simulator(
        unmetered(),
        (0..120).map(|n| event(&n.to_string(), NOW - 200 + n)),
    );
    let mut found = Vec::new();
    let mut next = everything();
    for round in 0.. {
        let page = ask(&simulator, &next).await;
        found.extend(ids(&page).into_iter().map(str::to_owned));
        // at the head, and in the very second that the walk stands in
        simulator.insert(&scope(), event("head", NOW), None);
        let Some(token) = page.next_token else {
            assert_eq!(round, 2);
            break;
        };
        next = PageRequest {
            token: Some(token),
            ..next
        };
    }
    let expected: Vec<String> = (0..120).rev().map(|n: i32| n.to_string()).collect();
    assert_eq!(found, expected);
}

#[tokio::test(start_paused = true)]
async fn ties_have_an_order_that_stays_but_is_not_ours() {
    let simulator = simulator(
        unmetered(),
        (0..40).map(|n| event(&format!("{n:02}"), NOW - 5)),
    );
    let page = ask(&simulator, &everything()).await;
    let order = ids(&page);
    assert_eq!(ids(&ask(&simulator, &everything()).await), order);
    assert!(!order.is_sorted() && !order.iter().rev().is_sorted());
}

#[tokio::test(start_paused = true)]
async fn insights_live_apart() {
    let mut insight = event("insight", NOW - 1);
    insight.record = Some(r#"{"eventCategory":"Insight"}"#.into());
    let simulator = simulator(unmetered(), [insight, event("plain", NOW - 2)]);
    assert_eq!(ids(&ask(&simulator, &everything()).await), ["plain"]);
    let insights = |request| PageRequest {
        category: Category::Insight,
        ..request
    };
    assert_eq!(
        ids(&ask(&simulator, &insights(everything())).await),
        ["insight"]
    );
    let named = insights(by(AttributeKey::EventName, "GetUser"));
    assert_eq!(ids(&ask(&simulator, &named).await), ["insight"]);
    let by_user = insights(by(AttributeKey::Username, "ann"));
    assert_eq!(
        refused(&simulator, &by_user).await.1,
        "InvalidLookupAttributesException"
    );
}

#[tokio::test(start_paused = true)]
async fn several_attributes_are_refused_or_the_first_is_honoured() {
    let body = r#"{"LookupAttributes":[{"AttributeKey":"EventId","AttributeValue":"a"},{"AttributeKey":"EventId","AttributeValue":"b"}]}"#;
    let events = || [event("a", NOW - 1), event("b", NOW - 2)];
    let strict = simulator(unmetered(), events());
    assert_eq!(
        wire(&strict, body).await,
        Err(Code::InvalidLookupAttributes)
    );
    let lax = simulator(
        Options {
            several: Several::FirstOnly,
            ..unmetered()
        },
        events(),
    );
    let answer = wire(&lax, body).await.unwrap();
    assert_eq!(answer.events, [event("a", NOW - 1)]);
}

#[tokio::test(start_paused = true)]
async fn events_appear_late_and_out_of_order() {
    let delay = Duration::from_secs(400);
    let simulator = simulator(
        Options {
            delay,
            ..unmetered()
        },
        [],
    );
    for n in 0..200 {
        let late = event(&n.to_string(), NOW);
        assert_eq!(simulator.insert(&scope(), late, None), 1);
    }
    let all = by(AttributeKey::EventName, "GetUser");
    advance(Duration::from_secs(299)).await;
    assert_eq!(ask(&simulator, &all).await, Page::default());
    advance(Duration::from_secs(101)).await;
    let mut some = Vec::new();
    let mut next = all.clone();
    loop {
        let page = ask(&simulator, &next).await;
        some.extend(ids(&page).into_iter().map(|id| id.parse::<i32>().unwrap()));
        let Some(token) = page.next_token else { break };
        next = PageRequest {
            token: Some(token),
            ..next
        };
    }
    assert!((60..140).contains(&some.len()), "{}", some.len());
    some.sort_unstable();
    assert!(
        some.windows(2).any(|pair| pair[1] > pair[0] + 1),
        "an earlier one still hides"
    );
    advance(Duration::from_secs(101)).await;
    let page = ask(&simulator, &request(NOW, NOW + 1)).await;
    assert!(page.next_token.is_some());
    assert_eq!(simulator.stats().records, 200);
}

#[tokio::test(start_paused = true)]
async fn what_a_test_adds_appears_when_the_test_says() {
    let simulator = simulator(unmetered(), []);
    let at = Timestamp::from_second(NOW + 30).unwrap();
    assert_eq!(
        simulator.insert(&scope(), event("x", NOW - 100), Some(at)),
        1
    );
    let record = r#"{"eventID":"y","eventTime":"2026-05-28T00:00:00Z","awsRegion":"eu-west-1","recipientAccountId":"111122223333"}"#;
    assert_eq!(simulator.insert_record(&scope(), record, None), 1);
    assert_eq!(simulator.insert_record(&scope(), "{}", None), 0, "no time");
    assert_eq!(ids(&ask(&simulator, &everything()).await), ["y"]);
    advance(Duration::from_secs(30)).await;
    assert_eq!(ids(&ask(&simulator, &everything()).await), ["x", "y"]);
    // the future is not yet history
    simulator.insert(&scope(), event("z", NOW + 100), None);
    assert_eq!(ask(&simulator, &everything()).await.events.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn accounts_and_regions_that_are_not_served_refuse() {
    let options = Options {
        accounts: vec!["111122223333".into(), "444455556666".into()],
        regions: vec!["eu-west-1".into()],
        ..unmetered()
    };
    let simulator = simulator(options, [event("x", NOW - 1)]);
    for (account, region) in [("111122223333", "eu-west-2"), ("777788889999", "eu-west-1")] {
        let nowhere = Scope::new(account, region);
        let error = simulator
            .lookup_events(&nowhere, &everything())
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Credentials, "{nowhere}");
        assert_eq!(simulator.insert(&nowhere, event("y", NOW), None), 0);
    }
    let quiet = Scope::new("444455556666", "eu-west-1");
    let page = simulator
        .lookup_events(&quiet, &everything())
        .await
        .unwrap();
    assert_eq!(page, Page::default());
    assert_eq!(simulator.left_out(), 2);
    assert_eq!(simulator.regions(), ["eu-west-1"]);
    assert_eq!(
        simulator.lock().account_of("444455556666").as_deref(),
        Some("444455556666")
    );
    assert_eq!(simulator.lock().account_of("AKIA"), None, "two accounts");
}

#[tokio::test(start_paused = true)]
async fn with_one_account_every_key_is_its() {
    let simulator = simulator(unmetered(), [event("x", NOW - 1)]);
    assert_eq!(
        simulator.lock().account_of("AKIA").as_deref(),
        Some("111122223333")
    );
    let quiet = Scope::new("111122223333", "ap-south-1");
    let page = simulator
        .lookup_events(&quiet, &everything())
        .await
        .unwrap();
    assert_eq!(page, Page::default(), "no Regions were named: all answer");
}

#[tokio::test(start_paused = true)]
async fn the_past_is_made_up_and_goes_on() {
    let options = || Options {
        regions: vec!["eu-west-1".into()],
        synthetic: 300,
        days: 1,
        live: "2.5".parse().unwrap(),
        seed: 9,
        ..unmetered()
    };
    let simulator = simulator(options(), []);
    assert_eq!(simulator.stats().records, 300);
    let before = ask(&simulator, &everything()).await;
    assert!(
        before
            .events
            .iter()
            .all(|e| e.event_time.unwrap() > NOW - 86_400)
    );
    advance(Duration::from_secs(1000)).await;
    let events = simulator.stats().records - 300;
    assert!((2499..=2501).contains(&events), "{events}");
    let page = ask(&simulator, &everything()).await;
    assert!(page.events[0].event_time.unwrap() >= NOW + 998);
    let again = super::simulator(options(), []);
    assert_eq!(ask(&again, &everything()).await, before, "the same seed");
}
