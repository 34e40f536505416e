//! Which hours are proven whole: those whose digest is there, all of whose
//! files were ingested, in a chain without a hole.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use super::{
    Digest,
    chain::{Chain, FileId, Waiting, id_of},
};
use crate::{
    collect::envelope::ObjectRef,
    event::{Scope, TimeRange},
};

/// Bounds of a [`Tracker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most files that are remembered as ingested, latest first out. Those
    /// that a digest has named are forgotten at once.
    pub ingested: usize,
    /// The most files that digests named and that are not ingested yet.
    pub open: usize,
    /// The most digests of a chain that wait for files or for an earlier digest.
    pub waiting: usize,
    /// The most chains: one for each trail in each scope.
    pub chains: usize,
    /// How long before a digest's end its events are taken to be all delivered.
    pub horizon: Duration,
}

impl Default for Limits {
    /// A thousand scopes with 12 files an hour: 100,000 files are eight hours
    /// before a digest comes (7 MB), 50,000 four hours that have to be fetched
    /// (some 15 MB). 48 digests are two days; 10,000 chains, 300 accounts in 33
    /// Regions. The horizon is CloudTrail's usual planning figure.
    fn default() -> Self {
        Self {
            ingested: 100_000,
            open: 50_000,
            waiting: 48,
            chains: 10_000,
            horizon: Duration::from_secs(900),
        }
    }
}

/// A stretch of delivery time that cannot be proven any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Whose.
    pub scope: Scope,
    /// When the files would have been delivered.
    pub range: TimeRange,
}

/// What came of a digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// The files that it names and that were not ingested yet. They may be under
    /// way: fetch those that are still in [`Tracker::missing`] a while later.
    pub missing: Vec<ObjectRef>,
    /// What is given up: for room, or since the chain started anew.
    pub gaps: Vec<Gap>,
}

/// What a [`Tracker`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Files that were ingested and that no digest has named yet.
    pub ingested: usize,
    /// Files that digests named and that are not ingested yet.
    pub open: usize,
    /// Digests that wait.
    pub waiting: usize,
    /// Chains.
    pub chains: usize,
}

/// A trail in a scope.
type ChainId = (Scope, String);

/// Follows digests and files, in whatever order they come.
#[derive(Debug)]
pub struct Tracker {
    limits: Limits,
    /// Ingested, and not named by a digest yet; oldest first.
    ingested: VecDeque<FileId>,
    is_ingested: HashSet<FileId>,
    /// Whose digest waits for a file, by the digest's start.
    open: HashMap<FileId, (ChainId, i64)>,
    chains: BTreeMap<ChainId, Chain>,
}

impl Tracker {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ingested: VecDeque::new(),
            is_ingested: HashSet::new(),
            open: HashMap::new(),
            chains: BTreeMap::new(),
        }
    }

    /// A file was ingested wholly: all its events are where they shall be.
    pub fn ingested(&mut self, object: &ObjectRef) {
        let id = id_of(object);
        let Some((chain_id, from)) = self.open.remove(&id) else {
            if self.is_ingested.insert(id) {
                self.ingested.push_back(id);
            }
            if self.ingested.len() > self.limits.ingested
                && let Some(oldest) = self.ingested.pop_front()
            {
                self.is_ingested.remove(&oldest);
            }
            return;
        };
        let Some(chain) = self.chains.get_mut(&chain_id) else {
            return;
        };
        if let Some(digest) = chain.waiting.get_mut(&from) {
            digest.missing.remove(&id);
        }
        chain.advance();
    }

    /// A digest was read. Files that `is_wanted` turns away are not waited for:
    /// they are not collected.
    pub fn digest(&mut self, digest: Digest, is_wanted: impl Fn(&ObjectRef) -> bool) -> Noted {
        let wanted = digest.files.into_iter().map(|file| file.object);
        let mut missing: HashMap<FileId, ObjectRef> = HashMap::new();
        let mut named = Vec::new();
        for file in wanted.filter(is_wanted) {
            let id = id_of(&file);
            named.push(id);
            if !self.is_ingested.contains(&id) {
                missing.insert(id, file);
            }
        }
        let mut noted = Noted {
            missing: missing.values().cloned().collect(),
            gaps: Vec::new(),
        };
        noted.missing.sort_by(|a, b| a.key.cmp(&b.key));
        if digest.is_backfill {
            return noted;
        }
        let chain_id = (digest.scope, digest.trail);
        self.make_room_for(&chain_id);
        let chain = self.chains.entry(chain_id.clone()).or_default();
        let TimeRange { from, to } = digest.range;
        let is_old = chain.proven.as_ref().is_some_and(|(range, _)| {
            // proven, or before what is
            to <= range.to
        });
        if is_old {
            // its files were forgotten once they were in it
            return Noted::default();
        }
        if let Some(same) = chain.waiting.get(&from) {
            noted
                .missing
                .retain(|file| same.missing.contains_key(&id_of(file)));
            return noted;
        }
        for id in missing.keys() {
            self.open.insert(*id, (chain_id.clone(), from));
        }
        let waiting = Waiting {
            to,
            object: digest.object,
            previous: digest.previous,
            missing,
        };
        chain.waiting.insert(from, waiting);
        chain.advance();
        let named: HashSet<FileId> = named.into_iter().collect();
        self.ingested.retain(|id| !named.contains(id));
        self.is_ingested.retain(|id| !named.contains(id));
        while self.open.len() > self.limits.open
            || self.waits(&chain_id) > self.limits.waiting
            || self.starts_anew(&chain_id)
        {
            match self.give_up(&chain_id) {
                Some(gap) => noted.gaps.push(gap),
                None => break,
            }
        }
        noted
    }

    /// A file, or a digest, is gone for good: whatever waits for it is given up.
    pub fn lost(&mut self, object: &ObjectRef) -> Vec<Gap> {
        let mut gaps = Vec::new();
        if let Some((chain_id, from)) = self.open.get(&id_of(object)).cloned() {
            // all that stands before it too: the chain starts anew behind it
            while self
                .first_wait(&chain_id)
                .is_some_and(|first| first <= from)
            {
                gaps.extend(self.give_up(&chain_id));
            }
            return gaps;
        }
        let is_hole = |chain: &Chain| {
            let previous = chain.hole().and_then(|(_, previous)| previous);
            previous.is_some_and(|it| it.bucket == object.bucket && it.key == object.key)
        };
        let holes = self.chains.iter().filter(|(_, chain)| is_hole(chain));
        let ids: Vec<ChainId> = holes.map(|(id, _)| id.clone()).collect();
        gaps.extend(ids.iter().filter_map(|id| self.give_up(id)));
        gaps
    }

    /// What is waited for: files that digests named, and digests that are
    /// missing from their chains.
    #[must_use]
    pub fn missing(&self) -> Vec<ObjectRef> {
        let mut missing: Vec<ObjectRef> = Vec::new();
        for chain in self.chains.values() {
            missing.extend(chain.hole().and_then(|(_, previous)| previous).cloned());
            let files = chain.waiting.values().flat_map(|it| it.missing.values());
            missing.extend(files.cloned());
        }
        missing
    }

    /// The delivery time that is proven whole in a scope: what all its trails
    /// that have digests agree on.
    #[must_use]
    pub fn proven(&self, scope: &Scope) -> Option<TimeRange> {
        let first = (scope.clone(), String::new());
        let mut all = None;
        let of_scope = self.chains.range(first..);
        for (_, chain) in of_scope.take_while(|((of, _), _)| of == scope) {
            let range = chain.proven.as_ref()?.0;
            all = Some(all.map_or(range, |all: TimeRange| all.intersect(&range)));
        }
        all.filter(|range| !range.is_empty())
    }

    /// The end (exclusive) of the events that are proven to be collected in a
    /// scope: a horizon before the end of what is proven.
    #[must_use]
    pub fn watermark(&self, scope: &Scope) -> Option<i64> {
        let horizon = i64::try_from(self.limits.horizon.as_secs()).unwrap_or(i64::MAX);
        self.proven(scope)
            .map(|range| range.to.saturating_sub(horizon))
    }

    /// How much it holds.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            ingested: self.ingested.len(),
            open: self.open.len(),
            waiting: self.chains.values().map(|chain| chain.waiting.len()).sum(),
            chains: self.chains.len(),
        }
    }

    fn waits(&self, id: &ChainId) -> usize {
        self.chains.get(id).map_or(0, |chain| chain.waiting.len())
    }

    fn starts_anew(&self, id: &ChainId) -> bool {
        let hole = self.chains.get(id).and_then(Chain::hole);
        hole.is_some_and(|(_, previous)| previous.is_none())
    }

    fn first_wait(&self, id: &ChainId) -> Option<i64> {
        let (first, _) = self.chains.get(id)?.waiting.first_key_value()?;
        Some(*first)
    }

    fn give_up(&mut self, id: &ChainId) -> Option<Gap> {
        let chain = self.chains.get_mut(id)?;
        let (range, ids) = chain.give_up()?;
        chain.advance();
        for id in ids {
            self.open.remove(&id);
        }
        Some(Gap {
            scope: id.0.clone(),
            range,
        })
    }

    /// Forgets the chain that has been still the longest, where a new one would
    /// be one too many.
    fn make_room_for(&mut self, id: &ChainId) {
        if self.chains.len() < self.limits.chains || self.chains.contains_key(id) {
            return;
        }
        let age = |chain: &Chain| {
            let proven = chain.proven.as_ref().map(|(range, _)| range.to);
            proven.max(chain.waiting.last_key_value().map(|(from, _)| *from))
        };
        let stillest = self.chains.iter().min_by_key(|(_, chain)| age(chain));
        let Some(stillest) = stillest.map(|(id, _)| id.clone()) else {
            return;
        };
        if let Some(chain) = self.chains.remove(&stillest) {
            let missing = chain.waiting.into_values().map(|it| it.missing);
            for id in missing.flat_map(HashMap::into_keys) {
                self.open.remove(&id);
            }
        }
    }
}
