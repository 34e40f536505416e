//! Values of requests: what each may be, and what it is where it is not given.

use std::time::Duration;

use jiff::Timestamp;
use tonic::metadata::MetadataMap;

use super::super::status::Invalid;
use crate::{
    clock::Clock,
    event::{Category, TimeRange},
    filter::Operator,
    lookup::SummaryOf,
    proto::v1,
};

/// Events on a page where the request does not say.
const DEFAULT_PAGE: i32 = 50;
/// The most events on a page.
const MAX_PAGE: i32 = 1000;
/// The most bytes of events on a page.
pub(super) const PAGE_BYTES: usize = 3 * 1024 * 1024;
/// The least bytes of events on a page, however many scopes there are to speak
/// of: several of the largest events.
const LEAST_PAGE_BYTES: usize = 1024 * 1024;
/// Clients refuse longer messages, unless they are told otherwise.
const CLIENT_BYTES: usize = 4 * 1024 * 1024;
/// What stands beside events and scopes: most of it is the token, which has some
/// ten bytes a scope at worst.
const BESIDE_BYTES: usize = 128 * 1024;
/// The bytes that a scope takes in an answer, with the longest message.
const SCOPE_BYTES: usize = 300;
/// How old an answer for the unsettled window may be where the request does
/// not say.
pub(super) const DEFAULT_STALENESS: Duration = Duration::from_secs(30);
/// The values of a field that are told where the request does not say.
const DEFAULT_TOP_VALUES: i32 = 10;
/// The most values of a field that are told: ten fields' fit an answer.
const MAX_TOP_VALUES: i32 = 1000;

pub(super) const fn operator(operator: v1::Operator) -> Operator {
    match operator {
        v1::Operator::Unspecified | v1::Operator::Equals => Operator::Equals,
        v1::Operator::Prefix => Operator::Prefix,
        v1::Operator::Suffix => Operator::Suffix,
        v1::Operator::Contains => Operator::Contains,
        v1::Operator::Glob => Operator::Glob,
        v1::Operator::Regex => Operator::Regex,
        v1::Operator::Cidr => Operator::Cidr,
        v1::Operator::Exists => Operator::Exists,
    }
}

pub(super) fn category(value: i32) -> Result<Category, Invalid> {
    Ok(
        match enumerated::<v1::EventCategory>("event_category", value)? {
            v1::EventCategory::Unspecified | v1::EventCategory::Management => Category::Management,
            v1::EventCategory::Insight => Category::Insight,
        },
    )
}

pub(super) fn with_record(view: i32) -> Result<bool, Invalid> {
    Ok(enumerated::<v1::EventView>("view", view)? != v1::EventView::Basic)
}

/// An enum's value that a newer client may know and this server does not.
pub(super) fn enumerated<E: TryFrom<i32>>(field: &str, value: i32) -> Result<E, Invalid> {
    E::try_from(value).map_err(|_| {
        let message = format!("{value} is not a value of this enum that the server knows");
        Invalid::new("UNKNOWN_ENUM_VALUE", field, message)
    })
}

/// The most bytes of events on a page that speaks of so many scopes.
pub(super) fn page_bytes(scopes: usize) -> usize {
    let beside = BESIDE_BYTES.saturating_add(scopes.saturating_mul(SCOPE_BYTES));
    let room = CLIENT_BYTES.saturating_sub(beside);
    room.clamp(LEAST_PAGE_BYTES, PAGE_BYTES)
}

pub(super) fn page_size(size: i32) -> Result<usize, Invalid> {
    let size = if size == 0 { DEFAULT_PAGE } else { size };
    match usize::try_from(size) {
        Ok(events) if size <= MAX_PAGE => Ok(events),
        _ => {
            let message = format!("{size} is not within 1 to {MAX_PAGE}; 0 is {DEFAULT_PAGE}");
            Err(Invalid::new("INVALID_PAGE_SIZE", "page_size", message))
        }
    }
}

/// The most requests to buy; `None`: the request does not say.
pub(super) fn calls(calls: i32) -> Result<Option<u64>, Invalid> {
    match u64::try_from(calls) {
        Ok(calls) => Ok((calls > 0).then_some(calls)),
        Err(_) => Err(negative("max_upstream_calls", calls)),
    }
}

pub(super) fn top_values(values: i32) -> Result<usize, Invalid> {
    let values = if values == 0 {
        DEFAULT_TOP_VALUES
    } else {
        values
    };
    match usize::try_from(values) {
        Ok(most) if values <= MAX_TOP_VALUES => Ok(most),
        _ => {
            let message =
                format!("{values} is not within 1 to {MAX_TOP_VALUES}; 0 is {DEFAULT_TOP_VALUES}");
            Err(Invalid::new("INVALID_TOP_VALUES", "top_values", message))
        }
    }
}

/// The width of buckets in seconds.
pub(super) fn width(
    span: Option<&prost_types::Duration>,
    window: TimeRange,
) -> Result<i64, Invalid> {
    let Some(span) = span else {
        return Ok(SummaryOf::usual_width(window));
    };
    let invalid = |message| Err(Invalid::new("INVALID_BUCKET", "bucket", message));
    let (seconds, nanos) = (span.seconds, span.nanos);
    if seconds < 1 || nanos != 0 {
        return invalid(format!(
            "{seconds} s {nanos} ns is not a whole number of seconds from 1 on"
        ));
    }
    let (count, most) = (SummaryOf::buckets(window, seconds), SummaryOf::MAX_BUCKETS);
    if count > most {
        // one more than the window is long: it may begin inside a bucket
        let least = window.seconds() / (most - 1) + 1;
        return invalid(format!(
            "{seconds} s makes {count} buckets, and at most {most} are told; give {least} s or more"
        ));
    }
    Ok(seconds)
}

pub(super) fn negative(field: &str, value: impl std::fmt::Display) -> Invalid {
    Invalid::new(
        "NEGATIVE_VALUE",
        field,
        format!("{value} is negative; give 0 or more"),
    )
}

pub(super) fn staleness(span: Option<&prost_types::Duration>) -> Result<Duration, Invalid> {
    let Some(span) = span else {
        return Ok(DEFAULT_STALENESS);
    };
    Duration::try_from(*span).map_err(|_| {
        negative(
            "max_staleness",
            format_args!("{} s {} ns", span.seconds, span.nanos),
        )
    })
}

/// A time of the request in whole seconds, rounded down as AWS does.
pub(super) fn second(
    field: &'static str,
    time: Option<&prost_types::Timestamp>,
) -> Result<Option<i64>, Invalid> {
    let Some(time) = time else { return Ok(None) };
    // the years 1 to 9999: what a protobuf Timestamp may hold
    let is_time = (-62_135_596_800..=253_402_300_799).contains(&time.seconds)
        && (0..1_000_000_000).contains(&time.nanos);
    match is_time {
        true => Ok(Some(time.seconds)),
        false => {
            let message = format!(
                "{} s {} ns is no time; seconds since 1970 within the years 1 to 9999, and 0 to \
                 999999999 nanoseconds",
                time.seconds, time.nanos
            );
            Err(Invalid::new("INVALID_TIME", field, message))
        }
    }
}

pub(super) fn show(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |time| time.to_string())
}

/// When the answer must be on its way: a tenth of the time that the caller
/// allows, at most a quarter of a second, is left for the way back.
pub(super) fn deadline(metadata: &MetadataMap, timeout: Duration) -> tokio::time::Instant {
    let allowed = metadata
        .get("grpc-timeout")
        .and_then(|text| text.to_str().ok())
        .and_then(parse_timeout)
        .map_or(timeout, |allowed| allowed.min(timeout));
    let way_back = (allowed / 10).min(Duration::from_millis(250));
    Clock::deadline(allowed - way_back)
}

/// `grpc-timeout`: at most eight digits and a unit (gRPC over HTTP/2).
pub(super) fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn pages_of_many_scopes_are_what_clients_take() {
        assert_eq!(page_bytes(1), PAGE_BYTES);
        assert_eq!(page_bytes(1_000), PAGE_BYTES);
        let most = config::MAX_SCOPES;
        assert!(page_bytes(most) > 2 * LEAST_PAGE_BYTES);
        assert!(page_bytes(most) + most * SCOPE_BYTES + BESIDE_BYTES <= CLIENT_BYTES);
        assert_eq!(page_bytes(usize::MAX), LEAST_PAGE_BYTES);
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("250m", Some(Duration::from_millis(250))),
            ("999999999S", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("1x", None),
            ("1é", None),
        ] {
            assert_eq!(parse_timeout(text), expected, "{text}");
        }
    }
}
