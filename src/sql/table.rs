//! The table: the files that its caller sees, of which a query reads those that may
//! have what it asks for.

mod prune;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::DateTime;
use datafusion::{
    arrow::datatypes::SchemaRef,
    catalog::{Session, TableProvider},
    common::{
        ColumnStatistics, DFSchema, Result, ScalarValue, Statistics, project_schema,
        stats::Precision,
    },
    datasource::{
        listing::PartitionedFile,
        physical_plan::{
            FileGroup, FileScanConfigBuilder, ParquetSource,
            parquet::CachedParquetFileReaderFactory,
        },
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType, utils::conjunction},
    physical_plan::{ExecutionPlan, empty::EmptyExec},
};

use object_store::ObjectMeta;

use super::{
    files::{File, Files},
    schema::{Columns, ZONE},
    sight::Sight,
};

/// Where the engine finds the store: a name that nothing else has.
pub(super) const STORE: &str = "archive://trailgate";

/// One version of the table, as a caller sees it.
#[derive(Debug)]
pub(super) struct Table {
    columns: Arc<Columns>,
    files: Arc<Files>,
    sight: Sight,
}

impl Table {
    pub(super) fn new(columns: Arc<Columns>, files: Arc<Files>, sight: Sight) -> Self {
        Self {
            columns,
            files,
            sight,
        }
    }

    /// The files that there are, for this caller. Nothing else looks at the list.
    fn seen(&self) -> impl Iterator<Item = &File> {
        let files = self.files.files.iter();
        files.filter(|file| self.sight.sees(&file.account, &file.region))
    }

    /// Those of them that may have rows that filters let through.
    fn needed(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<&File>> {
        let mut files: Vec<&File> = self.seen().collect();
        let schema = DFSchema::try_from(Arc::clone(&self.columns.all))?;
        let (exact, others): (Vec<_>, Vec<_>) =
            filters.iter().cloned().partition(prune::is_of_partitions);
        for filter in exact {
            let filter = state.create_physical_expr(filter, &schema)?;
            files = prune::by_partition(files, &filter, &self.columns)?;
        }
        if let Some(filter) = conjunction(others) {
            let filter = state.create_physical_expr(filter, &schema)?;
            files = prune::by_statistics(files, &filter, &self.columns)?;
        }
        // whoever wants some rows wants the newest, mostly
        files.sort_by_key(|file| std::cmp::Reverse((file.times.map(|(_, last)| last), file.date)));
        Ok(files)
    }

    fn partitioned(&self, file: &File) -> PartitionedFile {
        let mut partitioned = PartitionedFile::new_from_meta(ObjectMeta {
            location: file.path.clone(),
            // it never changes: its footer is kept by these
            last_modified: DateTime::UNIX_EPOCH,
            size: file.bytes,
            e_tag: None,
            version: None,
        });
        partitioned.partition_values = partition_values(file);
        let mut statistics = Statistics::new_unknown(&self.columns.file);
        let rows = file.rows.and_then(|rows| usize::try_from(rows).ok());
        statistics.num_rows = rows.map_or(Precision::Absent, Precision::Exact);
        let times = self.columns.file.index_of("eventTime").ok().zip(file.times);
        if let Some((place, (first, last))) = times
            && let Some(column) = statistics.column_statistics.get_mut(place)
        {
            *column = ColumnStatistics {
                null_count: Precision::Exact(0),
                min_value: Precision::Exact(time(first)),
                max_value: Precision::Exact(time(last)),
                ..ColumnStatistics::new_unknown()
            };
        }
        partitioned.with_statistics(Arc::new(statistics))
    }
}

/// What a file's partition is named by, in the order of [`super::schema::PARTITIONS`].
fn partition_values(file: &File) -> Vec<ScalarValue> {
    vec![
        ScalarValue::Utf8View(Some((&*file.account).into())),
        ScalarValue::Utf8View(Some((&*file.region).into())),
        ScalarValue::Date32(Some(file.date)),
    ]
}

fn time(micros: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(micros), Some(ZONE.into()))
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns.all)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let of = |filter: &&Expr| match prune::is_of_partitions(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(of).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.needed(state, filters)?;
        let files: Vec<PartitionedFile> = files
            .into_iter()
            .map(|file| self.partitioned(file))
            .collect();
        if files.is_empty() {
            let projected = project_schema(&self.columns.all, projection)?;
            return Ok(Arc::new(EmptyExec::new(projected)));
        }
        let statistics = files.iter().filter_map(|file| file.statistics.as_deref());
        let statistics = Statistics::try_merge_iter(statistics, &self.columns.all)?;
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let table = TableSchema::builder(Arc::clone(&self.columns.file))
            .with_table_partition_cols(self.columns.partitions.clone())
            .build();
        let url = ObjectStoreUrl::parse(STORE)?;
        let runtime = state.runtime_env();
        let reader = CachedParquetFileReaderFactory::new(
            runtime.object_store(&url)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let source = ParquetSource::new(table)
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(Arc::new(reader));
        let scan = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}
