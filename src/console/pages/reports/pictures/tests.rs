//! Every report of this server has a picture, of columns that it has.

use super::*;
use crate::proto::v1::{ReportCell, ReportColumn, ReportHeader, ReportValue};

const NOON: i64 = 1_714_996_800;

fn time(seconds: i64) -> Option<Value> {
    Some(Value::Time(prost_types::Timestamp { seconds, nanos: 0 }))
}

fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.to_owned()))
}

fn number(number: i64) -> Option<Value> {
    Some(Value::Integer(number))
}

fn truth(truth: bool) -> Option<Value> {
    Some(Value::Truth(truth))
}

/// The picture of a report of these rows.
fn drawn(name: &str, rows: Vec<Vec<Option<Value>>>) -> String {
    let picture = Picture::of(name);
    let column = |name: &&str| ReportColumn {
        name: (*name).to_owned(),
        ..ReportColumn::default()
    };
    let value = |name: &str, seconds| ReportValue {
        name: name.to_owned(),
        value: Some(ReportCell {
            value: time(seconds),
        }),
    };
    let read = Read {
        header: ReportHeader {
            columns: picture.columns().iter().map(column).collect(),
            parameters: vec![value("since", NOON - 30 * DAY), value("until", NOON)],
            as_of: Some(prost_types::Timestamp {
                seconds: NOON,
                nanos: 0,
            }),
        },
        shown: Vec::new(),
        rows: i64::try_from(rows.len()).unwrap(),
        drawn: rows,
        is_cut: false,
    };
    let report = Report {
        name: name.to_owned(),
        title: format!("Title of {name}"),
        ..Report::default()
    };
    picture.draw(&report, &read).unwrap().0
}

/// The texts of a picture's titles.
fn titles(svg: &str) -> Vec<&str> {
    let titles = svg.split("<title>").skip(1);
    titles.map(|rest| rest.split_once('<').unwrap().0).collect()
}

#[test]
fn calls_are_drawn_by_key_and_address() {
    let row = |key: &str, address: &str, calls| vec![text(key), text(address), number(calls)];
    let rows = vec![
        row("AKIA1", "192.0.2.1", 7),
        row("AKIA1", "192.0.2.2", 2),
        vec![None, text("s3.amazonaws.com"), number(4)],
    ];
    let svg = drawn("calls_by_key_address_principal", rows);
    assert_eq!(
        titles(&svg),
        [
            "AKIA1: 9 calls",
            "AKIA1, 192.0.2.1: 7 calls",
            "AKIA1, 192.0.2.2: 2 calls",
            "no key: 4 calls",
            "no key, s3.amazonaws.com: 4 calls"
        ]
    );
}

#[test]
fn failures_are_drawn_by_code_the_denied_hatched() {
    let row = |code, denied, calls| vec![text("arn:x"), code, truth(denied), number(calls)];
    let rows = vec![
        row(text("AccessDenied"), true, 3),
        row(text("NoSuchKey"), false, 1),
        row(None, false, 1),
    ];
    let svg = drawn("failed_calls_by_principal", rows);
    assert_eq!(
        titles(&svg),
        [
            "arn:x: 5 failed calls",
            "arn:x, AccessDenied (denied): 3 failed calls",
            "arn:x, NoSuchKey: 1 failed call",
            "arn:x, no code: 1 failed call"
        ]
    );
    // in the bar, and where it says what that is
    assert_eq!(svg.matches("url(#chart-hatch)").count(), 2);
}

#[test]
fn first_sights_are_drawn_by_kind() {
    let row = |kind: &str, value: &str, second| vec![text(kind), text(value), text("ann"), second];
    let rows = vec![
        row("address", "192.0.2.1", time(NOON - 60)),
        row("key", "AKIA1", time(NOON - DAY)),
        row("key", "AKIA2", None),
    ];
    for name in ["first_seen", "first_seen_places"] {
        let svg = drawn(name, rows.clone());
        assert_eq!(
            titles(&svg),
            [
                "key",
                "2024-05-05 12:00:00: AKIA1 by ann",
                "address",
                "2024-05-06 11:59:00: 192.0.2.1 by ann"
            ]
        );
    }
}

#[test]
fn actions_are_drawn_by_service() {
    let row = |action: &str, source: &str, calls, failed| {
        vec![text(action), text(source), number(calls), number(failed)]
    };
    let rows = vec![
        row("iam:GetRole", "iam.amazonaws.com", 2, 0),
        row("s3:GetObject", "s3.amazonaws.com", 9, 4),
    ];
    let svg = drawn("least_privilege", rows);
    assert_eq!(
        titles(&svg),
        [
            "s3:GetObject: 9 calls",
            "s3:GetObject, went well: 5 calls",
            "s3:GetObject, failed, and was allowed: 4 calls",
            "iam:GetRole: 2 calls",
            "iam:GetRole, went well: 2 calls"
        ]
    );
    assert!(svg.find(">s3.amazonaws.com<").unwrap() < svg.find(">iam.amazonaws.com<").unwrap());
}

#[test]
fn events_are_drawn_over_time_the_failed_as_crosses() {
    let row = |second, name: &str, failed, code| {
        vec![
            time(second),
            text("s3.amazonaws.com"),
            text(name),
            truth(failed),
            code,
        ]
    };
    let rows = vec![
        row(NOON - 2 * DAY, "GetObject", false, None),
        row(NOON - DAY, "PutObject", true, text("AccessDenied")),
    ];
    let svg = drawn("principal_timeline", rows);
    assert_eq!(
        titles(&svg),
        [
            "s3.amazonaws.com",
            "2024-05-04 12:00:00: GetObject",
            "2024-05-05 12:00:00: PutObject (AccessDenied)"
        ]
    );
    // and what they are
    assert_eq!(
        (
            svg.matches("class=\"cross\"").count(),
            svg.matches("class=\"dot\"").count()
        ),
        (2, 2)
    );

    let row = |name: &str, failed, reads| {
        vec![
            time(NOON - DAY),
            text(name),
            text("ann"),
            truth(failed),
            reads,
        ]
    };
    let rows = vec![
        row("GetObject", false, truth(true)),
        row("DeleteBucket", true, truth(false)),
        row("PutObject", false, None),
    ];
    let svg = drawn("resource_history", rows);
    let titles = titles(&svg);
    let lanes: Vec<_> = titles.iter().filter(|title| !title.contains(':')).collect();
    assert_eq!(lanes, [&"changes", &"reads", &"failed"]);
}

#[test]
fn root_is_drawn_by_day() {
    let day = |day: &str| Some(Value::Day(day.to_owned()));
    let rows = vec![
        vec![day("2024-05-05"), number(3), number(1)],
        vec![day("2024-05-05"), number(2), number(0)],
        vec![day("2024-05-01"), number(1), number(1)],
        vec![None, number(7), number(0)],
    ];
    let svg = drawn("root_usage", rows);
    assert_eq!(titles(&svg), ["2024-05-01: 1 call", "2024-05-05: 5 calls"]);
    assert!(
        svg.contains("6 calls from 2024-04-06 to 2024-05-06"),
        "{svg}"
    );
}

#[test]
fn what_is_unused_is_drawn_by_how_long() {
    let row =
        |kind: &str, name: &str, owner, made, used| vec![text(kind), text(name), owner, made, used];
    let rows = vec![
        row(
            "key",
            "AKIA1",
            text("ann"),
            time(NOON - 500 * DAY),
            time(NOON - 100 * DAY),
        ),
        row("key", "AKIA2", None, time(NOON - 200 * DAY), None),
        row("role", "Deploy", None, None, None),
    ];
    let svg = drawn("unused_keys_and_roles", rows);
    assert_eq!(
        titles(&svg),
        [
            "AKIA2: 200 days",
            "AKIA2, since it was made, never used: 200 days",
            "AKIA1 (ann): 100 days",
            "AKIA1 (ann), since it was last used: 100 days",
            "Deploy: unknown"
        ]
    );
}

#[test]
fn rows_of_any_other_form_are_no_harm() {
    for (name, picture) in PICTURES {
        assert!(!drawn(name, vec![vec![None; picture.columns().len()]; 3]).is_empty());
        assert!(!drawn(name, vec![vec![truth(true)]; 3]).is_empty());
        assert!(!drawn(name, vec![vec![number(-1); 9], vec![text("<b>"); 9]]).contains("<b>"));
    }
}

#[test]
fn a_report_that_is_not_known_has_no_picture() {
    assert!(Picture::of("tomorrows").columns().is_empty());
}

#[cfg(feature = "sql")]
#[test]
fn every_report_has_a_picture_of_its_columns() {
    let reports = crate::sql::reports();
    let names: Vec<_> = reports.iter().map(|report| report.name).collect();
    assert_eq!(names, PICTURES.map(|(name, _)| name));
    for report in reports {
        for column in Picture::of(report.name).columns() {
            assert!(report.text.contains(column), "{} {column}", report.name);
        }
    }
}
