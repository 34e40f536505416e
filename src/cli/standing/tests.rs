use super::*;
use crate::proto::v1::ScopeCoverage;

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

fn scope() -> Scope {
    Scope {
        account_id: "111122223333".to_owned(),
        region: "eu-central-1".to_owned(),
        state: ScopeState::Denied.into(),
        requests_per_second: 1.333,
        max_requests_per_second: 2.0,
        waiting_calls: 3,
        estimated_wait: Some(prost_types::Duration {
            seconds: 1,
            nanos: 500_000_000,
        }),
        coverage: Some(ScopeCoverage {
            seconds: 45 * 86_400,
            oldest_time: at(0),
            newest_time: at(3600),
            events: 1234,
            spans: vec![HeldSpan {
                start_time: at(0),
                end_time: at(3600),
                seconds: 3600,
            }],
            ..ScopeCoverage::default()
        }),
        requests_bought: 77,
        requests_throttled: 5,
        last_error: "UPSTREAM_ACCESS_DENIED".to_owned(),
        denied_until: at(7200),
        ..Scope::default()
    }
}

#[test]
fn a_scope_is_a_line_that_fits() {
    let scope = scope();
    let standings = [Standing::of(&scope)];
    let lines = table(&standings, None);
    assert_eq!(
        lines[1]
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect::<Vec<_>>(),
        [
            "111122223333/eu-central-1",
            "denied",
            "1.33/2",
            "3, 2 s",
            "50.0%",
            "1970-01-01T00:00:00Z",
            "1970-01-01T01:00:00Z",
            "1234",
            "77",
            "5",
            "UPSTREAM_ACCESS_DENIED not asked until 1970-01-01T02:00:00Z",
        ]
    );
    for (width, columns) in [(60, 5), (90, 6), (100, 8), (125, 9), (140, 10), (160, 11)] {
        let lines = table(&standings, Some(width));
        assert_eq!(lines.len(), 2);
        assert!(
            lines.iter().all(|line| line.chars().count() <= width),
            "{lines:#?}"
        );
        let header = lines[0].replace("LAST ERROR", "LAST");
        assert_eq!(
            header.split_whitespace().count(),
            columns,
            "{width}: {lines:#?}"
        );
    }
    assert_eq!(table(&[], None), ["no scopes"]);
}

#[test]
fn programs_get_the_contracts_names() {
    let scope = scope();
    let standings = [Standing::of(&scope)];
    let read: serde_json::Value = serde_json::from_str(&json(&standings).unwrap()).unwrap();
    let one = &read["scopes"][0];
    assert_eq!(one["state"], "SCOPE_STATE_DENIED");
    assert_eq!(one["estimated_wait_seconds"], 1.5);
    assert_eq!(one["held_share"], 50.0);
    assert_eq!(one["denied_until"], "1970-01-01T02:00:00Z");
    assert!(one.get("watermark").is_none());
    assert_eq!(one["held_spans"][0]["end_time"], "1970-01-01T01:00:00Z");
    let rows = rows(&standings, &Field::all());
    assert!(rows.iter().all(|row| row.len() == rows[0].len()));
    assert!(rows[1].contains(&"SCOPE_STATE_DENIED".to_owned()));
}

#[test]
fn chosen_fields_are_told_in_their_order() {
    let scope = scope();
    let standings = [Standing::of(&scope)];
    let fields: Vec<_> = Field::names().map(Field::parse).collect();
    let fields: Vec<_> = fields.into_iter().map(Result::unwrap).collect();
    let names = |fields: &[Field]| fields.iter().map(|field| field.name).collect::<Vec<_>>();
    assert_eq!(names(&fields), names(&Field::all()));
    // a name without a value would be told as nothing
    let filled = Scope {
        requests_bought: 1,
        last_error: "X".to_owned(),
        last_error_time: at(1),
        last_success_time: at(2),
        denied_until: at(3),
        watermark: at(4),
        lag: Some(prost_types::Duration::default()),
        collector_state: CollectorState::Collecting.into(),
        ..scope.clone()
    };
    let rows = rows(&[Standing::of(&filled)], &fields);
    assert!(rows[1].iter().all(|cell| !cell.is_empty()), "{rows:?}");
    let two = ["watermark", "region"].map(|name| Field::parse(name).unwrap());
    assert_eq!(
        chosen(&[Standing::of(&filled)], &two, None),
        [
            "WATERMARK             REGION",
            "1970-01-01T00:00:04Z  eu-central-1"
        ]
    );
    assert_eq!(chosen(&[], &two, None), ["no scopes"]);
    let error = Field::parse("watermarks").unwrap_err();
    assert!(error.contains("\"watermark\""), "{error}");
    assert!(
        Field::parse("x")
            .unwrap_err()
            .contains("account_id, region")
    );
    assert_eq!(standings.len(), 1);
}

#[test]
fn no_meter_is_no_rate() {
    let scope = Scope::default();
    assert_eq!(Standing::of(&scope).rate(), "unmetered");
    assert_eq!(Standing::of(&scope).wait(), "");
}
