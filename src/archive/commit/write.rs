//! Writing a group's events to files.

use std::{collections::HashSet, sync::Arc};

use arrow_array::BooleanArray;
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use futures_util::TryStreamExt as _;
use tokio::sync::SemaphorePermit;

use super::{
    super::{
        Inner,
        columns::{Builder, Id, bytes_of},
        error::Error,
        file::{self, Writer},
        partition::Partition,
        rows,
        snapshot::File,
        source::{SMALL, Source},
        upload::Upload,
    },
    groups::{Group, Rewritten, Written},
};
use crate::event::Event;

/// Bytes of events that are turned into columns at once: what a core's caches hold.
const BATCH: usize = 2 * 1024 * 1024;
/// Bytes that writing a file takes beside, at least: each of its fifty columns has buffers
/// and a compressor, which were some 2.5 MB for 200 events.
const FILE: usize = 4 * 1024 * 1024;
/// And at most: pages have up to a megabyte, and compressors as much again.
const PAGES: usize = 16 * 1024 * 1024;
/// Rows of a file that are rewritten at once: some 2 MB.
const ROWS: usize = 512;

/// Events of which a file was made.
struct Encoded {
    written: file::Written,
    ids: Vec<Id>,
    /// How many of the events are in it: the first ones.
    count: usize,
}

impl Inner {
    /// Writes the files of a group, unless they are as they must be.
    pub(super) async fn write(&self, group: &mut Group) -> Result<(), Error> {
        self.rewrite(group).await?;
        if group.is_written {
            return Ok(());
        }
        for file in std::mem::take(&mut group.files) {
            // no version has it: it was not committed
            let _ = self.store.delete(&file.file.path).await;
        }
        let mut events = group.wanted();
        events.sort_by(|(one, _), (other, _)| one.cmp_position(other));
        let mut events: Arc<[_]> = events.into();
        let limit = self.options.memory(8).min(self.target());
        let mut done = 0;
        while done < events.len() {
            // first the turn: who has memory waits for the store alone
            let turn = self.writers.acquire().await.map_err(|_| Error::Stopping)?;
            let rest = events.get(done..).unwrap_or_default();
            // as columns and as pages; what is compressed is a tenth
            let bytes: usize = rest.iter().map(|(event, _)| 2 * bytes_of(event)).sum();
            let mut room = self.room(bytes.min(BATCH + PAGES + limit)).await?;
            let schema = self.schema.clone();
            let encode = move || {
                (
                    encode(schema, events.get(done..).unwrap_or_default(), limit),
                    events,
                )
            };
            let (encoded, back) = tokio::task::spawn_blocking(encode)
                .await
                .map_err(|_| Error::Stopping)?;
            drop(turn);
            events = back;
            let path = file::new_path(&group.partition, &self.clock);
            let encoded = encoded.map_err(|error| Error::columns(&path, &error))?;
            let modified = self.clock.now().as_millisecond();
            let file = encoded.written.at(path, &group.partition, modified);
            // what is left is what was compressed
            let left = encoded.written.rest.capacity() / 1024 + 1;
            drop(room.split(room.num_permits().saturating_sub(left)));
            let upload = Upload::new(&self.store, file.path.clone());
            upload.finish(encoded.written.rest).await?;
            done += encoded.count;
            group.files.push(Written {
                file: file.into(),
                ids: encoded.ids,
            });
        }
        group.is_written = true;
        Ok(())
    }

    /// Waits until there is memory to write a file, with so many bytes of events in it.
    async fn room(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Error> {
        let permits = u32::try_from((FILE + bytes) / 1024).unwrap_or(u32::MAX);
        let permits = permits.min(self.options.kilobytes());
        self.room
            .acquire_many(permits)
            .await
            .map_err(|_| Error::Stopping)
    }

    /// The most bytes of a file.
    pub(in super::super) fn target(&self) -> usize {
        usize::try_from(self.options.target_file).unwrap_or(usize::MAX)
    }

    /// Writes the files of the table anew that have what a group replaces.
    async fn rewrite(&self, group: &mut Group) -> Result<(), Error> {
        let wanted = &group.replaced;
        let stale: Vec<_> = group
            .rewritten
            .iter()
            .filter(|(path, rewritten)| {
                wanted
                    .get(*path)
                    .is_none_or(|(_, ids)| *ids != rewritten.without)
            })
            .map(|(path, _)| path.clone())
            .collect();
        for path in stale {
            if let Some(new) = group.rewritten.remove(&path).and_then(|old| old.new) {
                let _ = self.store.delete(&new.path).await;
            }
        }
        for (path, (old, without)) in &group.replaced {
            if group.rewritten.contains_key(path) {
                continue;
            }
            let new = self.without(old, without, &group.partition).await?;
            group.rewritten.insert(
                path.clone(),
                Rewritten {
                    old: old.clone(),
                    without: without.clone(),
                    new: new.map(Arc::new),
                },
            );
        }
        Ok(())
    }

    /// Writes a file without some of its events; `None`: none is left.
    async fn without(
        &self,
        old: &Arc<File>,
        without: &HashSet<Id>,
        partition: &Partition,
    ) -> Result<Option<File>, Error> {
        let path = file::new_path(partition, &self.clock);
        let columns = |error: &dyn ToString| Error::columns(&old.path, &error.to_string());
        let source = Source::open(&self.store, old, SMALL).await?;
        let mut stream = std::pin::pin!(source.stream(&source.mask(None), ROWS)?);
        let limit = self.options.memory(8);
        let bytes = usize::try_from(old.bytes).unwrap_or(usize::MAX);
        let _room = self.room(bytes.min(limit)).await?;
        let writer = Writer::new(self.schema.clone(), limit);
        let mut writer = writer.map_err(|error| columns(&error))?;
        let mut upload = Upload::new(&self.store, path.clone());
        while let Some(batch) = stream.try_next().await? {
            let ids = rows::ids(&batch).map_err(|error| columns(&error))?;
            let keep = ids.map(|id| id.map(|id| Some(!without.contains(&id))));
            let keep: BooleanArray = keep
                .collect::<Result<_, _>>()
                .map_err(|error| columns(&error))?;
            let batch = filter_record_batch(&batch, &keep);
            let batch = batch.and_then(|batch| batch.with_schema(self.schema.clone()));
            let batch = batch.map_err(|error| columns(&error))?;
            writer.write(&batch).map_err(|error| columns(&error))?;
            upload.take(&mut writer).await?;
        }
        if writer.rows() == 0 {
            upload.abort().await;
            return Ok(None);
        }
        let written = writer.finish().map_err(|error| columns(&error))?;
        let modified = self.clock.now().as_millisecond();
        let file = written.at(path, partition, modified);
        upload.finish(written.rest).await?;
        Ok(Some(file))
    }

    /// Deletes what was written for groups that no version has.
    pub(super) async fn take_back(&self, groups: &mut [Group]) {
        for group in groups {
            let written = group.files.drain(..).map(|written| written.file);
            let rewritten = std::mem::take(&mut group.rewritten).into_values();
            let rewritten = rewritten.filter_map(|rewritten| rewritten.new);
            for file in written.chain(rewritten) {
                // vacuuming finds what is left
                let _ = self.store.delete(&file.path).await;
            }
        }
    }

    /// Keeps the identities of what was committed: more will come to these partitions.
    pub(super) fn keep_identities(&self, groups: &mut [Group]) {
        for group in groups {
            for written in group.files.drain(..) {
                self.identities.put(&written.file.path, written.ids);
            }
            for path in group.rewritten.keys() {
                self.identities.forget(path);
            }
        }
    }
}

/// A file of the first of these events, which are in order: of as many as it may have
/// bytes, by and large.
fn encode(
    schema: SchemaRef,
    events: &[(Arc<Event>, Id)],
    limit: usize,
) -> parquet::errors::Result<Encoded> {
    let mut writer = Writer::new(schema.clone(), limit)?;
    let mut columns = Builder::new(schema);
    let mut ids = Vec::new();
    for (event, id) in events {
        columns.push(event, id);
        ids.push(*id);
        if columns.bytes() >= BATCH {
            writer.write(&columns.finish()?)?;
            if writer.bytes() >= limit {
                break;
            }
        }
    }
    if columns.rows() > 0 {
        writer.write(&columns.finish()?)?;
    }
    Ok(Encoded {
        written: writer.finish()?,
        count: ids.len(),
        ids,
    })
}
