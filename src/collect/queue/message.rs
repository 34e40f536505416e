//! A message's way, from its body to its end: deleted, left aside, or given up.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Batch, Lost, Message, MessagesError, Outcome, Refused, Source, Why, Worker,
    lease::Lease,
    options::pause,
    state::{Now, Trouble, count},
};
use crate::{
    collect::{
        envelope::{self, Content, Delivered, Nothing, ObjectRef},
        object_key::ObjectKey,
    },
    event::{Category, Event, Origin, Scope},
};

/// What in a message cannot be used, and the object that it is, if it is one.
type Unusable = (Option<ObjectRef>, Why);

/// How a message ends.
enum Verdict {
    /// All that it announced is safe, or is not to be collected.
    Done,
    /// It comes again.
    Aside,
    /// It cannot be used.
    Unusable(Vec<Unusable>),
}

impl Worker {
    /// Works on a message while it stays with us. If `hurry` ends that, it is
    /// given back.
    pub(super) async fn message(&self, message: Message, hurry: CancellationToken) {
        let _now = Now::new(&self.board.messages_now);
        let lease = Lease::new(&message.receipt, Instant::now());
        tokio::select! {
            biased;
            () = hurry.cancelled() => {
                count(&self.board.counters.given_back);
                self.leave(&lease, std::time::Duration::ZERO).await;
            }
            () = self.work(&message, &lease) => {}
            () = self.keep(&lease) => {
                count(&self.board.counters.let_go);
                tracing::warn!(
                    message = message.id,
                    after = ?self.options.longest,
                    "a message took too long and is let go; it comes again"
                );
            }
        }
    }

    async fn work(&self, message: &Message, lease: &Lease<'_>) {
        match self.judge(message).await {
            Verdict::Done => self.delete(message, lease).await,
            Verdict::Aside => self.set_aside(message, lease).await,
            Verdict::Unusable(unusable) => self.give_up(message, lease, unusable).await,
        }
    }

    async fn judge(&self, message: &Message) -> Verdict {
        match envelope::open(&message.body) {
            Ok(Content::Objects(objects)) => self.objects(objects).await,
            Ok(Content::Event(event)) => match self.event(message, event).await {
                Ok(()) => {
                    self.brake.store(0, Relaxed);
                    self.board.mended(&Trouble::Sink);
                    Verdict::Done
                }
                Err(refused) => {
                    count(&self.board.counters.failed);
                    self.failed(Trouble::Sink, refused.to_string());
                    Verdict::Aside
                }
            },
            Ok(Content::Nothing(nothing)) => {
                self.nothing(message, nothing);
                Verdict::Done
            }
            Err(error) => Verdict::Unusable(vec![(None, error.into())]),
        }
    }

    async fn objects(&self, mut objects: Vec<ObjectRef>) -> Verdict {
        // one that it names twice must not wait for itself
        let mut named = HashSet::new();
        objects.retain(|it| named.insert((it.bucket.clone(), it.key.clone())));
        let outcomes = stream::iter(objects).map(async |object| {
            let outcome = Box::pin(self.object(&object)).await;
            (object, outcome)
        });
        let mut outcomes = outcomes.buffer_unordered(self.options.files.max(1));
        let mut unusable = Vec::new();
        let mut is_aside = false;
        while let Some((object, outcome)) = outcomes.next().await {
            match outcome {
                Outcome::Done | Outcome::Skipped => {}
                Outcome::Again(reason) => {
                    tracing::debug!(%object, reason, "comes again");
                    is_aside = true;
                }
                Outcome::Unusable(why) => unusable.push((Some(object), why)),
            }
        }
        match unusable.is_empty() {
            _ if is_aside => Verdict::Aside,
            true => Verdict::Done,
            false => Verdict::Unusable(unusable),
        }
    }

    /// Hands on an event of EventBridge's.
    async fn event(&self, message: &Message, event: Delivered<'_>) -> Result<(), Refused> {
        let scope = Scope::new(
            event.account.as_deref().unwrap_or_default(),
            event.region.as_deref().unwrap_or_default(),
        );
        let time = event.time.or(message.sent_at);
        let time = time.unwrap_or_else(|| self.clock.now_secs());
        let record = event.record.as_bytes();
        let event = Event::from_record(&scope, record, Origin::EventBridge, time);
        if let Err(why) = self.filter.admit_scope(&event.scope()) {
            self.skips.note(why);
            count(&self.board.counters.skipped);
            return Ok(());
        }
        if event.is_malformed() || event.is_lossy() {
            count(&self.board.counters.malformed);
        }
        let category = match event.category() {
            None | Some("Management") => Some(Category::Management),
            Some("Insight") => Some(Category::Insight),
            Some(_) => None,
        };
        let batch = Batch {
            events: vec![Arc::new(event)],
            source: Source::EventBridge,
            category,
        };
        self.take(batch).await?.await
    }

    fn nothing(&self, message: &Message, nothing: Nothing) {
        count(&self.board.counters.nothing);
        match nothing {
            Nothing::Unconfirmed { topic, url } => {
                tracing::warn!(
                    topic,
                    url,
                    "a topic asks whether this queue shall be subscribed: open the url to \
                     confirm it, nothing comes from the topic until then"
                );
                self.board.unconfirmed(topic);
            }
            Nothing::Unsubscribed { topic } => {
                tracing::warn!(
                    topic,
                    "this queue was unsubscribed from a topic, nothing comes from it any more"
                );
            }
            other => tracing::debug!(message = message.id, ?other, "nothing to collect"),
        }
    }

    /// A message that cannot be used: it comes again a few times, then it goes.
    async fn give_up(&self, message: &Message, lease: &Lease<'_>, unusable: Vec<Unusable>) {
        let is_poison = unusable.iter().any(|(_, why)| *why != Why::Gone);
        if is_poison {
            count(&self.board.counters.poison);
        }
        let dead_letter = self.dead_letter().await;
        let most = match &dead_letter {
            Ok(Some(most)) => *most,
            _ => u32::MAX,
        };
        let limit_of = |(_, why): &Unusable| match why {
            Why::Gone => self.options.gone_receives,
            _ => self.options.poison_receives,
        };
        let limit = unusable.iter().map(limit_of).max().unwrap_or_default();
        let limit = limit.min(most);
        for (object, why) in &unusable {
            let object = object.as_ref().map(ToString::to_string);
            tracing::warn!(
                message = message.id,
                object,
                received = message.receive_count,
                limit,
                %why,
                "cannot be used"
            );
        }
        // nobody knows whether it would be kept: not now, then
        let is_kept = is_poison && !matches!(dead_letter, Ok(None));
        if message.receive_count < limit || (is_kept && dead_letter.is_err()) {
            return self.set_aside(message, lease).await;
        }
        // one that is kept may come a few times more, but is told once
        if !is_kept || message.receive_count == limit {
            for (object, why) in unusable {
                self.lost(message, object, why, is_kept);
            }
        }
        if is_kept {
            self.set_aside(message, lease).await;
        } else {
            self.delete(message, lease).await;
        }
    }

    fn lost(&self, message: &Message, object: Option<ObjectRef>, why: Why, is_kept: bool) {
        let key = object.as_ref().map(|object| ObjectKey::parse(&object.key));
        let kind = key.as_ref().map(|key| key.kind);
        let place = key.and_then(|key| key.place);
        let lost = Lost {
            message: Some(message.id.clone()),
            kind,
            scope: place.as_ref().map(|place| place.scope.clone()),
            time: place.map(|place| place.time).or(message.sent_at),
            object,
            why,
            is_kept,
        };
        tracing::error!(?lost, "given up: what was announced is not collected");
        count(&self.board.counters.lost);
        self.ports.sink.lost(lost);
    }

    /// Leaves it alone for a while; longer each time.
    async fn set_aside(&self, message: &Message, lease: &Lease<'_>) {
        let times = message.receive_count.saturating_sub(1);
        let aside = pause(self.options.aside, self.options.longest_aside, times);
        self.leave(lease, aside).await;
    }

    async fn delete(&self, message: &Message, lease: &Lease<'_>) {
        let counters = &self.board.counters;
        let mut tried = 0;
        while !lease.is_gone() {
            let error = match self.ports.messages.delete(lease.receipt()).await {
                Ok(()) => return count(&counters.deleted),
                Err(error) => error,
            };
            tried += 1;
            if error == MessagesError::ReceiptGone || tried >= self.options.deletes {
                tracing::warn!(message = message.id, %error, "could not be deleted, comes again");
                break;
            }
            let wait = pause(self.options.pause, self.options.longest_pause, tried - 1);
            tokio::time::sleep(wait).await;
        }
        count(&counters.deletes_failed);
    }
}
