//! Cells of rows: as texts, and with ways to the events behind them.

use form_urlencoded::Serializer;
use jiff::Timestamp;
use maud::{Markup, html};

use super::{
    super::super::view::{View, number},
    read::Read,
};
use crate::{
    proto::v1::{ReportCell, ReportRow, report_cell::Value},
    when::rfc3339,
};

/// The longest value that events are asked by, in bytes.
const MAX_ASKED: usize = 300;

/// Cuts a text to so many characters, the last of which says so.
pub(super) fn cut(text: &mut String, most: usize) {
    if let Some((end, _)) = text.char_indices().nth(most) {
        let last = text.char_indices().nth(most.saturating_sub(1));
        text.truncate(last.map_or(end, |(last, _)| last));
        text.push('…');
    }
}

/// A cell as a file has it.
pub(super) fn text(cell: &ReportCell) -> String {
    match &cell.value {
        None => String::new(),
        Some(Value::Text(text) | Value::Day(text)) => text.clone(),
        Some(Value::Integer(number)) => number.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Truth(truth)) => truth.to_string(),
        Some(Value::Time(time)) => rfc3339(time.seconds),
    }
}

/// Ways from a report's cells to events.
pub(super) struct Links<'a> {
    names: Vec<&'a str>,
    /// All events of the time that the report is of.
    view: View,
}

impl<'a> Links<'a> {
    pub(super) fn new(now: Timestamp, read: &'a Read) -> Self {
        let names = read
            .header
            .columns
            .iter()
            .map(|column| column.name.as_str());
        let mut view = View::parse("", now);
        let second = |second: i64| Timestamp::from_second(second).ok();
        let from = read.second("since").and_then(second);
        // an end that is included
        let to = read
            .second("until")
            .and_then(|until| second(until.saturating_sub(1)));
        if let Some(from) = from {
            view.zoom(from, to.unwrap_or(now).max(from));
        }
        Self {
            names: names.collect(),
            view,
        }
    }

    fn at<'r>(&self, row: &'r ReportRow, name: &str) -> Option<&'r str> {
        let place = self.names.iter().position(|known| *known == name)?;
        match row.cells.get(place)?.value.as_ref()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is the row of an event that failed.
    pub(super) fn has_failed(&self, row: &ReportRow) -> bool {
        let place = self.names.iter().position(|known| *known == "failed");
        let cell = place.and_then(|place| row.cells.get(place));
        cell.and_then(|cell| cell.value.as_ref()) == Some(&Value::Truth(true))
    }

    /// A cell of a table.
    pub(super) fn cell(&self, row: &ReportRow, place: usize, cell: &ReportCell) -> Markup {
        let name = self.names.get(place).copied().unwrap_or_default();
        match &cell.value {
            None => html! { td {} },
            Some(Value::Time(time)) => {
                let second = Timestamp::from_second(time.seconds);
                let text = second.map_or_else(
                    |_| time.seconds.to_string(),
                    |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
                );
                html! { td class="time" { (text) } }
            }
            Some(Value::Day(day)) => html! { td class="time" { (day) } },
            Some(Value::Integer(integer)) => html! { td class="count" { (number(*integer)) } },
            Some(Value::Number(number)) => html! { td class="count" { (number) } },
            Some(Value::Truth(truth)) => html! { td { @if *truth { "yes" } @else { "no" } } },
            Some(Value::Text(text)) => html! {
                td { @match self.link(row, name, text) {
                    Some(link) => a href=(link) { bdi { (text) } },
                    None => bdi { (text) },
                } }
            },
        }
    }

    /// The events that a value is of.
    fn link(&self, row: &ReportRow, name: &str, value: &str) -> Option<String> {
        if value.is_empty() || value.len() > MAX_ASKED {
            return None;
        }
        let kind = || self.at(row, "kind").unwrap_or_default();
        let field = match name {
            "accessKeyId" => "AccessKeyId",
            "sourceIPAddress" | "address" => "sourceIPAddress",
            "eventName" => "EventName",
            "eventSource" => "EventSource",
            "errorCode" => "errorCode",
            "userAgent" => "userAgent",
            "principalId" => "userIdentity.principalId",
            "principal" | "actor" => of_principal(value),
            "value" => match kind() {
                "key" => "AccessKeyId",
                "principal" => of_principal(value),
                "address" => "sourceIPAddress",
                "user agent" => "userAgent",
                _ => return None,
            },
            "name" if kind() == "key" => return self.last_use(row, value),
            "eventID" => return self.event(row, value),
            _ => return None,
        };
        Some(self.view.link("/events", |view| view.narrow(field, value)))
    }

    /// The day before a key was used last, and that second: it may be years ago.
    fn last_use(&self, row: &ReportRow, key: &str) -> Option<String> {
        let place = self
            .names
            .iter()
            .position(|known| *known == "last_used_time")?;
        let Value::Time(last) = row.cells.get(place)?.value.as_ref()? else {
            return None;
        };
        let second = |second: i64| Timestamp::from_second(second).ok();
        let (from, to) = (
            second(last.seconds.saturating_sub(86_400))?,
            second(last.seconds)?,
        );
        let link = self.view.link("/events", |view| {
            view.zoom(from, to);
            view.narrow("AccessKeyId", key);
        });
        Some(link)
    }

    /// An event's own page.
    fn event(&self, row: &ReportRow, id: &str) -> Option<String> {
        let (account, region) = (self.at(row, "account_id")?, self.at(row, "region")?);
        let query = Serializer::new(String::new())
            .append_pair("id", id)
            .append_pair("account", account)
            .append_pair("region", region)
            .finish();
        Some(format!("/event?{query}"))
    }
}

/// The field by which events of a principal are found, as reports name it: by the role
/// rather than its session.
fn of_principal(principal: &str) -> &'static str {
    match principal {
        role if role.starts_with("arn:") && role.contains(":role/") => {
            "userIdentity.sessionContext.sessionIssuer.arn"
        }
        arn if arn.starts_with("arn:") => "userIdentity.arn",
        service if service.ends_with(".amazonaws.com") => "userIdentity.invokedBy",
        _ => "Username",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{ReportColumn, ReportHeader, ReportValue};

    fn text_cell(text: &str) -> ReportCell {
        let value = Some(Value::Text(text.to_owned()));
        ReportCell { value }
    }

    fn read(names: &[&str]) -> Read {
        let column = |name: &&str| ReportColumn {
            name: (*name).to_owned(),
            ..ReportColumn::default()
        };
        let time = |name: &str, seconds| ReportValue {
            name: name.to_owned(),
            value: Some(ReportCell {
                value: Some(Value::Time(prost_types::Timestamp { seconds, nanos: 0 })),
            }),
        };
        Read {
            header: ReportHeader {
                columns: names.iter().map(column).collect(),
                parameters: vec![time("since", 0), time("until", 86_400)],
                as_of: None,
            },
            shown: Vec::new(),
            drawn: Vec::new(),
            rows: 0,
            is_cut: false,
        }
    }

    fn link(names: &[&str], texts: &[&str], place: usize) -> String {
        let read = read(names);
        let links = Links::new(Timestamp::from_second(1_000_000).unwrap(), &read);
        let row = ReportRow {
            cells: texts.iter().map(|text| text_cell(text)).collect(),
        };
        links.cell(&row, place, &row.cells[place]).0
    }

    #[test]
    fn values_lead_to_the_events_behind_them() {
        const TIME: &str = "from=1970-01-01T00%3A00%3A00Z&amp;to=1970-01-01T23%3A59%3A59Z";
        let of = |name: &str, value: &str| link(&[name], &[value], 0);
        assert_eq!(
            of("accessKeyId", "AKIA1"),
            format!(
                "<td><a href=\"/events?AccessKeyId=AKIA1&amp;{TIME}\"><bdi>AKIA1</bdi></a></td>"
            )
        );
        for (name, value, field) in [
            (
                "principal",
                "arn:aws:iam::111122223333:role/a/B",
                "userIdentity.sessionContext.sessionIssuer.arn",
            ),
            (
                "principal",
                "arn:aws:iam::111122223333:user/ann",
                "userIdentity.arn",
            ),
            ("actor", "ec2.amazonaws.com", "userIdentity.invokedBy"),
            ("address", "192.0.2.1", "sourceIPAddress"),
        ] {
            let told = of(name, value);
            assert!(told.contains(&format!("?where={field}+%3D+%22")), "{told}");
            assert!(told.contains(TIME), "{told}");
        }
        let told = link(&["kind", "value"], &["key", "AKIA1"], 1);
        assert!(told.contains("AccessKeyId=AKIA1"), "{told}");
        let told = link(&["account_id", "region", "eventID"], &["1", "r", "a&b"], 2);
        assert!(
            told.contains("/event?id=a%26b&amp;account=1&amp;region=r"),
            "{told}"
        );
        for (name, value) in [
            ("account_id", "1"),
            ("value", "x"),
            ("principal", ""),
            ("eventID", "x"),
        ] {
            assert!(!of(name, value).contains("href"), "{name}");
        }
    }

    #[test]
    fn an_unused_key_leads_to_its_last_use() {
        let read = read(&["kind", "name", "last_used_time"]);
        let links = Links::new(Timestamp::from_second(1_000_000).unwrap(), &read);
        let used = prost_types::Timestamp {
            seconds: 200_000,
            nanos: 0,
        };
        let mut row = ReportRow {
            cells: vec![
                text_cell("key"),
                text_cell("AKIA1"),
                ReportCell {
                    value: Some(Value::Time(used)),
                },
            ],
        };
        let told = links.cell(&row, 1, &row.cells[1]).0;
        assert!(told.contains("AccessKeyId=AKIA1"), "{told}");
        assert!(told.contains("from=1970-01-02T07%3A33%3A20Z"), "{told}");
        assert!(told.contains("to=1970-01-03T07%3A33%3A20Z"), "{told}");
        row.cells[2].value = None;
        assert!(!links.cell(&row, 1, &row.cells[1]).0.contains("href"));
        row.cells[0] = text_cell("role");
        assert!(!links.cell(&row, 1, &row.cells[1]).0.contains("href"));
    }

    #[test]
    fn what_is_hostile_is_text() {
        let told = link(&["eventName"], &["\"><script>alert(1)</script>"], 0);
        assert!(!told.contains("<script"), "{told}");
        assert!(told.contains("&lt;script&gt;"), "{told}");
        assert!(!link(&["eventName"], &[&"x".repeat(301)], 0).contains("href"));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let of = |text: &str, most| {
            let mut text = text.to_owned();
            cut(&mut text, most);
            text
        };
        assert_eq!(of("äöü", 3), "äöü");
        assert_eq!(of("äöüx", 3), "äö…");
        assert_eq!(of("ab", 1), "…");
    }
}
