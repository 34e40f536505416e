//! How events look to whoever asked for them.

use std::sync::Arc;

use super::events::count;
use crate::{
    audit::Notes,
    event::Event,
    feed::ResumeToken,
    lookup::{Order, PageToken, Stats},
    policy::{Rights, Share},
    proto::{Encoded, v1},
};

/// How events look to one caller in one call. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct View {
    with_record: bool,
    rights: Arc<Rights>,
    notes: Option<Arc<Notes>>,
}

impl View {
    pub(super) fn new(with_record: bool, rights: Arc<Rights>, notes: Option<Arc<Notes>>) -> Self {
        Self {
            with_record,
            rights,
            notes,
        }
    }

    /// What of the server its caller may use.
    pub(super) fn share(&self) -> &Share {
        self.rights.share()
    }

    /// Notes that so many events are told.
    pub(super) fn tells(&self, events: usize) {
        if let Some(notes) = &self.notes {
            notes.told(events);
        }
    }

    /// Whether events look the same to everyone who asks for as much of them.
    pub(super) fn is_common(&self) -> bool {
        self.rights.redaction().is_empty()
    }

    /// What an answer cost. Events that may not be seen are not counted: that one was
    /// looked through would tell that it is there.
    pub(super) fn stats(&self, stats: Stats) -> v1::Stats {
        let seen = match self.rights.hides_events() {
            true => stats.events_matched,
            false => u64::MAX,
        };
        v1::Stats {
            upstream_calls: count(stats.upstream_calls),
            events_scanned: count(stats.events_scanned.min(seen)),
            events_matched: count(stats.events_matched),
            events_from_cache: count(stats.events_from_cache.min(seen)),
            events_from_archive: count(stats.events_from_archive.min(seen)),
        }
    }

    /// The token of the next page, and of one that comes in: who does not see all of a
    /// record is told no hash of it, and can try none.
    pub(super) fn page_token(&self, mut token: PageToken, order: Order) -> PageToken {
        if !self.rights.sees_whole_events() {
            token.after.forget_record(order == Order::OldestFirst);
        }
        token
    }

    /// As [`View::page_token`], of a stream.
    pub(super) fn resume_token(&self, mut token: ResumeToken) -> ResumeToken {
        if !self.rights.sees_whole_events() {
            token.forget_record();
        }
        token
    }

    /// An event as it goes out.
    pub(super) fn message(&self, event: &Arc<Event>) -> Encoded {
        self.tells(1);
        self.encoded(event)
    }

    /// Events as they go out.
    pub(super) fn messages(&self, events: &[Arc<Event>]) -> Vec<Encoded> {
        self.tells(events.len());
        self.uncounted(events)
    }

    /// Events as they go out, maybe to others as well: who tells them notes that.
    pub(super) fn uncounted(&self, events: &[Arc<Event>]) -> Vec<Encoded> {
        events.iter().map(|event| self.encoded(event)).collect()
    }

    fn encoded(&self, event: &Arc<Event>) -> Encoded {
        let redacted = self.rights.redaction().apply(event).map(Arc::new);
        let event = redacted.unwrap_or_else(|| Arc::clone(event));
        Encoded::new(event, self.with_record)
    }
}
