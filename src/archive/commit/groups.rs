//! What is to be committed, by partition, without what is there already.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use futures_util::TryStreamExt as _;

use super::super::{
    Inner,
    columns::{Id, id_of},
    error::Error,
    partition::{Partition, date_of},
    rows,
    snapshot::{File, Snapshot},
    source::{SMALL, Source},
};
use crate::event::Event;

/// Rows that are looked at at once for the records that corrections may differ from: half
/// a megabyte.
const ROWS: usize = 256;

/// The events of a partition that are to be committed.
pub(super) struct Group {
    pub(super) partition: Partition,
    /// Each once.
    events: Vec<Slot>,
    /// Where each stands that the table is not known to have.
    places: HashMap<Id, usize>,
    /// Files of the table that were looked at for them.
    looked: HashSet<Arc<str>>,
    /// Events of files that corrections among them replace.
    pub(super) replaced: BTreeMap<Arc<str>, (Arc<File>, HashSet<Id>)>,
    /// The files that they were written to, as of `is_written`.
    pub(super) files: Vec<Written>,
    /// Files of the table without what is replaced.
    pub(super) rewritten: BTreeMap<Arc<str>, Rewritten>,
    pub(super) is_written: bool,
}

struct Slot {
    event: Arc<Event>,
    id: Id,
    /// The file of the table that has it, if one has.
    there: Option<Arc<str>>,
}

/// A file that was written, and its events' identities.
pub(super) struct Written {
    pub(super) file: Arc<File>,
    pub(super) ids: Vec<Id>,
}

/// A file of the table, and what takes its place: nothing, if nothing is left.
pub(super) struct Rewritten {
    pub(super) old: Arc<File>,
    pub(super) without: HashSet<Id>,
    pub(super) new: Option<Arc<File>>,
}

/// Events by partition, each once.
pub(super) fn of(events: &[Arc<Event>]) -> Vec<Group> {
    let mut groups: BTreeMap<Partition, Group> = BTreeMap::new();
    // most stand beside others of their partition
    let mut last: Option<Partition> = None;
    for event in events {
        let partition = match last.take() {
            Some(last) if last.date == date_of(event.time) && event.is_of(&last.scope) => last,
            _ => Partition::of(event),
        };
        let group = groups.entry(partition.clone());
        let group = group.or_insert_with(|| Group::new(partition.clone()));
        last = Some(partition);
        group.push(event);
    }
    groups.into_values().collect()
}

/// Whether an event takes the place of the one with its identity that is there.
fn corrects(event: &Event, record: &str) -> bool {
    event.is_addendum() && event.record() != record
}

impl Group {
    fn new(partition: Partition) -> Self {
        Self {
            partition,
            events: Vec::new(),
            places: HashMap::new(),
            looked: HashSet::new(),
            replaced: BTreeMap::new(),
            files: Vec::new(),
            rewritten: BTreeMap::new(),
            is_written: false,
        }
    }

    /// Adds an event, unless it is there.
    fn push(&mut self, event: &Arc<Event>) {
        let id = id_of(&event.identity());
        if let Some(at) = self.places.get(&id) {
            if let Some(slot) = self.events.get_mut(*at)
                && corrects(event, slot.event.record())
            {
                slot.event = event.clone();
            }
            return;
        }
        self.places.insert(id, self.events.len());
        self.events.push(Slot {
            event: event.clone(),
            id,
            there: None,
        });
    }

    /// How many events the table is not known to have.
    pub(super) fn fresh(&self) -> usize {
        self.places.len()
    }

    /// How many of these are corrections of events that it has.
    pub(super) fn corrections(&self) -> usize {
        self.replaced.values().map(|(_, ids)| ids.len()).sum()
    }

    /// Those that are to be committed.
    pub(super) fn wanted(&self) -> Vec<(Arc<Event>, Id)> {
        let wanted = self.events.iter().filter(|slot| slot.there.is_none());
        wanted.map(|slot| (slot.event.clone(), slot.id)).collect()
    }

    /// A file of the table has it: it is not committed.
    fn found(&mut self, at: usize, file: &File) {
        if let Some(slot) = self.events.get_mut(at) {
            slot.there = Some(file.path.clone());
            self.places.remove(&slot.id);
            self.is_written = false;
        }
    }

    /// Forgets what files had that are not of the table any more: others may have it now,
    /// or none.
    fn forget_gone(&mut self, files: &[Arc<File>]) {
        let paths: HashSet<&str> = files.iter().map(|file| &*file.path).collect();
        let is_gone = |path: &Arc<str>| !paths.contains(&**path);
        if !self.looked.iter().any(is_gone) {
            return;
        }
        self.looked.retain(|path| !is_gone(path));
        self.replaced.retain(|path, _| !is_gone(path));
        for (at, slot) in self.events.iter_mut().enumerate() {
            if slot.there.as_ref().is_some_and(is_gone) {
                slot.there = None;
                self.places.insert(slot.id, at);
                self.is_written = false;
            }
        }
    }
}

impl Inner {
    /// Looks at the files of a group's partition that were not looked at, and takes out
    /// what they have.
    pub(super) async fn look(&self, group: &mut Group, snapshot: &Snapshot) -> Result<(), Error> {
        let files = snapshot.of(&group.partition);
        group.forget_gone(files);
        let mut wanted: Option<Vec<(Id, usize)>> = None;
        for file in files {
            if group.places.is_empty() || group.looked.contains(&file.path) {
                continue;
            }
            let wanted = wanted.get_or_insert_with(|| {
                let mut wanted: Vec<_> = group.places.iter().map(|(id, at)| (*id, *at)).collect();
                wanted.sort_unstable();
                wanted
            });
            let mut found = Vec::new();
            let mut note = |at| found.push(at);
            self.identities
                .find(&self.store, file, wanted, &mut note)
                .await?;
            self.take_out(group, file, found).await?;
            group.looked.insert(file.path.clone());
        }
        Ok(())
    }

    /// Takes out of a group what a file has, but corrections: what these replace is noted.
    async fn take_out(
        &self,
        group: &mut Group,
        file: &Arc<File>,
        found: Vec<usize>,
    ) -> Result<(), Error> {
        let mut corrections: HashMap<Id, usize> = HashMap::new();
        for at in found {
            match group.events.get(at) {
                Some(slot) if slot.event.is_addendum() => {
                    corrections.insert(slot.id, at);
                }
                _ => group.found(at, file),
            }
        }
        if corrections.is_empty() {
            return Ok(());
        }
        let source = Source::open(&self.store, file, SMALL).await?;
        let mask = source.mask(Some(&["identity", "record"]));
        let mut stream = std::pin::pin!(source.stream(&mask, ROWS)?);
        while let Some(batch) = stream.try_next().await? {
            let columns = |what: String| Error::columns(&file.path, &what);
            let records = rows::strings(&batch, "record").map_err(columns)?;
            let ids = rows::ids(&batch).map_err(columns)?;
            for (id, record) in ids.zip(records) {
                let id = id.map_err(columns)?;
                let Some(at) = corrections.get(&id) else {
                    continue;
                };
                let slot = group.events.get(*at);
                if slot.is_some_and(|slot| corrects(&slot.event, record.unwrap_or_default())) {
                    let replaced = group.replaced.entry(file.path.clone());
                    let (_, replaced) = replaced.or_insert_with(|| (file.clone(), HashSet::new()));
                    replaced.insert(id);
                } else {
                    group.found(*at, file);
                }
            }
        }
        Ok(())
    }
}
