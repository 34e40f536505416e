//! From requests to questions: what is asked for must make sense before
//! anything is looked at.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod oracle;
mod same;
mod subscribe;
mod values;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use tonic::{Status, metadata::MetadataMap};

use self::same::Same;
pub(super) use self::subscribe::Subscribing;
use self::values::{
    DEFAULT_STALENESS, PAGE_BYTES, calls, category, deadline, enumerated, operator, page_bytes,
    page_size, second, show, staleness, top_values, width, with_record,
};
use super::{
    peer::Asker,
    status::{Invalid, RECORD_NOT_ALLOWED, no_scopes},
    view::View,
};
use crate::{
    budget::Class,
    clock::Clock,
    event::{Attribute, Category, Scope, TimeRange, is_uuid},
    feed::Selection,
    filter::{self, EventFilter, Fields, Filter, KnownFields, Match},
    lookup::{Lookup, Order, PageToken, Question, SummaryOf},
    proto::{self, v1},
};

/// What requests are held to.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest that a page may take, unless the caller's deadline is sooner.
    pub timeout: Duration,
    /// Requests that a page may buy, unless the caller says so.
    pub max_upstream_calls: u64,
    /// Calls that a caller may begin in a second, where the policy does not say; 0:
    /// any number.
    pub calls_per_second: u32,
}

/// Names that are told where one is not known: a message is a header.
const TOLD: usize = 20;

/// The events in a batch of an export, at most: as on a page.
const EXPORT_BATCH: usize = 1000;
/// Events that a summary holds at once: many, since a page of many scopes looks
/// at as many of each.
const SUMMARY_EVENTS: usize = 10_000;
/// Their bytes, which the cache may have dropped meanwhile.
const SUMMARY_BYTES: usize = 32 * 1024 * 1024;
/// The most fields whose values are counted: each takes memory.
const MAX_TOP_FIELDS: usize = 10;

/// What requests about many events have in common.
struct Asked {
    filters: Vec<v1::EventFilter>,
    start_time: Option<prost_types::Timestamp>,
    end_time: Option<prost_types::Timestamp>,
    account_ids: Vec<String>,
    regions: Vec<String>,
    event_category: i32,
    order: i32,
    /// `None`: no event is told.
    view: Option<i32>,
    page_token: String,
    max_staleness: Option<prost_types::Duration>,
}

/// Of requests that have it all.
macro_rules! asked {
    ($request:ident) => {
        Self {
            filters: $request.filters,
            start_time: $request.start_time,
            end_time: $request.end_time,
            account_ids: $request.account_ids,
            regions: $request.regions,
            event_category: $request.event_category,
            order: $request.order,
            view: Some($request.view),
            page_token: $request.page_token,
            max_staleness: $request.max_staleness,
        }
    };
}

impl From<v1::LookupEventsRequest> for Asked {
    fn from(request: v1::LookupEventsRequest) -> Self {
        asked!(request)
    }
}

impl From<v1::ExportEventsRequest> for Asked {
    fn from(request: v1::ExportEventsRequest) -> Self {
        asked!(request)
    }
}

impl From<v1::SummarizeEventsRequest> for Asked {
    fn from(request: v1::SummarizeEventsRequest) -> Self {
        Self {
            filters: request.filters,
            start_time: request.start_time,
            end_time: request.end_time,
            account_ids: request.account_ids,
            regions: request.regions,
            event_category: request.event_category,
            order: v1::Order::NewestFirst.into(),
            view: None,
            page_token: String::new(),
            max_staleness: request.max_staleness,
        }
    }
}

/// A filter as it was asked for.
struct Compiled {
    asked: Filter,
    /// What of it the caller may see; `None`: all.
    seen: Option<Filter>,
}

/// A checked request for a page.
pub(super) struct Page {
    pub(super) question: Question,
    pub(super) digest: [u8; 16],
    pub(super) view: View,
}

/// Fields that records are known to have.
struct Known<'a> {
    fields: &'a dyn KnownFields,
    /// Whoever sees some events is not told what others have.
    are_suggested: bool,
}

impl KnownFields for Known<'_> {
    fn knows(&self, name: &str) -> bool {
        self.fields.knows(name)
    }

    fn for_each(&self, each: &mut dyn FnMut(&str)) {
        if self.are_suggested {
            self.fields.for_each(each);
        }
    }
}

/// What is asked of, and what it goes by.
pub(super) struct Context<'a> {
    /// Who asks, and what they may see.
    pub(super) asker: Asker,
    pub(super) lookup: &'a Lookup,
    pub(super) scopes: Arc<[Scope]>,
    /// What was configured before: see [`Context::page`].
    pub(super) scopes_before: Vec<Arc<[Scope]>>,
    pub(super) limits: &'a Limits,
}

impl Context<'_> {
    /// Checks a `LookupEvents` request.
    pub(super) fn page(
        &self,
        request: v1::LookupEventsRequest,
        metadata: &MetadataMap,
    ) -> Result<Page, Status> {
        let page_events = page_size(request.page_size)?;
        let max_upstream_calls = calls(request.max_upstream_calls)?;
        let mut page = self.asked(request.into())?;
        page.question.page_events = page_events;
        page.question.max_upstream_calls =
            max_upstream_calls.unwrap_or(self.limits.max_upstream_calls);
        page.question.deadline = deadline(metadata, self.limits.timeout);
        Ok(page)
    }

    /// Checks an `ExportEvents` request. An export has no time limit of its own.
    pub(super) fn export(
        &self,
        request: v1::ExportEventsRequest,
        metadata: &MetadataMap,
    ) -> Result<Page, Status> {
        let max_upstream_calls = calls(request.max_upstream_calls)?;
        let mut page = self.asked(request.into())?;
        page.question.class = Class::Backfill;
        page.question.page_events = EXPORT_BATCH;
        page.question.max_upstream_calls = max_upstream_calls.unwrap_or(u64::MAX);
        page.question.deadline = deadline(metadata, Duration::MAX);
        Ok(page)
    }

    /// Checks a `SummarizeEvents` request.
    pub(super) fn summary(
        &self,
        request: v1::SummarizeEventsRequest,
        metadata: &MetadataMap,
    ) -> Result<(Question, SummaryOf), Status> {
        let max_upstream_calls = calls(request.max_upstream_calls)?;
        let most = MAX_TOP_FIELDS;
        if request.top_fields.len() > most {
            let message = format!("{} fields; at most {most}", request.top_fields.len());
            return Err(Invalid::new("TOO_MANY_FIELDS", "top_fields", message).into());
        }
        for (i, field) in request.top_fields.iter().enumerate() {
            self.may_ask_by(field, || format!("top_fields[{i}]"))?;
        }
        let fields = Fields::parse(&request.top_fields, "top_fields", &self.known());
        let fields =
            fields.map_err(|error| Invalid::new("INVALID_FIELD", error.path, error.message))?;
        let top_values = top_values(request.top_values)?;
        let bucket = request.bucket;
        let Page { mut question, .. } = self.asked(request.into())?;
        question.page_events = SUMMARY_EVENTS;
        question.page_bytes = SUMMARY_BYTES;
        question.max_upstream_calls = max_upstream_calls.unwrap_or(self.limits.max_upstream_calls);
        question.deadline = deadline(metadata, self.limits.timeout);
        let of = SummaryOf {
            width: width(bucket.as_ref(), question.window)?,
            fields,
            top_values,
        };
        Ok((question, of))
    }

    /// Checks what requests have in common; the rest is as for one page.
    fn asked(&self, asked: Asked) -> Result<Page, Status> {
        self.sees_any_scope()?;
        let filter = self.compile(asked.filters, &self.known())?;
        let filter = filter.seen.unwrap_or(filter.asked);
        let select = |of: &Arc<[Scope]>| {
            select(of, &asked.account_ids, &asked.regions).map_err(Status::from)
        };
        let selected = select(&self.scopes);
        let category = category(asked.event_category)?;
        let order = match enumerated::<v1::Order>("order", asked.order)? {
            v1::Order::Unspecified | v1::Order::NewestFirst => Order::NewestFirst,
            v1::Order::OldestFirst => Order::OldestFirst,
        };
        let with_record = match asked.view {
            Some(view) => self.with_record(view)?,
            None => true,
        };
        let max_staleness = staleness(asked.max_staleness.as_ref())?;
        let start = second("start_time", asked.start_time.as_ref())?;
        let end = second("end_time", asked.end_time.as_ref())?;
        if let (Some(start), Some(end)) = (start, end)
            && start > end
        {
            let message = format!("{} is after end_time {}; swap them", show(start), show(end));
            return Err(Invalid::new("INVALID_TIME_RANGE", "start_time", message).into());
        }
        let digest =
            |scopes: &[Scope]| digest(&filter, scopes, category, order, with_record, start, end);
        let token = &asked.page_token;
        let begun = |scopes: Arc<[Scope]>| -> Result<_, Status> {
            let digest = digest(&scopes);
            let token = (!token.is_empty()).then(|| PageToken::decode(token, &digest));
            Ok((scopes, digest, token.transpose()?))
        };
        let mut chain = selected.and_then(begun);
        if !token.is_empty() {
            // begun before an account or a Region came or went, it goes on as it began
            for scopes in &self.scopes_before {
                chain = chain.or_else(|why| select(scopes).and_then(begun).map_err(|_| why));
            }
        }
        let (scopes, digest, token) = chain?;
        let now = self.lookup.clock().now();
        let mut question = Question {
            window: self.window(start, end, now),
            order,
            page_bytes: self.room(page_bytes(scopes.len())),
            max_staleness,
            ..self.question(Arc::new(filter), scopes, category, now)
        };
        if !with_record {
            question.size = proto::basic_size;
        }
        let view = self.view(with_record);
        if let Some(token) = token {
            question.resume(view.page_token(token, order), now);
        }
        Ok(Page {
            question,
            digest,
            view,
        })
    }

    /// Checks a `GetEvent` request.
    pub(super) fn event(
        &self,
        request: &v1::GetEventRequest,
        metadata: &MetadataMap,
    ) -> Result<Page, Status> {
        self.sees_any_scope()?;
        if request.event_id.is_empty() {
            let message = "empty; give an event's id";
            return Err(Invalid::new("INVALID_EVENT_ID", "event_id", message).into());
        }
        let matches = vec![Match {
            field: "EventId".to_owned(),
            // UUIDs are AWS's, and AWS writes them so
            values: vec![match is_uuid(&request.event_id) {
                true => request.event_id.to_ascii_lowercase(),
                false => request.event_id.clone(),
            }],
            ..Match::default()
        }];
        let mut filters = vec![EventFilter { matches }];
        self.asker.rights.restrict(&mut filters);
        let filter = Filter::compile(&filters, &self.known())
            .map_err(|error| Invalid::new("INVALID_EVENT_ID", "event_id", error.message))?;
        let category = category(request.event_category)?;
        if filter.pushdowns(category).is_empty() {
            let most = Attribute::MAX_VALUE_LEN;
            let message = format!("longer than the {most} characters that AWS can be asked for");
            return Err(Invalid::new("INVALID_EVENT_ID", "event_id", message).into());
        }
        let now = self.lookup.clock().now();
        let with_record = self.with_record(request.view)?;
        let scopes = select(&self.scopes, &request.account_ids, &request.regions)?;
        let question = Question {
            deadline: deadline(metadata, self.limits.timeout),
            ..self.question(Arc::new(filter), scopes, category, now)
        };
        Ok(Page {
            question,
            digest: [0; 16],
            view: self.view(with_record),
        })
    }

    /// A rule for accounts or Regions that are not here must not look like "no events".
    fn sees_any_scope(&self) -> Result<(), Status> {
        match self.scopes.is_empty() && !self.asker.rights.sees_all_scopes() {
            true => Err(no_scopes()),
            false => Ok(()),
        }
    }

    /// Whether events are told with their records.
    fn with_record(&self, view: i32) -> Result<bool, Status> {
        let with_record = with_record(view)?;
        if with_record && !self.asker.rights.sees_record() {
            let message = "records are not for this caller; ask with the view BASIC";
            return Err(Invalid::new(RECORD_NOT_ALLOWED, "view", message).denied());
        }
        Ok(with_record)
    }

    /// The bytes of a page that may be filled, as events are held: marks in place of
    /// what is taken out can be longer than that, and make small values some twice as
    /// long.
    fn room(&self, bytes: usize) -> usize {
        match self.asker.rights.redaction().is_empty() {
            true => bytes,
            false => bytes / 3,
        }
    }

    /// The fields that a filter may name.
    fn known(&self) -> Known<'_> {
        Known {
            fields: self.lookup.known_fields(),
            are_suggested: self.asker.rights.sees_all(),
        }
    }

    /// How events look to this caller.
    fn view(&self, with_record: bool) -> View {
        self.asker.view(with_record)
    }

    /// Whether a caller may ask by a field: before it is said whether there is one.
    fn may_ask_by(&self, field: &str, path: impl FnOnce() -> String) -> Result<(), Status> {
        if self.asker.rights.sees_field(field) {
            return Ok(());
        }
        let field = filter::shown(field);
        let why = match self.asker.rights.sees_record() {
            true => "the policy keeps it, or some of it",
            false => "it may not see records",
        };
        let message = format!("{field:?} is not for this caller: {why}");
        Err(Invalid::new("FIELD_NOT_ALLOWED", path(), message).denied())
    }

    fn compile(
        &self,
        filters: Vec<v1::EventFilter>,
        known: &dyn KnownFields,
    ) -> Result<Compiled, Status> {
        let mut source = Vec::with_capacity(filters.len().min(filter::MAX_FILTERS));
        for (i, filter) in filters.into_iter().enumerate() {
            let mut matches = Vec::with_capacity(filter.matches.len().min(filter::MAX_MATCHES));
            for (j, m) in filter.matches.into_iter().enumerate() {
                let path = |part| format!("filters[{i}].matches[{j}].{part}");
                self.may_ask_by(&m.field, || path("field"))?;
                matches.push(Match {
                    operator: operator(enumerated(&path("operator"), m.operator)?),
                    field: m.field,
                    values: m.values,
                    negate: m.negate,
                    ignore_case: m.ignore_case,
                });
            }
            source.push(EventFilter { matches });
        }
        let compile = |source: &[EventFilter], added| {
            Filter::compile_with(source, known, added)
                .map_err(|error| Status::from(Invalid::from(error)))
        };
        let asked = compile(&source, 0)?;
        let is_restricted = self.asker.rights.restrict(&mut source);
        let seen = is_restricted.then(|| compile(&source, 1)).transpose()?;
        Ok(Compiled { asked, seen })
    }

    /// A question for the newest event of all time.
    fn question(
        &self,
        filter: Arc<Filter>,
        scopes: Arc<[Scope]>,
        category: Category,
        now: Timestamp,
    ) -> Question {
        let window = self.window(None, None, now);
        Question {
            filter,
            category,
            page_bytes: self.room(PAGE_BYTES),
            size: proto::full_size,
            max_staleness: DEFAULT_STALENESS,
            max_upstream_calls: self.limits.max_upstream_calls,
            deadline: Clock::deadline(self.limits.timeout),
            ..Question::new(
                self.asker.caller.clone(),
                Class::Interactive,
                scopes,
                window,
                now,
            )
        }
    }

    /// Both ends of a request are inclusive, and nothing has happened after now.
    fn window(&self, start: Option<i64>, end: Option<i64>, now: Timestamp) -> TimeRange {
        let latest = now.as_second();
        let end = end.map_or(latest, |end| end.min(latest));
        let start = start.unwrap_or_else(|| match self.lookup.history_start(now) {
            // so that all of it is said to be before history
            history if end < history => end.saturating_sub(A_DAY),
            history => history,
        });
        TimeRange::new(start, end.saturating_add(1).max(start))
    }
}

/// In seconds.
const A_DAY: i64 = 86_400;

/// The scopes of these accounts and Regions; none named: all.
pub(super) fn select(
    scopes: &Arc<[Scope]>,
    accounts: &[String],
    regions: &[String],
) -> Result<Arc<[Scope]>, Invalid> {
    if accounts.is_empty() && regions.is_empty() {
        return Ok(Arc::clone(scopes));
    }
    let known = |part: fn(&Scope) -> &str| -> BTreeSet<&str> { scopes.iter().map(part).collect() };
    named("account_ids", accounts, &known(|scope| &scope.account))?;
    named("regions", regions, &known(|scope| &scope.region))?;
    let selection = Selection::new(accounts, regions);
    let selected = scopes.iter().filter(|scope| selection.has(scope));
    let selected: Arc<[Scope]> = selected.cloned().collect();
    let found =
        |part: fn(&Scope) -> &str| -> BTreeSet<&str> { selected.iter().map(part).collect() };
    let together = |which: &'static str| {
        move |name: &str| {
            format!("{name:?} is not {which}; leave it out, or see what ListScopes has together")
        }
    };
    let found_accounts = found(|scope| &scope.account);
    let which = together("searched in any of these Regions");
    all_in("account_ids", accounts, &found_accounts, which)?;
    let which = together("searched for any of these accounts");
    all_in("regions", regions, &found(|scope| &scope.region), which)?;
    Ok(selected)
}

fn named(field: &str, names: &[String], known: &BTreeSet<&str>) -> Result<(), Invalid> {
    all_in(field, names, known, |name| {
        let rest = match known.len() > TOLD {
            true => ", which ListScopes has",
            false => "",
        };
        let known = filter::listed(known.iter(), TOLD);
        format!("{name:?} is not configured here; configured: {known}{rest}")
    })
}

/// All of `names` must be among `found`.
fn all_in(
    field: &str,
    names: &[String],
    found: &BTreeSet<&str>,
    message: impl FnOnce(&str) -> String,
) -> Result<(), Invalid> {
    let left_out = names
        .iter()
        .enumerate()
        .find(|(_, name)| !found.contains(name.as_str()));
    let Some((i, name)) = left_out else {
        return Ok(());
    };
    let (place, message) = (format!("{field}[{i}]"), message(&filter::shown(name)));
    Err(Invalid::new("UNKNOWN_SCOPE", place, message))
}

/// What must stay the same for a page token to be used.
fn digest(
    filter: &Filter,
    scopes: &[Scope],
    category: Category,
    order: Order,
    with_record: bool,
    start: Option<i64>,
    end: Option<i64>,
) -> [u8; 16] {
    let mut same = Same::new();
    same.add(filter.canonical());
    for scope in scopes {
        same.add(scope.account.as_bytes());
        same.add(scope.region.as_bytes());
    }
    same.add(&[
        u8::from(category == Category::Insight),
        u8::from(order == Order::OldestFirst),
        u8::from(with_record),
    ]);
    for time in [start, end] {
        match time {
            Some(time) => same.add(&time.to_be_bytes()),
            None => same.add(&[]),
        }
    }
    same.digest()
}

#[cfg(test)]
mod tests;
