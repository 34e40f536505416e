//! Which files are loaded, and how far a listing may leap where none are.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::chosen::Why;
use crate::{
    collect::object_key::{Kind, ObjectKey, Place},
    event::{Event, is_account},
};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Which files are loaded. A list that is empty lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Accounts, as 12 digits.
    pub accounts: BTreeSet<String>,
    /// Accounts that are left out.
    pub without_accounts: BTreeSet<String>,
    /// Regions.
    pub regions: BTreeSet<String>,
    /// Regions that are left out.
    pub without_regions: BTreeSet<String>,
    /// The first day (UTC), by a second in it since the Unix epoch.
    pub since: Option<i64>,
    /// The last day (UTC), by a second in it since the Unix epoch.
    pub until: Option<i64>,
}

/// What to do about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Load its file.
    Load(Option<Found>),
    /// Go on to the next key.
    Pass,
    /// No key up to this one is of use. It need not exist.
    Leap {
        /// The key.
        to: String,
        /// The prefix of the keys of one scope and kind in which it stands, if what
        /// is leapt over are the days of it that were not asked for.
        within: Option<String>,
        /// Why no file up to there is chosen; `None`: none has records.
        why: Option<Why>,
    },
}

/// What the key of a trail's file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Whose records, and when they were delivered.
    pub(super) place: Place,
    /// The prefix of all keys of its scope and kind.
    pub(super) prefix: String,
}

impl Choice {
    /// Whether files of an account are loaded.
    #[must_use]
    pub fn has_account(&self, account: &str) -> bool {
        passes(&self.accounts, &self.without_accounts, account)
    }

    /// Whether files of a Region are loaded.
    #[must_use]
    pub fn has_region(&self, region: &str) -> bool {
        passes(&self.regions, &self.without_regions, region)
    }

    /// Why an account is left out, if it is.
    fn why_not_account(&self, account: &str) -> Option<Why> {
        if self.has_account(account) {
            return None;
        }
        Some(match self.without_accounts.contains(account) {
            true => Why::WithoutAccount,
            false => Why::Account,
        })
    }

    /// Why a Region is left out, if it is.
    fn why_not_region(&self, region: &str) -> Option<Why> {
        if self.has_region(region) {
            return None;
        }
        Some(match self.without_regions.contains(region) {
            true => Why::WithoutRegion,
            false => Why::Region,
        })
    }

    /// Whether an event is loaded of a file whose key does not say what is in it.
    #[must_use]
    pub(super) fn has(&self, event: &Event) -> bool {
        let day = event.time.div_euclid(DAY);
        self.has_account(event.account_id())
            && self.has_region(event.region())
            && self.since.is_none_or(|since| since.div_euclid(DAY) <= day)
            && self.until.is_none_or(|until| day <= until.div_euclid(DAY))
    }

    /// What to do about a key that was listed.
    #[must_use]
    pub(super) fn step(&self, key: &str) -> Step {
        let parsed = ObjectKey::parse(key);
        let Some(place) = parsed.place else {
            return self.step_elsewhere(key);
        };
        let (root, kind) = (&place.root, parsed.kind);
        let account = format!("{}{}/", root.as_str(), place.scope.account);
        if let why @ Some(_) = self.why_not_account(&place.scope.account) {
            return leap_past(&account, why);
        }
        let prefix = root.scope(kind, &place.scope);
        if !kind.has_records() {
            let region = format!("{}/", place.scope.region);
            return leap_past(prefix.strip_suffix(&region).unwrap_or(&prefix), None);
        }
        if let why @ Some(_) = self.why_not_region(&place.scope.region) {
            return leap_past(&prefix, why);
        }
        let day = place.time.div_euclid(DAY);
        if self.until.is_some_and(|until| until.div_euclid(DAY) < day) {
            return leap_past(&prefix, Some(Why::Until));
        }
        if let Some(since) = self.since.filter(|since| day < since.div_euclid(DAY))
            && let Some(to) = root.day(kind, &place.scope, since)
        {
            return Step::Leap {
                to,
                within: Some(prefix),
                why: Some(Why::Since),
            };
        }
        Step::Load(Some(Found { place, prefix }))
    }

    /// The key after which the days of a scope begin that are asked for. `None`: all
    /// are.
    #[must_use]
    pub(super) fn start_of(&self, kind: Kind, place: &Place) -> Option<String> {
        place.root.day(kind, &place.scope, self.since?)
    }

    /// What a bucket has beside trails' files, and files that were renamed.
    fn step_elsewhere(&self, key: &str) -> Step {
        // a bucket that several services log to has millions of theirs
        if let Some((account, service)) = service_of(key) {
            if let why @ Some(_) = self.why_not_account(account.1) {
                return leap_past(account.0, why);
            }
            if !Kind::of_segment(service.1).is_some_and(Kind::has_records) {
                return leap_past(service.0, None);
            }
        }
        // the archive may lie below the place
        if key
            .split('/')
            .any(|name| matches!(name, "_delta_log" | "_trailgate"))
        {
            return Step::Pass;
        }
        let name = key.rsplit('/').next().unwrap_or_default();
        let is_log = name.ends_with(".json.gz") || name.ends_with(".json");
        match is_log && !name.contains("_CloudTrail-Digest_") {
            true => Step::Load(None),
            false => Step::Pass,
        }
    }

    /// A word for this choice: another one has another.
    #[must_use]
    pub(super) fn word(&self) -> String {
        let mut hash = Sha256::new();
        let lists = [
            &self.accounts,
            &self.without_accounts,
            &self.regions,
            &self.without_regions,
        ];
        for list in lists {
            for name in list {
                hash.update(name.as_bytes());
                hash.update([0]);
            }
            hash.update([1]);
        }
        for day in [self.since, self.until] {
            let day = day.map(|second| second.div_euclid(DAY));
            hash.update(format!("{day:?}").as_bytes());
        }
        hex(&hash.finalize(), 8)
    }
}

/// The first bytes of a hash, in hexadecimal digits.
pub(super) fn hex(hash: &[u8], bytes: usize) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in hash.iter().take(bytes) {
        // a string takes everything
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn passes(wanted: &BTreeSet<String>, out: &BTreeSet<String>, name: &str) -> bool {
    (wanted.is_empty() || wanted.contains(name)) && !out.contains(name)
}

/// Past all keys with a prefix that ends in `/`.
fn leap_past(prefix: &str, why: Option<Why>) -> Step {
    Step::Leap {
        to: past(prefix),
        within: None,
        why,
    }
}

/// A text behind all that begin with a prefix that ends in `/`, and before all others
/// that a bucket may have behind these but itself.
fn past(prefix: &str) -> String {
    // the next character is a zero
    format!("{}0", prefix.strip_suffix('/').unwrap_or(prefix))
}

/// A part of a key that ends in a slash, and the last name in it.
type Part<'a> = (&'a str, &'a str);

/// The account and the service that a key below `AWSLogs/` belongs to.
fn service_of(key: &str) -> Option<(Part<'_>, Part<'_>)> {
    let mut at = match key.starts_with("AWSLogs/") {
        true => "AWSLogs/".len(),
        false => key.find("/AWSLogs/")? + "/AWSLogs/".len(),
    };
    let mut next = || -> Option<Part<'_>> {
        let name = key.get(at..)?.split_once('/')?.0;
        at += name.len() + 1;
        Some((key.get(..at)?, name))
    };
    let mut account = next()?;
    if account.1.starts_with("o-") {
        account = next()?;
    }
    let service = next()?;
    is_account(account.1).then_some((account, service))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Origin, Scope};

    fn set(name: &str) -> BTreeSet<String> {
        BTreeSet::from([name.to_owned()])
    }

    fn second(day: &str) -> i64 {
        crate::event::parse_time(&format!("{day}T12:00:00Z")).unwrap()
    }

    fn key(account: &str, kind: &str, region: &str, day: &str) -> String {
        let digits = day.replace('-', "");
        let path = day.replace('-', "/");
        format!(
            "p/AWSLogs/o-1/{account}/{kind}/{region}/{path}/{account}_{kind}_{region}_{digits}T0708Z_a.json.gz"
        )
    }

    const A: &str = "111122223333";
    const B: &str = "444455556666";

    #[test]
    fn a_listing_leaps_over_what_is_not_loaded() {
        let choice = Choice {
            accounts: set(A),
            regions: set("eu-west-1"),
            since: Some(second("2024-02-01")),
            until: Some(second("2024-03-31")),
            ..Choice::default()
        };
        let leap = |key: &str| match choice.step(key) {
            Step::Leap { to, why, .. } => (to, why),
            step => panic!("{step:?}"),
        };
        let logs = |rest: &str| format!("p/AWSLogs/o-1/{rest}");
        for (account, kind, region, day, to, why) in [
            (
                B,
                "CloudTrail",
                "eu-west-1",
                "2024-02-01",
                format!("{B}0"),
                Why::Account,
            ),
            (
                A,
                "CloudTrail",
                "eu-west-2",
                "2024-02-01",
                format!("{A}/CloudTrail/eu-west-20"),
                Why::Region,
            ),
            (
                A,
                "CloudTrail",
                "eu-west-1",
                "2024-01-31",
                format!("{A}/CloudTrail/eu-west-1/2024/02/01/"),
                Why::Since,
            ),
            (
                A,
                "CloudTrail",
                "eu-west-1",
                "2024-04-01",
                format!("{A}/CloudTrail/eu-west-10"),
                Why::Until,
            ),
        ] {
            let key = key(account, kind, region, day);
            let to = logs(&to);
            assert!(to > key);
            assert_eq!(leap(&key), (to, Some(why)));
        }
        for day in ["2024-02-01", "2024-03-31"] {
            let key = key(A, "CloudTrail-Insight", "eu-west-1", day);
            let Step::Load(Some(found)) = choice.step(&key) else {
                panic!("{key}");
            };
            assert_eq!(found.place.scope, Scope::new(A, "eu-west-1"));
            assert_eq!(
                found.prefix,
                logs(&format!("{A}/CloudTrail-Insight/eu-west-1/"))
            );
        }
    }

    #[test]
    fn other_services_and_digests_are_leapt_over_and_renamed_files_are_loaded() {
        let choice = Choice::default();
        let leap = |key: &str| match choice.step(key) {
            Step::Leap {
                to,
                within: None,
                why: None,
            } => to,
            step => panic!("{key}: {step:?}"),
        };
        assert_eq!(
            leap(&format!("AWSLogs/{A}/Config/eu-west-1/2024/1/1/x.json.gz")),
            format!("AWSLogs/{A}/Config0")
        );
        assert_eq!(
            leap(&format!(
                "x/AWSLogs/o-1/{A}/CloudTrail-Digest/eu-west-1/odd.json.gz"
            )),
            format!("x/AWSLogs/o-1/{A}/CloudTrail-Digest0")
        );
        let digest = format!(
            "AWSLogs/{A}/CloudTrail-Digest/eu-west-1/2024/02/01/{A}_CloudTrail-Digest_eu-west-1_t_eu-west-1_20240201T070809Z.json.gz"
        );
        assert_eq!(leap(&digest), format!("AWSLogs/{A}/CloudTrail-Digest0"));
        for key in ["a.json", "x/y.json.gz", "AWSLogs/1/CloudTrail/x.json.gz"] {
            assert_eq!(choice.step(key), Step::Load(None), "{key}");
        }
        let renamed = format!("AWSLogs/{A}/CloudTrail/eu-west-1/2024/02/01/x.json.gz");
        assert_eq!(choice.step(&renamed), Step::Load(None));
        for key in [
            "a/_delta_log/0.json",
            "_trailgate/x.json",
            "a.txt",
            "a_CloudTrail-Digest_b.json.gz",
            "a/json",
        ] {
            assert_eq!(choice.step(key), Step::Pass, "{key}");
        }
        let one = Choice {
            without_accounts: set(A),
            ..choice
        };
        assert!(matches!(
            one.step(&renamed),
            Step::Leap { to, within: None, why: Some(Why::WithoutAccount) } if to == format!("AWSLogs/{A}0")
        ));
    }

    #[test]
    fn events_are_chosen_by_what_they_say_where_keys_say_nothing() {
        let event = |time: &str| {
            let record = format!(r#"{{"eventTime":"{time}"}}"#);
            Event::from_record(&Scope::new(A, "r-1"), record.as_bytes(), Origin::LogFile, 0)
        };
        let choice = Choice {
            since: Some(second("2024-02-01")),
            until: Some(second("2024-02-02")),
            ..Choice::default()
        };
        let has = |time| choice.has(&event(time));
        assert!(has("2024-02-01T00:00:00Z") && has("2024-02-02T23:59:59Z"));
        assert!(!has("2024-01-31T23:59:59Z") && !has("2024-02-03T00:00:00Z"));
        let other = Choice {
            accounts: set(B),
            ..Choice::default()
        };
        assert!(!other.has(&event("2024-02-01T00:00:00Z")));
        assert_ne!(other.word(), choice.word());
        assert_eq!(other.word(), other.clone().word());
    }
}
