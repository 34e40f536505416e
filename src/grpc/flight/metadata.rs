//! What tools ask of a database before they ask it anything: its tables, and what it
//! is.

use std::{fmt, sync::Arc};

use arrow_flight::{
    error::FlightError,
    sql::{
        CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes,
        CommandGetTables, SqlInfo,
        metadata::{SqlInfoData, SqlInfoDataBuilder},
    },
};
use datafusion::arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use tonic::Status;

use crate::sql::{CATALOG, Engine, Error, Question, SCHEMA, Sight, TABLE};

type Told = Result<RecordBatch, FlightError>;

/// What kinds of tables there are.
const KINDS: [&str; 2] = ["TABLE", "VIEW"];

/// See the module.
pub(super) struct Metadata {
    info: Option<SqlInfoData>,
    table: SchemaRef,
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").finish_non_exhaustive()
    }
}

impl Metadata {
    pub(super) fn new(engine: &Engine) -> Self {
        let mut info = SqlInfoDataBuilder::new();
        info.append(SqlInfo::FlightSqlServerName, "trailgate");
        info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
        info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
        info.append(SqlInfo::FlightSqlServerReadOnly, true);
        info.append(SqlInfo::FlightSqlServerSql, true);
        info.append(SqlInfo::FlightSqlServerSubstrait, false);
        info.append(SqlInfo::FlightSqlServerCancel, false);
        info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
        info.append(SqlInfo::SqlDdlCatalog, false);
        info.append(SqlInfo::SqlDdlSchema, false);
        info.append(SqlInfo::SqlDdlTable, false);
        Self {
            // it has what was written above
            info: info.build().ok(),
            table: engine.columns(),
        }
    }

    pub(super) fn info_schema(&self, query: CommandGetSqlInfo) -> SchemaRef {
        match &self.info {
            Some(info) => query.into_builder(info).schema(),
            None => Arc::new(Schema::empty()),
        }
    }

    pub(super) fn info(&self, query: CommandGetSqlInfo) -> Told {
        match &self.info {
            Some(info) => query.into_builder(info).build(),
            None => Err(FlightError::from_external_error("there is none".into())),
        }
    }

    pub(super) fn catalogs(query: CommandGetCatalogs) -> Told {
        let mut told = query.into_builder();
        told.append(CATALOG);
        told.build()
    }

    pub(super) fn schemas(query: CommandGetDbSchemas) -> Told {
        let mut told = query.into_builder();
        told.append(CATALOG, SCHEMA);
        told.build()
    }

    pub(super) fn table_types(query: CommandGetTableTypes) -> Told {
        let mut told = query.into_builder();
        for kind in KINDS {
            told.append(kind);
        }
        told.build()
    }

    /// The views with their columns, where those are asked for.
    pub(super) async fn views(
        engine: &Engine,
        query: &CommandGetTables,
    ) -> Result<Vec<(String, SchemaRef)>, Status> {
        let mut views = Vec::new();
        for view in engine.views() {
            let schema = match query.include_schema {
                false => Arc::new(Schema::empty()),
                true => {
                    let text = format!("SELECT * FROM {}", view.name);
                    // columns are the same whatever is seen
                    let described = engine.describe(Question::of(text), Sight::all()).await;
                    described
                        .map_err(|error: Error| Status::from(error))?
                        .schema
                }
            };
            views.push((view.name.clone(), schema));
        }
        Ok(views)
    }

    pub(super) fn tables(&self, query: CommandGetTables, views: &[(String, SchemaRef)]) -> Told {
        let mut told = query.into_builder();
        let [table, view] = KINDS;
        told.append(CATALOG, SCHEMA, TABLE, table, &self.table)?;
        for (name, schema) in views {
            told.append(CATALOG, SCHEMA, name, view, schema)?;
        }
        told.build()
    }
}
