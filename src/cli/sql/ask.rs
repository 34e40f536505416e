//! Who is asked: a server, by Flight SQL, or an engine here.

use std::{ops::Deref, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use arrow_flight::{error::FlightError, sql::client::FlightSqlServiceClient};
use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    common::ScalarValue,
};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tonic::Status;

use super::value;
use crate::{
    app,
    cli::{EXIT_FAILED, EXIT_USAGE, asked::Asked as Question, refusal::Call, report},
    client::{Client, Link},
    collect::store::Store,
    config::Size,
    sql::{self, Engine, Error, Options, Parameters, Sight, Value},
};

/// The most values of columns that a message of an answer may have, in bytes: rows are
/// not cut, and a record is at most some 256 KB, many times over in what is made of it.
const MAX_MESSAGE: usize = 64 << 20;

/// How long a query may take that is answered here: whoever asks can end it.
const LONG: Duration = Duration::from_secs(7 * 86_400);

/// Who is asked.
pub(super) enum Asked {
    Server(Box<FlightSqlServiceClient<Link>>),
    Here(Local),
}

/// A query, and the values of its parameters as they were typed: what they are is for
/// the query to say.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) query: &'a str,
    pub(super) values: &'a [(String, String)],
    pub(super) by: By,
}

/// How values are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// At the command line, for the one query that it has.
    Options,
    /// In the shell, for all queries that name them.
    Shell,
}

impl By {
    /// A value by what it was given with.
    fn given(self, name: &str) -> String {
        match self {
            Self::Options => format!("--param {name}"),
            Self::Shell => format!("\\set {name}"),
        }
    }

    /// What gives a value.
    fn give(self, name: &str) -> String {
        match self {
            Self::Options => format!("give --param {name}=VALUE"),
            Self::Shell => format!("give it a value with \\set {name} VALUE"),
        }
    }
}

impl Known<'_> {
    /// The values of the parameters that there are, in their order.
    fn values(&self, parameters: &[(String, Option<DataType>)]) -> Result<Vec<Value>, Failure> {
        let is_parameter = |name: &str| parameters.iter().any(|(other, _)| same(other, name));
        let mut names = self.values.iter().map(|(name, _)| name);
        if self.by == By::Options
            && let Some(name) = names.find(|name| !is_parameter(name))
        {
            let told: Vec<_> = parameters
                .iter()
                .map(|(name, _)| format!(":{name}"))
                .collect();
            let told = match told.is_empty() {
                true => "it has none".to_owned(),
                false => format!("it has {}", told.join(", ")),
            };
            let wrong = format!("--param {name}: the query has no parameter of that name; {told}");
            return Err(Failure::Usage(wrong));
        }
        let typed = value::typed();
        let value = |(name, of): &(String, Option<DataType>)| {
            let missing =
                || Failure::Usage(format!("the query has :{name}; {}", self.by.give(name)));
            let mut values = self.values.iter().rev();
            let (_, text) = values
                .find(|(other, _)| same(other, name))
                .ok_or_else(missing)?;
            let read = typed.of_type(text, of.as_ref());
            read.map_err(|wrong| Failure::Usage(format!("{}: {wrong}", self.by.given(name))))
        };
        parameters.iter().map(value).collect()
    }
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// An answer, as it comes.
pub(super) struct Answer {
    pub(super) schema: SchemaRef,
    pub(super) batches: Batches,
}

pub(super) type Batches = Pin<Box<dyn Stream<Item = Result<RecordBatch, Failure>> + Send>>;

impl From<sql::Answer> for Answer {
    fn from(answer: sql::Answer) -> Self {
        Self {
            schema: answer.schema(),
            batches: Box::pin(answer.map_err(Failure::from)),
        }
    }
}

/// Why there is none.
pub(super) enum Failure {
    /// What was typed cannot be used.
    Usage(String),
    /// The server said so.
    Status(Box<Status>),
    /// The engine here did.
    Here(Error),
}

impl Failure {
    /// Says why; the exit status to end with.
    pub(super) fn told(&self, endpoint: &str, has_answered: bool) -> u8 {
        match self {
            Self::Usage(wrong) => {
                report::note(wrong);
                EXIT_USAGE
            }
            Self::Here(error) => {
                report::note(error);
                match error {
                    Error::Wrong(_) | Error::Refused(_) => EXIT_USAGE,
                    _ => EXIT_FAILED,
                }
            }
            Self::Status(status) if status.code() == tonic::Code::InvalidArgument => {
                let message = status.message();
                report::note(message.strip_prefix("query: ").unwrap_or(message));
                EXIT_USAGE
            }
            Self::Status(status) if status.code() == tonic::Code::Unimplemented => {
                report::note(format_args!(
                    "the gateway at {endpoint} answers no SQL: it has no archive, or was built \
                     without the feature sql"
                ));
                EXIT_FAILED
            }
            Self::Status(status) => Call {
                endpoint,
                has_answered,
                asked: &Question::default(),
            }
            .refused(status),
        }
    }
}

impl From<FlightError> for Failure {
    fn from(error: FlightError) -> Self {
        Self::Status(Box::new(match error {
            FlightError::Tonic(status) => *status,
            error => Status::internal(format!("the answer cannot be read: {error}")),
        }))
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

impl Asked {
    /// A server.
    pub(super) fn server(client: &Client) -> Self {
        let flight = client.flight().max_decoding_message_size(MAX_MESSAGE);
        Self::Server(Box::new(FlightSqlServiceClient::new_from_inner(flight)))
    }

    /// Asks a query.
    pub(super) async fn ask(&mut self, known: Known<'_>) -> Result<Answer, Failure> {
        match self {
            Self::Here(engine) => here(engine, known).await,
            Self::Server(client) => server(client, known).await,
        }
    }
}

/// An engine that is only asked here. What queries put on disk goes with it, whatever still
/// computes when the process ends.
pub(super) struct Local(Engine);

impl Deref for Local {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        let Self(engine) = self;
        engine
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.end();
    }
}

/// An engine over an archive that is read here.
///
/// # Errors
/// Why there is none, in a line.
pub(super) async fn engine(
    place: &Store,
    endpoint_url: Option<&str>,
    memory: Option<Size>,
    places: Option<PathBuf>,
) -> Result<Local, String> {
    let defaults = Options::default();
    let options = Options {
        memory: memory.map_or(defaults.memory, Size::get),
        queries: 1,
        timeout: LONG,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        places,
        tells_reasons: true,
        ..defaults
    };
    let engine = app::sql::engine_at(place, endpoint_url, options).await;
    engine.map(Local)
}

async fn here(engine: &Engine, known: Known<'_>) -> Result<Answer, Failure> {
    let text = known.query.to_owned();
    let described = engine
        .describe(sql::Question::of(text.clone()), Sight::all())
        .await?;
    let values = known.values(&described.parameters)?;
    let question = sql::Question {
        text,
        parameters: Parameters::Placed(values),
    };
    let answer = engine.ask(question, Sight::all()).await?;
    Ok(answer.into())
}

async fn server(
    client: &mut FlightSqlServiceClient<Link>,
    known: Known<'_>,
) -> Result<Answer, Failure> {
    let text = known.query.to_owned();
    // a value that was given is one that has to be looked for
    let is_given = known.by == By::Options && !known.values.is_empty();
    let info = match !is_given && !text.contains([':', '$', '?']) {
        true => client.execute(text, None).await?,
        false => {
            let mut prepared = client.prepare(text, None).await?;
            let schema = prepared.parameter_schema()?;
            let fields = schema.fields().iter();
            let parameters: Vec<_> = fields
                .map(|field| (field.name().clone(), Some(field.data_type().clone())))
                .collect();
            let values = known.values(&parameters)?;
            if !values.is_empty() {
                let row = row(&parameters, values)?;
                prepared.set_parameters(row)?;
            }
            prepared.execute().await?
        }
    };
    let schema: Schema = info
        .clone()
        .try_decode_schema()
        .map_err(FlightError::from)?;
    let ticket = info
        .endpoint
        .into_iter()
        .find_map(|endpoint| endpoint.ticket);
    let ticket = ticket.ok_or_else(|| {
        FlightError::DecodeError("the gateway gave no ticket for the answer".to_owned())
    })?;
    let batches = client.do_get(ticket).await?;
    Ok(Answer {
        schema: Arc::new(schema),
        batches: Box::pin(batches.map(|batch| batch.map_err(Failure::from))),
    })
}

/// Values as a row.
fn row(
    parameters: &[(String, Option<DataType>)],
    values: Vec<Value>,
) -> Result<RecordBatch, Failure> {
    let wrong = |error: String| Failure::Usage(format!("--param: {error}"));
    let columns = values
        .into_iter()
        .map(|value| ScalarValue::from(value).to_array());
    let columns: Vec<ArrayRef> = columns
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(error.strip_backtrace()))?;
    let fields = parameters.iter().zip(&columns);
    let fields =
        fields.map(|((name, _), column)| Field::new(name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns).map_err(|error| wrong(error.to_string()))
}
