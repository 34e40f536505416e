//! How events look to whoever asked for them.

use std::sync::Arc;

use crate::{event::Event, policy::Rights, proto::Encoded};

/// How events look to one caller in one call. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct View {
    with_record: bool,
    rights: Arc<Rights>,
}

impl View {
    pub(super) fn new(with_record: bool, rights: Arc<Rights>) -> Self {
        Self {
            with_record,
            rights,
        }
    }

    /// Whether events look the same to everyone who asks for as much of them.
    pub(super) fn is_common(&self) -> bool {
        self.rights.redaction().is_empty()
    }

    /// An event as it goes out.
    pub(super) fn message(&self, event: &Arc<Event>) -> Encoded {
        let redacted = self.rights.redaction().apply(event).map(Arc::new);
        let event = redacted.unwrap_or_else(|| Arc::clone(event));
        Encoded::new(event, self.with_record)
    }

    /// Events as they go out.
    pub(super) fn messages(&self, events: &[Arc<Event>]) -> Vec<Encoded> {
        events.iter().map(|event| self.message(event)).collect()
    }
}
