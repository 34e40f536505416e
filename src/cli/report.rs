//! What goes to stderr of a search: what was searched, and what was not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    io::{self, ErrorKind, Write},
};

use tokio::time::Instant;

use super::{EXIT_FAILED, table::printable, view::shown};
use crate::proto::v1::{Order, ScopeStatus, SearchState};

/// The most field violations and scopes that are listed one by one: a
/// screenful.
pub(super) const LISTED: usize = 20;

/// The gateway's word for a scope whose history starts later than was asked.
const BEFORE_HISTORY: &str = "BEFORE_HISTORY";
/// How much later than asked is no news, in seconds: `--since 90d` of a history
/// of 90 days is put on two clocks, one after the other.
const CLOCKS_APART: i64 = 60;

/// Writes one line to stderr, control characters aside.
pub(super) fn note(line: impl Display) {
    let line = printable(&line.to_string());
    // with stderr gone there is nobody to tell
    let _ = writeln!(io::stderr().lock(), "trailgate: {line}");
}

/// Writes lines to stderr, such as a help text of ours.
#[cfg(feature = "sql")]
pub(super) fn lines(text: &str) {
    let mut to = io::stderr().lock();
    for line in text.lines() {
        // with stderr gone there is nobody to tell
        let _ = writeln!(to, "{}", printable(line));
    }
}

/// The exit code of a command that is over once it has written: whoever reads may
/// have enough, as `head` has.
pub(super) fn written(result: io::Result<()>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => 0,
        Err(error) => {
            note(format_args!("cannot write: {error}"));
            EXIT_FAILED
        }
    }
}

/// How many there are of something, such as `1 event`, `2 events`.
pub(super) fn count(number: i64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// How the search of each scope stands, over all pages.
#[derive(Debug, Default)]
pub(super) struct Searched {
    /// One entry a scope that the server named, so as many as it is set up
    /// with.
    scopes: BTreeMap<(String, String), ScopeStatus>,
    order: Order,
    /// When the question was asked: history goes on being forgotten meanwhile.
    since: Option<Instant>,
}

impl Searched {
    /// Nothing yet, to be searched in this order.
    pub(super) fn new(order: Order) -> Self {
        Self {
            scopes: BTreeMap::new(),
            order,
            since: None,
        }
    }

    /// The same, asked for at `since`.
    pub(super) fn since(self, since: Instant) -> Self {
        Self {
            since: Some(since),
            ..self
        }
    }

    /// Takes in what a page says. A scope that failed stays failed, for the
    /// reason that it failed for first.
    pub(super) fn update(&mut self, scopes: Vec<ScopeStatus>) {
        for scope in scopes {
            let key = (scope.account_id.clone(), scope.region.clone());
            let before = self.scopes.get(&key);
            if before.is_none_or(|before| before.state() != SearchState::Failed) {
                self.scopes.insert(key, scope);
            }
        }
    }

    /// Whether some scope was not searched as far as was asked for. While
    /// there are pages to come, that one is partial is no news.
    pub(super) fn is_incomplete(&self, more_to_come: bool, start: Option<i64>) -> bool {
        self.missing(more_to_come).next().is_some() || self.forgotten(start).next().is_some()
    }

    fn missing(&self, more_to_come: bool) -> impl Iterator<Item = &ScopeStatus> {
        self.scopes
            .values()
            .filter(move |scope| match scope.state() {
                SearchState::Failed => true,
                SearchState::Partial => !more_to_come,
                SearchState::Complete | SearchState::Unspecified => false,
            })
    }

    /// The scopes whose history starts later than `start`, with the second
    /// that it starts at, if that is known.
    fn forgotten(&self, start: Option<i64>) -> impl Iterator<Item = (Option<i64>, &ScopeStatus)> {
        let whole = |scope: &&ScopeStatus| scope.state() == SearchState::Complete;
        let took = self.since.map(|since| since.elapsed().as_secs());
        let took = took.and_then(|took| i64::try_from(took).ok()).unwrap_or(0);
        let apart = CLOCKS_APART.saturating_add(took);
        self.scopes.values().filter(whole).filter_map(move |scope| {
            match (second(&scope.searched_from), start) {
                (Some(from), Some(start)) if from > start.saturating_add(apart) => {
                    Some((Some(from), scope))
                }
                (None, _) if scope.reason == BEFORE_HISTORY => Some((None, scope)),
                _ => None,
            }
        })
    }

    /// The time that the search of every scope has come to from the end that
    /// it began at, if that is known.
    pub(super) fn reached(&self) -> Option<i64> {
        let open = self.scopes.values().filter(|scope| match scope.state() {
            SearchState::Failed => false,
            // a window before history is searched by saying so
            SearchState::Complete => scope.searched_from.is_some(),
            SearchState::Partial | SearchState::Unspecified => true,
        });
        match self.order {
            Order::OldestFirst => {
                let times: Option<Vec<i64>> = open.map(|s| second(&s.searched_to)).collect();
                times?.into_iter().min()
            }
            Order::NewestFirst | Order::Unspecified => {
                let times: Option<Vec<i64>> = open.map(|s| second(&s.searched_from)).collect();
                times?.into_iter().max()
            }
        }
    }

    /// How many scopes were searched as far as was asked for.
    pub(super) fn complete(&self) -> usize {
        let scopes = self.scopes.values();
        let complete = scopes.filter(|scope| scope.state() == SearchState::Complete);
        complete.count()
    }

    /// How far the search is, in words; empty if that is not known.
    pub(super) fn so_far(&self) -> String {
        let Some(time) = self.reached().map(shown) else {
            return String::new();
        };
        let far = match self.order {
            Order::OldestFirst => "up",
            Order::NewestFirst | Order::Unspecified => "back",
        };
        match (self.complete(), self.scopes.len()) {
            (done, all) if all > 1 && done < all => {
                format!("{done} of {all} scopes searched, the others {far} to {time}")
            }
            _ => format!("searched {far} to {time}"),
        }
    }

    /// Whether a scope that is still searched has no quota left.
    pub(super) fn waits_for_quota(&self) -> bool {
        let mut scopes = self.scopes.values();
        scopes
            .any(|scope| scope.state() == SearchState::Partial && scope.reason == "QUOTA_EXHAUSTED")
    }

    /// The option that asks for the rest.
    ///
    /// `start` is where the window starts, if that was asked for: said anew, it
    /// would be counted from another now.
    pub(super) fn go_on(&self, reached: i64, start: Option<i64>) -> String {
        let time = shown(reached);
        let options = match (self.order, start.map(shown)) {
            (Order::OldestFirst, _) => format!("--start {time}"),
            (Order::NewestFirst | Order::Unspecified, Some(start)) => {
                format!("--start {start} --end {time}")
            }
            (Order::NewestFirst | Order::Unspecified, None) => format!("--end {time}"),
        };
        format!("go on with {options} (events of that second may come again)")
    }

    /// Where there are no events, as far as all scopes were searched; `None`
    /// if none was.
    pub(super) fn no_events(&self) -> Option<String> {
        if self.scopes.is_empty() {
            return Some("no events".to_owned());
        }
        let searched: Vec<(i64, i64)> = self
            .scopes
            .values()
            .filter(|scope| scope.state() != SearchState::Failed)
            .filter_map(|scope| Some((second(&scope.searched_from)?, second(&scope.searched_to)?)))
            .collect();
        let from = searched.iter().map(|(from, _)| *from).max()?;
        let to = searched.iter().map(|(_, to)| *to).min()?;
        let scopes = count(i64::try_from(searched.len()).unwrap_or(i64::MAX), "scope");
        // scopes may have been searched at different times
        Some(match from < to {
            true => format!(
                "no events from {} to {} in {scopes}",
                shown(from),
                shown(to)
            ),
            false => format!("no events in what was searched of {scopes}"),
        })
    }

    /// One line for each scope that was not searched as far as was asked for,
    /// and for where histories start that do not reach back to `start`.
    pub(super) fn lines(&self, more_to_come: bool, start: Option<i64>) -> Vec<String> {
        let missing = self.missing(more_to_come);
        let mut lines: Vec<String> = missing
            .map(|scope| self.missing_line(scope, start))
            .collect();
        lines.extend(self.forgotten_lines(start));
        lines.extend(self.unproven_line());
        if let Some(more) = lines.len().checked_sub(LISTED).filter(|more| *more > 0) {
            lines.truncate(LISTED);
            lines.push(format!("and {more} more like these"));
        }
        lines
    }

    /// Up to when events are only what was loaded.
    fn unproven_line(&self) -> Option<String> {
        let scopes = self.scopes.values();
        let unproven = scopes.filter_map(|scope| second(&scope.unproven_before));
        let unproven: Vec<_> = unproven.collect();
        let last = unproven.iter().max()?;
        let scopes = count(i64::try_from(unproven.len()).unwrap_or(i64::MAX), "scope");
        Some(format!(
            "events before {} are those that were loaded into the archive, in {scopes}: nothing \
             proves that they are all",
            shown(*last)
        ))
    }

    /// Scopes whose history starts later than `start`, and what there is to say of it.
    fn forgotten_lines(&self, start: Option<i64>) -> Vec<String> {
        let mut lines = self.history_lines(start);
        let messages = self.forgotten(start).map(|(_, scope)| &scope.message);
        let reasons = messages.filter_map(|message| message.split_once(": "));
        let reasons: BTreeSet<_> = reasons.map(|(_, reason)| reason.to_owned()).collect();
        lines.extend(reasons);
        lines
    }

    fn history_lines(&self, start: Option<i64>) -> Vec<String> {
        let starts: BTreeSet<_> = self.forgotten(start).map(|(from, _)| from).collect();
        if let [Some(from)] = Vec::from_iter(&starts)[..] {
            let from = shown(*from);
            return vec![format!(
                "history starts at {from}; nothing earlier was searched"
            )];
        }
        if starts == BTreeSet::from([None]) {
            return vec![
                "nothing was searched: history starts after all of the time asked for".to_owned(),
            ];
        }
        let line = |(from, scope): (Option<i64>, &ScopeStatus)| {
            let name = format!("{}/{}", scope.account_id, scope.region);
            match from.map(shown) {
                Some(from) => {
                    format!("{name}: history starts at {from}; nothing earlier was searched")
                }
                None if scope.message.is_empty() => {
                    format!("{name}: history starts after the time asked for; nothing was searched")
                }
                None => {
                    let message = scope.message.split_once(": ");
                    let message = message.map_or(&*scope.message, |(message, _)| message);
                    format!("{name}: {message}")
                }
            }
        };
        self.forgotten(start).map(line).collect()
    }

    fn missing_line(&self, scope: &ScopeStatus, start: Option<i64>) -> String {
        let name = format!("{}/{}", scope.account_id, scope.region);
        let why = why(scope);
        if scope.state() == SearchState::Failed {
            return format!("{name} was not searched{why}");
        }
        let (reached, far) = match self.order {
            Order::OldestFirst => (&scope.searched_to, "up"),
            Order::NewestFirst | Order::Unspecified => (&scope.searched_from, "back"),
        };
        match second(reached) {
            Some(reached) => {
                let (time, go_on) = (shown(reached), self.go_on(reached, start));
                format!("{name} was only searched {far} to {time}{why}; {go_on}")
            }
            None => format!("{name} was not searched yet{why}"),
        }
    }
}

fn second(time: &Option<prost_types::Timestamp>) -> Option<i64> {
    time.as_ref().map(|time| time.seconds)
}

/// Why a scope was not searched as far as was asked, after a colon: for whoever
/// has options and no tokens.
fn why(scope: &ScopeStatus) -> String {
    let own = match scope.reason.as_str() {
        "PAGE_FULL" => "the last page was full",
        "DEADLINE" => "time ran out (--timeout)",
        "UPSTREAM_CALL_LIMIT" => "no more requests to AWS were allowed (--max-upstream-calls)",
        "QUOTA_EXHAUSTED" => "other tools use the scope's quota up",
        _ => "",
    };
    match (own, scope.reason.as_str(), scope.message.as_str()) {
        ("", "", "") => String::new(),
        ("", reason, "") => format!(": {reason}"),
        ("", "", message) => format!(": {message}"),
        ("", reason, message) => format!(": {message} [{reason}]"),
        (own, ..) => format!(": {own}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds, nanos: 0 }
    }

    fn scope(region: &str, state: SearchState, from: i64) -> ScopeStatus {
        ScopeStatus {
            account_id: "1".to_owned(),
            region: region.to_owned(),
            state: state.into(),
            searched_from: Some(at(from)),
            searched_to: Some(at(100)),
            ..ScopeStatus::default()
        }
    }

    fn because(reason: &str, message: &str, scope: ScopeStatus) -> ScopeStatus {
        ScopeStatus {
            reason: reason.to_owned(),
            message: message.to_owned(),
            ..scope
        }
    }

    #[test]
    fn what_was_not_searched_is_told() {
        use SearchState::*;
        let mut searched = Searched::default();
        searched.update(vec![
            because("UPSTREAM_ACCESS_DENIED", "no", scope("a", Failed, 0)),
            because("DEADLINE", "the deadline", scope("b", Partial, 60)),
            scope("c", Partial, 50),
        ]);
        assert_eq!(
            searched.so_far(),
            "0 of 3 scopes searched, the others back to 1970-01-01T00:01:00Z"
        );
        assert!(!searched.waits_for_quota());
        assert!(searched.is_incomplete(true, None));
        let failed = "1/a was not searched: no [UPSTREAM_ACCESS_DENIED]";
        assert_eq!(searched.lines(true, None), [failed]);
        // a failure does not heal silently, nor is it told in later words;
        // what is partial may become whole
        searched.update(vec![
            because("", "failed before", scope("a", Failed, 0)),
            scope("c", Complete, 10),
        ]);
        assert_eq!(
            searched.lines(false, Some(5)),
            [
                failed,
                "1/b was only searched back to 1970-01-01T00:01:00Z: time ran out (--timeout); go on with --start 1970-01-01T00:00:05Z --end 1970-01-01T00:01:00Z (events of that second may come again)",
            ]
        );
        let mut many = Searched::default();
        many.update((0..30).map(|i| scope(&i.to_string(), Failed, 0)).collect());
        assert_eq!(many.lines(false, None).len(), LISTED + 1);
        let mut whole = Searched::default();
        whole.update(vec![scope("a", Complete, 5)]);
        assert!(!whole.is_incomplete(false, Some(5)) && whole.lines(false, Some(5)).is_empty());
    }

    #[test]
    fn what_is_partial_is_told_with_how_to_go_on() {
        let mut searched = Searched::new(Order::OldestFirst);
        let message = "CloudTrail does not answer (X)";
        let unsearched = ScopeStatus {
            searched_from: None,
            searched_to: None,
            ..scope("b", SearchState::Partial, 0)
        };
        searched.update(vec![
            because(
                "UPSTREAM_UNAVAILABLE",
                message,
                scope("a", SearchState::Partial, 5),
            ),
            because("QUOTA_EXHAUSTED", message, unsearched),
        ]);
        assert_eq!(searched.reached(), None, "one was not searched at all");
        assert_eq!(
            searched.lines(false, None),
            [
                "1/a was only searched up to 1970-01-01T00:01:40Z: CloudTrail does not answer (X) [UPSTREAM_UNAVAILABLE]; go on with --start 1970-01-01T00:01:40Z (events of that second may come again)",
                "1/b was not searched yet: other tools use the scope's quota up",
            ]
        );
    }

    #[test]
    fn where_history_starts_is_told_to_whoever_asked_for_more() {
        let complete = |region, from| scope(region, SearchState::Complete, from);
        let mut searched = Searched::default();
        searched.update(vec![
            because(BEFORE_HISTORY, "", complete("a", 90)),
            because(BEFORE_HISTORY, "", complete("b", 90)),
        ]);
        assert_eq!(
            searched.lines(false, Some(0)),
            ["history starts at 1970-01-01T00:01:30Z; nothing earlier was searched"]
        );
        assert!(searched.is_incomplete(false, Some(0)));
        assert!(!searched.is_incomplete(false, None), "nobody asked for it");
        assert!(!searched.is_incomplete(false, Some(60)), "clocks apart");
        let nothing = ScopeStatus {
            searched_from: None,
            searched_to: None,
            ..complete("c", 0)
        };
        searched.update(vec![because(BEFORE_HISTORY, "", nothing)]);
        assert!(searched.is_incomplete(false, None));
        let lines = searched.lines(false, Some(0));
        assert_eq!(lines.len(), 3);
        assert!(
            lines[2].starts_with("1/c: history starts after"),
            "{lines:?}"
        );
    }

    #[test]
    fn nothing_found_is_told_for_what_was_searched() {
        let mut searched = Searched::default();
        assert_eq!(searched.no_events().as_deref(), Some("no events"));
        searched.update(vec![scope("a", SearchState::Failed, 0)]);
        assert_eq!(searched.no_events(), None);
        searched.update(vec![scope("b", SearchState::Complete, 40)]);
        assert_eq!(
            searched.no_events().as_deref(),
            Some("no events from 1970-01-01T00:00:40Z to 1970-01-01T00:01:40Z in 1 scope")
        );
        searched.update(vec![scope("c", SearchState::Partial, 100)]);
        assert_eq!(
            searched.no_events().as_deref(),
            Some("no events in what was searched of 2 scopes")
        );
    }
}
