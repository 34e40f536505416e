//! What of a part is in the archive: kept beside it, so that a backfill that was
//! ended goes on where it was.
//!
//! It is written after the commit that makes it true. What a process read in between
//! and did not come to note is read again, and the archive takes no event twice.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{choice::hex, spans::Spans};

/// The form that is written here.
const VERSION: u32 = 1;
/// Files that could not be read which are kept by name, for another try. Where there
/// are more, nothing behind them is noted as loaded.
const MAX_FAILED: usize = 1000;

/// What of a part is in the archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// By the prefix of one scope's keys, those that are loaded. For good: a trail
    /// changes no file.
    spans: BTreeMap<String, Spans>,
    /// Files that were passed over since they could not be read.
    failed: BTreeSet<String>,
    /// Of these those that this process has read since, or found gone: what others
    /// note of them is older. Not noted, and no more than [`MAX_FAILED`]; what is
    /// beyond is tried once more.
    mended: BTreeSet<String>,
    /// How far a pass has come that did not end.
    pass: Option<Pass>,
}

/// A pass through a part.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Pass {
    /// What was chosen, in a word.
    choice: String,
    /// When the first of it was listed, in seconds since the Unix epoch.
    began: i64,
    /// Of files whose names say nothing: all up to this one are loaded.
    at: String,
}

/// As it is written.
#[derive(Deserialize, Serialize)]
struct Written {
    version: u32,
    /// For people.
    part: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    done: BTreeMap<String, Spans>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    failed: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pass: Option<Pass>,
}

/// What was noted of a part cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    /// A newer trailgate has written it.
    #[error(
        "what is noted of it has version {0}, and this trailgate knows {VERSION}; use a newer \
         trailgate, or read all again with --again"
    )]
    Newer(u32),
    /// It is damaged.
    #[error("what is noted of it is damaged ({0}); all of it is read again")]
    Damaged(String),
}

/// The name of what is noted of a part.
#[must_use]
pub(super) fn name_of(part: &str) -> String {
    format!("backfill/{}.json", hex(&Sha256::digest(part), 16))
}

impl Done {
    /// Reads what was noted.
    ///
    /// # Errors
    /// If it cannot be used.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unusable> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let damaged = |error: serde_json::Error| Unusable::Damaged(error.to_string());
        // a newer one may have anything beside
        let Version { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version > VERSION {
            return Err(Unusable::Newer(version));
        }
        let written: Written = serde_json::from_slice(bytes).map_err(damaged)?;
        Ok(Self {
            spans: written.done,
            failed: written.failed,
            mended: BTreeSet::new(),
            pass: written.pass,
        })
    }

    /// What is left of it for whoever reads all again: the files that could not be
    /// read, as some of them may not be chosen.
    #[must_use]
    pub(super) fn again(self) -> Self {
        Self {
            failed: self.failed,
            ..Self::default()
        }
    }

    /// As it is noted.
    #[must_use]
    pub(super) fn write(&self, part: &str) -> Bytes {
        let written = Written {
            version: VERSION,
            part: part.to_owned(),
            done: self.spans.clone(),
            failed: self.failed.clone(),
            pass: self.pass.clone(),
        };
        // strings and numbers: nothing that JSON has no form for
        serde_json::to_vec(&written).unwrap_or_default().into()
    }

    /// The last key of the loaded ones that this key is among. `prefix` is that of its
    /// scope and kind, which both begin with.
    #[must_use]
    pub(super) fn end_of(&self, prefix: &str, key: &str) -> Option<String> {
        let rest = key.strip_prefix(prefix)?;
        let end = self.spans.get(prefix)?.end_of(rest)?;
        Some(format!("{prefix}{end}"))
    }

    /// Notes that all keys of a scope and kind are loaded that come after `from`, up
    /// to `to`. All three begin with `prefix`.
    pub(super) fn add(&mut self, prefix: &str, from: &str, to: &str) {
        let (Some(from), Some(to)) = (from.strip_prefix(prefix), to.strip_prefix(prefix)) else {
            return;
        };
        self.spans
            .entry(prefix.to_owned())
            .or_default()
            .add(from, to);
    }

    /// Begins a pass, or goes on with one that chose the same; when it began.
    pub(super) fn begin(&mut self, choice: &str, now: i64) -> i64 {
        match &self.pass {
            Some(pass) if pass.choice == choice => pass.began,
            _ => {
                self.pass = Some(Pass {
                    choice: choice.to_owned(),
                    began: now,
                    at: String::new(),
                });
                now
            }
        }
    }

    /// The last file of those whose names say nothing that the pass has loaded.
    #[must_use]
    pub(super) fn at(&self) -> Option<&str> {
        self.pass.as_ref().map(|pass| pass.at.as_str())
    }

    /// Notes how far the pass is.
    pub(super) fn reach(&mut self, key: &str) {
        if let Some(pass) = &mut self.pass
            && pass.at.as_str() < key
        {
            key.clone_into(&mut pass.at);
        }
    }

    /// The pass has ended: the next one looks at all files anew whose names say
    /// nothing. `is_fixed`: files neither change nor come late, and what is loaded
    /// of them stays so.
    pub(super) fn end(&mut self, is_fixed: bool) {
        self.pass = None;
        if !is_fixed {
            self.spans.clear();
        }
    }

    /// Notes that a file could not be read; whether there was room to.
    #[must_use]
    pub(super) fn fail(&mut self, key: &str) -> bool {
        if self.failed.len() >= MAX_FAILED && !self.failed.contains(key) {
            return false;
        }
        self.mended.remove(key);
        self.failed.insert(key.to_owned());
        true
    }

    /// A file that could not be read was read, or is no more.
    pub(super) fn mend(&mut self, key: &str) {
        if let Some(key) = self.failed.take(key)
            && self.mended.len() < MAX_FAILED
        {
            self.mended.insert(key);
        }
    }

    /// Files that could not be read.
    #[must_use]
    pub(super) const fn failed(&self) -> &BTreeSet<String> {
        &self.failed
    }

    /// Adds what somebody else noted meanwhile: what is loaded, and with it the files
    /// therein that could not be read. Where there is no room for these, neither: what
    /// is not noted is read again.
    pub(super) fn merge(&mut self, other: &Self) {
        let more: Vec<_> = other
            .failed
            .difference(&self.mended)
            .filter(|key| !self.failed.contains(*key))
            .cloned()
            .collect();
        if self.failed.len() + more.len() > MAX_FAILED {
            return;
        }
        self.failed.extend(more);
        for (prefix, spans) in &other.spans {
            self.spans.entry(prefix.clone()).or_default().merge(spans);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "AWSLogs/1/CloudTrail/r/";

    fn key(rest: &str) -> String {
        format!("{PREFIX}{rest}")
    }

    #[test]
    fn what_is_noted_is_read_again() {
        let mut done = Done::default();
        assert_eq!(done.begin("all", 7), 7);
        done.add(PREFIX, PREFIX, &key("2024/01/02/x"));
        done.add(PREFIX, &key("2024/02/"), &key("2024/03/01/y"));
        done.add("elsewhere/", PREFIX, &key("z"));
        assert!(done.fail(&key("bad")));
        done.reach("b");
        done.reach("a");
        let read = Done::read(&done.write("s3://b/")).unwrap();
        assert_eq!(read, done);
        assert_eq!(read.at(), Some("b"));
        assert_eq!(
            read.end_of(PREFIX, &key("2024/01/01/x")),
            Some(key("2024/01/02/x"))
        );
        assert_eq!(read.end_of(PREFIX, &key("2024/01/03/x")), None);
        assert_eq!(read.end_of("elsewhere/", "elsewhere/a"), None);
        assert_eq!(name_of("s3://b/").len(), "backfill/".len() + 32 + 5);
        assert_ne!(name_of("s3://b/"), name_of("s3://c/"));
    }

    #[test]
    fn a_pass_goes_on_with_the_same_choice_alone() {
        let mut done = Done::default();
        done.begin("all", 7);
        done.reach("b");
        assert_eq!(done.begin("all", 9), 7);
        assert_eq!(done.at(), Some("b"));
        assert_eq!(done.begin("some", 9), 9);
        assert_eq!(done.at(), Some(""));
        done.add(PREFIX, PREFIX, &key("x"));
        let mut fixed = done.clone();
        fixed.end(true);
        assert_ne!(fixed, Done::default());
        assert_eq!(fixed.at(), None);
        done.end(false);
        assert_eq!(done, Done::default());
    }

    #[test]
    fn failures_have_a_bound_and_are_mended() {
        let mut done = Done::default();
        for n in 0..MAX_FAILED {
            assert!(done.fail(&n.to_string()));
        }
        assert!(!done.fail("more") && done.fail("7"));
        done.mend("7");
        assert!(done.fail("more"));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let read = |text: &str| Done::read(text.as_bytes()).unwrap_err();
        assert_eq!(read(r#"{"version":2,"done":7}"#), Unusable::Newer(2));
        for text in ["", "{}", r#"{"version":1,"part":1}"#, "\u{0}"] {
            assert!(matches!(read(text), Unusable::Damaged(_)), "{text}");
        }
    }

    #[test]
    fn what_two_have_noted_is_noted() {
        let mut one = Done::default();
        one.add(PREFIX, PREFIX, &key("b"));
        let mut other = Done::default();
        other.add(PREFIX, &key("b"), &key("d"));
        one.merge(&other);
        assert_eq!(one.end_of(PREFIX, &key("a")), Some(key("d")));
    }

    #[test]
    fn what_another_could_not_read_is_noted_beside_what_it_loaded() {
        let [mut one, mut other] = [Done::default(), Done::default()];
        for name in ["both", "mended", "broken again"] {
            assert!(one.fail(&key(name)) && other.fail(&key(name)));
        }
        assert!(other.fail(&key("c")));
        other.add(PREFIX, PREFIX, &key("d"));
        one.mend(&key("mended"));
        one.mend(&key("broken again"));
        assert!(one.fail(&key("broken again")));
        one.merge(&other);
        let failed = ["both", "broken again", "c"].map(key);
        assert_eq!(one.failed(), &BTreeSet::from(failed));
        assert_eq!(one.end_of(PREFIX, &key("c")), Some(key("d")));
        // another note of the other's has it still
        one.merge(&other);
        assert!(!one.failed().contains(&key("mended")));
    }

    #[test]
    fn what_another_loaded_is_not_noted_without_room_for_what_it_could_not_read() {
        let [mut one, mut other] = [Done::default(), Done::default()];
        for n in 1..MAX_FAILED {
            assert!(one.fail(&n.to_string()));
        }
        assert!(other.fail("1") && other.fail("x"));
        other.add(PREFIX, PREFIX, &key("d"));
        let mut full = one.clone();
        assert!(full.fail("last"));
        let before = full.clone();
        full.merge(&other);
        assert_eq!(full, before);
        one.merge(&other);
        assert!(one.failed().contains("x") && one.failed().len() == MAX_FAILED);
        assert_eq!(one.end_of(PREFIX, &key("c")), Some(key("d")));
    }

    #[test]
    fn who_reads_all_again_keeps_what_could_not_be_read() {
        let mut done = Done::default();
        done.begin("all", 7);
        done.add(PREFIX, PREFIX, &key("d"));
        assert!(done.fail(&key("c")));
        let again = done.again();
        assert_eq!(again.failed().len(), 1);
        assert_eq!((again.end_of(PREFIX, &key("c")), again.at()), (None, None));
    }
}
