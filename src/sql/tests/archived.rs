//! Queries over an archive that the archive itself wrote.

use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::{ObjectStore, memory::InMemory, path::Path};

use super::fixture::{NOON, ask, lines, options};
use crate::{
    archive::{self, Archive},
    clock::Clock,
    event::{Event, Origin, Scope},
    sql::{
        Archived, Cells, Engine, Question, Reported, Sight, Source, Type, Value, report, reports,
        views,
    },
};

fn event(account: &str, region: &str, number: i64, name: &str) -> Arc<Event> {
    let time = jiff::Timestamp::from_second(NOON + number).unwrap();
    let who = ["ann", "bob"][usize::try_from(number).unwrap() % 2];
    let record = serde_json::json!({
        "eventVersion": "1.08",
        "eventID": format!("00000000-0000-4000-8000-{number:012}"),
        "eventTime": time.to_string(),
        "eventName": name,
        "eventSource": "s3.amazonaws.com",
        "awsRegion": region,
        "recipientAccountId": account,
        "sourceIPAddress": "192.0.2.1",
        "userAgent": "cli/1.2",
        "eventType": "AwsApiCall",
        "userIdentity": {
            "type": if number % 5 == 0 { "Root" } else { "IAMUser" },
            "arn": format!("arn:aws:iam::{account}:user/{who}"),
            "accountId": account,
            "userName": who,
            "accessKeyId": "AKIAEXAMPLE",
        },
        "errorCode": if number % 7 == 0 { Some("AccessDenied") } else { None },
        "requestParameters": {"bucketName": format!("bucket-{}", number % 3)},
    });
    let scope = Scope::new(account, region);
    let event = Event::from_record(&scope, record.to_string().as_bytes(), Origin::LogFile, 0);
    Arc::new(event)
}

async fn begun() -> (Archive, Engine) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let root = Path::from("some/where");
    let opened = Archive::open(
        Arc::clone(&store),
        root.clone(),
        Clock::system(),
        archive::Options::default(),
    );
    let archive = opened.await.unwrap();
    let source = Arc::new(Archived::new(archive.clone(), store, root));
    let engine = Engine::new(source as Arc<dyn Source>, views(), options()).unwrap();
    (archive, engine)
}

#[tokio::test]
async fn what_is_committed_is_found_with_the_next_query() {
    let (archive, engine) = begun().await;
    assert_eq!(
        ask(&engine, "select count(*) n from cloudtrail").await,
        ["n", "0"]
    );
    let first: Vec<_> = (0..20)
        .map(|n| event("111111111111", "eu-west-1", n, "GetObject"))
        .collect();
    archive.commit(&first, None).await.unwrap();
    let text = "select count(*) n, min(eventTime) a, max(eventTime) z from cloudtrail";
    assert_eq!(
        ask(&engine, text).await,
        ["n|a|z", "20|2023-07-10T12:00:00Z|2023-07-10T12:00:19Z"]
    );
    let second: Vec<_> = (15..30)
        .map(|n| event("111111111111", "eu-west-1", n, "GetObject"))
        .collect();
    archive.commit(&second, None).await.unwrap();
    let text =
        "select count(*) n, count(distinct eventID) d from cloudtrail where date = '2023-07-10'";
    assert_eq!(ask(&engine, text).await, ["n|d", "30|30"]);
    let other = [event("222222222222", "us east/1%", 1, "PutObject")];
    archive.commit(&other, None).await.unwrap();
    let text = "select region, eventName, record like '%PutObject%' r from cloudtrail where account_id = '222222222222'";
    assert_eq!(ask(&engine, text).await[1], "us east/1%|PutObject|true");
    archive.compact().await.unwrap();
    assert_eq!(
        ask(&engine, "select count(*) n from cloudtrail").await,
        ["n", "31"]
    );
    let text = "select get_json_object(requestParameters, '$.bucketName') b, count(*) n from cloudtrail group by 1 order by 1";
    assert_eq!(
        ask(&engine, text).await,
        ["b|n", "bucket-0|10", "bucket-1|11", "bucket-2|10"]
    );
}

#[tokio::test]
async fn every_view_is_answered() {
    let (archive, engine) = begun().await;
    let events: Vec<_> = (0..40)
        .map(|n| event("111111111111", "eu-west-1", n, "CreateUser"))
        .collect();
    archive.commit(&events, None).await.unwrap();
    for view in views() {
        let text = format!("select * from {} order by eventTime, eventID", view.name);
        let found = ask(&engine, &text).await;
        let names = &found[0];
        assert!(names.contains("principal"), "{}: {names}", view.name);
    }
    let count =
        async |what: &str| ask(&engine, &format!("select count(*) n from {what}")).await[1].clone();
    assert_eq!(count("principal_activity").await, "40");
    assert_eq!(count("root_usage").await, "8");
    assert_eq!(count("denied_calls").await, "6");
    let text = "select PRINCIPAL_NAME, count(*) n from Denied_Calls where principal_type = 'IAMUser' group by principal_name order by 1";
    assert_eq!(
        ask(&engine, text).await,
        ["principal_name|n", "ann|2", "bob|2"]
    );
}

#[tokio::test]
async fn every_report_is_answered_with_its_defaults() {
    let (archive, engine) = begun().await;
    let events: Vec<_> = (0..40)
        .map(|n| event("111111111111", "eu-west-1", n, "CreateUser"))
        .collect();
    archive.commit(&events, None).await.unwrap();
    for report in reports() {
        // all that there is
        let given = report.parameters.iter().filter_map(|it| {
            let value = match it.name.as_str() {
                "since" => Value::Time(0),
                "resource" => Value::Text("bucket-1".to_owned()),
                "principal" | "role" => Value::Text("ann".to_owned()),
                _ => return None,
            };
            Some((it.name.clone(), value))
        });
        let reported = engine.report(&report, given.collect(), NOON + 60, Sight::all());
        let answer = reported.await.map(|Reported { values, answer }| {
            let names: Vec<_> = values.iter().map(|(name, _)| name).collect();
            let wanted: Vec<_> = report.parameters.iter().map(|it| &it.name).collect();
            assert_eq!(names, wanted, "{}", report.name);
            answer
        });
        match (answer, report.functions.is_empty()) {
            (Ok(answer), true) => {
                let rows = answer.try_fold(0, |rows, batch| {
                    std::future::ready(Ok(rows + batch.num_rows()))
                });
                let rows = rows
                    .await
                    .unwrap_or_else(|error| panic!("{}: {error}", report.name));
                let is_of_all = report.parameters.iter().any(|it| it.name == "since");
                assert!(!is_of_all || rows > 0, "{}: {rows}", report.name);
            }
            (Ok(answer), false) => {
                let failed = answer.try_for_each(|_| std::future::ready(Ok(()))).await;
                let error = failed.unwrap_err().to_string();
                assert!(error.contains("--sql-places"), "{}: {error}", report.name);
            }
            (Err(error), has_all) => {
                let error = error.to_string();
                assert!(
                    !has_all && error.contains("--sql-places"),
                    "{}: {error}",
                    report.name
                );
            }
        }
    }
}

#[tokio::test]
async fn a_caller_sees_its_part_of_views_as_well() {
    let (archive, engine) = begun().await;
    let mut events: Vec<_> = (0..10)
        .map(|n| event("111111111111", "eu-west-1", n, "CreateUser"))
        .collect();
    events.extend((0..5).map(|n| event("222222222222", "eu-west-1", n, "CreateUser")));
    archive.commit(&events, None).await.unwrap();
    let one = Sight::of(Some(["222222222222".into()].into()), None);
    let text = "select account_id, count(*) n from principal_activity group by account_id";
    let found = lines(&engine, text, one).await.unwrap();
    assert_eq!(found, ["account_id|n", "222222222222|5"]);
}

#[tokio::test]
async fn defaults_are_what_sql_makes_of_them() {
    /// Microseconds that the two may be asked apart.
    const APART: u64 = 60_000_000;
    let (_archive, engine) = begun().await;
    for report in reports() {
        let values = report.complete(Vec::new(), Clock::system().now_secs());
        let mut before: Vec<(String, String)> = Vec::new();
        for it in &report.parameters {
            let Some(mut text) = it.default.clone() else {
                continue;
            };
            for (name, default) in &before {
                text = text.replace(&format!(":{name}"), &format!("({default})"));
            }
            let query = format!("SELECT {text} AS value");
            let answer = engine.ask(Question::of(query), Sight::all()).await.unwrap();
            let batches: Vec<_> = answer.try_collect().await.unwrap();
            let told = Value::of(batches[0].column(0), 0).unwrap();
            let (_, read) = values.iter().find(|(name, _)| *name == it.name).unwrap();
            let is_near = match (&told, read) {
                (Value::Time(told), Value::Time(read)) => told.abs_diff(*read) < APART,
                _ => told == *read,
            };
            assert!(is_near, "{} {}: {told:?} {read:?}", report.name, it.name);
            before.push((it.name.clone(), text));
        }
    }
}

#[tokio::test]
async fn a_reports_cells_are_typed_and_its_caller_sees_its_own() {
    let (archive, engine) = begun().await;
    let of = |account: &str| -> Vec<_> {
        (0..40)
            .map(|n| event(account, "eu-west-1", n, "CreateUser"))
            .collect()
    };
    archive.commit(&of("111111111111"), None).await.unwrap();
    archive.commit(&of("222222222222"), None).await.unwrap();
    let given = || vec![("since".to_owned(), Value::Time(0))];
    let usage = report("root_usage").unwrap();
    let own = Sight::of(Some(["222222222222".into()].into()), None);
    let reported = engine
        .report(&usage, given(), NOON + 60, own)
        .await
        .unwrap();
    let [(since, of_since), (until, Value::Time(of_until))] = &reported.values[..] else {
        panic!("{:?}", reported.values)
    };
    assert_eq!((since.as_str(), of_since), ("since", &Value::Time(0)));
    assert_eq!(
        (until.as_str(), *of_until),
        ("until", (NOON + 60) * 1_000_000)
    );
    let schema = reported.answer.schema();
    let types: Vec<_> = schema
        .fields()
        .iter()
        .map(|it| Type::of(it.data_type()))
        .collect();
    assert_eq!(types[..2], [Type::Day, Type::Text]);
    assert_eq!(
        types[7..],
        [
            Type::Integer,
            Type::Integer,
            Type::Integer,
            Type::Time,
            Type::Time
        ]
    );
    let batches: Vec<_> = reported.answer.try_collect().await.unwrap();
    let cells = Cells::of(&batches[0]).unwrap();
    assert_eq!((batches.len(), cells.rows()), (1, 1));
    let row: Vec<_> = cells.row(0).collect();
    // 2023-07-10, eight of every fifth of forty, of which two are a seventh too
    assert_eq!(row[0], Value::Day(19_548));
    assert_eq!(row[1], Value::Text("222222222222".into()));
    assert_eq!(row[2], Value::Null);
    assert_eq!(row[7..9], [Value::Integer(8), Value::Integer(2)]);
    assert_eq!(row[10], Value::Time(NOON * 1_000_000));

    let places = report("first_seen_places").unwrap();
    assert_eq!(engine.lacks(&places), ["country", "city"]);
    assert!(engine.lacks(&usage).is_empty());
}
