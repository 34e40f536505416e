//! History moved in time.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Record;
use crate::event::parse_time;

/// Moves all records by the same span, so that the newest of those that
/// `counts` holds for happens at `now` (in whole seconds since the Unix
/// epoch). The event's time and its record's
/// `eventTime` move together; every other character, and every other time in
/// the record, stays. A record whose `eventTime` cannot be found keeps its
/// text.
pub fn shift_to(now: i64, records: &mut [Record], counts: impl Fn(&Record) -> bool) {
    let newest = records
        .iter()
        .filter(|record| counts(record))
        .filter_map(|record| record.event.event_time)
        .max();
    let Some(by) = newest.and_then(|newest| now.checked_sub(newest)) else {
        return;
    };
    for record in records {
        let event = &mut record.event;
        event.event_time = event.event_time.map(|time| time.saturating_add(by));
        if let Some(moved) = event
            .record
            .as_deref()
            .and_then(|text| shift_text(text, by))
        {
            event.record = Some(moved);
        }
    }
}

#[derive(Deserialize)]
struct TimeOnly<'a> {
    #[serde(rename = "eventTime", borrow)]
    event_time: Option<&'a RawValue>,
}

fn shift_text(record: &str, by: i64) -> Option<String> {
    let raw = serde_json::from_str::<TimeOnly<'_>>(record)
        .ok()?
        .event_time?
        .get();
    let time: String = serde_json::from_str(raw).ok()?;
    let moved = Timestamp::from_second(parse_time(&time)?.checked_add(by)?).ok()?;
    // the value is borrowed from the record, so its place is in there
    let at = (raw.as_ptr() as usize).checked_sub(record.as_ptr() as usize)?;
    let (before, after) = (record.get(..at)?, record.get(at + raw.len()..)?);
    Some(format!("{before}\"{moved}\"{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_happens_now_and_only_times_change() {
        let record = |text: &str| Record::from_text(text, None).unwrap();
        let head = r#"{"awsRegion":"r", "recipientAccountId":"1","nested":{"eventTime":"2020-01-01T00:00:00Z"}"#;
        let mut records = vec![
            record(&format!(
                r#"{head}, "eventTime" : "2024-01-01T00:00:00Z","x":"\u00e9"}}"#
            )),
            record(&format!(r#"{head},"eventTime":"2024-01-02T00:00:00Z"}}"#)),
            record(
                r#"{"awsRegion":"r","recipientAccountId":"2","eventTime":"2024-01-03T00:00:00Z"}"#,
            ),
        ];
        shift_to(1_800_000_000, &mut records, |record| {
            &*record.scope.account == "1"
        });
        assert_eq!(records[1].event.event_time, Some(1_800_000_000));
        assert_eq!(records[0].event.event_time, Some(1_800_000_000 - 86_400));
        let moved = Timestamp::from_second(1_800_000_000 - 86_400).unwrap();
        assert_eq!(
            records[0].event.record.as_deref().unwrap(),
            format!(r#"{head}, "eventTime" : "{moved}","x":"\u00e9"}}"#)
        );
        shift_to(5, &mut records, |_| false);
        assert_eq!(records[1].event.event_time, Some(1_800_000_000));
        shift_to(5, &mut [], |_| true);
    }
}
