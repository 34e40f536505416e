//! Which events files have: exactly, by identity.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::TryStreamExt as _;

use super::{
    columns::{IDENTITY, Id},
    error::Error,
    rows,
    snapshot::File,
    source::{SMALL, Source},
    store::Store,
};

/// Rows whose identities are read at once: 140 KB.
const ROWS: usize = 8192;

/// Identities of files that were written or asked of lately, so that a partition that
/// events keep coming to is not read again for each of them. By path: a file never changes.
#[derive(Debug)]
pub(super) struct Identities {
    held: Mutex<Held>,
    /// The most bytes that are held.
    limit: usize,
}

#[derive(Debug, Default)]
struct Held {
    files: HashMap<Arc<str>, Entry>,
    bytes: usize,
    /// Counts what was asked.
    now: u64,
}

#[derive(Debug)]
struct Entry {
    /// In order.
    ids: Arc<[Id]>,
    asked: u64,
}

fn bytes_of(path: &str, ids: &[Id]) -> usize {
    // and some 100 for what keeps them
    ids.len() * IDENTITY + path.len() + 100
}

impl Identities {
    /// None yet; never more than so many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            held: Mutex::default(),
            limit,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        // what is held is right after each step, or dropped
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, path: &str) -> Option<Arc<[Id]>> {
        let mut held = self.lock();
        held.now += 1;
        let now = held.now;
        let entry = held.files.get_mut(path)?;
        entry.asked = now;
        Some(entry.ids.clone())
    }

    /// Keeps those of a file; the ones that were not asked of for longest go.
    pub(super) fn put(&self, path: &Arc<str>, mut ids: Vec<Id>) {
        let bytes = bytes_of(path, &ids);
        if bytes > self.limit {
            return;
        }
        ids.sort_unstable();
        let mut held = self.lock();
        held.now += 1;
        let entry = Entry {
            ids: ids.into(),
            asked: held.now,
        };
        held.bytes += bytes;
        if let Some(old) = held.files.insert(path.clone(), entry) {
            held.bytes -= bytes_of(path, &old.ids);
        }
        while held.bytes > self.limit {
            let oldest = held.files.iter().min_by_key(|(_, entry)| entry.asked);
            let Some(oldest) = oldest.map(|(path, _)| path.clone()) else {
                break;
            };
            if let Some(gone) = held.files.remove(&oldest) {
                held.bytes -= bytes_of(&oldest, &gone.ids);
            }
        }
    }

    /// Forgets a file's.
    pub(super) fn forget(&self, path: &str) {
        let mut held = self.lock();
        if let Some(gone) = held.files.remove(path) {
            held.bytes -= bytes_of(path, &gone.ids);
        }
    }

    /// Bytes that are held.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Tells which of `wanted`, that are in order, a file has, by `found`: at most once each.
    /// Reads no more than the column of identities, a piece at a time.
    pub(super) async fn find(
        &self,
        store: &Store,
        file: &Arc<File>,
        wanted: &[(Id, usize)],
        found: &mut impl FnMut(usize),
    ) -> Result<(), Error> {
        if let Some(ids) = self.get(&file.path) {
            in_both(wanted, &ids, found);
            return Ok(());
        }
        let source = Source::open(store, file, SMALL).await?;
        let rows: usize = source.groups().iter().sum();
        let keeps = rows * IDENTITY < self.limit / 2;
        let mut all = Vec::with_capacity(if keeps { rows } else { 0 });
        let mut stream = std::pin::pin!(source.stream(&source.mask(Some(&["identity"])), ROWS)?);
        while let Some(batch) = stream.try_next().await? {
            let columns = |what: String| Error::columns(&file.path, &what);
            for id in rows::ids(&batch).map_err(columns)? {
                let id = id.map_err(columns)?;
                let place = wanted.binary_search_by_key(&id, |(id, _)| *id);
                if let Some((_, at)) = place.ok().and_then(|place| wanted.get(place)) {
                    found(*at);
                }
                if keeps {
                    all.push(id);
                }
            }
        }
        if keeps {
            self.put(&file.path, all);
        }
        Ok(())
    }
}

/// Tells which of `wanted` are among `ids`; both are in order.
fn in_both(wanted: &[(Id, usize)], mut ids: &[Id], found: &mut impl FnMut(usize)) {
    // how far one looks ahead: as far apart as they are on average
    let step = ids.len() / wanted.len().max(1) + 1;
    for (id, at) in wanted {
        // whole steps first, and then within one
        while ids.get(step).is_some_and(|ahead| ahead < id) {
            ids = ids.get(step..).unwrap_or_default();
        }
        let near = ids.get(..=step).unwrap_or(ids);
        let before = near.partition_point(|one| one < id);
        ids = ids.get(before..).unwrap_or_default();
        if ids.first() == Some(id) {
            found(*at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_both_is_found_however_many_there_are() {
        let id = |number: usize| {
            let mut id = [0; IDENTITY];
            id[..8].copy_from_slice(&number.to_be_bytes());
            id
        };
        for (wanted_each, ids_each) in [(1, 1), (2, 3), (3, 2), (1, 50), (50, 1), (7, 1000)] {
            for ids_count in [0, 1, 2, 10, 100] {
                for wanted_count in [0, 1, 2, 10, 100] {
                    let ids: Vec<_> = (0..ids_count).map(|at| id(at * ids_each)).collect();
                    let wanted: Vec<_> = (0..wanted_count)
                        .map(|at| (id(at * wanted_each), at))
                        .collect();
                    let mut found = Vec::new();
                    in_both(&wanted, &ids, &mut |at| found.push(at));
                    let expected = wanted.iter().filter(|(id, _)| ids.contains(id));
                    let expected: Vec<_> = expected.map(|(_, at)| *at).collect();
                    assert_eq!(found, expected);
                }
            }
        }
    }

    #[test]
    fn those_that_were_not_asked_of_go_first_and_no_more_is_held_than_may_be() {
        let id = |number: usize| {
            let mut id = [0; IDENTITY];
            id[..8].copy_from_slice(&number.to_be_bytes());
            id
        };
        let path = |number: usize| -> Arc<str> { format!("file-{number}").into() };
        let held = Identities::new(10_000);
        for file in 0..50 {
            held.put(
                &path(file),
                (0..100).rev().map(|at| id(file * 1000 + at)).collect(),
            );
            assert!(held.bytes() <= 10_000);
            // the first is asked of all the time
            let first = held.get("file-0").unwrap();
            assert!(first.binary_search(&id(99)).is_ok() && first.binary_search(&id(100)).is_err());
        }
        assert!(held.get("file-1").is_none() && held.get("file-49").is_some());
        // one that is too large is not held, and none goes for it
        held.put(&path(99), vec![id(1); 1000]);
        assert!(held.get("file-99").is_none() && held.get("file-49").is_some());
        // again, and forgotten
        held.put(&path(49), vec![id(1)]);
        for file in 0..50 {
            held.forget(&path(file));
        }
        assert_eq!(held.bytes(), 0);
    }
}
