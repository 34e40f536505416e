//! One trail's digests in one scope: what is proven, and what waits.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest as _, Sha256};

use crate::{collect::envelope::ObjectRef, event::TimeRange};

/// The first bytes of a hash of where a file is: chosen by nobody who could not
/// as well write the digest.
pub(super) type FileId = [u8; 16];

pub(super) fn id_of(object: &ObjectRef) -> FileId {
    let mut hash = Sha256::new();
    hash.update(object.bucket.as_bytes());
    hash.update(b"/");
    hash.update(object.key.as_bytes());
    hash.finalize().first_chunk().copied().unwrap_or_default()
}

/// A digest that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) to: i64,
    pub(super) object: ObjectRef,
    pub(super) previous: Option<ObjectRef>,
    pub(super) missing: HashMap<FileId, ObjectRef>,
}

#[derive(Debug, Default)]
pub(super) struct Chain {
    /// What is proven, and the digest that it ends with.
    pub(super) proven: Option<(TimeRange, ObjectRef)>,
    /// By their start.
    pub(super) waiting: BTreeMap<i64, Waiting>,
}

impl Chain {
    /// Whether `digest`, which starts at `from`, follows what is proven.
    fn follows(&self, from: i64, digest: &Waiting) -> bool {
        let Some((range, last)) = &self.proven else {
            return true;
        };
        let is_next = digest
            .previous
            .as_ref()
            .is_none_or(|previous| previous.key == last.key);
        from <= range.to && is_next
    }

    /// Takes on what has become whole.
    pub(super) fn advance(&mut self) {
        while let Some(first) = self.waiting.first_entry() {
            let (from, to) = (*first.key(), first.get().to);
            if self
                .proven
                .as_ref()
                .is_some_and(|(range, _)| to <= range.to)
            {
                first.remove();
                continue;
            }
            if !first.get().missing.is_empty() || !self.follows_first() {
                return;
            }
            if let Some((_, whole)) = self.waiting.pop_first() {
                let start = self.proven.as_ref().map_or(from, |(range, _)| range.from);
                self.proven = Some((TimeRange::new(start, to), whole.object));
            }
        }
    }

    fn follows_first(&self) -> bool {
        self.waiting
            .first_key_value()
            .is_some_and(|(from, digest)| self.follows(*from, digest))
    }

    /// What is missing between what is proven and what waits, and the digest that
    /// would tell. `None` of that: the chain starts anew, and nothing fills it.
    pub(super) fn hole(&self) -> Option<(TimeRange, Option<&ObjectRef>)> {
        let (range, last) = self.proven.as_ref()?;
        let (from, first) = self.waiting.first_key_value()?;
        if self.follows(*from, first) {
            return None;
        }
        let hole = TimeRange::new(range.to, (*from).max(range.to));
        let previous = first.previous.as_ref();
        Some((hole, previous.filter(|it| it.key != last.key)))
    }

    /// Gives up what stands in the way: the hole, else the first that waits. The
    /// stretch, and the files that are not waited for any more.
    pub(super) fn give_up(&mut self) -> Option<(TimeRange, Vec<FileId>)> {
        let hole = self.hole().map(|(range, _)| range);
        self.proven = match hole {
            Some(_) => None,
            None => self.proven.take(),
        };
        if let Some(range) = hole {
            return Some((range, Vec::new()));
        }
        let (from, first) = self.waiting.pop_first()?;
        self.proven = None;
        let ids = first.missing.into_keys().collect();
        Some((TimeRange::new(from, first.to), ids))
    }
}
