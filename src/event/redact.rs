//! Events of which some is not for whoever asks.

use std::ops::Range;

use super::{
    Event, Parts,
    index::Index,
    scan::{self, Scanner},
};

/// What stands where a value stood.
const MARK: &str = "\"REDACTED\"";

/// The deepest that values are looked into: as deep as `serde_json` reads. What lies
/// deeper is taken out with what it is in.
const MAX_DEPTH: usize = 128;

/// What says who made the call; `Username` is derived from what is in there.
const USERNAME: &[&str] = &["userIdentity"];

/// What AWS derives the resources of an event from: it does not say from what in
/// there.
const RESOURCES: [&[&str]; 4] = [
    &["requestParameters"],
    &["resources"],
    &["responseElements"],
    &["userIdentity"],
];

/// Paths into records whose values are taken out, with all that the index says of
/// them. Elements of arrays are looked into, as filters do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Each is the keys from the top; none is empty.
    paths: Vec<Vec<String>>,
}

impl Redaction {
    /// Of these paths, each as its keys from the top.
    #[must_use]
    pub fn new(paths: impl IntoIterator<Item = Vec<String>>) -> Self {
        let mut paths: Vec<_> = paths.into_iter().filter(|path| !path.is_empty()).collect();
        paths.sort();
        paths.dedup();
        Self { paths }
    }

    /// Whether nothing is taken out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether the value at a path tells of what is taken out: it is taken out, or
    /// something in it is, or it is within such.
    pub fn concerns<K: AsRef<str>>(&self, path: &[K]) -> bool {
        self.paths.iter().any(|taken| {
            let both = taken.iter().zip(path);
            both.into_iter().all(|(a, b)| a == b.as_ref())
        })
    }

    /// Whether the attribute `Username` tells of it.
    #[must_use]
    pub fn concerns_username(&self) -> bool {
        self.concerns(USERNAME)
    }

    /// Whether the resources of an event tell of it.
    #[must_use]
    pub fn concerns_resources(&self) -> bool {
        RESOURCES.iter().any(|path| self.concerns(path))
    }

    /// Whether all of a value is taken out.
    fn covers(&self, path: &[&str]) -> bool {
        self.paths
            .iter()
            .any(|taken| taken.len() <= path.len() && taken.iter().zip(path).all(|(a, b)| a == b))
    }

    /// The event without it, marked so; `None`: the event has nothing of it. A record
    /// that is not a JSON object, in which no path can be found, is taken out whole.
    #[must_use]
    pub fn apply(&self, event: &Event) -> Option<Event> {
        if self.is_empty() {
            return None;
        }
        let mut parts = event.parts();
        let has_hidden = self.hide(&mut parts);
        match self.taken(event.record()) {
            Some(places) if places.is_empty() && !has_hidden => return None,
            Some(places) => parts.record = without(event.record(), &places),
            // AWS gave none
            None if event.record().is_empty() && !has_hidden => return None,
            None => parts.record.clear(),
        }
        let mut index = Index::from(&parts);
        index.redacted = true;
        Some(Event::of(&index))
    }

    /// Takes it out of the index; whether there was any.
    fn hide(&self, parts: &mut Parts) -> bool {
        let mut has_hidden = false;
        let mut hide = |text: &mut Option<String>, path: &[&str]| {
            if self.covers(path) {
                has_hidden |= text.take().is_some();
            }
        };
        hide(&mut parts.access_key_id, &["userIdentity", "accessKeyId"]);
        hide(&mut parts.category, &["eventCategory"]);
        hide(&mut parts.event_type, &["eventType"]);
        hide(&mut parts.error_code, &["errorCode"]);
        hide(&mut parts.error_message, &["errorMessage"]);
        hide(&mut parts.source_ip_address, &["sourceIPAddress"]);
        hide(&mut parts.user_agent, &["userAgent"]);
        hide(&mut parts.shared_event_id, &["sharedEventID"]);
        if let Some(principal) = &mut parts.principal {
            let issuer = ["userIdentity", "sessionContext", "sessionIssuer"];
            hide(&mut principal.kind, &["userIdentity", "type"]);
            hide(
                &mut principal.principal_id,
                &["userIdentity", "principalId"],
            );
            // the session's name is the end of the ARN, and of the principal's id
            hide(&mut principal.session_name, &["userIdentity", "arn"]);
            // which only some types have
            hide(&mut principal.session_name, &["userIdentity", "type"]);
            hide(
                &mut principal.session_name,
                &["userIdentity", "principalId"],
            );
            hide(&mut principal.arn, &["userIdentity", "arn"]);
            hide(&mut principal.account_id, &["userIdentity", "accountId"]);
            hide(&mut principal.user_name, &["userIdentity", "userName"]);
            hide(
                &mut principal.role_name,
                &[issuer.as_slice(), &["userName"]].concat(),
            );
            hide(
                &mut principal.role_name,
                &[issuer.as_slice(), &["type"]].concat(),
            );
            hide(&mut principal.invoked_by, &["userIdentity", "invokedBy"]);
        }
        if self.covers(&["userIdentity"]) {
            has_hidden |= parts.principal.take().is_some();
        }
        if self.concerns_username() {
            has_hidden |= parts.username.take().is_some();
        }
        if self.covers(&["readOnly"]) {
            has_hidden |= parts.read_only.take().is_some();
        }
        if self.covers(&["eventName"]) {
            has_hidden |= !std::mem::take(&mut parts.name).is_empty();
        }
        if self.concerns_resources() {
            has_hidden |= !std::mem::take(&mut parts.resources).is_empty();
        }
        has_hidden
    }

    /// Where in a record the values stand; `None`: it is not a JSON object.
    fn taken(&self, record: &str) -> Option<Vec<Range<usize>>> {
        let paths: Vec<_> = self.paths.iter().map(Vec::as_slice).collect();
        let mut places = Vec::new();
        scan::members(record, &mut |scanner, key| {
            member(scanner, &key, &paths, 1, &mut places)
        })?;
        Some(places)
    }
}

/// Looks into the value of a member.
fn member(
    scanner: &mut Scanner<'_>,
    key: &str,
    paths: &[&[String]],
    depth: usize,
    places: &mut Vec<Range<usize>>,
) -> Option<()> {
    let mut rests = Vec::new();
    let mut is_taken = false;
    for path in paths {
        match path.split_first() {
            Some((first, rest)) if first == key => {
                is_taken |= rest.is_empty();
                rests.push(rest);
            }
            _ => {}
        }
    }
    if is_taken {
        places.push(scanner.place()?);
        return Some(());
    }
    value(scanner, &rests, depth, places)
}

/// Looks into a value for what lies at the rests of paths.
fn value(
    scanner: &mut Scanner<'_>,
    paths: &[&[String]],
    depth: usize,
    places: &mut Vec<Range<usize>>,
) -> Option<()> {
    if paths.is_empty() {
        scanner.value()?;
        return Some(());
    }
    if depth >= MAX_DEPTH {
        places.push(scanner.place()?);
        return Some(());
    }
    if scanner.is_object() {
        return scanner.object(true, &mut |scanner, key| {
            member(scanner, &key, paths, depth + 1, places)
        });
    }
    if scanner.is_array() {
        return scanner.array(&mut |scanner| value(scanner, paths, depth + 1, places));
    }
    scanner.value()?;
    Some(())
}

/// A record with marks in these places, which are in its order.
fn without(record: &str, places: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(record.len() + places.len() * MARK.len());
    let mut at = 0;
    for place in places {
        out += record.get(at..place.start).unwrap_or_default();
        out += MARK;
        at = place.end;
    }
    out + record.get(at..).unwrap_or_default()
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;
