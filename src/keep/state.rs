//! What a commit says of those who keep an archive: where each stands, and what is
//! complete.
//!
//! Servers of the same scopes have one position among them, the last committer's: it
//! holds for all of them, since what it says is kept is in the archive that they share.
//! Those of other scopes have their own, which a commit leaves as it is.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::spans::{Spans, Written};
use crate::{event::Scope, feed::ResumeToken};

/// The version of the form below.
const VERSION: u32 = 2;
/// The most positions: servers of so many different scopes. Of more, those are forgotten
/// that were committed the longest time ago.
const MAX_KEEPERS: usize = 64;
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
    keepers: Vec<Entry>,
}

/// What version 1 had: one position, whoever's.
#[derive(Deserialize)]
struct First {
    token: String,
    scopes: Vec<Written>,
}

/// Where those stand who keep some scopes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// When it was committed, in seconds.
    at: i64,
    /// The scopes, by their accounts.
    serves: BTreeMap<String, BTreeSet<String>>,
    token: String,
    scopes: Vec<Written>,
}

impl Entry {
    /// That of a keeper of these scopes at `at`.
    pub(super) fn of(served: &[Scope], token: &ResumeToken, spans: &Spans, at: i64) -> Self {
        let mut serves = BTreeMap::<String, BTreeSet<String>>::new();
        for scope in served {
            let regions = serves.entry(scope.account.to_string()).or_default();
            regions.insert(scope.region.to_string());
        }
        Self {
            at,
            serves,
            token: token.encode(),
            scopes: spans.write(),
        }
    }

    /// What is to be said where `before` was: of others what they said of themselves.
    ///
    /// # Errors
    /// If that is nothing that this version reads.
    pub(super) fn after(&self, before: Option<&[u8]>) -> Result<Bytes, String> {
        let mut keepers = entries(before)?;
        // whoever keeps no more than this one goes on from here just as well
        keepers.retain(|other| !other.is_within(self) && other.at > self.at.saturating_sub(OLD));
        keepers.sort_by_key(|other| other.at);
        let surplus = (keepers.len() + 1).saturating_sub(MAX_KEEPERS);
        keepers.drain(..surplus);
        keepers.push(self.clone());
        let form = Form {
            version: VERSION,
            keepers,
        };
        // names, numbers and strings: nothing that JSON has not
        Ok(serde_json::to_vec(&form).unwrap_or_default().into())
    }

    fn is_within(&self, other: &Self) -> bool {
        self.serves.iter().all(|(account, regions)| {
            let others = other.serves.get(account);
            others.is_some_and(|others| regions.is_subset(others))
        })
    }

    /// How many of these scopes it keeps.
    fn common(&self, served: &[Scope]) -> usize {
        let keeps = |scope: &&Scope| {
            let regions = self.serves.get(&*scope.account);
            regions.is_some_and(|regions| regions.contains(&*scope.region))
        };
        served.iter().filter(keeps).count()
    }
}

impl State {
    /// What a commit says to a keeper of these scopes: what was said last of most of
    /// them. Nothing, if nothing was said of any.
    pub(super) fn of(
        text: Option<&[u8]>,
        digest: &[u8; 16],
        served: &[Scope],
    ) -> Result<Self, StateError> {
        let entries = entries(text).map_err(StateError::Unreadable)?;
        let nearest = entries
            .into_iter()
            .map(|entry| (entry.common(served), entry.at, entry))
            .filter(|(common, ..)| *common > 0 || served.is_empty())
            .max_by_key(|(common, at, _)| (*common, *at));
        let Some((_, _, entry)) = nearest else {
            return Ok(Self::default());
        };
        let token = ResumeToken::decode(&entry.token, digest);
        let token = token.map_err(|error| {
            StateError::Unreadable(format!("has a resume token that cannot be read ({error})"))
        })?;
        Ok(Self {
            token: Some(token),
            spans: Spans::read(entry.scopes),
        })
    }
}

/// All that a commit says; nothing, if there was none.
fn entries(text: Option<&[u8]>) -> Result<Vec<Entry>, String> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let other = |error: serde_json::Error| format!("is not what it should be ({error})");
    let Versioned { version } = serde_json::from_slice(text).map_err(other)?;
    match version {
        1 => {
            let First { token, scopes } = serde_json::from_slice(text).map_err(other)?;
            let mut serves = BTreeMap::<String, BTreeSet<String>>::new();
            for (account, region) in scopes.iter().map(Written::scope) {
                let regions = serves.entry(account.to_owned()).or_default();
                regions.insert(region.to_owned());
            }
            // when it was committed is not told: anyone's is newer
            Ok(vec![Entry {
                at: 0,
                serves,
                token,
                scopes,
            }])
        }
        VERSION => {
            let Form { keepers, .. } = serde_json::from_slice(text).map_err(other)?;
            Ok(keepers)
        }
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
        let served = served(scopes);
        let spans = Spans::default();
        let token = ResumeToken::at(DIGEST, at);
        Entry::of(&served, &token, &spans, at)
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
        let text = after(&[entry(10, &[A, B]), entry(20, &[C])]);
        assert_eq!(from(text.as_ref(), &[A]), Some(10));
        assert_eq!(from(text.as_ref(), &[A, B, C]), Some(10));
        // what is kept by who keeps more is said once
        let text = after(&[entry(10, &[A]), entry(20, &[C]), entry(30, &[A, B])]);
        assert_eq!(entries(text.as_deref()).unwrap().len(), 2);
        assert_eq!(from(text.as_ref(), &[A]), Some(30));
        let text = after(&[entry(10, &[A, B]), entry(20, &[A])]);
        assert_eq!(from(text.as_ref(), &[A]), Some(20));
        assert_eq!(from(text.as_ref(), &[B]), Some(10));
    }

    #[test]
    fn only_so_many_positions_are_kept_and_none_that_is_of_no_use() {
        let account = |number: i64| format!("{number:012}");
        let many: Vec<_> = (0..100)
            .map(|number| entry(number, &[(&account(number), "us-east-1")]))
            .collect();
        let text = after(&many);
        assert_eq!(entries(text.as_deref()).unwrap().len(), MAX_KEEPERS);
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
    fn the_first_version_is_gone_on_with() {
        let token = ResumeToken::at(DIGEST, 5).encode();
        let text = format!(
            r#"{{"version":1,"token":"{token}","scopes":[{{"account":"{}","region":"{}","open":true,"spans":[[1,4]]}}]}}"#,
            A.0, A.1
        );
        let text = Bytes::from(text);
        assert_eq!(from(Some(&text), &[A]), Some(5));
        assert_eq!(from(Some(&text), &[C]), None);
        let next = entry(20, &[C]).after(Some(&text)).unwrap();
        assert_eq!(from(Some(&next), &[C]), Some(20));
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
