//! `SubscribeEvents`: the stream.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use futures_util::stream;
use prost::Message;
use tokio::select;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    MAX_SUBSCRIPTIONS, Service,
    events::{Streamed, count, messages, second},
    request::Subscribing,
    scopes::collector_state,
    slots::Slot,
    status::{Invalid, shutting_down, too_many},
};
use crate::{
    collect::{Demand, Poller},
    feed::{Batch, Gap, Item, Position, Standing, StartError, Subscription},
    proto::{
        Ready, server,
        v1::{self, subscribe_events_response::Payload},
    },
};

/// Batches that are kept for others who read the same, in bytes: some hundreds of
/// the usual size.
const SHARED_BYTES: usize = 32 * 1024 * 1024;
/// Larger ones are not kept.
const SHARED_MOST: usize = 1024 * 1024;

/// Who reads the same: what is followed and since when, the view, and the
/// positions.
type Key = (([u8; 16], Option<i64>), bool, (Position, Position));

/// Batches by who reads them.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Batches>);

#[derive(Debug, Default)]
struct Batches {
    /// One that is not ready is being made, by a subscription under way.
    ready: HashMap<Key, Arc<OnceLock<Ready>>>,
    /// Of those that are ready. The oldest first.
    order: VecDeque<Key>,
    bytes: usize,
}

impl Shared {
    /// The batch that another one made or is making, or that `make` makes. All
    /// subscribers wake at once: who comes second waits, rather than do the same.
    fn get(&self, key: Key, make: impl FnOnce() -> Ready) -> Ready {
        // bytes alone: right after a panic elsewhere
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = Arc::clone(lock().ready.entry(key).or_default());
        let mut is_made = false;
        let ready = place.get_or_init(|| {
            is_made = true;
            make()
        });
        if !is_made {
            return ready.clone();
        }
        let len = ready.encoded_len();
        let mut batches = lock();
        if len > SHARED_MOST {
            batches.ready.remove(&key);
            return ready.clone();
        }
        batches.order.push_back(key);
        batches.bytes += len;
        while batches.bytes > SHARED_BYTES
            && let Some(oldest) = batches.order.pop_front()
        {
            let gone = batches.ready.remove(&oldest);
            let len = gone.and_then(|gone| Some(gone.get()?.encoded_len()));
            batches.bytes -= len.unwrap_or_default();
        }
        ready.clone()
    }
}

/// A subscription under way.
struct Subscribed {
    subscription: Subscription,
    with_record: bool,
    poller: Arc<Poller>,
    shared: Arc<Shared>,
    stopping: CancellationToken,
    _demand: Demand,
    _slot: Slot,
}

impl Service {
    /// Begins a subscription.
    pub(super) fn subscribe(&self, asked: Subscribing) -> Result<Streamed<Ready>, Status> {
        let Subscribing {
            settings,
            start,
            with_record,
        } = asked;
        let slot = self.subscriptions.take(&settings.caller).ok_or_else(|| {
            let each = self.subscriptions.each();
            let message = format!(
                "{MAX_SUBSCRIPTIONS} subscriptions are under way, or {each} of this caller's; try \
                 again later, or share one"
            );
            too_many("TOO_MANY_SUBSCRIPTIONS", &message)
        })?;
        let demand = self.poller.want(settings.selection.clone());
        let (feed, lookup) = (Arc::clone(&self.feed), Arc::clone(&self.lookup));
        let subscription = Subscription::new(feed, lookup, self.scopes.clone(), settings, start)?;
        let subscribed = Subscribed {
            subscription,
            with_record,
            poller: Arc::clone(&self.poller),
            shared: Arc::clone(&self.arrivals),
            stopping: self.stopping.clone(),
            _demand: demand,
            _slot: slot,
        };
        Ok(Box::pin(stream::unfold(Some(subscribed), next)))
    }
}

/// The next response; none follows one that is an error.
async fn next(
    subscribed: Option<Subscribed>,
) -> Option<(Result<Ready, Status>, Option<Subscribed>)> {
    let mut subscribed = subscribed?;
    let item = select! {
        biased;
        () = subscribed.stopping.cancelled() => {
            return Some((Err(shutting_down("resume_token")), None));
        }
        item = subscribed.subscription.next() => item,
    };
    let ready = match item {
        Item::Batch(batch) => subscribed.batch(&batch),
        Item::Progress(standing) => {
            let watermarks = standing.iter();
            let watermarks = watermarks.map(|standing| subscribed.watermark(standing));
            let progress = v1::Progress {
                watermarks: watermarks.collect(),
            };
            subscribed.respond(Payload::Progress(progress))
        }
        Item::Gap(gap) => subscribed.respond(Payload::Gap(convert(&gap))),
    };
    Some((Ok(ready), Some(subscribed)))
}

impl Subscribed {
    fn batch(&self, batch: &Batch) -> Ready {
        let make = || {
            let message = server::EventBatch {
                events: messages(&batch.events, self.with_record),
            };
            let token = self.subscription.token().encode();
            Ready::batch(&message, &token, batch.may_repeat)
        };
        match batch.at.zip(self.subscription.alike()) {
            Some((at, alike)) => self.shared.get((alike, self.with_record, at), make),
            None => make(),
        }
    }

    fn watermark(&self, standing: &Standing) -> v1::ScopeWatermark {
        let Standing {
            scope,
            settled,
            is_replayed,
        } = standing;
        v1::ScopeWatermark {
            account_id: scope.account.to_string(),
            region: scope.region.to_string(),
            watermark: Some(second(*settled)),
            replaying: *is_replayed,
            collector_state: collector_state(self.poller.health(scope).as_ref(), true).into(),
        }
    }

    fn respond(&self, payload: Payload) -> Ready {
        Ready::of(&v1::SubscribeEventsResponse {
            payload: Some(payload),
            resume_token: self.subscription.token().encode(),
            may_repeat: self.subscription.may_repeat(),
        })
    }
}

fn convert(gap: &Gap) -> v1::Gap {
    v1::Gap {
        account_id: gap.scope.account.to_string(),
        region: gap.scope.region.to_string(),
        from_time: Some(second(gap.range.from)),
        to_time: Some(second(gap.range.to)),
        count: gap.count.map(count),
        reason: gap.reason.as_str().to_owned(),
        message: gap.reason.message().to_owned(),
    }
}

impl From<StartError> for Status {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Expired { .. } => {
                Invalid::new("RESUME_TOKEN_EXPIRED", "resume_token", error.to_string())
                    .out_of_range()
            }
        }
    }
}
