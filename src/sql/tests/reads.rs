//! What is answered.

use std::sync::atomic::Ordering::Relaxed;

use datafusion::arrow::array::RecordBatch;

use super::fixture::{NOON, ask, batches, engine, engine_with, error, few, options, stored};
use crate::sql::{Parameters, Question, Sight, Value, View};

#[tokio::test]
async fn counts_groups_and_times() {
    let engine = engine().await;
    assert_eq!(
        ask(&engine, "select count(*) n from cloudtrail").await,
        ["n", "6"]
    );
    let text = "select account_id, region, count(*) n from cloudtrail group by 1, 2 order by 1, 2";
    assert_eq!(
        ask(&engine, text).await,
        [
            "account_id|region|n",
            "111111111111|eu-central-1|3",
            "111111111111|us-east-1|1",
            "222222222222|eu-central-1|1",
            "222222222222|us-east-1|1",
        ]
    );
    let text =
        "select min(eventTime) a, max(eventTime) z from cloudtrail where date = '2023-07-10'";
    assert_eq!(
        ask(&engine, text).await,
        ["a|z", "2023-07-10T12:00:00Z|2023-07-10T12:02:00Z"]
    );
    let text = "select get_json_object(requestParameters, '$.bucketName') b, count(*) n \
                from cloudtrail where eventTime >= '2023-07-10T12:00:30Z' \
                and eventTime < timestamp '2023-07-11 00:00:00' group by 1 order by 1";
    assert_eq!(ask(&engine, text).await, ["b|n", "bucket-0|3"]);
}

#[tokio::test]
async fn files_that_cannot_have_it_are_not_read() {
    let engine = engine().await;
    let files = async |filter: &str| {
        let text = format!("explain select record from cloudtrail where {filter}");
        let plan = ask(&engine, &text).await.join(" ");
        let mut paths: Vec<String> = plan
            .split("account_id=")
            .skip(1)
            .filter_map(|rest| rest.split_once("/part-"))
            .map(|(path, _)| path.replace(' ', ""))
            .collect();
        paths.sort();
        paths.dedup();
        paths.len()
    };
    assert_eq!(files("true").await, 5);
    assert_eq!(files("account_id = '222222222222'").await, 2);
    assert_eq!(files("region like 'us-%'").await, 2);
    assert_eq!(files("date > '2023-07-10'").await, 2);
    assert_eq!(files("eventTime > '2023-07-11'").await, 2);
    assert_eq!(files("eventTime = '2023-07-10T12:02:00Z'").await, 1);
    assert_eq!(files("date = '2020-01-01'").await, 0);
    assert_eq!(
        files("substr(account_id, 1, 1) = '1' and region in ('us-east-1')").await,
        1
    );
}

#[tokio::test]
async fn values_are_gathered_in_the_order_that_is_asked_for() {
    let engine = engine().await;
    for (call, gathered) in [
        (
            "array_agg(distinct region order by region)",
            "[eu-central-1, us-east-1]",
        ),
        (
            "array_agg(distinct region order by region desc)",
            "[us-east-1, eu-central-1]",
        ),
        (
            "array_agg(region order by account_id, region desc)",
            "[us-east-1, eu-central-1, eu-central-1, eu-central-1, us-east-1, eu-central-1]",
        ),
        // where none is asked for there is none: threads come as they like
        (
            "array_sort(array_agg(distinct date))",
            "[2023-07-10, 2023-07-11]",
        ),
    ] {
        let text = format!("select {call} x from cloudtrail");
        assert_eq!(ask(&engine, &text).await, ["x", gathered], "{call}");
    }
    let text = "select region, array_agg(account_id) x from cloudtrail \
                where date = '2023-07-11' group by 1 order by 1";
    assert_eq!(ask(&engine, text).await.len(), 3);
}

#[tokio::test]
async fn a_query_reads_one_version() {
    let source = stored(&few(), 1000).await;
    let engine = engine_with(source.clone(), Vec::new(), options());
    let text = "select count(*) n from cloudtrail a join cloudtrail b on a.eventID = b.eventID";
    assert_eq!(ask(&engine, text).await, ["n", "6"]);
    assert_eq!(source.listed.load(Relaxed), 1);
}

#[tokio::test]
async fn an_empty_archive_has_columns_and_no_rows() {
    let engine = engine_with(stored(&[], 1000).await, Vec::new(), options());
    assert_eq!(
        ask(&engine, "select count(*) n from cloudtrail").await,
        ["n", "0"]
    );
    assert_eq!(
        ask(&engine, "select eventName from cloudtrail").await,
        ["eventName"]
    );
}

#[tokio::test]
async fn views_are_found_by_name_and_listed() {
    let views = vec![View {
        name: "logins".into(),
        text: "-- who came in\nSELECT eventTime, userIdentity.arn FROM cloudtrail WHERE eventName = 'ConsoleLogin';\n".into(),
    }];
    let engine = engine_with(stored(&few(), 1000).await, views, options());
    let text = "select ARN from Logins order by eventtime";
    assert_eq!(
        ask(&engine, text).await,
        ["arn", "arn:aws:iam::1:user/ann", "arn:aws:iam::2:user/bob"]
    );
    let tables = ask(&engine, "show tables").await.join(" ");
    assert!(
        tables.contains("logins") && tables.contains("cloudtrail"),
        "{tables}"
    );
    let columns = ask(&engine, "describe logins").await.join(" ");
    assert!(
        columns.contains("eventTime") && columns.contains("arn"),
        "{columns}"
    );
}

#[tokio::test]
async fn parameters_are_bound() {
    let engine = engine().await;
    let run = async |text: &str, parameters: Parameters| {
        let question = Question {
            text: text.into(),
            parameters,
        };
        let found = batches(&engine, question, Sight::all()).await;
        found.map(|batches| batches.iter().map(RecordBatch::num_rows).sum::<usize>())
    };
    let named = |values: &[(&str, Value)]| {
        Parameters::named(
            values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        )
    };
    let text_of = |text: &str| Value::Text(text.to_owned());
    let text = "select eventName from cloudtrail where username = :Who and eventTime >= :since";
    let since = Value::Time((NOON + 60) * 1_000_000);
    let values = [("who", text_of("ann")), ("SINCE", since)];
    assert_eq!(run(text, named(&values)).await, Ok(3));
    // it is a value, whatever is in it
    let text = "select eventName from cloudtrail where username = :who";
    let values = [("who", text_of("ann' or '1' = '1"))];
    assert_eq!(run(text, named(&values)).await, Ok(0));
    let text = "select eventName from cloudtrail where username = ? and eventName like ? limit ?";
    let values = vec![text_of("ann"), text_of("%Object"), Value::Integer(2)];
    assert_eq!(run(text, Parameters::Placed(values)).await, Ok(2));
    for (values, words) in [
        (named(&[]), ":who has no value"),
        (
            named(&[("who", text_of("a")), ("what", text_of("b"))]),
            "no parameter :what; the query has :who",
        ),
        (
            Parameters::Placed(vec![Value::Null; 2]),
            "2 values are given; the query has :who",
        ),
    ] {
        let error = run("select :who", values).await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let described = engine
        .describe(
            Question::of("select count(*) n from cloudtrail where eventname = :a and date = :b"),
            Sight::all(),
        )
        .await
        .unwrap();
    assert_eq!(described.schema.field(0).name(), "n");
    let names: Vec<_> = described
        .parameters
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert!(
        described
            .parameters
            .iter()
            .all(|(_, known)| known.is_some()),
        "{described:?}"
    );
    // in `:a - interval` it is taken for an interval, and is a time all the same
    let text = "select count(*) n from cloudtrail where date >= cast(:a - interval '1' day as date) \
                and eventTime >= :a and (username = :b or username = :b || 'x')";
    let described = engine
        .describe(Question::of(text), Sight::all())
        .await
        .unwrap();
    let [(_, Some(time)), (_, Some(text))] = described.parameters.as_slice() else {
        panic!("{described:?}");
    };
    assert!(
        matches!(time, datafusion::arrow::datatypes::DataType::Timestamp(..)),
        "{time}"
    );
    assert!(text.is_string(), "{text}");
    let text = "select eventName from cloudtrail limit :n offset :m";
    let described = engine.describe(Question::of(text), Sight::all()).await;
    for (name, of) in described.unwrap().parameters {
        assert_eq!(
            of,
            Some(datafusion::arrow::datatypes::DataType::Int64),
            "{name}"
        );
    }
    // where nothing else tells, values say of which type they are
    let question = Question {
        text: "select :a x".to_owned(),
        parameters: Parameters::Placed(vec![Value::Integer(7)]),
    };
    let described = engine.describe(question, Sight::all()).await.unwrap();
    let known = described.schema.field(0).data_type().clone();
    assert_eq!(known, datafusion::arrow::datatypes::DataType::Int64);
}

#[tokio::test]
async fn now_is_when_a_query_began() {
    let engine = engine().await;
    let text = "select now() = now() a, current_timestamp > timestamp '2024-01-01' b, current_date > date '2024-01-01' c, \
                count(*) n from cloudtrail where eventTime < now() - interval '1 day'";
    assert_eq!(ask(&engine, text).await, ["a|b|c|n", "true|true|true|6"]);
}

#[tokio::test]
async fn nulls_sort_as_in_spark() {
    let engine = engine().await;
    let of =
        |order: &str| format!("select x from (values (1), (null), (2)) t(x) order by x {order}");
    assert_eq!(ask(&engine, &of("")).await, ["x", "", "1", "2"]);
    assert_eq!(ask(&engine, &of("desc")).await, ["x", "2", "1", ""]);
}

#[tokio::test]
async fn addresses_have_places_where_there_is_a_database() {
    let engine = engine().await;
    let error = error(&engine, "select country(sourceIPAddress) from cloudtrail").await;
    assert!(error.to_string().contains("--sql-places"), "{error}");
}

#[tokio::test]
async fn texts_are_joined() {
    let engine = engine().await;
    let text = "select t || t t from (select t || t t from (select username || '!' t from cloudtrail where username = 'bob' limit 1))";
    assert_eq!(ask(&engine, text).await, ["t", "bob!bob!bob!bob!"]);
    let text = "select concat(t, t) t from (select concat(t, t) t from (select username t from cloudtrail where username = 'bob' limit 1))";
    assert_eq!(ask(&engine, text).await, ["t", "bobbobbobbob"]);
    for (what, found) in [
        ("'a' || null", ""),
        ("'a' || 1", "a1"),
        ("1 || 'a'", "1a"),
        ("'a' || eventName || readOnly", "aGetObjecttrue"),
    ] {
        let text = format!("select {what} x from cloudtrail where eventName = 'GetObject' limit 1");
        assert_eq!(ask(&engine, &text).await, ["x", found], "{what}");
    }
}

#[tokio::test]
async fn the_same_twice_is_done_twice() {
    let engine = engine().await;
    for (text, found) in [
        (
            "select n + 1 n from (select n + 1 n from (select n + 1 n from (select 0 n)))",
            "3",
        ),
        (
            "with w as (select 1 n), x as (select n * 2 n from (select n * 2 n from w)) select n * 2 n from x",
            "8",
        ),
        (
            "select sum(n) n from (select n + 1 n, 1 m from (select n + 1 n, 1 m from (select 0 n, 1 m)))",
            "2",
        ),
        (
            "select n from (select n from (select n from (select 7 n)))",
            "7",
        ),
        (
            "select 1 x where 3 = (select n + 1 n from (select n + 1 n from (select 1 n)))",
            "1",
        ),
    ] {
        assert_eq!(ask(&engine, text).await[1], found, "{text}");
    }
}
