//! Policies as they are written.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Deserialize;

use super::{Allowed, Method, Pattern, Policy, Rights, Rule, Share};
use crate::{
    event::{RECORD_FIELDS, Redaction, Scope, is_account, is_documented_field},
    filter::{self, Sight},
    spelling::Nearest,
};

/// The most rules: one for each of a large organization's services.
const MAX_RULES: usize = 1000;

/// A policy that cannot be used: where, what is wrong, and what would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    callers: Vec<String>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    subjects: Vec<String>,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    claims: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    anonymous: bool,
    methods: Vec<String>,
    accounts: Option<Vec<String>>,
    regions: Option<Vec<String>>,
    event_sources: Option<Vec<String>>,
    record: Option<bool>,
    #[serde(default)]
    redact: Vec<String>,
    weight: Option<u8>,
    daily_requests: Option<u64>,
    subscriptions: Option<usize>,
    exports: Option<usize>,
    calls_per_second: Option<u32>,
}

impl Policy {
    /// Reads a policy in YAML.
    ///
    /// # Errors
    /// If it is none, or a rule says what cannot be meant: in one line.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| {
            let message = error.without_snippet().to_string();
            let words: Vec<_> = message.split_whitespace().collect();
            let words = words.join(" ");
            match words.starts_with("expected") || words.starts_with("unexpected end") {
                true => Error(format!(
                    "{words}; a policy is {{rules: [{{callers: [NAME], methods: [LookupEvents]}}]}}"
                )),
                false => Error(words),
            }
        })?;
        if file.rules.len() > MAX_RULES {
            let count = file.rules.len();
            return Err(Error(format!("{count} rules; at most {MAX_RULES}")));
        }
        let rules = file.rules.into_iter().enumerate();
        let rules = rules.map(|(place, written)| rule(place, written));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }
}

fn rule(place: usize, written: Written) -> Result<Rule, Error> {
    let error = |part: &str, what: &str| Error(format!("rules[{place}].{part}: {what}"));
    let patterns = |part: &str, names: &[String]| {
        let names = names.iter().enumerate();
        let read = names
            .map(|(i, name)| pattern(name).map_err(|what| error(&format!("{part}[{i}]"), &what)));
        read.collect::<Result<Vec<_>, _>>()
    };
    let callers = patterns("callers", &written.callers)?;
    let keys = patterns("keys", &written.keys)?;
    let subjects = patterns("subjects", &written.subjects)?;
    let users = patterns("users", &written.users)?;
    let is_for_tokens = !subjects.is_empty() || !written.claims.is_empty();
    let is_for_names = !callers.is_empty() || !keys.is_empty() || !users.is_empty();
    if !is_for_names && !is_for_tokens && !written.anonymous {
        let what =
            "names nobody; name callers, keys, subjects, claims or users, or say anonymous: true";
        return Err(error("callers", what));
    }
    if let Some((name, _)) = written.claims.iter().find(|(_, values)| values.is_empty()) {
        return Err(error(
            &format!("claims.{name}"),
            "has no value; name one or more",
        ));
    }
    let mut methods = BTreeSet::new();
    for (i, name) in written.methods.iter().enumerate() {
        match Method::ALL.into_iter().find(|method| method.name() == name) {
            Some(method) => {
                methods.insert(method);
            }
            None if name == "*" => methods.extend(Method::ALL),
            None => {
                let known = Method::ALL.map(Method::name);
                let what = format!(
                    "{:?} is no method; give \"*\" or some of {}",
                    filter::shown(name),
                    filter::listed(known.iter(), known.len())
                );
                return Err(error(&format!("methods[{i}]"), &what));
            }
        }
    }
    let mut accounts = written.accounts.iter().flatten();
    if let Some(i) = accounts.position(|name| !is_account(name)) {
        let what = "is no account; give its 12 digits, in quotes";
        return Err(error(&format!("accounts[{i}]"), what));
    }
    for (part, names) in [
        ("accounts", &written.accounts),
        ("regions", &written.regions),
        ("event_sources", &written.event_sources),
    ] {
        if names.as_ref().is_some_and(Vec::is_empty) {
            return Err(error(
                part,
                "an empty list lets nothing through; leave it out for all",
            ));
        }
        let is_odd = |name: &String| name.is_empty() || name.contains('*');
        if names.iter().flatten().any(is_odd) {
            return Err(error(
                part,
                "has a star or an empty name; leave it out for all",
            ));
        }
    }
    let sources = written.event_sources.as_ref().map_or(0, Vec::len);
    if sources > filter::MAX_VALUES {
        let most = filter::MAX_VALUES;
        return Err(error(
            "event_sources",
            &format!("{sources} names; at most {most}"),
        ));
    }
    let redaction =
        redaction(&written.redact).map_err(|(i, what)| error(&format!("redact[{i}]"), &what))?;
    let most = Share::MAX_WEIGHT;
    if let Some(weight) = written.weight
        && !(1..=most).contains(&weight)
    {
        let what = format!("{weight} turns; give 1 to {most}");
        return Err(error("weight", &what));
    }
    for (part, places) in [
        ("subscriptions", written.subscriptions),
        ("exports", written.exports),
    ] {
        if places == Some(0) {
            let what = "0; leave the method out for none, or give 1 or more";
            return Err(error(part, what));
        }
    }
    let rights = Rights {
        methods,
        accounts: allowed(written.accounts, |name| Scope::new(name, "").account),
        regions: allowed(written.regions, |name| Scope::new("", name).region),
        event_sources: written.event_sources,
        sees_record: written.record.unwrap_or(true),
        redaction,
        share: Share {
            weight: written.weight.unwrap_or(1),
            daily_requests: written.daily_requests,
            subscriptions: written.subscriptions,
            exports: written.exports,
            calls_per_second: written.calls_per_second,
        },
    };
    let claims = written.claims.into_iter();
    Ok(Rule {
        is_for_anonymous: written.anonymous,
        callers,
        keys,
        subjects,
        users,
        claims: claims
            .map(|(name, values)| (name, values.into_iter().collect()))
            .collect(),
        rights: Arc::new(rights),
    })
}

/// What says where and when an event stands, and whose it is: that is seen.
const PLACE: [&str; 5] = [
    "awsRegion",
    "eventID",
    "eventSource",
    "eventTime",
    "recipientAccountId",
];

/// The most paths of a rule: each is looked for in each event.
const MAX_PATHS: usize = 100;

/// What is taken out of events; else which path is none, and why.
fn redaction(paths: &[String]) -> Result<Redaction, (usize, String)> {
    if paths.len() > MAX_PATHS {
        let what = format!("{} paths; at most {MAX_PATHS}", paths.len());
        return Err((MAX_PATHS, what));
    }
    let path = |(i, field): (usize, &String)| match Sight::of(field) {
        Ok(Sight::Path(path)) if path.first().is_some_and(|key| PLACE.contains(&&**key)) => {
            let what = "places the event, and cannot be taken out; leave the rule's accounts, \
                        regions or event_sources to say which events are seen";
            Err((i, format!("{:?} {what}", filter::shown(field))))
        }
        Ok(Sight::Path(path)) => match path.first() {
            // nothing would be taken out, and nobody would notice
            Some(first) if !filter::is_insisted(field) && !is_documented_field(first) => {
                let cure = match Nearest::of(first, RECORD_FIELDS) {
                    Some(name) => format!("did you mean {name:?}?"),
                    None => "paths begin at the top, as in requestParameters.password".to_owned(),
                };
                let (first, field) = (filter::shown(first), filter::shown(field));
                Err((
                    i,
                    format!(
                        "no record is known to have {first:?} at its top; {cure} \
                         (\"record.{field}\" is taken out anyway)"
                    ),
                ))
            }
            _ => Ok(path),
        },
        Ok(Sight::Attribute(_)) => {
            let what = "is an attribute; give the path in the record, such as \
                        userIdentity.accessKeyId";
            Err((i, format!("{:?} {what}", filter::shown(field))))
        }
        Err(what) => Err((i, what)),
    };
    let paths = paths.iter().enumerate().map(path);
    Ok(Redaction::new(paths.collect::<Result<Vec<_>, _>>()?))
}

fn allowed(names: Option<Vec<String>>, part: impl Fn(&str) -> Arc<str>) -> Allowed {
    let names = names?;
    Some(names.iter().map(|name| part(name)).collect())
}

/// A name, or with a star at its end the beginning of names.
fn pattern(name: &str) -> Result<Pattern, String> {
    match name.strip_suffix('*') {
        _ if name.is_empty() => Err("is empty; give a name, or anonymous: true".to_owned()),
        Some(prefix) if prefix.contains('*') => Err(format!(
            "{:?} has a star in it; one may stand at the end",
            filter::shown(name)
        )),
        Some(prefix) => Ok(Pattern::Prefix(prefix.to_owned())),
        None if name.contains('*') => Err(format!(
            "{:?} has a star in it; one may stand at the end",
            filter::shown(name)
        )),
        None => Ok(Pattern::Exact(name.to_owned())),
    }
}
