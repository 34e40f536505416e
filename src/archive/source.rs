//! Data files, read in parts.

use std::{ops::Range, sync::Arc};

use arrow_array::RecordBatch;
use bytes::Bytes;
use futures_util::{FutureExt as _, TryStreamExt as _, future::BoxFuture};
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector},
        async_reader::AsyncFileReader,
    },
    errors::ParquetError,
    file::{
        metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
        page_index::column_index::ColumnIndexMetaData,
    },
};

use super::{columns::MICROS, error::Error, snapshot::File, store::Store};
use crate::event::TimeRange;

/// Bytes that are read of a file's end at once: its footer, of which a row group takes
/// some 6 KB.
const FOOTER: usize = 64 * 1024;

/// Files that are no larger are read at once, by one request: most are, until they are
/// compacted.
pub(super) const SMALL: u64 = 1024 * 1024;

/// A data file with its footer.
#[derive(Clone)]
pub(super) struct Source {
    reader: Reader,
    metadata: ArrowReaderMetadata,
}

/// Where a file's bytes come from.
#[derive(Clone)]
struct Reader {
    store: Store,
    file: Arc<File>,
    /// All of it, where it is small.
    whole: Option<Bytes>,
}

impl Reader {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let Some(whole) = &self.whole else {
            return self.store.ranges(&self.file.path, ranges).await;
        };
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let part = |range: &Range<u64>| {
            let range = place(range.start)..place(range.end);
            let is_there = range.start <= range.end && range.end <= whole.len();
            is_there.then(|| whole.slice(range))
        };
        let parts: Option<Vec<_>> = ranges.iter().map(part).collect();
        parts.ok_or_else(|| Error::columns(&self.file.path, &"it is shorter than its footer says"))
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move {
            let parts = self.get_byte_ranges(vec![range]).await?;
            let part = parts.into_iter().next();
            part.ok_or_else(|| ParquetError::General("the store gave nothing".to_owned()))
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move {
            let parts = self.read(&ranges).await;
            parts.map_err(|error| ParquetError::External(Box::new(error)))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let size = self.file.bytes;
            let reader = ParquetMetaDataReader::new()
                .with_prefetch_hint(Some(FOOTER))
                .with_page_index_policy(PageIndexPolicy::Optional);
            reader.load_and_finish(self, size).await.map(Arc::new)
        }
        .boxed()
    }
}

/// What went wrong while a file was read: the store's word, if it was the store.
fn error(file: &File, error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(inner) => Error::columns(&file.path, &inner),
        },
        other => Error::columns(&file.path, &other),
    }
}

impl Source {
    /// Reads a file's footer, or all of it, if it has no more than so many bytes.
    pub(super) async fn open(store: &Store, file: &Arc<File>, whole: u64) -> Result<Self, Error> {
        let mut reader = Reader {
            store: store.clone(),
            file: file.clone(),
            whole: None,
        };
        if file.bytes <= whole {
            let all = 0..file.bytes;
            reader.whole = reader.read(&[all]).await?.into_iter().next();
        }
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = reader.get_metadata(None).await;
        let metadata =
            metadata.and_then(|metadata| ArrowReaderMetadata::try_new(metadata, options));
        Ok(Self {
            reader,
            metadata: metadata.map_err(|failed| error(file, failed))?,
        })
    }

    /// The file.
    pub(super) fn file(&self) -> &Arc<File> {
        &self.reader.file
    }

    /// What its footer says.
    pub(super) fn metadata(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// Rows of each of its row groups.
    pub(super) fn groups(&self) -> Vec<usize> {
        let groups = self.metadata().row_groups().iter();
        groups
            .map(|group| usize::try_from(group.num_rows()).unwrap_or(0))
            .collect()
    }

    /// The columns of these names, with all that is in them; all columns, if it is `None`.
    pub(super) fn mask(&self, names: Option<&[&str]>) -> ProjectionMask {
        match names {
            None => ProjectionMask::all(),
            Some(names) => {
                let schema = self.metadata.parquet_schema();
                let roots = schema.root_schema().get_fields().iter().enumerate();
                let roots = roots.filter(|(_, root)| names.contains(&root.name()));
                ProjectionMask::roots(schema, roots.map(|(at, _)| at).collect::<Vec<_>>())
            }
        }
    }

    /// Rows of a row group, with some of the columns, as one batch.
    pub(super) async fn rows(
        &self,
        group: usize,
        rows: Range<usize>,
        mask: &ProjectionMask,
    ) -> Result<RecordBatch, Error> {
        let selection = RowSelection::from(vec![
            RowSelector::skip(rows.start),
            RowSelector::select(rows.len()),
        ]);
        let builder = self.builder(mask).with_row_groups(vec![group]);
        let stream = builder
            .with_row_selection(selection)
            .with_batch_size(rows.len())
            .build();
        let mut stream = stream.map_err(|failed| error(self.file(), failed))?;
        let batch = stream.try_next().await;
        let batch = batch.map_err(|failed| error(self.file(), failed))?;
        let none = || Error::columns(&self.file().path, &"it has fewer rows than its footer says");
        batch
            .filter(|batch| batch.num_rows() == rows.len())
            .ok_or_else(none)
    }

    /// All rows, with some of the columns, a few at a time.
    pub(super) fn stream(
        &self,
        mask: &ProjectionMask,
        rows: usize,
    ) -> Result<impl futures_util::Stream<Item = Result<RecordBatch, Error>> + use<>, Error> {
        let stream = self.builder(mask).with_batch_size(rows).build();
        let stream = stream.map_err(|failed| error(self.file(), failed))?;
        let file = self.file().clone();
        Ok(stream.map_err(move |failed| error(&file, failed)))
    }

    fn builder(&self, mask: &ProjectionMask) -> ParquetRecordBatchStreamBuilder<Reader> {
        let reader = self.reader.clone();
        ParquetRecordBatchStreamBuilder::new_with_metadata(reader, self.metadata.clone())
            .with_projection(mask.clone())
    }

    /// The rows of a row group that may be of a stretch of time, by what the file says of
    /// its pages.
    pub(super) fn rows_of(&self, group: usize, range: TimeRange) -> Range<usize> {
        let metadata = self.metadata();
        let rows = self.groups().get(group).copied().unwrap_or(0);
        let pages = || {
            let times = metadata.column_index()?.get(group)?.first()?;
            let ColumnIndexMetaData::INT64(times) = times else {
                return None;
            };
            let starts = metadata
                .offset_index()?
                .get(group)?
                .first()?
                .page_locations();
            let mut found: Option<Range<usize>> = None;
            for (page, start) in starts.iter().enumerate() {
                let micros = |second: i64| second.saturating_mul(MICROS);
                let is_before = *times.max_value(page)? < micros(range.from);
                let is_after = *times.min_value(page)? >= micros(range.to);
                if is_before || is_after {
                    continue;
                }
                let start = usize::try_from(start.first_row_index).ok()?;
                let next = starts.get(page + 1).map(|next| next.first_row_index);
                let end = next.map_or(Some(rows), |next| usize::try_from(next).ok())?;
                let from = found.map_or(start, |found| found.start.min(start));
                found = Some(from..end);
            }
            Some(found.unwrap_or(0..0))
        };
        if range.is_empty() {
            return 0..0;
        }
        pages().unwrap_or(0..rows)
    }

    /// Bytes that a row takes, about.
    pub(super) fn row_bytes(&self) -> usize {
        let groups = self.metadata().row_groups().iter();
        let bytes: i64 = groups.map(RowGroupMetaData::total_byte_size).sum();
        let rows: usize = self.groups().iter().sum();
        // twice: columns become larger when what repeats in them is written out
        2 * usize::try_from(bytes).unwrap_or(0) / rows.max(1) + 1
    }
}
