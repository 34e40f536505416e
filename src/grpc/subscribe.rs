//! `SubscribeEvents`: the stream.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, stream};
use tokio::{select, task::unconstrained, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    MAX_SUBSCRIPTIONS, Service,
    events::{Streamed, count, second},
    request::Subscribing,
    scopes::collector_state,
    status::{Invalid, connection_aged, shutting_down, too_many},
    view::View,
};
use crate::{
    collect::{Demand, Poller},
    feed::{Batch, Gap, Item, Standing, StartError, Subscription},
    proto::{
        Ready, server,
        v1::{self, subscribe_events_response::Payload},
    },
    slots::Slot,
};

/// How long what has arrived may take to be told once the server stops: much of it is
/// told in a moment, and who does not read by then is not waited for.
const REST: Duration = Duration::from_secs(1);

/// A subscription under way.
struct Subscribed {
    subscription: Subscription,
    view: View,
    poller: Arc<Poller>,
    stopping: CancellationToken,
    /// Its connection has come of age.
    leaving: CancellationToken,
    /// Until when it is told what there is, once the server stops.
    until: Option<Instant>,
    /// Why it ends, once all is told but that.
    end: Option<Status>,
    _demand: Demand,
    _slot: Slot,
}

impl Service {
    /// Begins a subscription, which ends when `leaving` is cancelled.
    pub(super) fn subscribe(
        &self,
        asked: Subscribing,
        leaving: CancellationToken,
    ) -> Result<Streamed<Ready>, Status> {
        let Subscribing {
            settings,
            start,
            view,
        } = asked;
        let share = view.share().subscriptions;
        let slot = self.subscriptions.take(&settings.caller, share);
        let slot = slot.map_err(|full| {
            let full = full.told(MAX_SUBSCRIPTIONS, "subscriptions");
            let message = format!("{full}; try again later, or share one");
            too_many("TOO_MANY_SUBSCRIPTIONS", &message)
        })?;
        let demand = self.poller.want(settings.selection.clone());
        let (feed, lookup) = (Arc::clone(&self.feed), Arc::clone(&self.lookup));
        let subscription = Subscription::new(feed, lookup, self.scopes.clone(), settings, start)?;
        let subscribed = Subscribed {
            subscription,
            view,
            poller: Arc::clone(&self.poller),
            stopping: self.stopping.clone(),
            leaving,
            until: None,
            end: None,
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
    if let Some(status) = subscribed.end.take() {
        return Some((Err(status), None));
    }
    let item = select! {
        biased;
        () = subscribed.stopping.cancelled() => subscribed.rest(),
        () = subscribed.leaving.cancelled() => subscribed.last(connection_aged("resume_token")),
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
    fn token(&self) -> String {
        let token = self.subscription.token();
        self.view.resume_token(token).encode()
    }

    /// What is told while the server stops: what is there to be told at once, since the
    /// queue that it came from may have it no more; and then the end.
    fn rest(&mut self) -> Item {
        let until = *self.until.get_or_insert_with(|| Instant::now() + REST);
        if Instant::now() < until
            && let Some(item) = unconstrained(self.subscription.next()).now_or_never()
        {
            return item;
        }
        self.last(shutting_down("resume_token"))
    }

    /// What is told before it ends with `status`. The last of it is progress, whose
    /// token is as good as can be had.
    fn last(&mut self, status: Status) -> Item {
        let item = self.subscription.last();
        if matches!(item, Item::Progress(_)) {
            self.end = Some(status);
        }
        item
    }

    fn batch(&self, batch: &Batch) -> Ready {
        let make = || {
            let message = server::EventBatch {
                events: self.view.uncounted(&batch.events),
            };
            let token = self.token();
            Ready::batch(&message, &token, batch.may_repeat)
        };
        self.view.tells(batch.events.len());
        match batch.ready.as_ref().filter(|_| self.view.is_common()) {
            // all wake at once: who comes second waits, rather than do the same
            Some(ready) => ready.get_or_init(make).clone(),
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
            resume_token: self.token(),
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
