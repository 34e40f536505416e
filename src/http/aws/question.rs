//! From a request to a question, and from its answers to one page.
//!
//! AWS's form has no room for a page that is not what it seems: a page here is full,
//! or the last, or cut short for its bytes; what cannot be had in time is an error
//! that clients try again after, and what was bought for it is held by then.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    Aws, Code, Error, LookupRequest, Refusal, Slot, Told,
    who::{Known, denied},
};
use crate::{
    awsjson,
    budget::Class,
    event::{Event, TimeRange},
    filter::{EventFilter, Filter, Match},
    lookup::{self, Answer, PageToken, Question, Reason, ScopeState},
};

/// The bytes of events on a page: fifty usual events have some 150 KB, and AWS's
/// pages may be short too.
pub(super) const PAGE_BYTES: usize = 1024 * 1024;
/// A page with so many is not filled any further: the next event may have 256 KB.
const NEARLY_FULL: usize = PAGE_BYTES / 4 * 3;
/// How old the answer for what is not settled may be where the request does not say:
/// as over gRPC. AWS itself tells events minutes late.
const STALENESS: Duration = Duration::from_secs(30);
/// The seconds that a time may be, the years 1 to 9999, as over gRPC.
const FIRST: i64 = -62_135_596_800;
/// See [`FIRST`].
const LAST: i64 = 253_402_300_799;

impl Aws {
    /// One page.
    pub(super) async fn page(
        &self,
        known: &Known,
        request: &LookupRequest,
        staleness: Option<Duration>,
        deadline: Instant,
        place: Slot,
    ) -> Result<Told, Refusal> {
        let filter = filter(known, request)?;
        let digest = digest(known, request, &filter);
        let now = self.now();
        let mut question = Question {
            filter: Arc::new(filter),
            category: request.category,
            page_events: request.max_results,
            page_bytes: PAGE_BYTES,
            max_staleness: staleness.unwrap_or(STALENESS),
            max_upstream_calls: self.options.max_upstream_calls,
            deadline,
            ..Question::new(
                known.caller.clone(),
                Class::Interactive,
                Arc::new([known.scope.clone()]),
                self.window(request, now),
                now,
            )
        };
        if let Some(token) = &request.token {
            let token = PageToken::decode(token, &digest).map_err(|error| refusal(&error))?;
            question.resume(visible(known, token), now);
        }
        let found = self.fill(&mut question, request.max_results).await?;
        let redacted: Vec<_> = found
            .events
            .iter()
            .map(|event| known.rights.redaction().apply(event).map(Arc::new))
            .collect();
        let events = found.events.iter().zip(&redacted);
        let events = events.map(|(event, redacted)| &**redacted.as_ref().unwrap_or(event));
        let next = found
            .has_more
            .then(|| visible(known, question.token(digest)).encode());
        Ok(Told {
            body: awsjson::answer_of(events, next.as_deref()),
            events: found.events.len(),
            as_of: found.as_of,
            upstream_calls: found.upstream_calls,
            place,
        })
    }

    /// Asks until the page is full or the last, and leaves the question of the next
    /// one: the engine ends a page at the last second that was walked to its end.
    async fn fill(&self, question: &mut Question, most: usize) -> Result<Found, Refusal> {
        let mut found = Found {
            events: Vec::with_capacity(most),
            has_more: true,
            as_of: question.now,
            upstream_calls: 0,
        };
        let mut bytes = 0;
        loop {
            question.page_events = most - found.events.len();
            question.page_bytes = PAGE_BYTES - bytes;
            let answer = self
                .options
                .lookup
                .ask(question)
                .await
                .map_err(|error| refusal(&error))?;
            bytes += answer
                .events
                .iter()
                .map(|event| event.weight())
                .sum::<usize>();
            found.upstream_calls += answer.stats.upstream_calls;
            question.max_upstream_calls = question
                .max_upstream_calls
                .saturating_sub(answer.stats.upstream_calls);
            found.events.extend(answer.events.iter().cloned());
            if let Some(scope) = answer.scopes.first() {
                found.as_of = found.as_of.min(scope.as_of);
            }
            let is_full = found.events.len() >= most || bytes >= NEARLY_FULL;
            if !is_full {
                check(&answer)?;
            }
            question.follow(&answer);
            found.has_more = answer.next.is_some();
            if is_full || !found.has_more {
                return Ok(found);
            }
        }
    }

    /// Both ends of a request are inclusive, and nothing has happened after now.
    fn window(&self, request: &LookupRequest, now: Timestamp) -> TimeRange {
        let latest = now.as_second();
        let end = request.end_secs().map_or(latest, |end| end.min(latest));
        let start = request.start_secs();
        let start = start.unwrap_or_else(|| self.options.lookup.history_start(now));
        let (start, end) = (start.clamp(FIRST, LAST), end.clamp(FIRST, LAST));
        TimeRange::new(start, end.saturating_add(1).max(start))
    }
}

/// What was found for a page.
struct Found {
    events: Vec<Arc<Event>>,
    /// There is a next page.
    has_more: bool,
    as_of: Timestamp,
    upstream_calls: u64,
}

/// Whether what was searched so far can be gone on from at once.
fn check(answer: &Answer) -> Result<(), Refusal> {
    let later = |what: &str| {
        let message = format!("Rate exceeded: {what}; what was read is kept, so ask again.");
        Err(Refusal {
            error: Error::new(Code::Throttling, message),
            wait: Some(Duration::from_secs(1)),
        })
    };
    for scope in &answer.scopes {
        match &scope.state {
            ScopeState::Complete | ScopeState::Partial(Reason::PageFull) => {}
            ScopeState::Partial(Reason::DailyAllowance { wait }) => {
                return Err(refusal(&lookup::Error::DailyAllowance { wait: *wait }));
            }
            ScopeState::Partial(Reason::Upstream(error)) | ScopeState::Failed(error) => {
                return Err(refusal(error));
            }
            ScopeState::Partial(reason) => return later(&reason.message()),
            // only in a token that somebody made
            ScopeState::FailedBefore(_) => return later("the scope failed on an earlier page"),
        }
    }
    Ok(())
}

/// The events that are asked for, and may be seen.
fn filter(known: &Known, request: &LookupRequest) -> Result<Filter, Refusal> {
    let rights = &known.rights;
    if let Some(attribute) = &request.attribute
        && !rights.sees_field(attribute.key.as_str())
    {
        let key = attribute.key.as_str();
        return Err(denied(&format!("{key} is not for this caller")));
    }
    if !rights.hides_events() {
        let attribute = request.attribute.as_ref();
        return Ok(attribute.map_or_else(Filter::everything, Filter::by));
    }
    let matches = request.attribute.iter().map(|attribute| Match {
        field: attribute.key.as_str().to_owned(),
        values: vec![attribute.value.to_string()],
        ..Match::default()
    });
    let matches = matches.collect();
    let mut filters = vec![EventFilter { matches }];
    rights.restrict(&mut filters);
    // both are fields that there are, and values as long as they may be
    Filter::compile_with(&filters, &(), 1)
        .map_err(|error| Refusal::new(Code::InvalidLookupAttributes, error.message))
}

/// What must stay the same from page to page, as AWS has it.
fn digest(known: &Known, request: &LookupRequest, filter: &Filter) -> [u8; 16] {
    let LookupRequest {
        category,
        attribute: _,
        start_ms,
        end_ms,
        max_results,
        token: _,
    } = request;
    // Debug quotes strings, so that no two requests read the same
    let scope = &known.scope;
    let request = format!("aws {scope:?}{category:?}{start_ms:?} {end_ms:?} {max_results} ");
    let mut hasher = Sha256::new();
    hasher.update(request);
    hasher.update(filter.canonical());
    // SHA-256 has 32 bytes
    hasher.finalize().first_chunk().copied().unwrap_or_default()
}

/// A token as the caller may see it: who does not see all of a record is told no hash
/// of it, and can try none.
fn visible(known: &Known, mut token: PageToken) -> PageToken {
    if !known.rights.sees_whole_events() {
        token.after.forget_record(false);
    }
    token
}

/// Why there is no page, as AWS would say it.
fn refusal(error: &lookup::Error) -> Refusal {
    use lookup::Error as Why;
    let (code, wait) = match error {
        Why::Token(_) => (Code::InvalidNextToken, None),
        Why::Exhausted { wait, .. } | Why::DailyAllowance { wait } => {
            (Code::Throttling, Some(*wait))
        }
        Why::Denied { .. } => (Code::AccessDenied, None),
        // the gateway's own, not the caller's
        Why::Credentials { .. } | Why::Unavailable { .. } | Why::Archive { .. } => {
            (Code::ServiceUnavailable, Some(Duration::from_secs(1)))
        }
        Why::Rejected { .. } => (Code::InternalFailure, None),
    };
    let message = match code {
        Code::Throttling => format!("Rate exceeded: {error}"),
        _ => error.to_string(),
    };
    Refusal {
        error: Error::new(code, message),
        wait,
    }
}
