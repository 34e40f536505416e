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
    file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
};

use super::{error::Error, snapshot::File, store::Store};

/// Bytes that are read of a file's end at once: its footer, of which a row group takes
/// some 6 KB.
const FOOTER: usize = 64 * 1024;

/// A data file with its footer.
#[derive(Clone)]
pub(super) struct Source {
    store: Store,
    file: Arc<File>,
    metadata: ArrowReaderMetadata,
}

/// Where a file's bytes come from.
struct Reader {
    store: Store,
    file: Arc<File>,
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
            let parts = self.store.ranges(&self.file.path, &ranges).await;
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
                .with_offset_index_policy(PageIndexPolicy::Optional);
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
    /// Reads a file's footer.
    pub(super) async fn open(store: &Store, file: &Arc<File>) -> Result<Self, Error> {
        let mut reader = Reader {
            store: store.clone(),
            file: file.clone(),
        };
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = reader.get_metadata(None).await;
        let metadata =
            metadata.and_then(|metadata| ArrowReaderMetadata::try_new(metadata, options));
        Ok(Self {
            store: store.clone(),
            file: file.clone(),
            metadata: metadata.map_err(|failed| error(file, failed))?,
        })
    }

    /// The file.
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
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
        let mut stream = stream.map_err(|failed| error(&self.file, failed))?;
        let batch = stream.try_next().await;
        let batch = batch.map_err(|failed| error(&self.file, failed))?;
        let none = || Error::columns(&self.file.path, &"it has fewer rows than its footer says");
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
        let stream = stream.map_err(|failed| error(&self.file, failed))?;
        let file = self.file.clone();
        Ok(stream.map_err(move |failed| error(&file, failed)))
    }

    fn builder(&self, mask: &ProjectionMask) -> ParquetRecordBatchStreamBuilder<Reader> {
        let reader = Reader {
            store: self.store.clone(),
            file: self.file.clone(),
        };
        ParquetRecordBatchStreamBuilder::new_with_metadata(reader, self.metadata.clone())
            .with_projection(mask.clone())
    }
}
