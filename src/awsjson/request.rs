//! A `LookupEvents` request, read and checked as AWS does.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Code, Error};
use crate::event::{Attribute, AttributeKey, Category};

/// What to do with more than one lookup attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Several {
    /// Refuse, as the API reference says.
    #[default]
    Refuse,
    /// Honour the first and pass over the rest, as has been observed.
    FirstOnly,
}

/// A `LookupEvents` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRequest {
    /// The kind of events.
    pub category: Category,
    /// The attribute asked by.
    pub attribute: Option<Attribute>,
    /// The earliest time asked for, in milliseconds since the Unix epoch.
    pub start_ms: Option<i64>,
    /// The latest time asked for, inclusive, in milliseconds since the Unix
    /// epoch.
    pub end_ms: Option<i64>,
    /// How many events to answer with: 1 to [`Self::MAX_RESULTS`].
    pub max_results: usize,
    /// `NextToken` of the page before.
    pub token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wire {
    lookup_attributes: Option<Vec<WireAttribute>>,
    start_time: Option<Value>,
    end_time: Option<Value>,
    event_category: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireAttribute {
    attribute_key: Option<String>,
    attribute_value: Option<String>,
}

impl LookupRequest {
    /// The most events of one answer, and how many there are if the request
    /// does not say (API reference, `MaxResults`).
    pub const MAX_RESULTS: usize = 50;

    /// Reads a request's body. Members that are unknown, or null, count as
    /// absent; so does everything in an empty body.
    ///
    /// # Errors
    ///
    /// AWS's own, by its codes.
    pub fn parse(body: &[u8], several: Several) -> Result<Self, Error> {
        let body = if body.trim_ascii().is_empty() {
            b"{}"
        } else {
            body
        };
        let wire: Wire = serde_json::from_slice(body).map_err(|e| {
            Error::new(
                Code::Serialization,
                format!("The request body cannot be read: {e}"),
            )
        })?;
        let request = Self {
            category: category(wire.event_category.as_deref())?,
            attribute: attribute(wire.lookup_attributes.unwrap_or_default(), several)?,
            start_ms: wire.start_time.as_ref().map(millis).transpose()?,
            end_ms: wire.end_time.as_ref().map(millis).transpose()?,
            max_results: max_results(wire.max_results)?,
            token: wire.next_token,
        };
        request.check()?;
        Ok(request)
    }

    /// Checks what holds between the members, and each one's range.
    ///
    /// # Errors
    ///
    /// AWS's own, by its codes.
    pub fn check(&self) -> Result<(), Error> {
        if !(1..=Self::MAX_RESULTS).contains(&self.max_results) {
            return Err(bad_max_results(&self.max_results.to_string()));
        }
        if let Some(Attribute { key, value }) = &self.attribute {
            let len = Attribute::value_len(value);
            if !(1..=Attribute::MAX_VALUE_LEN).contains(&len) {
                return Err(Error::new(
                    Code::InvalidLookupAttributes,
                    format!(
                        "The value of {key} has {len} characters; 1 to {} are allowed.",
                        Attribute::MAX_VALUE_LEN
                    ),
                ));
            }
            if !key.fits(self.category) {
                return Err(Error::new(
                    Code::InvalidLookupAttributes,
                    format!("Insights events cannot be looked up by {key}."),
                ));
            }
        }
        match (self.start_ms, self.end_ms) {
            (Some(start), Some(end)) if start > end => Err(Error::new(
                Code::InvalidTimeRange,
                "StartTime must not be after EndTime.",
            )),
            _ => Ok(()),
        }
    }

    /// The first whole second asked for.
    #[must_use]
    pub fn start_secs(&self) -> Option<i64> {
        self.start_ms
            .map(|ms| ms.div_euclid(1000) + i64::from(ms.rem_euclid(1000) > 0))
    }

    /// The last whole second asked for, inclusive.
    #[must_use]
    pub fn end_secs(&self) -> Option<i64> {
        self.end_ms.map(|ms| ms.div_euclid(1000))
    }
}

fn bad_max_results(given: &str) -> Error {
    Error::new(
        Code::InvalidMaxResults,
        format!(
            "MaxResults is {given}; it must be between 1 and {}.",
            LookupRequest::MAX_RESULTS
        ),
    )
}

fn max_results(given: Option<i64>) -> Result<usize, Error> {
    given.map_or(Ok(LookupRequest::MAX_RESULTS), |n| {
        usize::try_from(n).map_err(|_| bad_max_results(&n.to_string()))
    })
}

fn category(given: Option<&str>) -> Result<Category, Error> {
    match given {
        None => Ok(Category::Management),
        Some("insight") => Ok(Category::Insight),
        Some(other) => Err(Error::new(
            Code::InvalidEventCategory,
            format!("The event category {other:?} is not valid; only insight is."),
        )),
    }
}

fn attribute(given: Vec<WireAttribute>, several: Several) -> Result<Option<Attribute>, Error> {
    if given.len() > 1 && several == Several::Refuse {
        return Err(Error::new(
            Code::InvalidLookupAttributes,
            format!(
                "{} lookup attributes were given; only one is allowed.",
                given.len()
            ),
        ));
    }
    let Some(first) = given.into_iter().next() else {
        return Ok(None);
    };
    let (Some(key), Some(value)) = (first.attribute_key, first.attribute_value) else {
        return Err(Error::new(
            Code::InvalidLookupAttributes,
            "A lookup attribute needs AttributeKey and AttributeValue.",
        ));
    };
    let key: AttributeKey = key.parse().map_err(|_| {
        Error::new(
            Code::InvalidLookupAttributes,
            format!("There is no lookup attribute {key:?}; attribute keys are case-sensitive."),
        )
    })?;
    Ok(Some(Attribute::new(key, &value)))
}

/// Milliseconds of a time: epoch seconds, whole or not, as AWS JSON has them,
/// or RFC 3339, which hand-written clients send.
fn millis(value: &Value) -> Result<i64, Error> {
    let read = match value {
        Value::Number(number) => match number.as_i64() {
            Some(secs) => Some(secs.saturating_mul(1000)),
            // every f64 fits or saturates
            #[expect(
                clippy::cast_possible_truncation,
                reason = "saturates far beyond any time"
            )]
            None => number
                .as_f64()
                .filter(|n| n.is_finite())
                .map(|n| (n * 1000.0).round() as i64),
        },
        Value::String(text) => text.parse().ok().map(Timestamp::as_millisecond),
        _ => None,
    };
    read.ok_or_else(|| {
        Error::new(
            Code::Serialization,
            format!("{value} is not a time; send epoch seconds."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<LookupRequest, Code> {
        LookupRequest::parse(body.as_bytes(), Several::Refuse).map_err(|e| e.code)
    }

    #[test]
    fn absent_null_and_unknown_members_are_defaults() {
        let plain = parse("").unwrap();
        assert_eq!(plain.max_results, 50);
        assert_eq!(plain.category, Category::Management);
        for same in [
            "{}",
            r#"{"LookupAttributes":[],"NextToken":null,"StartTime":null,"X":1}"#,
        ] {
            assert_eq!(parse(same).unwrap(), plain);
        }
    }

    #[test]
    fn times_are_epoch_seconds_and_round_inwards() {
        let r = parse(r#"{"StartTime":1688989356,"EndTime":1.6889893575E9}"#).unwrap();
        assert_eq!(
            (r.start_secs(), r.end_secs()),
            (Some(1_688_989_356), Some(1_688_989_357))
        );
        let r = parse(r#"{"StartTime":10.2,"EndTime":"1970-01-01T00:00:12Z"}"#).unwrap();
        assert_eq!((r.start_secs(), r.end_secs()), (Some(11), Some(12)));
        let r = parse(r#"{"StartTime":-1.5,"EndTime":-1.5}"#).unwrap();
        assert_eq!((r.start_secs(), r.end_secs()), (Some(-1), Some(-2)));
        assert!(parse(r#"{"StartTime":1e30,"EndTime":1e31}"#).is_ok());
    }

    #[test]
    fn each_fault_has_its_code() {
        let two = r#"{"AttributeKey":"EventName","AttributeValue":"a"}"#;
        let long = "x".repeat(2001);
        let doubled = "_".repeat(1001);
        for (body, code) in [
            ("[", Code::Serialization),
            ("[]", Code::Serialization),
            (r#"{"MaxResults":"5"}"#, Code::Serialization),
            (r#"{"StartTime":"noon"}"#, Code::Serialization),
            (r#"{"StartTime":1e999}"#, Code::Serialization),
            (r#"{"MaxResults":0}"#, Code::InvalidMaxResults),
            (r#"{"MaxResults":51}"#, Code::InvalidMaxResults),
            (r#"{"MaxResults":-1}"#, Code::InvalidMaxResults),
            (r#"{"StartTime":2,"EndTime":1}"#, Code::InvalidTimeRange),
            (
                r#"{"EventCategory":"management"}"#,
                Code::InvalidEventCategory,
            ),
            (
                &format!(r#"{{"LookupAttributes":[{two},{two}]}}"#),
                Code::InvalidLookupAttributes,
            ),
            (
                r#"{"LookupAttributes":[{"AttributeKey":"eventName","AttributeValue":"a"}]}"#,
                Code::InvalidLookupAttributes,
            ),
            (
                r#"{"LookupAttributes":[{"AttributeKey":"EventName","AttributeValue":""}]}"#,
                Code::InvalidLookupAttributes,
            ),
            (
                r#"{"LookupAttributes":[{"AttributeKey":"EventName"}]}"#,
                Code::InvalidLookupAttributes,
            ),
            (
                &format!(
                    r#"{{"LookupAttributes":[{{"AttributeKey":"EventName","AttributeValue":"{long}"}}]}}"#
                ),
                Code::InvalidLookupAttributes,
            ),
            (
                &format!(
                    r#"{{"LookupAttributes":[{{"AttributeKey":"EventName","AttributeValue":"{doubled}"}}]}}"#
                ),
                Code::InvalidLookupAttributes,
            ),
            (
                r#"{"EventCategory":"insight","LookupAttributes":[{"AttributeKey":"Username","AttributeValue":"a"}]}"#,
                Code::InvalidLookupAttributes,
            ),
        ] {
            assert_eq!(parse(body).unwrap_err(), code, "{body}");
        }
    }

    #[test]
    fn the_first_of_several_attributes_can_be_honoured() {
        let body = r#"{"LookupAttributes":[{"AttributeKey":"EventName","AttributeValue":"a"},{"AttributeKey":"Username","AttributeValue":"b"}]}"#;
        let request = LookupRequest::parse(body.as_bytes(), Several::FirstOnly).unwrap();
        assert_eq!(
            request.attribute,
            Some(Attribute::new(AttributeKey::EventName, "a"))
        );
    }
}
