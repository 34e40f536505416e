//! Events as a table for people.

mod chosen;
mod column;
mod grid;

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, Width, presets::NOTHING};

pub(super) use self::{
    chosen::Chosen,
    column::Column,
    grid::{Head, grid},
};
use super::view::{bold, red};
use crate::proto::v1::{Event, Identity};
pub(super) use crate::sheet::printable;

/// Characters between columns.
pub(in crate::cli) const GAP: usize = 2;

/// Writes events as rows below one header; the first batch decides how wide
/// the columns are, and they stay so.
#[derive(Debug)]
pub(super) struct Rows {
    /// The terminal's width in characters, if it is one.
    width: Option<usize>,
    /// What to show, in this order.
    columns: Vec<Chosen>,
    /// Their widths, once there was an event.
    widths: Option<Vec<usize>>,
    /// The header in bold, and what failed in red.
    color: bool,
}

impl Rows {
    /// A table of these columns; of none: of those that fit.
    pub(super) fn new(columns: &[Chosen], width: Option<usize>) -> Self {
        let columns = match columns {
            [] => fitting(width).into_iter().map(Chosen::from).collect(),
            chosen => chosen.to_vec(),
        };
        Self {
            width,
            columns,
            widths: None,
            color: false,
        }
    }

    /// The same, with the header in bold, and what failed in red.
    pub(super) fn colored(self, color: bool) -> Self {
        Self { color, ..self }
    }

    /// The lines for a batch of events.
    pub(super) fn lines(&mut self, events: &[Event]) -> Vec<String> {
        if events.is_empty() {
            return Vec::new();
        }
        let cells = |event| -> Vec<String> {
            let columns = self.columns.iter();
            columns.map(|column| column.cell(event)).collect()
        };
        let mut rows: Vec<Vec<String>> = events.iter().map(cells).collect();
        let has_header = self.widths.is_none();
        let widths = match &self.widths {
            Some(widths) => widths,
            None => {
                let header = self.columns.iter().map(Chosen::header);
                rows.insert(0, header.collect());
                self.widths.insert(widths(&self.columns, &rows, self.width))
            }
        };
        let mut table = Table::new();
        table
            .load_preset(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_truncation_indicator("…");
        let total = widths.iter().sum::<usize>() + GAP * widths.len();
        table.set_width(u16::try_from(total).unwrap_or(u16::MAX));
        for row in rows {
            let mut row = Row::from(row);
            row.max_height(1);
            table.add_row(row);
        }
        for (column, width) in table.column_iter_mut().zip(widths) {
            column.set_padding((0, 2));
            let width = u16::try_from(width + GAP).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
        let lines = table.lines().map(|line| line.trim_end().to_owned());
        if !self.color {
            return lines.collect();
        }
        // a row is a line
        let header = has_header.then_some(None).into_iter();
        let rows = header.chain(events.iter().map(Some));
        let colored = lines.zip(rows).map(|(line, row)| match row {
            None => bold(&line),
            Some(event) if has_failed(event) => red(&line),
            Some(_) => line,
        });
        colored.collect()
    }
}

fn has_failed(event: &Event) -> bool {
    !event.error_code.is_empty() || !event.error_message.is_empty()
}

/// Events as rows of CSV: these columns, or none: all fields.
#[derive(Debug)]
pub(super) struct Fields(Vec<Chosen>);

impl Fields {
    pub(super) fn new(columns: &[Chosen]) -> Self {
        Self(match columns {
            [] => Column::FIELDS.map(Chosen::from).to_vec(),
            chosen => chosen.to_vec(),
        })
    }

    /// The columns' names.
    pub(super) fn header(&self) -> Vec<String> {
        self.0.iter().map(Chosen::name).collect()
    }

    /// What an event has in them.
    pub(super) fn row(&self, event: &Event) -> Vec<String> {
        self.0.iter().map(|column| column.value(event)).collect()
    }
}

/// The usual columns, without those for which the terminal has no room.
fn fitting(width: Option<usize>) -> Vec<Column> {
    let mut columns = Column::USUAL.to_vec();
    for dispensable in Column::DISPENSABLE {
        let needed: usize = columns.iter().map(|column| column.narrowest()).sum();
        if width.is_none_or(|width| needed <= room(columns.len(), width)) {
            break;
        }
        columns.retain(|column| *column != dispensable);
    }
    columns
}

/// What a line has for the cells.
fn room(columns: usize, width: usize) -> usize {
    width.saturating_sub(GAP * columns.saturating_sub(1))
}

/// As wide as these rows need, at least as usual, and within what a column
/// gets at most; if that is more than the terminal has, the widest columns
/// give way first.
fn widths(columns: &[Chosen], rows: &[Vec<String>], width: Option<usize>) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(Chosen::usual).collect();
    for row in rows {
        for ((width, cell), column) in widths.iter_mut().zip(row).zip(columns) {
            *width = cell.chars().count().min(column.widest()).max(*width);
        }
    }
    let Some(width) = width else {
        return widths;
    };
    let room = room(columns.len(), width);
    while widths.iter().sum::<usize>() > room {
        let above = |(width, column): &(&mut usize, &Chosen)| {
            // chosen columns may be more than fit at their narrowest
            (width.saturating_sub(column.narrowest()), **width)
        };
        match widths.iter_mut().zip(columns).max_by_key(above) {
            Some((width, _)) if *width > 1 => *width -= 1,
            _ => break,
        }
    }
    widths
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
    fn columns_have_room_for_later_events_and_stay_as_they_are() {
        let mut rows = Rows::new(&[], None);
        let mut first = rows.lines(&[event("PutObject")]);
        assert_eq!(first.len(), 2);
        assert_eq!(
            first.remove(0).split_whitespace().collect::<Vec<_>>(),
            [
                "TIME", "EVENT", "SOURCE", "WHO", "SCOPE", "ADDRESS", "ERROR", "RESOURCE"
            ]
        );
        let later = rows.lines(&[event("DeleteBucketPolicy")]);
        let start = |line: &String| line.find("s3.amazonaws.com").unwrap();
        assert_eq!(start(&later[0]), start(&first[0]));
        assert!(later[0].contains(" DeleteBucketPolicy "), "{later:?}");
        assert!(rows.lines(&[]).is_empty());
    }

    #[test]
    fn a_narrow_terminal_cuts_the_widest_columns_and_goes_without_some() {
        let mut long = event(&"N".repeat(60));
        long.error_code = "E\u{1b}[2J".to_owned();
        long.source_ip_address = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".to_owned();
        for (width, columns) in [(40, 3), (80, 5), (100, 6), (120, 7), (130, 8), (200, 8)] {
            let lines = Rows::new(&[], Some(width)).lines(std::slice::from_ref(&long));
            assert_eq!(lines.len(), 2);
            let fits = |line: &String| line.chars().count() <= width;
            assert!(lines.iter().all(fits), "{lines:#?}");
            assert!(lines[1].contains("N…"), "{lines:#?}");
            assert!(!lines.concat().contains('\u{1b}'));
            assert_eq!(lines[0].split_whitespace().count(), columns, "{lines:#?}");
        }
    }

    #[test]
    fn chosen_columns_are_all_there() {
        let columns = [Column::Error, Column::Id, Column::Agent, Column::Scope].map(Chosen::from);
        let mut failed = event("ConsoleLogin");
        failed.error_message = "Failed authentication".to_owned();
        let lines = Rows::new(&columns, None).lines(std::slice::from_ref(&failed));
        assert!(lines[1].starts_with("Failed authentication  "), "{lines:?}");
        let lines = Rows::new(&columns, Some(60)).lines(&[failed]);
        assert!(lines.iter().all(|line| line.chars().count() <= 60));
        let header: Vec<_> = lines[0].split_whitespace().collect();
        assert_eq!(header, ["ERROR", "ID", "AGENT", "SCOPE"]);
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
