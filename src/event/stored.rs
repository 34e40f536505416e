//! Events that come back from where they were stored: as a record, and what was
//! known beside it.

use std::borrow::Cow;

use super::{
    Event, Origin, Scope,
    columns::{Columns, Member},
    parse::index,
};

/// An event as it is stored.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    /// The scope in whose history it stands.
    pub scope: &'a Scope,
    /// The record, character for character.
    pub record: &'a str,
    /// Where it came from.
    pub origin: Origin,
    /// As [`Event::time`].
    pub time: i64,
    /// As [`Event::is_time_inferred`].
    pub time_inferred: bool,
    /// As [`Event::is_lossy`].
    pub lossy: bool,
    /// What the API said; of another origin it is not looked at, since the record says
    /// it all.
    pub beside: Beside<'a>,
}

/// What the API said beside the record.
#[derive(Clone, Debug, Default)]
pub struct Beside<'a> {
    /// As [`Event::shown_id`] gave it.
    pub id: Option<&'a str>,
    /// As [`Event::shown_name`] gave it.
    pub name: Option<&'a str>,
    /// As [`Event::shown_source`] gave it.
    pub source: Option<&'a str>,
    /// As [`Event::username`].
    pub username: Option<&'a str>,
    /// As [`Event::access_key_id`].
    pub access_key_id: Option<&'a str>,
    /// As [`Event::read_only`].
    pub read_only: Option<bool>,
    /// As [`Event::resources`].
    pub resources: Vec<(Option<&'a str>, Option<&'a str>)>,
}

impl Event {
    /// The event that was stored: the same that it was.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "it is read once")]
    pub fn from_stored<'a>(stored: Stored<'a>) -> Self {
        let Stored { scope, record, .. } = stored;
        let mut index = index(scope, record, stored.origin, stored.time);
        index.time = stored.time;
        index.time_inferred = stored.time_inferred;
        index.lossy = stored.lossy;
        if stored.origin == Origin::LookupEvents {
            let is_own = *scope.account == *index.account_id && *scope.region == *index.region;
            index.scope = (!is_own).then_some(scope);
            let beside = stored.beside;
            told(&mut index.id, beside.id, record, "eventID");
            told(&mut index.name, beside.name, record, "eventName");
            told(&mut index.source, beside.source, record, "eventSource");
            let text = |text: Option<&'a str>| text.map(Cow::Borrowed);
            index.username = text(beside.username);
            index.access_key_id = text(beside.access_key_id);
            index.read_only = beside.read_only;
            let resources = beside.resources.into_iter();
            index.resources = resources
                .map(|(kind, name)| (text(kind), text(name)))
                .collect();
        }
        Self::of(&index)
    }

    /// How its id is stored: see [`shown`].
    #[must_use]
    pub fn shown_id<'a>(&'a self, columns: &Columns<'a>) -> Option<&'a str> {
        shown(self.id(), columns.get("eventID"))
    }

    /// How its name is stored.
    #[must_use]
    pub fn shown_name<'a>(&'a self, columns: &Columns<'a>) -> Option<&'a str> {
        shown(self.name(), columns.get("eventName"))
    }

    /// How its source is stored.
    #[must_use]
    pub fn shown_source<'a>(&'a self, columns: &Columns<'a>) -> Option<&'a str> {
        shown(self.source(), columns.get("eventSource"))
    }
}

/// How a text of the index is stored: as it is, `None` for none. Where there is none
/// because the record has an array or an object there, that is stored. Should the API
/// have told the text of that very JSON, nothing is: so each can be told from the other.
fn shown<'a>(text: &'a str, member: Member<'a>) -> Option<&'a str> {
    match member.odd() {
        Some(odd) if text.is_empty() => Some(odd),
        Some(odd) if text == odd => None,
        _ => (!text.is_empty()).then_some(text),
    }
}

/// The text that was stored so: the reverse of [`shown`].
fn told<'a>(text: &mut Cow<'a, str>, stored: Option<&'a str>, record: &'a str, name: &str) {
    if stored == Some(&**text) {
        return;
    }
    let mut columns = Columns::default();
    let mut odd = None;
    // the record's own text would be there if it were one
    if text.is_empty() {
        columns.read(record);
        odd = columns.get(name).odd();
    }
    let says = match (stored, odd) {
        (Some(stored), Some(odd)) if stored == odd => "",
        (None, Some(odd)) => odd,
        (stored, _) => stored.unwrap_or_default(),
    };
    *text = says.into();
}
