//! What must be true of every digest, and of the key that it was found under.

use std::time::Duration;

use serde_json::Value;

use super::{Digest, LONGEST, Limits, Tracker};
use crate::collect::{
    envelope::ObjectRef,
    object_key::{Kind, ObjectKey},
};

/// Checks that the keys of a time are listed where a key of that time is found.
pub(crate) fn check_key(key: &str) {
    let ObjectKey { kind, place } = ObjectKey::parse(key);
    let Some(place) = place else {
        assert_eq!(kind, Kind::Other);
        return;
    };
    let (root, scope) = (&place.root, &place.scope);
    assert!(key.starts_with(&root.scope(kind, scope)), "{key}");
    let day = root.day(kind, scope, place.time);
    assert!(day.is_some_and(|day| key.starts_with(&day)), "{key}");
    let after = root.start_after(kind, scope, place.time);
    assert!(after.is_some_and(|after| *after < *key), "{key}");
}

/// Checks digests one after the other, as one tracker is told of them.
pub(crate) fn check<'a>(texts: impl Iterator<Item = &'a [u8]>) {
    let found = ObjectRef {
        bucket: "found".to_owned(),
        key: "key".to_owned(),
        ..ObjectRef::default()
    };
    let limits = Limits {
        ingested: 3,
        open: 5,
        waiting: 3,
        chains: 2,
        horizon: Duration::from_secs(900),
    };
    let mut tracker = Tracker::new(limits);
    for (turn, text) in texts.enumerate() {
        let Ok(digest) = Digest::read(&found, text) else {
            continue;
        };
        // a file that is left out would prove too much
        let value: Option<Value> = serde_json::from_slice(text).ok();
        let files = value
            .as_ref()
            .and_then(|value| value.get("logFiles")?.as_array());
        if let Some(files) = files {
            assert_eq!(digest.files.len(), files.len());
        }
        assert!((1..=LONGEST).contains(&digest.range.seconds()));
        for file in &digest.files {
            check_key(&file.object.key);
        }
        let scope = digest.scope.clone();
        if turn % 2 == 0 {
            for file in &digest.files {
                tracker.ingested(&file.object);
            }
        }
        let noted = tracker.digest(digest, |_| true);
        for object in noted.missing.iter().take(turn) {
            tracker.ingested(object);
        }
        for object in tracker.missing().iter().take(1) {
            tracker.lost(object);
        }
        let sizes = tracker.sizes();
        assert!(sizes.ingested <= limits.ingested && sizes.open <= limits.open);
        assert!(sizes.chains <= limits.chains);
        assert!(sizes.waiting <= limits.waiting * limits.chains);
        let (proven, mark) = (tracker.proven(&scope), tracker.watermark(&scope));
        if let (Some(proven), Some(mark)) = (proven, mark) {
            assert!(mark <= proven.to, "{mark} {proven:?}");
        }
    }
}
