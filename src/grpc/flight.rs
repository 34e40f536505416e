//! Flight SQL: queries of ADBC and JDBC tools, and of `trailgate sql`.
//!
//! Nothing is kept between calls: a prepared statement, and the ticket of an answer,
//! are the query itself with its values. Neither has a right in it: whoever shows one
//! gets what it may see itself.

mod metadata;
mod ticket;

use std::{pin::Pin, sync::Arc};

use arrow_flight::{
    Action, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc,
    Ticket,
    encode::FlightDataEncoderBuilder,
    error::FlightError,
    flight_service_server::{FlightService, FlightServiceServer},
    sql::{
        ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
        ActionCreatePreparedStatementResult, CommandGetCatalogs, CommandGetDbSchemas,
        CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandPreparedStatementQuery,
        CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
        CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo,
        TicketStatementQuery,
        server::{FlightSqlService, PeekableFlightDataStream},
    },
};
use datafusion::arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
    ipc::writer::IpcWriteOptions,
};
use futures_util::{Stream, StreamExt, stream};
use prost::Message;
use tonic::{Request, Response, Status};

use self::{metadata::Metadata, ticket::Statement};
use super::{
    MAX_REQUEST,
    peer::Asker,
    queries::{MESSAGE, Queries, sight},
};
use crate::{
    slots::Slot,
    sql::{self, Question},
};

/// The methods of the service, and whether each answers with a stream: the protocol's
/// `Flight.proto`.
pub(super) const METHODS: [(&str, bool); 10] = [
    ("Handshake", true),
    ("ListFlights", true),
    ("GetFlightInfo", false),
    ("PollFlightInfo", false),
    ("GetSchema", false),
    ("DoGet", true),
    ("DoPut", true),
    ("DoExchange", true),
    ("DoAction", true),
    ("ListActions", true),
];

/// The service of an engine.
pub(super) fn server(queries: Queries) -> FlightServiceServer<Flight> {
    let server = FlightServiceServer::new(Flight::new(queries));
    server.max_decoding_message_size(MAX_REQUEST)
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    queries: Queries,
    metadata: Arc<Metadata>,
}

type Data = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

impl Flight {
    /// Queries of an engine.
    pub(super) fn new(queries: Queries) -> Self {
        Self {
            metadata: Arc::new(Metadata::new(&queries.engine)),
            queries,
        }
    }

    /// What a query would answer, and the ticket that it is answered for.
    async fn info(
        &self,
        asker: &Asker,
        statement: &Statement,
        command: &impl ProstMessageExt,
        descriptor: FlightDescriptor,
    ) -> Result<Response<FlightInfo>, Status> {
        let sight = sight(&asker.rights)?;
        let question = Question {
            parameters: statement.parameters(),
            text: statement.text.clone(),
        };
        let described = self.queries.engine.describe(question, sight).await?;
        info(&described.schema, command, descriptor)
    }

    async fn answer(&self, asker: Asker, statement: Statement) -> Result<Response<Data>, Status> {
        let sight = sight(&asker.rights)?;
        note(&asker, &statement.text);
        let place = self.queries.place(&asker).await?;
        let question = Question {
            parameters: statement.parameters(),
            text: statement.text,
        };
        let answer = self.queries.engine.ask(question, sight).await?;
        let schema = answer.schema();
        let notes = asker.notes().cloned();
        let batches = answer.map(move |batch| {
            let batch = batch.map_err(|error| FlightError::Tonic(Box::new(error.into())))?;
            if let Some(notes) = &notes {
                notes.told(batch.num_rows());
            }
            Ok(batch)
        });
        Ok(Response::new(encoded(schema, batches, Some(place))))
    }

    /// What is told of tables and the server: the same to all who may ask.
    fn told(
        &self,
        asker: &Asker,
        batch: Result<RecordBatch, FlightError>,
    ) -> Result<Response<Data>, Status> {
        sight(&asker.rights)?;
        let batch = batch.map_err(|_| Status::internal("what there is cannot be told"))?;
        let schema = batch.schema();
        let batches = stream::iter([Ok(batch)]);
        Ok(Response::new(encoded(schema, batches, None)))
    }
}

/// Notes what is asked.
fn note(asker: &Asker, text: &str) {
    if let Some(notes) = asker.notes() {
        let asked = serde_json::json!({ "query": text });
        notes.asked(asked.to_string());
    }
}

/// Batches as messages; a place is given back with the last of them.
fn encoded(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static,
    place: Option<Slot>,
) -> Data {
    let messages = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_max_flight_data_size(MESSAGE)
        .build(batches);
    let messages = messages.map(move |message| {
        let _ = &place;
        message.map_err(|error| match error {
            FlightError::Tonic(status) => *status,
            error => {
                tracing::error!(%error, "an answer could not be encoded");
                sql::Error::Internal(sql::Reason::default()).into()
            }
        })
    });
    Box::pin(messages)
}

/// Where an answer is: here, by a ticket that is what was asked.
fn info(
    schema: &Schema,
    command: &impl ProstMessageExt,
    descriptor: FlightDescriptor,
) -> Result<Response<FlightInfo>, Status> {
    let ticket = Ticket::new(command.as_any().encode_to_vec());
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(|_| Status::internal("the columns cannot be told"))?
        .with_descriptor(descriptor)
        .with_endpoint(FlightEndpoint::new().with_ticket(ticket));
    Ok(Response::new(info))
}

/// Columns, as the bytes of a message.
fn ipc(schema: &Schema) -> Result<prost::bytes::Bytes, Status> {
    let message: IpcMessage = SchemaAsIpc::new(schema, &IpcWriteOptions::default())
        .try_into()
        .map_err(|_| Status::internal("the columns cannot be told"))?;
    Ok(message.0)
}

/// What is not for reading.
fn not_read() -> Status {
    let what = "the archive is read and never written; SELECT, WITH, VALUES, EXPLAIN, DESCRIBE \
                and SHOW TABLES are answered";
    sql::Error::Refused(what.to_owned()).into()
}

#[tonic::async_trait]
impl FlightSqlService for Flight {
    type FlightService = Self;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let asker = Asker::of(&request);
        note(&asker, &query.query);
        let statement = Statement::of(query.query);
        let command = TicketStatementQuery {
            statement_handle: statement.handle().into(),
        };
        self.info(&asker, &statement, &command, request.into_inner())
            .await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let asker = Asker::of(&request);
        let statement = Statement::read(&query.prepared_statement_handle)?;
        note(&asker, &statement.text);
        self.info(&asker, &statement, &query, request.into_inner())
            .await
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let statement = Statement::read(&ticket.statement_handle)?;
        self.answer(Asker::of(&request), statement).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let statement = Statement::read(&query.prepared_statement_handle)?;
        self.answer(Asker::of(&request), statement).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let asker = Asker::of(&request);
        note(&asker, &query.query);
        let sight = sight(&asker.rights)?;
        let described = self
            .queries
            .engine
            .describe(Question::of(query.query.clone()), sight)
            .await?;
        let parameters = described.parameters.into_iter().map(|(name, known)| {
            // what is not told by its use is mostly a text
            let known = known.unwrap_or(datafusion::arrow::datatypes::DataType::Utf8);
            Field::new(name, known, true)
        });
        let parameters = Schema::new(parameters.collect::<Vec<_>>());
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: Statement::of(query.query).handle().into(),
            dataset_schema: ipc(&described.schema)?,
            parameter_schema: ipc(&parameters)?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        // nothing is kept
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        sight(&Asker::of(&request).rights)?;
        let statement = Statement::read(&query.prepared_statement_handle)?;
        let bound = statement.bind(request.into_inner()).await?;
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(bound.handle().into()),
        })
    }

    async fn do_put_statement_update(
        &self,
        _: CommandStatementUpdate,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(not_read())
    }

    async fn do_put_statement_ingest(
        &self,
        _: CommandStatementIngest,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(not_read())
    }

    async fn do_put_prepared_statement_update(
        &self,
        _: CommandPreparedStatementUpdate,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(not_read())
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        sight(&Asker::of(&request).rights)?;
        let schema = query.into_builder().schema();
        info(&schema, &query, request.into_inner())
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.told(&Asker::of(&request), Metadata::catalogs(query))
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        sight(&Asker::of(&request).rights)?;
        let schema = query.clone().into_builder().schema();
        info(&schema, &query, request.into_inner())
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.told(&Asker::of(&request), Metadata::schemas(query))
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        sight(&Asker::of(&request).rights)?;
        let schema = query.clone().into_builder().schema();
        info(&schema, &query, request.into_inner())
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let asker = Asker::of(&request);
        sight(&asker.rights)?;
        let views = Metadata::views(&self.queries.engine, &query).await?;
        self.told(&asker, self.metadata.tables(query, &views))
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        sight(&Asker::of(&request).rights)?;
        let schema = query.into_builder().schema();
        info(&schema, &query, request.into_inner())
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.told(&Asker::of(&request), Metadata::table_types(query))
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        sight(&Asker::of(&request).rights)?;
        let schema = self.metadata.info_schema(query.clone());
        info(&schema, &query, request.into_inner())
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.told(&Asker::of(&request), self.metadata.info(query))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
