//! What one query runs in: the table as its caller sees it, the views over it, the
//! functions that may be called, and its share of memory.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    catalog::{
        CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
        MemorySchemaProvider, SchemaProvider,
    },
    common::{DataFusionError, Result},
    config::{ConfigNonZeroUsize, ConfigOptions},
    datasource::ViewTable,
    execution::{
        SessionState, SessionStateBuilder, SessionStateDefaults,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::{ScalarUDF, planner::ExprPlanner},
    prelude::SessionConfig,
    sql::parser::Statement as Parsed,
};
use object_store::ObjectStore;

use super::{
    allowed::is_allowed,
    files::Files,
    functions::{self, Places},
    nested::Nested,
    options::Options,
    pool::Pool,
    schema::Columns,
    sight::Sight,
    spill::Spill,
    table::{STORE, Table},
    text::{Names, parse},
    tree,
    views::{View, needed},
};

/// The names that stand before the table's: as metadata tell them, and as none has to.
pub const CATALOG: &str = "trailgate";
/// See [`CATALOG`].
pub const SCHEMA: &str = "archive";
/// The table.
pub const TABLE: &str = "cloudtrail";

/// The most bytes of files' footers that are kept for the next query: each has some 30
/// KB, so the day's files of a thousand partitions.
const FOOTERS: usize = 32 << 20;

/// What all sessions have alike.
#[derive(Debug)]
pub(super) struct Base {
    state: SessionState,
    runtime: Arc<RuntimeEnv>,
    columns: Arc<Columns>,
    views: Vec<View>,
    names: Names,
    share: usize,
    spill: Option<Spill>,
}

impl Base {
    pub(super) fn new(
        options: &Options,
        columns: Columns,
        views: Vec<View>,
        store: Arc<dyn ObjectStore>,
        places: Option<&Arc<Places>>,
    ) -> Result<Self> {
        let mut disk = DiskManagerBuilder::default().with_max_temp_directory_size(options.disk);
        let spill = spill(options)?;
        disk.set_mode(match &spill {
            Some(spill) => DiskManagerMode::Directories(vec![spill.folder().to_owned()]),
            None => DiskManagerMode::Disabled,
        });
        let runtime = RuntimeEnvBuilder::new()
            .with_disk_manager_builder(disk)
            .with_metadata_cache_limit(FOOTERS)
            .build_arc()?;
        let url = datafusion::execution::object_store::ObjectStoreUrl::parse(STORE)?;
        runtime.register_object_store(url.as_ref(), store);
        let state = SessionStateBuilder::new()
            .with_config(config(options)?)
            .with_runtime_env(Arc::clone(&runtime))
            .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()))
            .with_expr_planners(planners())
            .with_scalar_functions(scalar_functions(places))
            .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
            .with_aggregate_functions(functions::aggregates())
            .with_window_functions(SessionStateDefaults::default_window_functions())
            .with_table_function_list(SessionStateDefaults::default_table_functions())
            .build();
        Ok(Self {
            state,
            runtime,
            names: names(&columns, &views),
            columns: Arc::new(columns),
            views,
            share: usize::try_from(options.share()).unwrap_or(usize::MAX),
            spill,
        })
    }

    /// Removes what queries have put on disk.
    pub(super) fn end(&self) {
        if let Some(spill) = &self.spill {
            spill.end();
        }
    }

    /// The columns of the table.
    pub(super) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The views over it.
    pub(super) fn views(&self) -> &[View] {
        &self.views
    }

    /// Names that are known before a query is read.
    pub(super) fn names(&self) -> Names {
        self.names.clone()
    }

    /// What a query runs in that asks for what `needs` says of names.
    pub(super) async fn session(
        &self,
        files: Arc<Files>,
        sight: Sight,
        needs: impl Fn(&str) -> bool,
    ) -> Result<SessionState> {
        let schema = Arc::new(MemorySchemaProvider::new());
        let table = Table::new(Arc::clone(&self.columns), files, sight);
        schema.register_table(TABLE.to_owned(), Arc::new(table))?;
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, Arc::clone(&schema) as Arc<dyn SchemaProvider>)?;
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        let pool = Pool::new(self.share);
        let runtime = RuntimeEnvBuilder::from_runtime_env(&self.runtime)
            .with_memory_pool(Arc::new(pool))
            .build_arc()?;
        let mut state = SessionStateBuilder::new_from_existing(self.state.clone())
            .with_catalog_list(Arc::new(catalogs))
            .with_runtime_env(runtime)
            .build();
        // now() is when it began
        state.mark_start_execution();
        for view in needed(&self.views, needs) {
            self.register(&state, &schema, view).await?;
        }
        Ok(state)
    }

    async fn register(
        &self,
        state: &SessionState,
        schema: &MemorySchemaProvider,
        view: &View,
    ) -> Result<()> {
        let mut names = self.names();
        let mut statement = parse(&view.text, &mut names)?;
        tree::prepare(&mut statement, &self.columns.all, &mut names);
        let plan = state
            .statement_to_plan(Parsed::Statement(Box::new(statement)))
            .await
            .map_err(|error| error.context(format!("view {}", view.name)))?;
        let view_table = ViewTable::new(plan, Some(view.text.clone()));
        schema.register_table(view.name.clone(), Arc::new(view_table))?;
        Ok(())
    }
}

/// Where queries put on disk what they do not hold, if they may. A place that was not
/// chosen need not be there.
fn spill(options: &Options) -> Result<Option<Spill>> {
    if options.disk == 0 {
        return Ok(None);
    }
    let parent = options.spill.clone().unwrap_or_else(std::env::temp_dir);
    match Spill::begin(&parent) {
        Ok(spill) => Ok(Some(spill)),
        Err(error) if options.spill.is_none() => {
            tracing::warn!(
                %error, parent = %parent.display(),
                "queries can put nothing on disk; name a place with --sql-spill"
            );
            Ok(None)
        }
        Err(error) => Err(DataFusionError::Configuration(format!(
            "{} cannot be written to: {error}",
            parent.display()
        ))),
    }
}

/// Names as they are written: of tables and columns, then of members, then what views
/// call theirs.
fn names(columns: &Columns, views: &[View]) -> Names {
    let mut names = Names::default();
    for name in [TABLE, CATALOG, SCHEMA] {
        names.spell(name);
    }
    for view in views {
        names.spell(&view.name);
    }
    for field in columns.all.fields() {
        names.spell(field.name());
    }
    for field in columns.all.fields() {
        members(field.data_type(), &mut names);
    }
    for view in views {
        // one that cannot be read is said to be none where it is asked for
        let _ = parse(&view.text, &mut names);
    }
    names
}

fn members(of: &DataType, names: &mut Names) {
    match of {
        DataType::Struct(fields) => {
            for field in fields {
                names.spell(field.name());
                members(field.data_type(), names);
            }
        }
        DataType::List(element) => members(element.data_type(), names),
        _ => {}
    }
}

fn config(options: &Options) -> Result<SessionConfig> {
    let mut config = ConfigOptions::new();
    config.catalog.create_default_catalog_and_schema = false;
    CATALOG.clone_into(&mut config.catalog.default_catalog);
    SCHEMA.clone_into(&mut config.catalog.default_schema);
    config.catalog.information_schema = true;
    // names are spelt before the engine reads them
    config.sql_parser.enable_ident_normalization = false;
    // as Spark has it
    "nulls_min".clone_into(&mut config.sql_parser.default_null_ordering);
    // what a sort keeps for merging what it put on disk: each thread sorts
    let threads = u64::try_from(options.threads.max(1)).unwrap_or(1);
    let reserved = usize::try_from(options.share() / 8 / threads).unwrap_or(usize::MAX);
    let usual = config.execution.sort_spill_reservation_bytes;
    config.execution.sort_spill_reservation_bytes = usual.min(reserved);
    // a file for each batch that goes to disk between threads: of two that are written to,
    // the reader waits at the older one, for ever if what it needs is in the newer (mended
    // after 55.2: apache/datafusion issue 24883)
    config.execution.max_spill_file_size_bytes = ConfigNonZeroUsize::try_new(1)?;
    config.execution.parquet.pushdown_filters = true;
    config.execution.parquet.reorder_filters = true;
    Ok(SessionConfig::from(config)
        .with_target_partitions(options.threads.max(1))
        .with_batch_size(options.batch_rows()))
}

fn planners() -> Vec<Arc<dyn ExprPlanner>> {
    let others = SessionStateDefaults::default_expr_planners();
    let first: Arc<dyn ExprPlanner> = Arc::new(Nested::default());
    std::iter::once(first).chain(others).collect()
}

fn scalar_functions(places: Option<&Arc<Places>>) -> Vec<Arc<ScalarUDF>> {
    let all = SessionStateDefaults::default_scalar_functions();
    let allowed = all
        .into_iter()
        .filter(|function| is_allowed(function.name()))
        .map(functions::hold_type);
    let own = functions::all(places).into_iter().map(Arc::new);
    allowed.chain(own).collect()
}

/// Names that a query may have: of tables, columns, members and functions, for whoever
/// types one.
#[must_use]
pub fn words() -> Vec<String> {
    let names = Columns::read().map(|columns| names(&columns, &super::views()));
    let functions = super::allowed::ALLOWED
        .iter()
        .map(|name| (*name).to_owned());
    names
        .into_iter()
        .flat_map(Names::all)
        .chain(functions)
        .collect()
}
