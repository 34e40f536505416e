//! What a page shows, as its URL says it: every view can be shared.

use std::fmt::Write;

use form_urlencoded::Serializer;
use jiff::{Timestamp, tz::TimeZone};

use super::columns::Column;
use crate::{
    proto::v1::{
        self, EventCategory, EventFilter, EventView, ExportEventsRequest, LookupEventsRequest,
        Match, Operator, Order, SubscribeEventsRequest, SummarizeEventsRequest,
    },
    typed,
    when::{When, when},
};

/// The attributes that have a field of their own in the form, as `LookupEvents` names
/// them, and how they are called there.
pub(super) const ATTRIBUTES: [(&str, &str); 8] = [
    ("Username", "User name"),
    ("EventName", "Event name"),
    ("EventSource", "Event source"),
    ("ResourceType", "Resource type"),
    ("ResourceName", "Resource name"),
    ("AccessKeyId", "AWS access key"),
    ("EventId", "Event ID"),
    ("ReadOnly", "Read-only"),
];

/// Events of a page, and the most that may be asked for: a page of more is long to
/// read.
pub(super) const PAGE: i32 = 50;
pub(super) const MAX_PAGE: i32 = 200;
/// What is counted beside events, and how many values of each.
pub(super) const COUNTED: [(&str, &str); 5] = [
    ("EventName", "Event names"),
    ("Username", "Users"),
    ("EventSource", "Sources"),
    ("errorCode", "Errors"),
    ("sourceIPAddress", "Addresses"),
];
const TOP: i32 = 8;
/// Requests that counts may buy: the window may be long, and each of it is paid.
/// Whoever wants all of it says so.
const COUNT_CALLS: i32 = 10;
/// From when on events are shown where nothing is said.
pub(super) const SINCE: &str = "-24h";
/// The most parts of a query that are read: more than a form has.
const MAX_PARTS: usize = 200;

/// A condition of the filter, as it was typed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    /// It begins an alternative.
    pub(super) is_or: bool,
    pub(super) text: String,
    one: Match,
}

impl Condition {
    /// As a line of a text field has it.
    pub(super) fn line(&self) -> String {
        match self.is_or {
            true => format!("or {}", self.text),
            false => self.text.clone(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct View {
    pub(super) attributes: Vec<(&'static str, String)>,
    pub(super) conditions: Vec<Condition>,
    pub(super) accounts: Vec<String>,
    pub(super) regions: Vec<String>,
    pub(super) is_insight: bool,
    /// As they were typed.
    pub(super) from: String,
    pub(super) to: String,
    from_time: Option<Timestamp>,
    to_time: Option<Timestamp>,
    /// When it was asked for.
    now: Option<Timestamp>,
    pub(super) is_oldest_first: bool,
    pub(super) page_size: Option<i32>,
    pub(super) page: String,
    pub(super) columns: Vec<Column>,
    /// Counts of all of the window, whatever that costs.
    pub(super) counts_all: bool,
    /// Conditions that could not be read, as they were typed.
    pub(super) untold: Vec<String>,
    /// What of the URL could not be read, and why.
    pub(super) unread: Vec<String>,
}

impl View {
    /// What a query says. What cannot be read is named, and the rest applies.
    pub(super) fn parse(query: &str, now: Timestamp) -> Self {
        let mut view = Self {
            now: Some(now),
            ..Self::default()
        };
        let mut parts = form_urlencoded::parse(query.as_bytes());
        let mut is_or_due = false;
        for (name, value) in parts.by_ref().take(MAX_PARTS) {
            let pieces: Vec<String> = match &*name {
                // one a line, as a text field has them
                "where" | "or" => value.lines().map(str::to_owned).collect(),
                "column" => words(&value).collect(),
                _ => vec![value.into_owned()],
            };
            let is_attribute = ATTRIBUTES.iter().any(|(known, _)| *known == name);
            for piece in pieces {
                // what is compared is compared as it is, spaces and all
                let piece = match is_attribute {
                    true => piece.as_str(),
                    false => piece.trim(),
                };
                // a form sends what is empty, too
                if piece.is_empty() {
                    continue;
                }
                let is_condition = matches!(&*name, "where" | "or");
                match view.read(&name, piece, now) {
                    // what an unread one began is begun by the next
                    Ok(()) if is_condition => {
                        if let Some(one) = view.conditions.last_mut() {
                            one.is_or |= std::mem::take(&mut is_or_due);
                        }
                    }
                    Ok(()) => {}
                    Err(why) => {
                        if is_condition {
                            is_or_due |= name == "or" || piece.starts_with("or ");
                            view.untold.push(piece.to_owned());
                        }
                        view.unread.push(format!("{name}={piece}: {why}"));
                    }
                }
            }
        }
        if view.columns == Column::USUAL {
            view.columns.clear();
        }
        let more = parts.count();
        if more > 0 {
            view.unread.push(format!(
                "{more} parts of the address behind the first {MAX_PARTS}: that is more than is read"
            ));
        }
        if view.from_time.is_none() {
            if view.from.is_empty() {
                view.from = SINCE.to_owned();
            }
            view.from_time = time(SINCE, now, false).ok();
        }
        view
    }

    fn read(&mut self, name: &str, value: &str, now: Timestamp) -> Result<(), String> {
        let attribute = ATTRIBUTES.iter().find(|(known, _)| *known == name);
        if let Some((attribute, _)) = attribute {
            self.attributes.push((attribute, value.to_owned()));
            return Ok(());
        }
        match name {
            "where" | "or" => {
                // in a text field a line says so itself
                let (is_or, text) = match value.strip_prefix("or ") {
                    Some(text) if typed::parse(value).is_err() => (true, text.trim()),
                    _ => (name == "or", value),
                };
                self.conditions.push(Condition {
                    is_or,
                    text: text.to_owned(),
                    one: typed::parse(text)?,
                });
            }
            "account" => self.accounts.extend(words(value)),
            "region" => self.regions.extend(words(value)),
            "category" => match value {
                "insight" => self.is_insight = true,
                "management" => self.is_insight = false,
                _ => return Err("say management or insight".to_owned()),
            },
            // what was typed stays in its field, read or not
            "from" => {
                let time = time(value, now, false);
                if time.is_ok() || self.from_time.is_none() {
                    value.clone_into(&mut self.from);
                }
                self.from_time = Some(time?);
            }
            "to" => {
                let time = time(value, now, true);
                if time.is_ok() || self.to_time.is_none() {
                    value.clone_into(&mut self.to);
                }
                self.to_time = Some(time?);
            }
            "order" => match value {
                "oldest" => self.is_oldest_first = true,
                "newest" => self.is_oldest_first = false,
                _ => return Err("say newest or oldest".to_owned()),
            },
            "size" => {
                let size = value
                    .parse()
                    .ok()
                    .filter(|size| (1..=MAX_PAGE).contains(size));
                self.page_size = Some(size.ok_or(format!("say 1 to {MAX_PAGE}"))?);
            }
            "page" => value.clone_into(&mut self.page),
            "column" => {
                let column = Column::of(value);
                self.columns
                    .push(column.ok_or(format!("no column {value:?}"))?);
            }
            "counts" if value == "all" => self.counts_all = true,
            // what other pages say with a view
            "all" | "as" | "token" => {}
            _ => return Err("this version knows no such part".to_owned()),
        }
        Ok(())
    }

    /// The query that says this.
    pub(super) fn query(&self) -> String {
        let mut out = Serializer::new(String::new());
        for (name, value) in &self.attributes {
            out.append_pair(name, value);
        }
        for condition in &self.conditions {
            out.append_pair(
                if condition.is_or { "or" } else { "where" },
                &condition.text,
            );
        }
        for account in &self.accounts {
            out.append_pair("account", account);
        }
        for region in &self.regions {
            out.append_pair("region", region);
        }
        if self.is_insight {
            out.append_pair("category", "insight");
        }
        if self.from != SINCE {
            out.append_pair("from", &self.from);
        }
        if !self.to.is_empty() {
            out.append_pair("to", &self.to);
        }
        if self.is_oldest_first {
            out.append_pair("order", "oldest");
        }
        if let Some(size) = self.page_size {
            out.append_pair("size", &size.to_string());
        }
        for column in &self.columns {
            out.append_pair("column", column.name());
        }
        if self.counts_all {
            out.append_pair("counts", "all");
        }
        if !self.page.is_empty() {
            out.append_pair("page", &self.page);
        }
        out.finish()
    }

    /// The view of a page below the console's root, changed; of no path: of the page
    /// that the link is on.
    pub(super) fn link(&self, path: &str, change: impl FnOnce(&mut Self)) -> String {
        let mut view = self.clone();
        // what changes begins with its first page
        view.page.clear();
        change(&mut view);
        let query = view.query();
        match query.is_empty() && !path.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{query}"),
        }
    }

    /// The page that goes on with this one. What is told back from now would be
    /// another window by then, and a page of another question.
    pub(super) fn next(&self, token: &str) -> String {
        self.link("/events", |view| {
            view.pin();
            token.clone_into(&mut view.page);
        })
    }

    /// The same window, whenever it is asked for.
    fn pin(&mut self) {
        let ends = [
            (&mut self.from, self.from_time),
            (&mut self.to, self.to_time),
        ];
        for (text, time) in ends {
            if let Some(time) = time
                && matches!(when(text), Ok(When::Ago(_)))
            {
                *text = second(time);
            }
        }
    }

    /// This page, whenever it is asked for: what has come since is not on it.
    pub(super) fn same_page(&self) -> Self {
        let mut view = self.clone();
        view.pin();
        if let Some(now) = view.now
            && view.page.is_empty()
            && view.to.is_empty()
        {
            view.to = second(now);
        }
        view
    }

    /// Goes without the part of the filter that a refusal names, and says so; `false`:
    /// it names none.
    pub(super) fn drop_filter(&mut self, field: &str, why: &str) -> bool {
        let lists = [
            ("account_ids[", &mut self.accounts),
            ("regions[", &mut self.regions),
        ];
        for (name, list) in lists {
            let place = field
                .strip_prefix(name)
                .and_then(|rest| rest.strip_suffix(']'));
            if let Some(place) = place.and_then(|place| place.parse::<usize>().ok())
                && place < list.len()
            {
                let gone = list.remove(place);
                self.unread.push(format!("{gone}: {why}"));
                return true;
            }
        }
        let Some((filter, place)) = place_in_filters(field) else {
            return false;
        };
        let why = why
            .strip_prefix(field)
            .map_or(why, |why| why.trim_start_matches(": "));
        let mut common: Vec<&'static str> = Vec::new();
        for (name, _) in &self.attributes {
            if !common.contains(name) {
                common.push(name);
            }
        }
        if let Some(&name) = common.get(place) {
            self.attributes.retain(|(known, _)| *known != name);
            self.unread.push(format!("{name}: {why}"));
            return true;
        }
        let mut alternative = 0;
        let mut within = common.len();
        for (at, condition) in self.conditions.iter().enumerate() {
            if at > 0 && condition.is_or {
                alternative += 1;
                within = common.len();
            }
            if (alternative, within) == (filter, place) {
                let gone = self.conditions.remove(at);
                if let Some(next) = self.conditions.get_mut(at) {
                    next.is_or |= gone.is_or;
                }
                self.unread.push(format!("{}: {why}", gone.text));
                self.untold.push(gone.line());
                return true;
            }
            within += 1;
        }
        false
    }

    /// Adds that a field has a value.
    pub(super) fn narrow(&mut self, field: &str, value: &str) {
        match ATTRIBUTES.iter().find(|(known, _)| *known == field) {
            Some((attribute, _)) => {
                self.attributes.retain(|(name, _)| name != attribute);
                self.attributes.push((attribute, value.to_owned()));
            }
            None => self.add(condition(field, "=", value)),
        }
    }

    /// Adds a condition to whatever is asked.
    fn add(&mut self, text: String) {
        let Ok(one) = typed::parse(&text) else {
            return;
        };
        let more = Condition {
            is_or: false,
            text,
            one,
        };
        // whatever holds of the alternatives, this is to hold beside it
        let mut narrowed = Vec::with_capacity(self.conditions.len() + 1);
        for (place, condition) in self.conditions.drain(..).enumerate() {
            if place > 0 && condition.is_or {
                narrowed.push(more.clone());
            }
            narrowed.push(condition);
        }
        narrowed.push(more);
        self.conditions = narrowed;
    }

    /// Adds that a field begins with a value that was cut.
    pub(super) fn narrow_to_cut(&mut self, field: &str, value: &str) {
        self.add(condition(field, "^=", value));
    }

    /// The second that is shown from, if one was said.
    pub(super) fn start_second(&self) -> Option<i64> {
        self.from_time.map(Timestamp::as_second)
    }

    /// Shows no time but this.
    pub(super) fn zoom(&mut self, from: Timestamp, to: Timestamp) {
        self.from = from.to_string();
        self.from_time = Some(from);
        self.to = to.to_string();
        self.to_time = Some(to);
    }

    /// The columns that are shown.
    pub(super) fn shown(&self) -> &[Column] {
        match self.columns.is_empty() {
            true => &Column::USUAL,
            false => &self.columns,
        }
    }

    fn filters(&self) -> Vec<EventFilter> {
        let mut common: Vec<Match> = Vec::new();
        for (field, value) in &self.attributes {
            match common.iter_mut().find(|one| one.field == *field) {
                Some(one) => one.values.push(value.clone()),
                None => common.push(Match {
                    field: (*field).to_owned(),
                    operator: Operator::Equals.into(),
                    values: vec![value.clone()],
                    ..Match::default()
                }),
            }
        }
        let mut alternatives: Vec<Vec<Match>> = Vec::new();
        for condition in &self.conditions {
            match alternatives.last_mut().filter(|_| !condition.is_or) {
                Some(alternative) => alternative.push(condition.one.clone()),
                None => alternatives
                    .push([common.as_slice(), std::slice::from_ref(&condition.one)].concat()),
            }
        }
        if alternatives.is_empty() && !common.is_empty() {
            alternatives.push(common);
        }
        let filter = |matches| EventFilter { matches };
        alternatives.into_iter().map(filter).collect()
    }

    fn category(&self) -> i32 {
        match self.is_insight {
            true => EventCategory::Insight.into(),
            false => EventCategory::Unspecified.into(),
        }
    }

    fn order(&self) -> i32 {
        match self.is_oldest_first {
            true => Order::OldestFirst.into(),
            false => Order::NewestFirst.into(),
        }
    }

    /// The page of events. A page that goes on with another has the window of that.
    pub(super) fn lookup(&self, view: EventView) -> LookupEventsRequest {
        LookupEventsRequest {
            filters: self.filters(),
            start_time: self.from_time.map(stamp),
            end_time: self.to_time.map(stamp),
            account_ids: self.accounts.clone(),
            regions: self.regions.clone(),
            event_category: self.category(),
            page_size: self.page_size.unwrap_or(PAGE),
            page_token: self.page.clone(),
            order: self.order(),
            view: view.into(),
            ..LookupEventsRequest::default()
        }
    }

    /// All events.
    pub(super) fn export(&self, view: EventView) -> ExportEventsRequest {
        ExportEventsRequest {
            filters: self.filters(),
            start_time: self.from_time.map(stamp),
            end_time: self.to_time.map(stamp),
            account_ids: self.accounts.clone(),
            regions: self.regions.clone(),
            event_category: self.category(),
            order: self.order(),
            view: view.into(),
            ..ExportEventsRequest::default()
        }
    }

    /// Counts.
    pub(super) fn summary(&self) -> SummarizeEventsRequest {
        SummarizeEventsRequest {
            filters: self.filters(),
            start_time: self.from_time.map(stamp),
            end_time: self.to_time.map(stamp),
            account_ids: self.accounts.clone(),
            regions: self.regions.clone(),
            event_category: self.category(),
            top_fields: COUNTED.map(|(field, _)| field.to_owned()).to_vec(),
            top_values: TOP,
            max_upstream_calls: if self.counts_all { 0 } else { COUNT_CALLS },
            ..SummarizeEventsRequest::default()
        }
    }

    /// Events as they come, from a token on, or from now.
    pub(super) fn subscription(&self, token: Option<String>) -> SubscribeEventsRequest {
        SubscribeEventsRequest {
            filters: self.filters(),
            account_ids: self.accounts.clone(),
            regions: self.regions.clone(),
            view: EventView::Basic.into(),
            start: token.map(v1::subscribe_events_request::Start::ResumeToken),
            progress_interval: Some(prost_types::Duration {
                seconds: 2,
                nanos: 0,
            }),
            ..SubscribeEventsRequest::default()
        }
    }
}

/// A time as it is written in addresses, in whole seconds as AWS's are.
fn second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second())
        .unwrap_or(time)
        .to_string()
}

/// A number of things in words.
pub(super) fn count(number: i64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        self::number(number),
        if number == 1 { one } else { many }
    )
}

/// Which filter, and which condition of it, a field of a request is of.
fn place_in_filters(field: &str) -> Option<(usize, usize)> {
    let (filter, rest) = field.strip_prefix("filters[")?.split_once(']')?;
    let (place, _) = rest.strip_prefix(".matches[")?.split_once(']')?;
    Some((filter.parse().ok()?, place.parse().ok()?))
}

/// The words of a list.
fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace());
    words.filter(|word| !word.is_empty()).map(str::to_owned)
}

/// A condition that reads back as this.
fn condition(field: &str, operator: &str, value: &str) -> String {
    let mut text = format!("{field} {operator} \"");
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

/// A time as one types it, in UTC unless it says otherwise; of an end that is included the
/// last second that is meant.
pub(super) fn time(text: &str, now: Timestamp, is_end: bool) -> Result<Timestamp, String> {
    let when = when(text)?;
    let second = match is_end {
        true => when.last(now.as_second(), &TimeZone::UTC),
        false => when.first(now.as_second(), &TimeZone::UTC),
    };
    Timestamp::from_second(second)
        .map_err(|_| format!("{text:?} is beyond the years that there are"))
}

fn stamp(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: 0,
    }
}

/// A number with its thousands apart.
pub(super) fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    if number < 0 {
        text.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        let _ = text.write_char(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn now() -> Timestamp {
        "2024-05-06T07:08:09Z".parse().unwrap()
    }

    #[test]
    fn a_view_reads_back_from_its_own_query() {
        let query = "Username=alice&Username=bob&where=eventName+%5E%3D+Run&or=errorCode+exists&account=111122223333\
                     &region=us-east-1&category=insight&from=-7d&to=2024-05-06T07%3A00%3A00Z&order=oldest&size=20\
                     &column=time&column=event&page=abc";
        let view = View::parse(query, now());
        assert_eq!(view.unread, Vec::<String>::new());
        assert_eq!(View::parse(&view.query(), now()), view);
        let request = view.lookup(EventView::Basic);
        assert_eq!(request.filters.len(), 2);
        assert_eq!(request.filters[1].matches[0].values, ["alice", "bob"]);
        assert_eq!(
            request.start_time.unwrap().seconds,
            1_714_979_289 - 7 * 86_400
        );
        assert_eq!((request.page_size, &*request.page_token), (20, "abc"));
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_applies() {
        let query =
            "Username=alice&where=&from=soon&size=999&where=a+%3D%3D+b&colour=red&column=odd";
        let view = View::parse(query, now());
        assert_eq!(view.attributes, [("Username", "alice".to_owned())]);
        let named: Vec<_> = view
            .unread
            .iter()
            .map(|it| it.split('=').next().unwrap())
            .collect();
        assert_eq!(named, ["from", "size", "where", "colour", "column"]);
        assert_eq!((view.from.as_str(), view.page_size), ("soon", None));
        assert_eq!(view.from_time, time(SINCE, now(), false).ok());
        assert_eq!(view.untold, ["a == b"]);
        // an alternative that begins with what could not be read is one still
        let view = View::parse("where=a+%3D+1&or=b&where=c+%3D+3", now());
        let read: Vec<_> = view
            .conditions
            .iter()
            .map(|one| (one.is_or, &*one.text))
            .collect();
        assert_eq!(read, [(false, "a = 1"), (true, "c = 3")]);
        // and what the server does not know is gone without
        let mut view = View::parse(
            "Username=x&Username=y&where=a+%3D+1&where=b+%3D+2&or=c+%3D+3&where=d+%3D+4",
            now(),
        );
        assert!(view.drop_filter(
            "filters[1].matches[1].field",
            "filters[1].matches[1].field: what"
        ));
        assert!(view.drop_filter("filters[0].matches[2].values[0]", "no number"));
        assert!(
            !view.drop_filter("filters[7].matches[9]", "x") && !view.drop_filter("page_size", "x")
        );
        let left: Vec<_> = view
            .conditions
            .iter()
            .map(|one| (one.is_or, &*one.text))
            .collect();
        assert_eq!(left, [(false, "a = 1"), (true, "d = 4")]);
        assert_eq!(view.unread, ["c = 3: what", "b = 2: no number"]);
        assert!(view.drop_filter("filters[0].matches[0].values[1]", "none"));
        assert_eq!(view.attributes, []);
        // the usual columns are no choice
        let usual = Column::USUAL.map(Column::name).join(",");
        assert_eq!(View::parse(&format!("column={usual}"), now()).columns, []);
        // of several lines, or several words, each by itself
        let view = View::parse(
            "where=a+%3D+1%0D%0Ab%0D%0Ac+exists&column=time,odd,id",
            now(),
        );
        let texts: Vec<_> = view.conditions.iter().map(|one| &*one.text).collect();
        assert_eq!(texts, ["a = 1", "c exists"]);
        // a line of a text field begins an alternative
        let lines = View::parse("where=a+%3D+1%0Aor+b+%3D+2%0Aor+%3D+3", now());
        let texts: Vec<_> = lines
            .conditions
            .iter()
            .map(|one| (one.is_or, &*one.text))
            .collect();
        assert_eq!(
            texts,
            [(false, "a = 1"), (true, "b = 2"), (false, "or = 3")]
        );
        let long = "where=a+%3D+1&".repeat(MAX_PARTS + 2);
        let long = View::parse(&long, now());
        assert_eq!(long.conditions.len(), MAX_PARTS);
        assert!(long.unread[0].starts_with("2 parts"), "{:?}", long.unread);
        // what is compared is compared as it is
        let view_of_spaces = View::parse("Username=+alice+&from=+-7d+", now());
        assert_eq!(
            view_of_spaces.attributes,
            [("Username", " alice ".to_owned())]
        );
        assert_eq!(view_of_spaces.from, "-7d");
        assert_eq!(view.columns, [Column::Time, Column::Id]);
        let named: Vec<_> = view
            .unread
            .iter()
            .map(|it| it.split(':').next().unwrap())
            .collect();
        assert_eq!(named, ["where=b", "column=odd"]);
    }

    #[test]
    fn the_next_page_has_the_window_of_the_first_whenever_it_is_asked_for() {
        let later = now().checked_add(SignedDuration::from_mins(5)).unwrap();
        for query in ["", "from=-7d&to=-1h", "to=now", "from=2024-05-01&to=-30m"] {
            let view = View::parse(query, now());
            let next = view.next("token");
            let next = View::parse(next.split_once('?').unwrap().1, later);
            let (first, next) = (view.lookup(EventView::Basic), next.lookup(EventView::Basic));
            assert_eq!(next.page_token, "token");
            assert_eq!(
                (next.start_time, next.end_time),
                (first.start_time, first.end_time),
                "{query}"
            );
        }
        // and so has a file of the page that is shown, without what has come since
        for query in ["", "from=-7d&to=-1h", "from=2024-05-01&page=token"] {
            let view = View::parse(query, now());
            let file = View::parse(&view.same_page().query(), later);
            let (page, file) = (view.lookup(EventView::Full), file.lookup(EventView::Full));
            assert_eq!(page.start_time, file.start_time, "{query}");
            assert_eq!(page.page_token, file.page_token);
            let end = match (page.end_time, page.page_token.is_empty()) {
                (None, true) => Some(stamp(now())),
                (end, _) => end,
            };
            assert_eq!(file.end_time, end, "{query}");
        }
        let view = View::parse("from=2024-05-01", now());
        assert_eq!(view.next("t"), "/events?from=2024-05-01&page=t");
    }

    #[test]
    fn what_is_clicked_is_asked_as_it_was_shown() {
        for value in ["alice", "a\"b\\c", " ", "(a, b)", "a = b", "é"] {
            let mut view = View::parse("", now());
            view.narrow("errorCode", value);
            let again = View::parse(&view.query(), now());
            assert_eq!(again.unread, Vec::<String>::new(), "{value:?}");
            let [filter] = &again.lookup(EventView::Basic).filters[..] else {
                panic!("{value:?}: {again:?}");
            };
            assert_eq!(
                (&*filter.matches[0].field, &*filter.matches[0].values[0]),
                ("errorCode", value)
            );
        }
        // a click narrows every alternative
        let mut view = View::parse("where=a+%3D+1&or=b+%3D+2&where=c+%3D+3&or=d+%3D+4", now());
        view.narrow("errorCode", "X");
        let filters = view.lookup(EventView::Basic).filters;
        let fields = |filter: &EventFilter| -> Vec<String> {
            let fields = filter.matches.iter().map(|one| one.field.clone());
            fields.collect()
        };
        assert_eq!(
            filters.iter().map(fields).collect::<Vec<_>>(),
            [
                vec!["a", "errorCode"],
                vec!["b", "c", "errorCode"],
                vec!["d", "errorCode"]
            ]
        );
        let mut view = View::parse("EventName=A", now());
        view.narrow("EventName", "B");
        assert_eq!(view.attributes, [("EventName", "B".to_owned())]);
    }

    #[test]
    fn times_are_read_as_they_are_typed() {
        for (text, second) in [
            ("now", 1_714_979_289),
            ("-2h", 1_714_979_289 - 7200),
            ("-1d12h", 1_714_979_289 - 129_600),
            ("2024-05-06T07:08:09Z", 1_714_979_289),
            ("2024-05-06 09:08:09+02:00", 1_714_979_289),
            ("2024-05-06T07:08", 1_714_979_280),
            ("2024-05-06", 1_714_953_600),
        ] {
            assert_eq!(
                time(text, now(), false).map(Timestamp::as_second),
                Ok(second),
                "{text}"
            );
        }
        for text in ["", "yesterday", "-", "-2", "7:08"] {
            assert!(time(text, now(), false).is_err(), "{text}");
        }
        // both ends are included
        for (text, second) in [
            ("2024-05-06", 1_715_039_999),
            ("2024-05-06 07:08", 1_714_979_339),
            ("2h", 1_714_979_289 - 7200),
        ] {
            assert_eq!(
                time(text, now(), true).map(Timestamp::as_second),
                Ok(second)
            );
        }
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(
            (number(0).as_str(), number(-1000).as_str()),
            ("0", "-1\u{202f}000")
        );
    }
}
