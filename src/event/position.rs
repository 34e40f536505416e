//! The one total order of events.

use std::sync::Arc;

/// A place in the total order of events. See [`super::Event::position`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Whole seconds since the Unix epoch.
    pub time: i64,
    /// The event's account.
    pub account_id: Arc<str>,
    /// The event's Region.
    pub region: Arc<str>,
    /// The event's id.
    pub id: Arc<str>,
    /// The hash of the event's record.
    pub hash: [u8; 16],
}

impl Position {
    /// The place before every event of `second` and after every event of the
    /// second before.
    #[must_use]
    pub fn start_of(second: i64) -> Self {
        let none: Arc<str> = "".into();
        Self {
            time: second,
            account_id: none.clone(),
            region: none.clone(),
            id: none,
            hash: [0; 16],
        }
    }

    /// The end (exclusive) of the seconds that have a place before this one.
    #[must_use]
    pub fn seconds_before(&self) -> i64 {
        let is_start = *self == Self::start_of(self.time);
        self.time.saturating_add(i64::from(!is_start))
    }

    pub(super) fn as_parts(&self) -> (&str, &str, &str) {
        (&self.account_id, &self.region, &self.id)
    }
}
