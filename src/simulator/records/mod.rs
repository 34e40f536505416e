//! Records: from files to events as `LookupEvents` gives them.

mod file;
mod read;
mod shift;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use file::load;
pub use shift::shift_to;

use crate::event::{Category, LookupEvent, Origin, Parts, Principal, Scope};

/// Why an event has no place in any history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplaced {
    /// No readable time.
    #[error("no readable eventTime")]
    NoTime,
    /// No account.
    #[error(
        "no account: neither recipientAccountId nor userIdentity.accountId; --account gives one"
    )]
    NoAccount,
    /// No Region.
    #[error("no awsRegion; --region gives one")]
    NoRegion,
}

/// An event and the history that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its scope.
    pub scope: Scope,
    /// Its category.
    pub category: Category,
    /// The event. Without an `event_time` it has no place in a history.
    pub event: LookupEvent,
}

impl Record {
    /// An event of a scope; its record says its category, and its time if the
    /// event does not.
    #[must_use]
    pub fn new(scope: Scope, mut event: LookupEvent) -> Self {
        let read = Parts::from_lookup(&scope, event.clone(), 0);
        event.event_time = (!read.time_inferred).then_some(read.time);
        Self {
            category: category(&read),
            scope,
            event,
        }
    }

    /// The event of an `Event` object, in the scope that its record names,
    /// else in `fallback` (either part of which may be empty).
    ///
    /// # Errors
    ///
    /// [`Unplaced`] if neither says, or if it has no time.
    pub fn from_event(event: LookupEvent, fallback: Option<&Scope>) -> Result<Self, Unplaced> {
        let scope = fallback.cloned().unwrap_or_else(nowhere);
        let read = Parts::from_lookup(&scope, event.clone(), 0);
        Self::placed(&read, event)
    }

    /// The event of a bare record as log files hold it, with what AWS derives
    /// for `LookupEvents`.
    ///
    /// # Errors
    ///
    /// As for [`Self::from_event`].
    pub fn from_text(record: &str, fallback: Option<&Scope>) -> Result<Self, Unplaced> {
        let scope = fallback.cloned().unwrap_or_else(nowhere);
        let read = Parts::from_record(&scope, record.as_bytes(), Origin::LogFile, 0);
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let event = LookupEvent {
            event_id: given(&read.id),
            event_name: given(&read.name),
            event_source: given(&read.source),
            event_time: None,
            read_only: read.read_only.map(|flag| flag.to_string()),
            access_key_id: read.access_key_id.clone(),
            username: username(&read),
            resources: read.resources.clone(),
            record: Some(record.to_owned()),
        };
        Self::placed(&read, event)
    }

    fn placed(read: &Parts, event: LookupEvent) -> Result<Self, Unplaced> {
        let scope = Scope {
            account: read.account_id.clone(),
            region: read.region.clone(),
        };
        if read.time_inferred {
            return Err(Unplaced::NoTime);
        }
        if scope.account.is_empty() {
            return Err(Unplaced::NoAccount);
        }
        if scope.region.is_empty() {
            return Err(Unplaced::NoRegion);
        }
        Ok(Self {
            category: category(read),
            scope,
            event: LookupEvent {
                event_time: Some(read.time),
                ..event
            },
        })
    }
}

/// The scope of what names none.
fn nowhere() -> Scope {
    Scope::new("", "")
}

fn category(event: &Parts) -> Category {
    let insight = event.category.as_deref() == Some("Insight")
        || event.event_type.as_deref() == Some("AwsCloudTrailInsight");
    if insight {
        Category::Insight
    } else {
        Category::Management
    }
}

/// `Username` as AWS derives it: a role's session name, an IAM user's name,
/// `root`.
fn username(event: &Parts) -> Option<String> {
    let Principal {
        kind,
        user_name,
        session_name,
        ..
    } = event.principal.as_ref()?;
    match kind.as_deref() {
        Some("Root") => Some("root".to_owned()),
        _ => session_name.clone().or_else(|| user_name.clone()),
    }
}

/// Something that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and where.
    pub what: String,
}

/// What came of loading files.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What could be used.
    pub records: Vec<Record>,
    /// What could not, and why.
    pub problems: Vec<Problem>,
    /// How many files were read.
    pub files: usize,
}

#[cfg(test)]
mod derived {
    use super::*;

    fn record(user: &str, rest: &str) -> String {
        format!(
            r#"{{"eventTime":"2024-05-06T07:08:09Z","awsRegion":"eu-west-1","recipientAccountId":"111122223333","userIdentity":{user}{rest}}}"#
        )
    }

    #[test]
    fn what_aws_derives_is_derived() {
        for (user, name) in [
            (r#"{"type":"IAMUser","userName":"ann"}"#, Some("ann")),
            (
                r#"{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/Deploy/run-7","userName":"x"}"#,
                Some("run-7"),
            ),
            (r#"{"type":"Root","accountId":"1"}"#, Some("root")),
            (
                r#"{"type":"AWSService","invokedBy":"s3.amazonaws.com"}"#,
                None,
            ),
            (
                r#"{"type":"SAMLUser","userName":"ann@example.org"}"#,
                Some("ann@example.org"),
            ),
        ] {
            let made = Record::from_text(&record(user, ""), None).unwrap();
            assert_eq!(made.event.username.as_deref(), name, "{user}");
        }
        let rest = r#","eventID":"i","eventName":"n","eventSource":"s","readOnly":true,"resources":[{"type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::b"}]"#;
        let text = record(r#"{"accessKeyId":"AKIA"}"#, rest);
        let event = Record::from_text(&text, None).unwrap().event;
        assert_eq!(event.event_id.as_deref(), Some("i"));
        assert_eq!(event.event_name.as_deref(), Some("n"));
        assert_eq!(event.event_source.as_deref(), Some("s"));
        assert_eq!(event.read_only.as_deref(), Some("true"));
        assert_eq!(event.access_key_id.as_deref(), Some("AKIA"));
        assert_eq!(event.event_time, Some(1_714_979_289));
        assert_eq!(event.resources[0].name.as_deref(), Some("arn:aws:s3:::b"));
        assert_eq!(event.record, Some(text));
    }

    #[test]
    fn scopes_come_from_the_record_then_from_the_fallback() {
        let text =
            r#"{"eventTime":"2024-05-06T07:08:09Z","userIdentity":{"accountId":"444455556666"}}"#;
        assert_eq!(Record::from_text(text, None), Err(Unplaced::NoRegion));
        let fallback = Scope::new("111122223333", "eu-west-2");
        let made = Record::from_text(text, Some(&fallback)).unwrap();
        assert_eq!(made.scope, Scope::new("444455556666", "eu-west-2"));
        assert_eq!(
            Record::from_text("{}", Some(&fallback)),
            Err(Unplaced::NoTime)
        );
        let no_account = text.replace("accountId", "id");
        assert_eq!(
            Record::from_text(&no_account, None),
            Err(Unplaced::NoAccount)
        );
    }

    #[test]
    fn insights_are_told_by_category_or_type() {
        for (rest, category) in [
            (r#","eventCategory":"Insight""#, Category::Insight),
            (r#","eventType":"AwsCloudTrailInsight""#, Category::Insight),
            (r#","eventCategory":"Management""#, Category::Management),
            ("", Category::Management),
        ] {
            assert_eq!(
                Record::from_text(&record("{}", rest), None)
                    .unwrap()
                    .category,
                category
            );
        }
    }
}
