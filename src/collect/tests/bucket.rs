//! A bucket in memory, listed as S3 lists.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use bytes::Bytes;
use futures_util::stream;

use super::*;
use crate::collect::{
    envelope::ObjectRef,
    object_key::{Kind, Root},
    queue::{Answer, Body, Objects, ObjectsError},
    trails::{Keys, Listing, Ports},
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Fails one request in so many; 0: none.
    pub(super) odds: AtomicU32,
    asked: AtomicU32,
}

impl Bucket {
    pub(super) fn trails(self: &Arc<Self>, clock: &Clock, horizon: Duration) -> Trails {
        let ports = Ports {
            objects: Arc::clone(self) as _,
            listing: Arc::clone(self) as _,
            readers: Arc::new(Files::default()),
        };
        let trail = "s3://trail/some/prefix".parse().unwrap();
        Trails::new(
            ports,
            vec![trail],
            SourceFilter::default(),
            clock.clone(),
            horizon,
        )
    }

    /// Delivers records at a second; their file's key.
    pub(super) fn deliver(&self, scope: &Scope, at: i64, records: &[String]) -> String {
        let mut objects = self.objects.lock().unwrap();
        let root = Root::new("some/prefix", Some("o-example"));
        let name = root.start_after(Kind::LogFile, scope, at).unwrap();
        let key = format!("{name}Z_{:016}.json.gz", objects.len());
        let content = format!("{{\"Records\":[{}]}}", records.join(","));
        objects.insert(key.clone(), content.into_bytes());
        key
    }

    /// Takes an object away, or half of it.
    pub(super) fn spoil(&self, key: &str, is_gone: bool) {
        let mut objects = self.objects.lock().unwrap();
        if is_gone {
            objects.remove(key);
        } else if let Some(content) = objects.get_mut(key) {
            content.truncate(content.len() - 3);
        }
    }

    pub(super) fn keys_of(&self, region: &str) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        let keys = objects.keys();
        keys.filter(|key| key.contains(region)).cloned().collect()
    }

    pub(super) fn events(&self, key: &str) -> Vec<Arc<Event>> {
        let objects = self.objects.lock().unwrap();
        let content: serde_json::Value = serde_json::from_slice(&objects[key]).unwrap();
        let place = object_key::ObjectKey::parse(key).place.unwrap();
        let records = content["Records"].as_array().unwrap().iter();
        let event = |record: &serde_json::Value| {
            let record = record.to_string();
            let origin = crate::event::Origin::LogFile;
            Arc::new(Event::from_record(
                &place.scope,
                record.as_bytes(),
                origin,
                place.time,
            ))
        };
        records.map(event).collect()
    }

    fn is_failing(&self) -> bool {
        let odds = self.odds.load(Relaxed);
        let asked = u64::from(self.asked.fetch_add(1, Relaxed)) + 1;
        // in an order that looks like none
        let mixed = asked.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        odds > 0 && mixed.is_multiple_of(odds.into())
    }
}

fn failed() -> ObjectsError {
    ObjectsError::Failed("reset".into())
}

impl Objects for Bucket {
    fn get<'a>(&'a self, object: &'a ObjectRef) -> Answer<'a, Body, ObjectsError> {
        Box::pin(async move {
            if self.is_failing() {
                return Err(failed());
            }
            let objects = self.objects.lock().unwrap();
            let content = objects.get(&object.key).ok_or(ObjectsError::NotFound)?;
            let mut pieces: Vec<_> = content
                .chunks(1000)
                .map(|piece| Ok(Bytes::copy_from_slice(piece)))
                .collect();
            if self.is_failing() {
                pieces.truncate(1);
                pieces.push(Err(failed()));
            }
            let body: Body = Box::pin(stream::iter(pieces));
            Ok(body)
        })
    }
}

impl Listing for Bucket {
    fn below<'a>(&'a self, _: &'a str, prefix: &'a str) -> Answer<'a, Vec<String>, ObjectsError> {
        Box::pin(async move {
            if self.is_failing() {
                return Err(failed());
            }
            let objects = self.objects.lock().unwrap();
            let names: BTreeSet<String> = objects
                .keys()
                .filter_map(|key| Some(key.strip_prefix(prefix)?.split_once('/')?.0.to_owned()))
                .collect();
            Ok(names.into_iter().collect())
        })
    }

    fn keys(&self, _: &str, prefix: &str, after: &str) -> Keys {
        let objects = self.objects.lock().unwrap();
        let keys = objects.keys();
        let mut keys: Vec<_> = keys
            .filter(|key| key.starts_with(prefix) && key.as_str() > after)
            .map(|key| Ok(key.clone()))
            .collect();
        if self.is_failing() {
            keys.truncate(keys.len() / 2);
            keys.push(Err(failed()));
        }
        Box::pin(stream::iter(keys))
    }
}
