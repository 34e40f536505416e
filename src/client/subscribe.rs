//! A subscription that reconnects and resumes by itself.

use std::{convert::Infallible, fmt, future::Future, io, time::Duration};

use rand::RngExt;
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

use super::{
    Client, Fault,
    checkpoint::{Checkpoint, CheckpointStore},
    pages::Listener,
    recent::{Recent, Seen},
    retry::Notice,
};
use crate::proto::v1::{
    Event, Gap, Progress, SubscribeEventsRequest, SubscribeEventsResponse,
    subscribe_events_request::Start, subscribe_events_response::Payload,
};

/// The wait before a broken stream is taken up again; it doubles up to
/// [`MAX_WAIT`].
const WAIT: Duration = Duration::from_millis(250);
/// See [`WAIT`].
const MAX_WAIT: Duration = Duration::from_secs(8);
/// How often a checkpoint is saved while events come: what came since comes again
/// if this process dies.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// A checkpoint that takes long to save is saved less often: this part of the time
/// goes into it at most.
const SAVE_SHARE: u32 = 10;

/// What a subscription brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrival {
    /// Events, at least one.
    Events(Vec<Event>),
    /// How far each scope is known to be complete.
    Progress(Progress),
    /// Events that cannot be delivered.
    Gap(Gap),
}

/// Why a subscription ended.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError<E> {
    /// The server refuses, and asking again would not help.
    #[error("the subscription was refused: {}", .0.message())]
    Refused(Status),
    /// The checkpoint cannot be loaded or saved.
    #[error("the checkpoint cannot be kept: {0}")]
    Store(io::Error),
    /// The handler failed: what came with what it was given comes again when it is
    /// called again.
    #[error("the handler failed: {0}")]
    Handler(E),
}

/// A subscription. See [`Client::subscribe`].
pub struct Subscriber {
    client: Client,
    request: SubscribeEventsRequest,
    stream: Option<Streaming<SubscribeEventsResponse>>,
    store: Option<Box<dyn CheckpointStore>>,
    is_loaded: bool,
    fails_fast: bool,
    has_answered: bool,
    wait: Duration,
    /// What was told and handled, or told and not handled yet.
    recent: Recent,
    /// The second kind.
    open: Vec<Seen>,
    /// Resumes behind what was told last.
    token: String,
    /// The same of what was handled, if it was not saved yet.
    handled: Option<String>,
    /// Where to begin to be told all that was not handled.
    handled_start: Option<Start>,
    save_at: Instant,
    listener: Listener,
    on_gap: Box<dyn FnMut(&Gap) + Send>,
    repeats: u64,
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("request", &self.request)
            .field("is_connected", &self.stream.is_some())
            .finish_non_exhaustive()
    }
}

impl Subscriber {
    pub(super) fn new(client: Client, request: SubscribeEventsRequest) -> Self {
        Self {
            client,
            handled_start: request.start.clone(),
            request,
            stream: None,
            store: None,
            is_loaded: false,
            fails_fast: false,
            has_answered: false,
            wait: WAIT,
            recent: Recent::default(),
            open: Vec::new(),
            token: String::new(),
            handled: None,
            save_at: Instant::now(),
            listener: Box::new(|_| {}),
            on_gap: Box::new(|gap| {
                tracing::warn!(
                    account = gap.account_id,
                    region = gap.region,
                    from = gap.from_time.as_ref().map(tracing::field::display),
                    to = gap.to_time.as_ref().map(tracing::field::display),
                    reason = gap.reason,
                    "events cannot be delivered"
                );
            }),
            repeats: 0,
        }
    }

    /// Keeps how far it is in `store`: what it has there goes before the request's
    /// own start.
    #[must_use]
    pub fn checkpoint(mut self, store: impl CheckpointStore + 'static) -> Self {
        self.store = Some(Box::new(store));
        self
    }

    /// Ends with an error where nobody answers at first. Else it waits until
    /// somebody does, as it does whenever the connection breaks.
    #[must_use]
    pub fn fail_fast(mut self) -> Self {
        self.fails_fast = true;
        self
    }

    /// Calls `listener` before each wait for the server.
    #[must_use]
    pub fn on_wait(mut self, listener: impl FnMut(Notice<'_>) + Send + 'static) -> Self {
        self.listener = Box::new(listener);
        self
    }

    /// Calls `listener` with each gap that [`Subscriber::for_each`] and
    /// [`Subscriber::for_each_batch`] meet; without, they are logged.
    #[must_use]
    pub fn on_gap(mut self, listener: impl FnMut(&Gap) + Send + 'static) -> Self {
        self.on_gap = Box::new(listener);
        self
    }

    /// Events that were told again and dropped.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Resumes behind what [`Subscriber::next`] told last.
    #[must_use]
    pub fn resume_token(&self) -> &str {
        &self.token
    }

    /// Calls `handler` with each event, for ever. An event is handled when the
    /// handler says so; if this process dies, events since the last checkpoint,
    /// usually a second's, come again.
    ///
    /// Dropping the future stops it; [`Subscriber::save`] then saves the last
    /// checkpoint.
    ///
    /// # Errors
    ///
    /// If the server refuses, the checkpoint cannot be kept, or the handler fails.
    pub async fn for_each<E, F>(
        &mut self,
        mut handler: impl FnMut(Event) -> F,
    ) -> Result<Infallible, SubscribeError<E>>
    where
        F: Future<Output = Result<(), E>>,
    {
        self.rewind();
        loop {
            for event in self.events().await? {
                handler(event).await.map_err(SubscribeError::Handler)?;
            }
            self.keep().await.map_err(SubscribeError::Store)?;
        }
    }

    /// As [`Subscriber::for_each`], with the events that came together.
    ///
    /// # Errors
    ///
    /// As [`Subscriber::for_each`].
    pub async fn for_each_batch<E, F>(
        &mut self,
        mut handler: impl FnMut(Vec<Event>) -> F,
    ) -> Result<Infallible, SubscribeError<E>>
    where
        F: Future<Output = Result<(), E>>,
    {
        self.rewind();
        loop {
            let events = self.events().await?;
            handler(events).await.map_err(SubscribeError::Handler)?;
            self.keep().await.map_err(SubscribeError::Store)?;
        }
    }

    /// Goes back behind what was handled, where not all of it was.
    fn rewind(&mut self) {
        if self.open.is_empty() {
            return;
        }
        for seen in self.open.drain(..) {
            self.recent.remove(&seen);
        }
        self.stream = None;
        self.request.start.clone_from(&self.handled_start);
    }

    /// The next events; gaps are told to who listens.
    async fn events<E>(&mut self) -> Result<Vec<Event>, SubscribeError<E>> {
        loop {
            match self.next().await? {
                Arrival::Events(events) => return Ok(events),
                Arrival::Gap(gap) => (self.on_gap)(&gap),
                Arrival::Progress(_) => {}
            }
            self.keep().await.map_err(SubscribeError::Store)?;
        }
    }

    /// What comes next, for ever. Where the connection breaks or the server asks to
    /// come back, it does, behind what was told last; what is told again is
    /// dropped. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// If the server refuses, or the checkpoint cannot be loaded.
    pub async fn next<E>(&mut self) -> Result<Arrival, SubscribeError<E>> {
        self.load().await.map_err(SubscribeError::Store)?;
        loop {
            let status = match self.receive().await {
                Ok(Some(response)) => {
                    if let Some(arrival) = self.take(response) {
                        return Ok(arrival);
                    }
                    continue;
                }
                // streams have no end of their own
                Ok(None) => Status::unavailable("the stream ended"),
                Err(status) => status,
            };
            self.stream = None;
            if !self.comes_back(&status) {
                return Err(SubscribeError::Refused(status));
            }
            // not all subscribers at once
            let wait = named_wait(&status).unwrap_or(self.wait);
            let wait = wait.mul_f64(rand::rng().random_range(0.5..=1.0));
            self.wait = (self.wait * 2).min(MAX_WAIT);
            (self.listener)(Notice::Retry(&status, wait));
            tokio::time::sleep(wait).await;
        }
    }

    /// Says that all that [`Subscriber::next`] told was handled: the next
    /// checkpoint is behind it.
    pub fn handled(&mut self) {
        self.open.clear();
        self.handled = Some(self.token.clone());
        self.handled_start.clone_from(&self.request.start);
    }

    /// As [`Subscriber::handled`], and saves a checkpoint if the last one is old
    /// enough: a second usually, more where saving takes long.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn keep(&mut self) -> io::Result<()> {
        self.handled();
        match Instant::now() >= self.save_at {
            true => self.save().await,
            false => Ok(()),
        }
    }

    /// Saves a checkpoint of what was handled.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn save(&mut self) -> io::Result<()> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let Some(resume_token) = self.handled.clone().filter(|token| !token.is_empty()) else {
            return Ok(());
        };
        let begun = Instant::now();
        let seen = self.recent.all().filter(|seen| !self.open.contains(seen));
        let checkpoint = Checkpoint {
            resume_token,
            seen: seen.collect(),
        };
        store.save(&checkpoint).await?;
        self.handled = None;
        let now = Instant::now();
        self.save_at = now + SAVE_EVERY.max((now - begun) * SAVE_SHARE);
        Ok(())
    }

    async fn load(&mut self) -> io::Result<()> {
        if self.is_loaded {
            return Ok(());
        }
        if let Some(store) = &mut self.store
            && let Some(checkpoint) = store.load().await?
        {
            self.request.start = Some(Start::ResumeToken(checkpoint.resume_token));
            self.handled_start.clone_from(&self.request.start);
            self.recent = Recent::new(checkpoint.seen);
        }
        self.is_loaded = true;
        Ok(())
    }

    async fn receive(&mut self) -> Result<Option<SubscribeEventsResponse>, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let mut events = self.client.events.clone();
                let stream = events.subscribe_events(self.request.clone()).await?;
                self.stream.insert(stream.into_inner())
            }
        };
        stream.message().await
    }

    /// Takes a response in; `None`: all of it was told before.
    fn take(&mut self, response: SubscribeEventsResponse) -> Option<Arrival> {
        self.has_answered = true;
        self.wait = WAIT;
        if !response.resume_token.is_empty() {
            self.token.clone_from(&response.resume_token);
            self.request.start = Some(Start::ResumeToken(response.resume_token));
        }
        match response.payload? {
            Payload::Batch(batch) => {
                let mut events = Vec::with_capacity(batch.events.len());
                for event in batch.events {
                    let seen = Seen::of(&event);
                    if self.recent.has(&seen, &event) {
                        self.repeats += 1;
                        continue;
                    }
                    self.recent.add(seen);
                    self.open.push(seen);
                    events.push(event);
                }
                (!events.is_empty()).then_some(Arrival::Events(events))
            }
            Payload::Progress(progress) => {
                self.recent.settle(&progress.watermarks);
                Some(Arrival::Progress(progress))
            }
            Payload::Gap(gap) => Some(Arrival::Gap(gap)),
        }
    }

    /// Whether asking again may help.
    fn comes_back(&self, status: &Status) -> bool {
        match Fault::of(status) {
            Some(Fault::WentAway) => true,
            Some(Fault::Unreachable) => self.has_answered || !self.fails_fast,
            Some(Fault::NoGateway) => false,
            // the server's own words
            None => matches!(
                status.code(),
                Code::Unavailable
                    | Code::ResourceExhausted
                    | Code::Aborted
                    | Code::DeadlineExceeded
            ),
        }
    }
}

/// The wait that the server asks for.
fn named_wait(status: &Status) -> Option<Duration> {
    let wait = status.get_details_retry_info()?.retry_delay?;
    Some(wait.min(MAX_WAIT))
}
