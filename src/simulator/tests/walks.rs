//! Walks against a plain scan of all events.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::awsjson::LookupRequest;

/// Few values, so that many events share them and many share a second.
fn any_event() -> impl Strategy<Value = LookupEvent> {
    let word = || prop::option::of(prop::sample::select(vec!["a", "b", "A"]));
    let resource = (word(), word()).prop_map(|(kind, name)| Resource {
        kind: kind.map(str::to_owned),
        name: name.map(str::to_owned),
    });
    let words = (word(), word(), word(), word(), word(), word());
    (NOW - 12..NOW, words, prop::collection::vec(resource, 0..3)).prop_map(
        |(time, (id, name, source, read_only, key, user), resources)| LookupEvent {
            event_id: id.map(str::to_owned),
            event_name: name.map(str::to_owned),
            event_source: source.map(str::to_owned),
            event_time: Some(time),
            read_only: read_only.map(str::to_owned),
            access_key_id: key.map(str::to_owned),
            username: user.map(str::to_owned),
            resources,
            record: None,
        },
    )
}

fn matches(event: &LookupEvent, attribute: &Attribute) -> bool {
    let is = |field: &Option<String>| field.as_deref() == Some(&*attribute.value);
    match attribute.key {
        AttributeKey::AccessKeyId => is(&event.access_key_id),
        AttributeKey::EventId => is(&event.event_id),
        AttributeKey::EventName => is(&event.event_name),
        AttributeKey::EventSource => is(&event.event_source),
        AttributeKey::ReadOnly => is(&event.read_only),
        AttributeKey::Username => is(&event.username),
        AttributeKey::ResourceName => event.resources.iter().any(|r| is(&r.name)),
        AttributeKey::ResourceType => event.resources.iter().any(|r| is(&r.kind)),
    }
}

/// How often each event is there; the record tells them apart.
fn counted(events: impl IntoIterator<Item = LookupEvent>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(format!("{event:?}")).or_default() += 1;
    }
    counts
}

async fn walk(simulator: &Simulator, request: &LookupRequest) -> Vec<LookupEvent> {
    let mut found = Vec::new();
    let mut next = request.clone();
    loop {
        let answer = simulator
            .lookup(&scope(), || Ok(next.clone()))
            .await
            .unwrap();
        assert!(answer.events.len() <= request.max_results);
        found.extend(answer.events);
        match answer.next_token {
            Some(token) => next.token = Some(token),
            None => return found,
        }
    }
}

proptest! {
    #[test]
    fn every_event_comes_exactly_once(
        given in prop::collection::vec(any_event(), 0..80),
        added in prop::collection::vec(any_event(), 0..20),
        key in prop::option::of(prop::sample::select(AttributeKey::ALL.to_vec())),
        value in prop::sample::select(vec!["a", "b", "A", "c"]),
        start in prop::option::of(NOW - 13..NOW + 1),
        length in prop::option::of(0..14_i64),
        max_results in 1..=50_usize,
        seed in 0..3_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let all = || given.iter().chain(&added).cloned();
            let simulator = simulator(Options { seed, ..unmetered() }, given.clone());
            for event in &added {
                simulator.insert(&scope(), event.clone(), None);
            }
            let end = length.map(|length| start.unwrap_or(NOW - 12) + length);
            let request = LookupRequest {
                category: Category::Management,
                attribute: key.map(|key| Attribute::new(key, value)),
                start_ms: start.map(|secs| secs * 1000),
                end_ms: end.map(|secs| secs * 1000),
                max_results,
                token: None,
            };
            let expected = all().filter(|event| {
                let time = event.event_time.unwrap();
                start.is_none_or(|start| start <= time)
                    && end.is_none_or(|end| time <= end)
                    && request.attribute.as_ref().is_none_or(|a| matches(event, a))
            });
            let found = walk(&simulator, &request).await;
            assert!(found.is_sorted_by_key(|event| std::cmp::Reverse(event.event_time)));
            assert_eq!(counted(found), counted(expected));
        });
    }
}
