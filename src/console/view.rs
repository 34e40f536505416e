//! What a page shows, as its URL says it: every view can be shared.

mod requests;

use std::fmt::Write;

use form_urlencoded::Serializer;
use jiff::{Timestamp, tz::TimeZone};

use super::columns::Column;
use crate::{
    proto::v1::Match,
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

    /// Takes a condition away; what followed an alternative's first begins it.
    pub(super) fn remove_condition(&mut self, place: usize) -> Condition {
        let gone = self.conditions.remove(place);
        if let Some(next) = self.conditions.get_mut(place) {
            next.is_or |= gone.is_or;
        }
        gone
    }

    /// The attributes that are asked by, each once: they come first in each filter.
    fn named_attributes(&self) -> Vec<&'static str> {
        let mut named = Vec::new();
        for &(name, _) in &self.attributes {
            if !named.contains(&name) {
                named.push(name);
            }
        }
        named
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
        let common = self.named_attributes();
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
                let gone = self.remove_condition(at);
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
mod tests;
