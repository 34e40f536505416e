//! What a subscriber was told lately, so that what a server's restart repeats is
//! dropped.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    event::is_uuid,
    proto::v1::{Event, ScopeWatermark},
};

/// The most events that are remembered: a settle horizon at a thousand a second.
/// Each takes some 80 bytes.
const MOST: usize = 1_000_000;

/// Seconds: events that Event history does not tell are remembered so much longer
/// than their scope's watermark, which proves nothing of them. A server repeats no
/// more.
const UNPROVEN: i64 = 3600;

/// An event that was told: 16 bytes for its identity, the second up to which it is
/// remembered, and 8 bytes of its record's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    identity: [u8; 16],
    scope: [u8; 8],
    time: i64,
    record: [u8; 8],
}

impl Seen {
    pub(super) fn of(event: &Event) -> Self {
        let record = first(&Sha256::digest(&event.record));
        let scope = scope(&event.account_id, &event.region);
        let mut hash = Sha256::new();
        hash.update(scope);
        if is_uuid(&event.event_id) {
            hash.update(event.event_id.to_ascii_lowercase());
        } else {
            // ids that are no UUIDs are reused; without a record the name helps
            for part in [&event.event_id, &event.event_name, &event.record] {
                hash.update(part);
                hash.update([0]);
            }
        }
        let unproven = match &*event.event_category {
            "" | "Management" => 0,
            _ => UNPROVEN,
        };
        Self {
            identity: first(&hash.finalize()),
            scope,
            time: event.event_time.map_or(0, |time| time.seconds) + unproven,
            record,
        }
    }
}

fn scope(account: &str, region: &str) -> [u8; 8] {
    first(
        &Sha256::new()
            .chain_update(account)
            .chain_update([0])
            .chain_update(region)
            .finalize(),
    )
}

/// The first bytes of a hash, which has 32.
fn first<const N: usize>(hash: &[u8]) -> [u8; N] {
    hash.first_chunk().copied().unwrap_or([0; N])
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recent {
    seen: HashMap<[u8; 16], Seen>,
}

impl Recent {
    pub(super) fn new(seen: Vec<Seen>) -> Self {
        let seen = seen.into_iter().map(|seen| (seen.identity, seen));
        Self {
            seen: seen.collect(),
        }
    }

    /// Whether an event was told before, and is no correction of what was.
    pub(super) fn has(&self, seen: &Seen, event: &Event) -> bool {
        if event.record.is_empty() && !is_uuid(&event.event_id) {
            // nothing tells it from others that have its id: better twice than not
            return false;
        }
        let before = self.seen.get(&seen.identity);
        before.is_some_and(|before| {
            before.record == seen.record || !event.record.contains("\"addendum\"")
        })
    }

    pub(super) fn add(&mut self, seen: Seen) {
        self.seen.insert(seen.identity, seen);
        if self.seen.len() > MOST {
            // the older half
            let mut times: Vec<i64> = self.seen.values().map(|seen| seen.time).collect();
            let middle = times.len() / 2;
            let (_, cut, _) = times.select_nth_unstable(middle);
            let cut = *cut;
            self.seen.retain(|_, seen| seen.time > cut);
        }
    }

    /// Forgets an event.
    pub(super) fn remove(&mut self, seen: &Seen) {
        self.seen.remove(&seen.identity);
    }

    /// Forgets what cannot come again.
    pub(super) fn settle(&mut self, watermarks: &[ScopeWatermark]) {
        let settled: HashMap<[u8; 8], i64> = watermarks
            .iter()
            .filter_map(|mark| {
                let scope = scope(&mark.account_id, &mark.region);
                Some((scope, mark.watermark.as_ref()?.seconds))
            })
            .collect();
        self.seen.retain(|_, seen| {
            let settled = settled.get(&seen.scope);
            settled.is_none_or(|settled| seen.time >= *settled)
        });
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Seen> {
        self.seen.values().copied()
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    fn event(id: &str, record: &str, seconds: i64) -> Event {
        Event {
            event_id: id.to_owned(),
            record: record.to_owned(),
            account_id: "111122223333".to_owned(),
            event_time: Some(Timestamp { seconds, nanos: 0 }),
            ..Event::default()
        }
    }

    #[test]
    fn a_repeat_is_known_until_it_is_settled_and_a_correction_is_none() {
        let id = "00000000-0000-4000-8000-000000000001";
        let mut recent = Recent::default();
        let told = event(id, "{}", 100);
        recent.add(Seen::of(&told));
        let has = |recent: &Recent, event: &Event| recent.has(&Seen::of(event), event);
        assert!(has(&recent, &told));
        assert!(has(&recent, &event(id, "{ }", 100)), "by another way");
        assert!(!has(&recent, &event(id, "{\"addendum\":{}}", 100)));
        assert!(!has(&recent, &event("other", "{}", 100)));
        let odd = event("1111", "{\"a\":1}", 100);
        recent.add(Seen::of(&odd));
        assert!(has(&recent, &odd) && !has(&recent, &event("1111", "{\"a\":2}", 100)));
        // without its record nothing tells one of them from another
        let bare = event("1111", "", 100);
        recent.add(Seen::of(&bare));
        assert!(!has(&recent, &bare));
        let mark = |seconds| ScopeWatermark {
            account_id: "111122223333".to_owned(),
            watermark: Some(Timestamp { seconds, nanos: 0 }),
            ..ScopeWatermark::default()
        };
        recent.settle(&[mark(100)]);
        assert!(has(&recent, &told));
        recent.settle(&[mark(101)]);
        assert!(!has(&recent, &told) && recent.all().next().is_none());
        // a settle walk proves nothing of what history does not tell
        let data = Event {
            event_category: "Data".to_owned(),
            ..told
        };
        recent.add(Seen::of(&data));
        recent.settle(&[mark(100 + UNPROVEN)]);
        assert!(has(&recent, &data));
        recent.settle(&[mark(101 + UNPROVEN)]);
        assert!(!has(&recent, &data));
    }
}
