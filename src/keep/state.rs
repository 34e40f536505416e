//! What a commit says of those who keep an archive: where each stands, and what is
//! complete.
//!
//! Servers of the same scopes have one position among them, the last committer's: it
//! holds for all of them, since what it says is kept is in the archive that they share.
//! Those of other scopes have their own, which a commit leaves as it is. What is complete
//! is said of each scope once, by who keeps it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::spans::{Spans, Written};
use crate::{event::Scope, feed::ResumeToken};

/// The version of the form below.
const VERSION: u32 = 2;
/// The most positions: servers of so many different choices of scopes. Of more, those are
/// forgotten that were committed the longest time ago.
const MAX_KEEPERS: usize = 64;
/// And their bytes, about: half of what a state may have, since it is written with each
/// commit, and a choice of thousands of scopes has some 100 KB.
const MAX_BYTES: usize = 8 << 20;
/// After so many seconds a position is forgotten: CloudTrail has nothing from then on, for
/// 90 days are what it keeps.
const OLD: i64 = 90 * 86_400;

/// Why the archive cannot be gone on with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// What its last commit says of the keeper is nothing that this version writes.
    #[error(
        "the archive's last commit cannot be gone on with: its state {0}; run the version of \
         trailgate that wrote it, or name another place with --archive"
    )]
    Unreadable(String),
    /// The feed cannot be read.
    #[error("the feed cannot be read for the archive: {0}")]
    Start(String),
}

/// Where the keeper stands.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) token: Option<ResumeToken>,
    pub(super) spans: Spans,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Form {
    version: u32,
    /// Whoever kept it: what is complete is, whatever becomes of positions.
    scopes: Vec<Written>,
    keepers: Vec<Keeps>,
}

/// What version 1 had: one position, whoever's.
#[derive(Deserialize)]
struct First {
    token: String,
    scopes: Vec<Written>,
}

/// Scopes, by their accounts.
type Served = BTreeMap<String, BTreeSet<String>>;

/// Where those stand who keep some scopes.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Keeps {
    /// When it was committed, in seconds.
    at: i64,
    serves: Served,
    token: String,
}

/// What a keeper says of itself.
#[derive(Debug)]
pub(super) struct Entry {
    keeps: Keeps,
    /// Of the scopes that it serves.
    scopes: Vec<Written>,
}

impl Entry {
    /// That of a keeper of these scopes at `at`.
    pub(super) fn of<'a>(
        served: impl IntoIterator<Item = &'a Scope>,
        token: &ResumeToken,
        spans: &Spans,
        at: i64,
    ) -> Self {
        let names = served
            .into_iter()
            .map(|scope| (&*scope.account, &*scope.region));
        let serves = by_account(names);
        let mut scopes = spans.write();
        scopes.retain(|written| has(&serves, written.scope()));
        Self {
            keeps: Keeps {
                at,
                serves,
                token: token.encode(),
            },
            scopes,
        }
    }

    /// What is to be said where `before` was: of others what they said of themselves.
    ///
    /// # Errors
    /// If that is nothing that this version reads.
    pub(super) fn after(&self, before: Option<&[u8]>) -> Result<Bytes, String> {
        let mut form = read(before)?;
        let own = &self.keeps;
        form.scopes
            .retain(|written| !has(&own.serves, written.scope()));
        form.scopes.extend(self.scopes.iter().cloned());
        for other in &mut form.keepers {
            // a clock that was ahead, or nobody's: no position stays for ever
            other.at = other.at.min(own.at);
        }
        let oldest = own.at.saturating_sub(OLD);
        form.keepers
            .retain(|other| other.serves != own.serves && other.at > oldest);
        form.keepers.sort_by_key(|other| other.at);
        let mut bytes = 0;
        let newest = form.keepers.iter().rev();
        let kept = newest.take(MAX_KEEPERS - 1).take_while(|other| {
            bytes += other.bytes();
            bytes <= MAX_BYTES
        });
        let surplus = form.keepers.len() - kept.count();
        form.keepers.drain(..surplus);
        form.keepers.push(own.clone());
        // names, numbers and strings: nothing that JSON has not
        Ok(serde_json::to_vec(&form).unwrap_or_default().into())
    }
}

impl Keeps {
    /// How many of these scopes it has.
    fn common(&self, served: &[Scope]) -> usize {
        let served = served.iter();
        let served = served.filter(|scope| has(&self.serves, (&scope.account, &scope.region)));
        served.count()
    }

    /// Bytes that it takes, about.
    fn bytes(&self) -> usize {
        let names = self.serves.iter().map(|(account, regions)| {
            let regions = regions.iter().map(|region| region.len() + 3);
            account.len() + 6 + regions.sum::<usize>()
        });
        self.token.len() + 64 + names.sum::<usize>()
    }
}

fn by_account<'a>(names: impl IntoIterator<Item = (&'a str, &'a str)>) -> Served {
    let mut served = Served::new();
    for (account, region) in names {
        let regions = served.entry(account.to_owned()).or_default();
        regions.insert(region.to_owned());
    }
    served
}

fn has(served: &Served, (account, region): (&str, &str)) -> bool {
    let regions = served.get(account);
    regions.is_some_and(|regions| regions.contains(region))
}

impl State {
    /// What a commit says to a keeper of these scopes: the position of who kept the same;
    /// else the newest of those who kept most of them. None, if nobody kept any.
    pub(super) fn of(
        text: Option<&[u8]>,
        digest: &[u8; 16],
        served: &[Scope],
    ) -> Result<Self, StateError> {
        let form = read(text).map_err(StateError::Unreadable)?;
        let mut spans = Spans::read(form.scopes);
        let most = form.keepers.iter().map(|keeps| keeps.common(served)).max();
        let most = most.unwrap_or(0);
        let same = by_account(served.iter().map(|scope| (&*scope.account, &*scope.region)));
        let keepers = form.keepers.into_iter();
        let nearest = keepers
            .filter(|keeps| {
                let common = keeps.common(served);
                2 * common >= most && (common > 0 || served.is_empty())
            })
            .max_by_key(|keeps| (keeps.serves == same, keeps.at));
        let Some(keeps) = nearest else {
            spans.close();
            return Ok(Self { token: None, spans });
        };
        let token = ResumeToken::decode(&keeps.token, digest);
        let token = token.map_err(|error| {
            StateError::Unreadable(format!("has a resume token that cannot be read ({error})"))
        })?;
        // of others the token does not say how they go on
        spans.close_others(|scope| has(&keeps.serves, (&scope.account, &scope.region)));
        Ok(Self {
            token: Some(token),
            spans,
        })
    }
}

/// All that a commit says; nothing, if there was none.
fn read(text: Option<&[u8]>) -> Result<Form, String> {
    let Some(text) = text else {
        return Ok(Form {
            version: VERSION,
            scopes: Vec::new(),
            keepers: Vec::new(),
        });
    };
    let other = |error: serde_json::Error| format!("is not what it should be ({error})");
    let Versioned { version } = serde_json::from_slice(text).map_err(other)?;
    match version {
        1 => {
            let First { token, scopes } = serde_json::from_slice(text).map_err(other)?;
            let keeps = Keeps {
                // when it was committed is not told: not later than what comes next
                at: i64::MAX,
                serves: by_account(scopes.iter().map(Written::scope)),
                token,
            };
            Ok(Form {
                version: VERSION,
                scopes,
                keepers: vec![keeps],
            })
        }
        VERSION => serde_json::from_slice(text).map_err(other),
        _ => Err(format!(
            "has version {version}, and {VERSION} is the newest that is known"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: [u8; 16] = [7; 16];

    fn entry(at: i64, scopes: &[(&str, &str)]) -> Entry {
        let token = ResumeToken::at(DIGEST, at);
        Entry::of(&served(scopes), &token, &spans(at, scopes), at)
    }

    /// All is kept from a hundred seconds before on.
    fn spans(at: i64, scopes: &[(&str, &str)]) -> Spans {
        let written = scopes.iter().map(|(account, region)| {
            let from = at - 100;
            let text = format!(
                r#"{{"account":"{account}","region":"{region}","open":true,"spans":[[{from},{at}]]}}"#
            );
            serde_json::from_str(&text).unwrap()
        });
        Spans::read(written.collect())
    }

    /// When a scope is known to be complete to.
    fn kept_to(
        text: Option<&Bytes>,
        as_of: &[(&str, &str)],
        (account, region): (&str, &str),
        at: i64,
    ) -> Option<i64> {
        let state = State::of(text.map(|text| &**text), &DIGEST, &served(as_of)).unwrap();
        let span = state.spans.find(&Scope::new(account, region), at - 1);
        span.map(|span| span.to)
    }

    fn served(scopes: &[(&str, &str)]) -> Vec<Scope> {
        let scopes = scopes.iter();
        scopes
            .map(|(account, region)| Scope::new(account, region))
            .collect()
    }

    fn after(entries: &[Entry]) -> Option<Bytes> {
        let mut text = None;
        for entry in entries {
            text = Some(entry.after(text.as_deref()).unwrap());
        }
        text
    }

    /// When what a keeper of these scopes goes on from was committed.
    fn from(text: Option<&Bytes>, scopes: &[(&str, &str)]) -> Option<i64> {
        let state = State::of(text.map(|text| &**text), &DIGEST, &served(scopes));
        state.unwrap().token.map(|token| token.issued_at())
    }

    const A: (&str, &str) = ("111122223333", "us-east-1");
    const B: (&str, &str) = ("111122223333", "eu-west-1");
    const C: (&str, &str) = ("444455556666", "us-east-1");

    #[test]
    fn servers_of_different_scopes_have_positions_of_their_own() {
        let text = after(&[entry(10, &[A]), entry(20, &[C]), entry(30, &[A])]);
        assert_eq!(read(text.as_deref()).unwrap().keepers.len(), 2);
        assert_eq!(from(text.as_ref(), &[A]), Some(30));
        assert_eq!(from(text.as_ref(), &[C]), Some(20));
        // one that begins
        assert_eq!(from(text.as_ref(), &[B]), None);
        assert_eq!(from(None, &[A]), None);
        // one whose scopes are not known yet
        assert_eq!(from(text.as_ref(), &[]), Some(30));
    }

    #[test]
    fn scopes_that_came_or_went_do_not_take_the_position_away() {
        let text = after(&[entry(1_010, &[A, B]), entry(1_020, &[C])]);
        assert_eq!(from(text.as_ref(), &[A]), Some(1_010));
        assert_eq!(from(text.as_ref(), &[A, B, C]), Some(1_020));
        // the own one is gone on with, also where others kept the same since
        let text = after(&[
            entry(1_010, &[A]),
            entry(1_020, &[C]),
            entry(1_030, &[A, B]),
        ]);
        assert_eq!(from(text.as_ref(), &[A]), Some(1_010));
        assert_eq!(from(text.as_ref(), &[B]), Some(1_030));
        let text = after(&[entry(1_010, &[A, B, C]), entry(1_020, &[A, B])]);
        assert_eq!(from(text.as_ref(), &[A, C]), Some(1_020));
    }

    #[test]
    fn what_is_complete_stays_so_whoever_kept_it() {
        let text = after(&[entry(1_010, &[A]), entry(1_020, &[B]), entry(1_030, &[C])]);
        let all: &[(&str, &str)] = &[A, B, C];
        for (scope, at) in [(A, 1_010), (B, 1_020), (C, 1_030)] {
            assert_eq!(kept_to(text.as_ref(), all, scope, at), Some(at));
        }
        // also where the position was forgotten
        let later = entry(1_000 + 2 * OLD, &[B]).after(text.as_deref()).unwrap();
        assert_eq!(from(Some(&later), &[A]), None);
        assert_eq!(kept_to(Some(&later), &[A], A, 1_010), Some(1_010));
        // who keeps a scope says what is complete of it, and only then that it goes on
        let state = State::of(text.as_deref(), &DIGEST, &served(&[A, B])).unwrap();
        let mut spans = state.spans;
        assert_eq!(state.token.map(|token| token.issued_at()), Some(1_020));
        let stands = |(account, region): (&str, &str)| crate::feed::Standing {
            scope: Scope::new(account, region),
            settled: 2_000,
            is_replayed: false,
        };
        spans.note(&[stands(A), stands(B)], &[], 2_000);
        let found = |(account, region): (&str, &str)| {
            spans.find(&Scope::new(account, region), 1_500).is_some()
        };
        assert!(!found(A) && found(B));
    }

    #[test]
    fn only_so_many_positions_are_kept_and_none_that_is_of_no_use() {
        let account = |number: i64| format!("{number:012}");
        let many: Vec<_> = (0..100)
            .map(|number| entry(number, &[(&account(number), "us-east-1")]))
            .collect();
        let text = after(&many);
        assert_eq!(read(text.as_deref()).unwrap().keepers.len(), MAX_KEEPERS);
        assert_eq!(
            from(text.as_ref(), &[(&account(36), "us-east-1")]),
            Some(36)
        );
        assert_eq!(from(text.as_ref(), &[(&account(35), "us-east-1")]), None);
        let text = after(&[entry(0, &[A]), entry(1, &[B]), entry(OLD, &[C])]);
        assert_eq!(from(text.as_ref(), &[A]), None);
        assert_eq!(from(text.as_ref(), &[B]), Some(1));
    }

    #[test]
    fn positions_of_many_scopes_are_bounded_in_bytes() {
        let regions: Vec<_> = (0..30).map(|number| format!("us-east-{number}")).collect();
        let accounts: Vec<_> = (0..600).map(|number| format!("{number:012}")).collect();
        let mut text = None;
        for turn in 0..60 {
            // an account less each time
            let scopes = accounts.iter().skip(turn).flat_map(|account| {
                let regions = regions.iter();
                regions.map(move |region| Scope::new(account, region))
            });
            let scopes: Vec<_> = scopes.collect();
            let at = i64::try_from(turn).unwrap();
            let token = ResumeToken::at(DIGEST, at);
            let entry = Entry::of(&scopes, &token, &Spans::default(), at);
            text = Some(entry.after(text.as_deref()).unwrap());
        }
        let text = text.unwrap();
        assert!(text.len() < 2 * MAX_BYTES, "{}", text.len());
        let keepers = read(Some(&text)).unwrap().keepers;
        assert!(
            keepers.len() > 10 && keepers.len() < 60,
            "{}",
            keepers.len()
        );
        assert_eq!(keepers.last().map(|keeps| keeps.at), Some(59));
    }

    #[test]
    fn the_first_version_is_gone_on_with() {
        let at = 1_800_000_000;
        let token = ResumeToken::at(DIGEST, at).encode();
        let text = format!(
            r#"{{"version":1,"token":"{token}","scopes":[{{"account":"{}","region":"{}","open":true,"spans":[[1,4]]}}]}}"#,
            A.0, A.1
        );
        let text = Bytes::from(text);
        assert_eq!(from(Some(&text), &[A]), Some(at));
        assert_eq!(from(Some(&text), &[C]), None);
        let next = entry(at + 20, &[C]).after(Some(&text)).unwrap();
        assert_eq!(from(Some(&next), &[C]), Some(at + 20));
        assert_eq!(from(Some(&next), &[A]), Some(at));
        assert_eq!(kept_to(Some(&next), &[A], A, 3), Some(4));
    }

    #[test]
    fn what_is_newer_is_not_written_over() {
        let newer = br#"{"version":3,"anything":0}"#;
        let error = entry(1, &[A]).after(Some(newer)).unwrap_err();
        assert_eq!(error, "has version 3, and 2 is the newest that is known");
        let error = State::of(Some(newer), &DIGEST, &served(&[A])).unwrap_err();
        assert!(error.to_string().contains("has version 3"), "{error}");
        let error = entry(1, &[A]).after(Some(b"x")).unwrap_err();
        assert!(error.starts_with("is not what it should be ("), "{error}");
    }
}
