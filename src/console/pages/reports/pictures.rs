//! Which picture is which report's.

use maud::Markup;

use super::read::Read;
use crate::{
    chart::{Bar, Bars, Columns, Counted, Moment, Part, Timeline, Words},
    event::day_number,
    proto::v1::{Report, report_cell::Value},
};

/// A day, in seconds.
const DAY: i64 = 86_400;
const CALLS: Words = ("call", "calls");

/// A report's picture, and the columns that it is made of.
#[derive(Clone, Copy)]
pub(super) struct Picture {
    columns: &'static [&'static str],
    draw: fn(&Drawing<'_>) -> Markup,
}

/// All of them, by report.
const PICTURES: [(&str, Picture); 9] = [
    (
        "calls_by_key_address_principal",
        Picture {
            columns: &["accessKeyId", "sourceIPAddress", "calls"],
            draw: keys,
        },
    ),
    (
        "failed_calls_by_principal",
        Picture {
            columns: &["principal", "errorCode", "denied", "failed_calls"],
            draw: failures,
        },
    ),
    (
        "first_seen",
        Picture {
            columns: &["kind", "value", "actor", "first_time"],
            draw: sights,
        },
    ),
    (
        "first_seen_places",
        Picture {
            columns: &["kind", "value", "actor", "first_time"],
            draw: sights,
        },
    ),
    (
        "least_privilege",
        Picture {
            columns: &["action", "eventSource", "calls", "failed_calls"],
            draw: actions,
        },
    ),
    (
        "principal_timeline",
        Picture {
            columns: &[
                "eventTime",
                "eventSource",
                "eventName",
                "failed",
                "errorCode",
            ],
            draw: principal,
        },
    ),
    (
        "resource_history",
        Picture {
            columns: &["eventTime", "eventName", "principal", "failed", "readOnly"],
            draw: resource,
        },
    ),
    (
        "root_usage",
        Picture {
            columns: &["date", "calls", "failed_calls"],
            draw: root,
        },
    ),
    (
        "unused_keys_and_roles",
        Picture {
            columns: &["kind", "name", "owner", "created_time", "last_used_time"],
            draw: unused,
        },
    ),
];

impl Picture {
    /// That of a report; one that is not known here has none.
    pub(super) fn of(report: &str) -> Self {
        let none = Self {
            columns: &[],
            draw: root,
        };
        let mut all = PICTURES.into_iter();
        all.find(|(name, _)| *name == report)
            .map_or(none, |(_, picture)| picture)
    }

    /// The columns that it is made of.
    pub(super) fn columns(self) -> &'static [&'static str] {
        self.columns
    }

    /// The picture; `None`: there is none, or the report has not the columns.
    pub(super) fn draw(self, report: &Report, read: &Read) -> Option<Markup> {
        let has = |name: &&str| {
            read.header
                .columns
                .iter()
                .any(|column| column.name == **name)
        };
        if self.columns.is_empty() || !self.columns.iter().all(has) {
            return None;
        }
        Some((self.draw)(&Drawing { report, read }))
    }
}

/// What is drawn.
struct Drawing<'a> {
    report: &'a Report,
    read: &'a Read,
}

/// A row of the columns of a picture.
#[derive(Clone, Copy)]
struct Row<'a>(&'a [Option<Value>]);

impl<'a> Row<'a> {
    fn value(self, place: usize) -> Option<&'a Value> {
        self.0.get(place)?.as_ref()
    }

    /// A text, or what stands for none.
    fn text(self, place: usize, none: &str) -> String {
        match self.value(place) {
            Some(Value::Text(text)) if !text.is_empty() => text.clone(),
            _ => none.to_owned(),
        }
    }

    fn amount(self, place: usize) -> u64 {
        match self.value(place) {
            Some(Value::Integer(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    fn is(self, place: usize) -> bool {
        self.value(place) == Some(&Value::Truth(true))
    }

    /// A second since the Unix epoch.
    fn second(self, place: usize) -> Option<i64> {
        match self.value(place)? {
            Value::Time(time) => Some(time.seconds),
            Value::Day(day) => {
                let day = day_number(day.parse().ok()?);
                Some(i64::from(day) * DAY)
            }
            _ => None,
        }
    }
}

impl<'a> Drawing<'a> {
    fn rows(&self) -> impl Iterator<Item = Row<'a>> + use<'a> {
        self.read.drawn.iter().map(|row| Row(row))
    }

    fn title(&self) -> String {
        self.report.title.clone()
    }

    /// The time that the report is of.
    fn time(&self) -> (i64, i64) {
        let until = self.read.second("until").unwrap_or(self.read.as_of());
        (self.read.second("since").unwrap_or(until), until)
    }

    fn bars(&self, of: Words, counts: Words, bars: Vec<Bar>) -> Markup {
        let title = self.title();
        Bars {
            title,
            of,
            counts,
            bars,
        }
        .draw()
    }

    fn timeline(&self, first: Vec<&'static str>, moments: Vec<Moment>) -> Markup {
        let timeline = Timeline {
            title: self.title(),
            counts: ("event", "events"),
            kinds: ("went well", "failed"),
            time: self.time(),
            first,
            moments,
        };
        timeline.draw()
    }
}

fn plain(name: impl Into<String>) -> Part {
    Part {
        name: name.into(),
        is_marked: false,
    }
}

fn marked(name: impl Into<String>) -> Part {
    Part {
        name: name.into(),
        is_marked: true,
    }
}

/// Calls by key, each with its addresses.
fn keys(of: &Drawing<'_>) -> Markup {
    let bars = of.rows().map(|row| Bar {
        name: row.text(0, "no key"),
        pieces: vec![(plain(row.text(1, "no address")), row.amount(2))],
        ..Bar::default()
    });
    of.bars(("key", "keys"), CALLS, bars.collect())
}

/// Failed calls by principal, each with its errors.
fn failures(of: &Drawing<'_>) -> Markup {
    let bars = of.rows().map(|row| {
        let code = row.text(1, "no code");
        let part = match row.is(2) {
            true => marked(format!("{code} (denied)")),
            false => plain(code),
        };
        Bar {
            name: row.text(0, "nobody named"),
            pieces: vec![(part, row.amount(3))],
            ..Bar::default()
        }
    });
    of.bars(
        ("principal", "principals"),
        ("failed call", "failed calls"),
        bars.collect(),
    )
}

/// What was first seen when, by kind.
fn sights(of: &Drawing<'_>) -> Markup {
    let moments = of.rows().filter_map(|row| {
        Some(Moment {
            second: row.second(3)?,
            lane: row.text(0, "other"),
            is_cross: false,
            text: format!(
                "{} by {}",
                row.text(1, "nothing"),
                row.text(2, "nobody named")
            ),
        })
    });
    let first = vec![
        "principal",
        "key",
        "address",
        "user agent",
        "country",
        "city",
    ];
    let timeline = Timeline {
        title: of.title(),
        counts: ("first sight", "first sights"),
        kinds: ("first seen", "first seen"),
        time: of.time(),
        first,
        moments: moments.collect(),
    };
    timeline.draw()
}

/// Calls by action, those of one service together.
fn actions(of: &Drawing<'_>) -> Markup {
    let bars = of.rows().map(|row| {
        let failed = row.amount(3);
        Bar {
            name: row.text(0, "no action"),
            group: row.text(1, "no service"),
            pieces: vec![
                (plain("went well"), row.amount(2).saturating_sub(failed)),
                (marked("failed, and was allowed"), failed),
            ],
            note: "",
        }
    });
    of.bars(("action", "actions"), CALLS, bars.collect())
}

/// Events, by service.
fn principal(of: &Drawing<'_>) -> Markup {
    let moments = of.rows().filter_map(|row| {
        let name = row.text(2, "no name");
        Some(Moment {
            second: row.second(0)?,
            lane: row.text(1, "no service"),
            is_cross: row.is(3),
            text: match row.value(4) {
                Some(Value::Text(code)) => format!("{name} ({code})"),
                _ => name,
            },
        })
    });
    of.timeline(Vec::new(), moments.collect())
}

/// Events: what only read, what changed, and what failed.
fn resource(of: &Drawing<'_>) -> Markup {
    let moments = of.rows().filter_map(|row| {
        let lane = match (row.is(3), row.is(4)) {
            (true, _) => "failed",
            (false, true) => "reads",
            (false, false) => "changes",
        };
        Some(Moment {
            second: row.second(0)?,
            lane: lane.to_owned(),
            is_cross: row.is(3),
            text: format!(
                "{} by {}",
                row.text(1, "no name"),
                row.text(2, "nobody named")
            ),
        })
    });
    of.timeline(vec!["changes", "reads", "failed"], moments.collect())
}

/// Calls by day.
fn root(of: &Drawing<'_>) -> Markup {
    let all = of.rows().flat_map(|row| {
        let failed = row.amount(2);
        let amounts = [
            (plain("went well"), row.amount(1).saturating_sub(failed)),
            (marked("failed"), failed),
        ];
        let second = row.second(0);
        amounts.into_iter().filter_map(move |(part, amount)| {
            let second = second.filter(|_| amount > 0)?;
            Some(Counted {
                second,
                part,
                amount,
            })
        })
    });
    let columns = Columns {
        title: of.title(),
        counts: CALLS,
        time: of.time(),
        all: all.collect(),
    };
    columns.draw()
}

/// Days since the last use, or since what was never used was made.
fn unused(of: &Drawing<'_>) -> Markup {
    let as_of = of.read.as_of();
    let bars = of.rows().map(|row| {
        let name = row.text(1, "no name");
        let name = match row.value(2) {
            Some(Value::Text(owner)) if !owner.is_empty() => format!("{name} ({owner})"),
            _ => name,
        };
        let days = |second: i64| u64::try_from((as_of.saturating_sub(second)) / DAY).unwrap_or(0);
        let (made, used) = (row.second(3), row.second(4));
        let (pieces, note) = match (used, made) {
            (Some(used), _) => (vec![(plain("since it was last used"), days(used))], ""),
            (None, Some(made)) => (
                vec![(marked("since it was made, never used"), days(made))],
                "",
            ),
            (None, None) => (Vec::new(), "unknown"),
        };
        Bar {
            name,
            group: format!("{}s", row.text(0, "other")),
            pieces,
            note,
        }
    });
    of.bars(
        ("key or role", "keys and roles"),
        ("day", "days"),
        bars.collect(),
    )
}

#[cfg(test)]
mod tests;
