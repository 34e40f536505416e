//! Stretches of keys, as sets: which keys of a trail are in the archive.

use std::{collections::BTreeMap, ops::Bound};

use serde::{Deserialize, Serialize};

/// Stretches of keys in their order, each without its lower end and with its upper
/// one: as a bucket lists what comes after a key. They neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Vec<(String, String)>", into = "Vec<(String, String)>")]
pub(super) struct Spans(BTreeMap<String, String>);

impl Spans {
    /// Adds what comes after `from`, up to `to`.
    pub(super) fn add(&mut self, from: &str, to: &str) {
        if from >= to {
            return;
        }
        let (mut low, mut high) = (from.to_owned(), to.to_owned());
        // from the highest down: those below the first that ends too early end earlier
        while let Some((start, end)) = self
            .0
            .range::<str, _>((Bound::Unbounded, Bound::Included(to)))
            .next_back()
        {
            if end.as_str() < from {
                break;
            }
            let start = start.clone();
            if let Some(end) = self.0.remove(&start) {
                low = low.min(start);
                high = high.max(end);
            }
            if low.as_str() < from {
                break;
            }
        }
        self.0.insert(low, high);
    }

    /// The end of the stretch that a key is in.
    #[must_use]
    pub(super) fn end_of(&self, key: &str) -> Option<&str> {
        let below = (Bound::Unbounded, Bound::Excluded(key));
        let (_, end) = self.0.range::<str, _>(below).next_back()?;
        (key <= end.as_str()).then_some(end)
    }

    /// Adds all of another's.
    pub(super) fn merge(&mut self, other: &Self) {
        for (from, to) in &other.0 {
            self.add(from, to);
        }
    }
}

impl From<Vec<(String, String)>> for Spans {
    fn from(given: Vec<(String, String)>) -> Self {
        let mut spans = Self::default();
        for (from, to) in given {
            spans.add(&from, &to);
        }
        spans
    }
}

impl From<Spans> for Vec<(String, String)> {
    fn from(Spans(spans): Spans) -> Self {
        spans.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stretches_that_touch_become_one() {
        let mut spans = Spans::default();
        spans.add("a", "c");
        spans.add("e", "g");
        assert_eq!(spans.end_of("a"), None, "its lower end is not in it");
        assert_eq!(spans.end_of("c"), Some("c"));
        assert_eq!(spans.end_of("d"), None);
        spans.add("c", "e");
        assert_eq!(spans.end_of("b"), Some("g"));
        spans.add("x", "x");
        assert_eq!(serde_json::to_string(&spans).unwrap(), r#"[["a","g"]]"#);
    }

    /// Two letters, so that keys lie between others.
    fn key() -> impl Strategy<Value = String> {
        "[a-d]{0,2}"
    }

    proptest! {
        #[test]
        fn a_set_has_what_was_added_and_no_more(
            added in proptest::collection::vec((key(), key()), 0..12),
            asked in key(),
        ) {
            let mut spans = Spans::default();
            for (from, to) in &added {
                spans.add(from, to);
            }
            let is_in = added.iter().any(|(from, to)| *from < asked && asked <= *to);
            prop_assert_eq!(spans.end_of(&asked).is_some(), is_in);
            let all: Vec<_> = spans.0.iter().collect();
            for pair in all.windows(2) {
                prop_assert!(pair[0].1 < pair[1].0, "{:?}", spans);
            }
            // where it ends nothing goes on
            if let Some(end) = spans.end_of(&asked) {
                prop_assert!(!added.iter().any(|(from, to)| from.as_str() <= end && end < to.as_str()));
            }
            let mut again = Spans::default();
            let (even, odd): (Vec<_>, Vec<_>) =
                added.iter().enumerate().partition(|(at, _)| at % 2 == 0);
            for part in [even, odd] {
                let part: Vec<_> = part.into_iter().map(|(_, span)| span.clone()).collect();
                again.merge(&Spans::from(part));
            }
            prop_assert_eq!(&again, &spans);
            let text = serde_json::to_string(&spans).unwrap();
            prop_assert_eq!(serde_json::from_str::<Spans>(&text).unwrap(), spans);
        }
    }
}
