//! Queries, from their text to their answers.

use std::{pin::pin, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, SchemaRef},
    common::DataFusionError,
    execution::SessionState,
    logical_expr::LogicalPlan,
    physical_plan::execute_stream,
    sql::{parser::Statement as Parsed, sqlparser::ast::Statement},
};
use futures_util::StreamExt;
use moka::sync::Cache;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    answer::{self, Answer, Piece, Running},
    apart::apart,
    days,
    error::{Bounds, Error, Reason},
    files::Source,
    functions::{NoPlaces, Places, hold},
    gate,
    gathered::gathered,
    guard,
    options::Options,
    parameters::{Parameters, types},
    runtime::{Own, Threads},
    schema::Columns,
    session::Base,
    sight::Sight,
    text::parse,
    tree::{self, Found},
    until::Until,
    views::View,
};

/// Batches that are made ahead of who reads them: while one is on its way, the next
/// is being made.
const AHEAD: usize = 1;

/// Bytes of texts, and of what they would answer, that are remembered: a client asks what
/// a query would answer twice before it asks for the answer. That of some thousand queries
/// as people write them.
const REMEMBERED: u64 = 4 << 20;
/// What a column takes of that, about.
const COLUMN: usize = 200;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum NoEngine {
    /// The columns of the table cannot be read.
    #[error("sql/schema.json has a type that columns cannot have")]
    Schema,
    /// The database of places cannot be read.
    #[error("--sql-places {0}")]
    Places(#[from] NoPlaces),
    /// Threads, or a place for what is put on disk, cannot be had.
    #[error("queries cannot be run here: {0}")]
    Runtime(String),
}

/// A query, and the values of its parameters.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// One statement.
    pub text: String,
    /// All that are in it.
    pub parameters: Parameters,
}

impl Question {
    /// A query without parameters.
    #[must_use]
    pub fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            parameters: Parameters::default(),
        }
    }
}

/// What a query would answer.
#[derive(Clone, Debug)]
pub struct Described {
    /// The columns of its answer.
    pub schema: SchemaRef,
    /// Its parameters, in order, with their types where the engine can tell.
    pub parameters: Vec<(String, Option<DataType>)>,
}

/// Answers queries. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: Base,
    source: Arc<dyn Source>,
    options: Options,
    bounds: Bounds,
    threads: Threads,
    /// As many as may be answered at once may be described beside: to plan takes memory
    /// and threads as well.
    describing: Semaphore,
    /// By its text, what a query without values would answer: the table's columns never
    /// change, so that it is the same for all who may ask.
    described: Cache<String, Described>,
}

impl Engine {
    /// One over the files that there are.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub fn new(
        source: Arc<dyn Source>,
        views: Vec<View>,
        options: Options,
    ) -> Result<Self, NoEngine> {
        let columns = Columns::read().ok_or(NoEngine::Schema)?;
        let places = options.places.as_deref().map(Places::open).transpose()?;
        let places = places.map(Arc::new);
        let base = Base::new(&options, columns, views, source.store(), places.as_ref())
            .map_err(|error| NoEngine::Runtime(error.strip_backtrace()))?;
        let threads = Threads::new(options.threads, options.queries)
            .map_err(|error| NoEngine::Runtime(error.to_string()))?;
        Ok(Self(Arc::new(Inner {
            base,
            source,
            bounds: Bounds {
                memory: options.share(),
                disk: options.disk,
                tells_reasons: options.tells_reasons,
            },
            describing: Semaphore::new(options.queries.max(1)),
            options,
            threads,
            described: Cache::builder()
                .max_capacity(REMEMBERED)
                .weigher(|text: &String, described: &Described| {
                    let columns = described.schema.fields().len() + described.parameters.len();
                    u32::try_from(text.len() + COLUMN * (columns + 1)).unwrap_or(u32::MAX)
                })
                .build(),
        })))
    }

    /// What queries are held to.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// The columns of the table, as answers have them.
    #[must_use]
    pub fn columns(&self) -> SchemaRef {
        answer::schema(&self.0.base.columns().all, &Found::default())
    }

    /// Removes what queries have put on disk, once no answer is read any more: those that
    /// still compute fail, and none can be answered that needs the disk.
    pub fn end(&self) {
        self.0.base.end();
    }

    /// The views.
    #[must_use]
    pub fn views(&self) -> &[View] {
        self.0.base.views()
    }

    /// What a query would answer whose caller sees this, without answering it. Where
    /// it has values they say of which types it is.
    ///
    /// # Errors
    /// If no place comes, or it cannot be planned.
    pub async fn describe(&self, question: Question, sight: Sight) -> Result<Described, Error> {
        let is_whole = question.parameters.is_empty();
        if is_whole && let Some(described) = self.0.described.get(&question.text) {
            return Ok(described);
        }
        let wait = self.0.options.wait;
        let busy = |_| Error::Busy {
            most: self.0.options.queries,
            wait,
        };
        let _place = timeout(wait, self.0.describing.acquire())
            .await
            .map_err(busy)?;
        let inner = Arc::clone(&self.0);
        let limit = inner.options.timeout;
        let own = self.0.threads.now();
        let task = own.spawn(async move {
            let planned = inner.plan(&question.text, sight).await?;
            let types = types(&planned.plan).map_err(|error| inner.bounds.of(&error))?;
            let plan = match is_whole {
                true => planned.plan,
                false => {
                    let values = question.parameters.of(&planned.found.parameters)?;
                    let bound = planned.plan.with_param_values(values);
                    bound.map_err(|error| inner.bounds.of(&error))?
                }
            };
            let parameters = planned.found.parameters.iter();
            let described = Described {
                schema: answer::schema(plan.schema().as_arrow(), &planned.found),
                parameters: parameters
                    .map(|name| {
                        let of = types.get(&format!("${name}"));
                        (name.clone(), of.map(answer::plain))
                    })
                    .collect(),
            };
            if is_whole {
                inner.described.insert(question.text, described.clone());
            }
            Ok(described)
        });
        match timeout(limit, task).await {
            Ok(described) => described.unwrap_or(Err(Error::Internal(Reason::default()))),
            Err(_) => {
                let inner = Arc::clone(&self.0);
                tokio::spawn(async move { inner.threads.look_after(&own).await });
                Err(Error::Time { limit })
            }
        }
    }

    /// Answers a query whose caller sees this. Waits for a place first; the answer is
    /// ended when it is dropped.
    ///
    /// # Errors
    /// If no place comes, or it cannot be planned.
    pub async fn ask(&self, question: Question, sight: Sight) -> Result<Answer, Error> {
        if self.0.threads.are_used_up() {
            return Err(Error::Left);
        }
        let (own, place) = self.place().await?;
        let limit = self.0.options.timeout;
        let end = Instant::now() + limit;
        let (sender, receiver) = mpsc::channel(AHEAD);
        let gone = CancellationToken::new();
        let until = Until {
            end,
            limit,
            gone: gone.clone(),
        };
        let (done, over) = oneshot::channel();
        self.look_after(&own, over, gone.clone(), end);
        let inner = Arc::clone(&self.0);
        let task = own.spawn(async move {
            // it is given back when the query is over, whoever reads
            let _place = place;
            let run = inner.run(question, sight, &until, &sender);
            let last = match timeout_at(end, run).await {
                Ok(Ok(())) => Piece::End,
                Ok(Err(error)) => Piece::Failed(error),
                Err(_) => Piece::Failed(Error::Time { limit }),
            };
            let in_time = !matches!(last, Piece::Failed(Error::Time { .. }));
            // whoever is gone does not care
            let _ = sender.send(last).await;
            if in_time {
                let _ = done.send(());
            }
        });
        let running = Running {
            _task: task,
            _own: own,
            _gone: gone.drop_guard(),
        };
        Answer::begin(receiver, running, end, limit).await
    }

    /// Leaves threads that a query takes which should be over.
    fn look_after(
        &self,
        own: &Arc<Own>,
        over: oneshot::Receiver<()>,
        gone: CancellationToken,
        end: Instant,
    ) {
        let (inner, own) = (Arc::clone(&self.0), Arc::clone(own));
        tokio::spawn(async move {
            tokio::select! {
                biased;
                Ok(()) = over => return,
                () = gone.cancelled() => {}
                () = sleep_until(end) => {}
            }
            inner.threads.look_after(&own).await;
        });
    }

    async fn place(&self) -> Result<(Arc<Own>, OwnedSemaphorePermit), Error> {
        let wait = self.0.options.wait;
        let end = Instant::now() + wait;
        loop {
            let own = self.0.threads.now();
            match timeout_at(end, own.place()).await {
                Ok(Some(place)) => return Ok((own, place)),
                Ok(None) => {}
                Err(_) => {
                    return Err(Error::Busy {
                        most: self.0.options.queries,
                        wait,
                    });
                }
            }
        }
    }
}

/// A query that was planned.
struct Planned {
    state: SessionState,
    plan: LogicalPlan,
    found: Found,
}

impl Inner {
    async fn plan(&self, text: &str, sight: Sight) -> Result<Planned, Error> {
        let mut names = self.base.names();
        let mut statement = parse(text, &mut names)?;
        guard::check(&statement)?;
        let found = tree::prepare(&mut statement, &self.base.columns().all, &mut names);
        let files = self.source.files().await;
        let files = files.map_err(|error| self.bounds.unreadable(&error))?;
        // what is told of all views plans all
        let is_query = matches!(statement, Statement::Query(_) | Statement::Explain { .. });
        let words = text.to_lowercase();
        let needs =
            |view: &str| !is_query || words.contains(view) || words.contains("information_schema");
        let of = |error: DataFusionError| self.bounds.of(&error);
        let state = self.base.session(files, sight, needs).await.map_err(of)?;
        let parsed = Parsed::Statement(Box::new(statement));
        let plan = state.statement_to_plan(parsed).await.map_err(of)?;
        guard::check_plan(&plan)?;
        days::check(&plan)?;
        let plan = hold(plan).and_then(apart).map_err(of)?;
        Ok(Planned { state, plan, found })
    }

    async fn run(
        &self,
        question: Question,
        sight: Sight,
        until: &Until,
        to: &mpsc::Sender<Piece>,
    ) -> Result<(), Error> {
        let Planned { state, plan, found } = self.plan(&question.text, sight).await?;
        let values = question.parameters.of(&found.parameters)?;
        let of = |error: DataFusionError| self.bounds.of(&error);
        let plan = match found.parameters.is_empty() {
            true => plan,
            false => plan.with_param_values(values).map_err(of)?,
        };
        let physical = state.create_physical_plan(&plan).await.map_err(of)?;
        let physical = gate::bound(physical, until).map_err(of)?;
        let schema = answer::schema(&physical.schema(), &found);
        if to.send(Piece::Schema(Arc::clone(&schema))).await.is_err() {
            return Ok(());
        }
        let batches = execute_stream(physical, state.task_ctx()).map_err(of)?;
        let batches = batches.map(|batch| answer::batch(&batch?, &schema));
        let mut batches = pin!(gathered(batches, &schema));
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(of)?;
            if to.send(Piece::Batch(batch)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}
