//! Events as a table for people.

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, Width, presets::NOTHING};

use super::time::rfc3339;
use crate::proto::v1::{Event, Identity};

const HEADER: [&str; 7] = [
    "TIME", "EVENT", "SOURCE", "WHO", "SCOPE", "ERROR", "RESOURCE",
];
/// The widest that a column gets, in characters: what most events need.
const WIDEST: [usize; 7] = [20, 40, 36, 44, 32, 32, 60];
/// The narrowest that a column is cut to: with the gaps, a terminal's usual 80
/// characters.
const NARROWEST: [usize; 7] = [20, 10, 8, 8, 10, 5, 7];
/// Between columns.
const GAP: usize = 2;

/// Writes events as rows below one header; the first batch decides how wide
/// the columns are.
#[derive(Debug)]
pub(super) struct Rows {
    /// The terminal's width in characters, if it is one.
    width: Option<usize>,
    columns: Option<[usize; 7]>,
}

impl Rows {
    pub(super) const fn new(width: Option<usize>) -> Self {
        Self {
            width,
            columns: None,
        }
    }

    /// The lines for a batch of events.
    pub(super) fn lines(&mut self, events: &[Event]) -> Vec<String> {
        if events.is_empty() {
            return Vec::new();
        }
        let mut rows: Vec<[String; 7]> = events.iter().map(cells).collect();
        let columns = match self.columns {
            Some(columns) => columns,
            None => {
                rows.insert(0, HEADER.map(str::to_owned));
                *self.columns.insert(fit(&rows, self.width))
            }
        };
        let mut table = Table::new();
        table
            .load_preset(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_truncation_indicator("…");
        let total = columns.iter().sum::<usize>() + GAP * columns.len();
        table.set_width(u16::try_from(total).unwrap_or(u16::MAX));
        for row in rows {
            let mut row = Row::from(row);
            row.max_height(1);
            table.add_row(row);
        }
        for (column, width) in table.column_iter_mut().zip(columns) {
            column.set_padding((0, 2));
            let width = u16::try_from(width + GAP).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
        table
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }
}

/// As wide as these rows need, within [`WIDEST`]; if that is more than the
/// terminal has, the widest columns give way first.
fn fit(rows: &[[String; 7]], width: Option<usize>) -> [usize; 7] {
    let mut columns = [1; 7];
    for row in rows {
        for ((column, cell), widest) in columns.iter_mut().zip(row).zip(WIDEST) {
            *column = cell.chars().count().min(widest).max(*column);
        }
    }
    let Some(width) = width else {
        return columns;
    };
    let room = width.saturating_sub(GAP * (columns.len() - 1));
    while columns.iter().sum::<usize>() > room {
        let widest = columns
            .iter_mut()
            .zip(NARROWEST)
            .filter(|(column, narrowest)| **column > *narrowest)
            .max_by_key(|(column, narrowest)| **column - *narrowest);
        match widest {
            Some((column, _)) => *column -= 1,
            // narrower than that is no table: let the terminal wrap it
            None => break,
        }
    }
    columns
}

fn cells(event: &Event) -> [String; 7] {
    let time = event.event_time.as_ref();
    [
        time.map(|time| rfc3339(time.seconds)).unwrap_or_default(),
        printable(&event.event_name),
        printable(&event.event_source),
        printable(&who(event)),
        printable(&format!("{}/{}", event.account_id, event.region)),
        printable(&event.error_code),
        printable(&resource(event)),
    ]
}

/// Who made the call, in the words people know them by: `role/session`, a
/// user's name, a service.
pub(super) fn who(event: &Event) -> String {
    let none = Identity::default();
    let identity = event.identity.as_ref().unwrap_or(&none);
    if !identity.role_name.is_empty() && !identity.session_name.is_empty() {
        return format!("{}/{}", identity.role_name, identity.session_name);
    }
    [
        &event.username,
        &identity.user_name,
        &identity.session_name,
        &identity.invoked_by,
        &identity.arn,
        &identity.r#type,
    ]
    .into_iter()
    .find(|name| !name.is_empty())
    .cloned()
    .unwrap_or_default()
}

/// The first resource with a name, and how many more there are.
fn resource(event: &Event) -> String {
    let mut named = event
        .resources
        .iter()
        .map(|resource| resource.name.as_str())
        .filter(|name| !name.is_empty());
    match (named.next(), named.count()) {
        (None, _) => String::new(),
        (Some(name), 0) => name.to_owned(),
        (Some(name), more) => format!("{name} +{more}"),
    }
}

/// Text without control characters, which a caller of AWS could use to draw on
/// the terminal of whoever reads the log.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;
    use crate::proto::v1::Resource;

    fn event(name: &str) -> Event {
        Event {
            event_time: Some(Timestamp {
                seconds: 1_714_979_289,
                nanos: 0,
            }),
            event_name: name.to_owned(),
            event_source: "s3.amazonaws.com".to_owned(),
            account_id: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
            username: "alice".to_owned(),
            resources: ["", "bucket", "key"]
                .map(|name| Resource {
                    r#type: String::new(),
                    name: name.to_owned(),
                })
                .to_vec(),
            ..Event::default()
        }
    }

    #[test]
    fn columns_are_as_wide_as_they_need_and_stay_so() {
        let mut rows = Rows::new(None);
        assert_eq!(
            rows.lines(&[event("PutObject")]),
            [
                "TIME                  EVENT      SOURCE            WHO    SCOPE                   ERROR  RESOURCE",
                "2024-05-06T07:08:09Z  PutObject  s3.amazonaws.com  alice  111122223333/eu-west-1         bucket +1",
            ]
        );
        assert_eq!(
            rows.lines(&[event("DeleteBucketPolicy")]),
            [
                "2024-05-06T07:08:09Z  DeleteBu…  s3.amazonaws.com  alice  111122223333/eu-west-1         bucket +1"
            ]
        );
        assert!(rows.lines(&[]).is_empty());
    }

    #[test]
    fn a_narrow_terminal_cuts_the_widest_columns() {
        let mut long = event(&"N".repeat(60));
        long.error_code = "E\u{1b}[2J".to_owned();
        for width in [80, 110] {
            let lines = Rows::new(Some(width)).lines(std::slice::from_ref(&long));
            assert_eq!(lines.len(), 2);
            let fits = |line: &String| line.chars().count() <= width;
            assert!(lines.iter().all(fits), "{lines:#?}");
            assert!(lines[1].contains("NNN…"), "{lines:#?}");
            assert!(!lines.concat().contains('\u{1b}'));
        }
    }

    #[test]
    fn a_role_is_told_with_its_session() {
        let mut event = event("a");
        assert_eq!(who(&event), "alice");
        event.identity = Some(Identity {
            role_name: "Deploy".to_owned(),
            session_name: "alice".to_owned(),
            ..Identity::default()
        });
        assert_eq!(who(&event), "Deploy/alice");
    }
}
