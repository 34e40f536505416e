//! Texts: told apart by what they hold, and read, damaged ones as far as they
//! go.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Record;
use crate::{awsjson::event_from_json, event::Scope};

/// Unusable items of one file that are reported one by one; further ones are
/// counted.
const MAX_REPORTED: usize = 5;

/// What an object holds, told by its members.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(rename = "CloudTrailEvent", borrow)]
    cloud_trail_event: Option<&'a RawValue>,
    #[serde(rename = "EventId", borrow)]
    event_id: Option<&'a RawValue>,
}

/// An S3 log file, an AWS CLI answer, or a digest file.
#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(rename = "Records", borrow)]
    records: Option<Vec<&'a RawValue>>,
    #[serde(rename = "Events", borrow)]
    events: Option<Vec<&'a RawValue>>,
    #[serde(rename = "digestStartTime", borrow)]
    digest: Option<&'a RawValue>,
}

/// Reads all events of a text into `records`; `problem` hears of what cannot
/// be used.
pub(super) fn read(
    text: &str,
    fallback: Option<&Scope>,
    records: &mut Vec<Record>,
    problem: &mut impl FnMut(String),
) {
    let mut reader = Reader {
        fallback,
        records,
        problem,
        unusable: 0,
    };
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return reader.say("empty".to_owned());
    }
    match serde_json::from_str::<Whole<'_>>(text) {
        Ok(
            Whole {
                records: Some(list),
                ..
            }
            | Whole {
                events: Some(list), ..
            },
        ) => {
            for (i, item) in list.into_iter().enumerate() {
                reader.item(item.get(), || format!("record {}", i + 1));
            }
        }
        Ok(Whole {
            digest: Some(_), ..
        }) => {
            reader.say("a digest file: it holds no records".to_owned());
        }
        Ok(_) => reader.lines(text),
        Err(error) => match list_start(text) {
            Some(at) => reader.salvage(text, at, &error),
            None => reader.lines(text),
        },
    }
    reader.finish();
}

struct Reader<'a, P> {
    fallback: Option<&'a Scope>,
    records: &'a mut Vec<Record>,
    problem: &'a mut P,
    unusable: usize,
}

impl<P: FnMut(String)> Reader<'_, P> {
    fn say(&mut self, what: String) {
        (self.problem)(what);
    }

    /// One object: an `Event` or a record.
    fn item(&mut self, text: &str, place: impl Fn() -> String) {
        if let Err(what) = self.try_item(text) {
            self.unusable += 1;
            if self.unusable <= MAX_REPORTED {
                self.say(format!("{}: {what}; left out", place()));
            }
        }
    }

    fn try_item(&mut self, text: &str) -> Result<(), String> {
        let shape: Shape<'_> = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        let record = if shape.cloud_trail_event.is_some() || shape.event_id.is_some() {
            let event = event_from_json(text).map_err(|error| error.to_string())?;
            Record::from_event(event, self.fallback)
        } else {
            Record::from_text(text, self.fallback)
        };
        let record = record.map_err(|unplaced| unplaced.to_string())?;
        self.records.push(record);
        Ok(())
    }

    /// One object a line.
    fn lines(&mut self, text: &str) {
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() {
                self.item(line, || format!("line {}", i + 1));
            }
        }
    }

    /// Says how many unusable items were not reported.
    fn finish(&mut self) {
        if let Some(more @ 1..) = self.unusable.checked_sub(MAX_REPORTED) {
            self.say(format!("{more} more left out for such reasons"));
        }
    }

    /// The complete records of a list that is not whole, up to the damage.
    fn salvage(&mut self, text: &str, start: usize, error: &serde_json::Error) {
        let before = self.records.len();
        let mut at = start;
        while let Some(rest) = text.get(at..) {
            let trimmed = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
            at += rest.len() - trimmed.len();
            if !trimmed.starts_with('{') {
                break;
            }
            let mut stream = serde_json::Deserializer::from_str(trimmed).into_iter::<&RawValue>();
            let Some(Ok(item)) = stream.next() else {
                break;
            };
            let item = item.get();
            self.item(item, || format!("byte {at}"));
            at += item.len();
        }
        let saved = self.records.len() - before;
        self.say(format!(
            "{}: damaged at byte {at}; the {saved} records before are used",
            not_json(error)
        ));
    }
}

fn not_json(error: &serde_json::Error) -> String {
    if error.is_eof() {
        format!("JSON ends too early ({error})")
    } else {
        format!("not JSON of that kind ({error})")
    }
}

/// Where the list of a log file that is not whole begins.
fn list_start(text: &str) -> Option<usize> {
    let skip = |at: usize| {
        let rest = text.get(at..)?;
        Some(at + rest.len() - rest.trim_start().len())
    };
    let after = |at: usize, what: &str| {
        let at = skip(at)?;
        text.get(at..)?.starts_with(what).then_some(at + what.len())
    };
    let at = after(0, "{")?;
    let at = after(at, "\"Records\"").or_else(|| after(at, "\"Events\""))?;
    after(after(at, ":")?, "[")
}
