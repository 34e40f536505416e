//! The one total order of events.

use std::sync::Arc;

use super::is_uuid;

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

    /// Forgets the record's hash, which tells what is in a record of which most is
    /// known: the place becomes the last of its id, or the first. Ids that are no UUIDs
    /// are reused, so that events of one are told apart by their hashes alone: theirs
    /// stays.
    pub fn forget_record(&mut self, is_last: bool) {
        if is_uuid(&self.id) {
            self.hash = if is_last { [u8::MAX; 16] } else { [0; 16] };
        }
    }

    pub(super) fn as_parts(&self) -> (&str, &str, &str) {
        (&self.account_id, &self.region, &self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_record_is_not_told_by_its_place() {
        let place = |id: &str| Position {
            id: id.into(),
            hash: [7; 16],
            ..Position::start_of(1)
        };
        let uuid = place("00000000-0000-4000-8000-000000000001");
        let [mut first, mut last] = [uuid.clone(), uuid.clone()];
        first.forget_record(false);
        last.forget_record(true);
        // what was read is not read again, in either order
        assert!(first < uuid && uuid < last);
        assert!(last < place("00000000-0000-4000-8000-000000000002"));
        let mut reused = place("fixture");
        reused.forget_record(true);
        assert_eq!(reused, place("fixture"));
    }
}
