//! What a query may not be, and how much it may take.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};

use super::fixture::{ask, engine, engine_with, error, few, lines, options, stored};
use crate::sql::{Engine, Error, Options, Question, Sight};

async fn bounded(options: Options) -> Engine {
    engine_with(stored(&few(), 1000).await, Vec::new(), options)
}

/// What one query may hold here.
const SHARE: u64 = 16 << 20;

/// An engine whose one query may hold as much.
async fn small(disk: u64) -> Engine {
    bounded(Options {
        memory: SHARE,
        threads: 1,
        queries: 1,
        disk,
        ..options()
    })
    .await
}

/// Three times that as texts, and next to nothing as views of them.
const LONG: &str = "lpad(cast(value as varchar), 5000, 'x') || 'x'";
/// See [`LONG`].
const FEW: &str = "generate_series(10000, 20000)";

/// Ten times that, as texts.
const MANY: &str = "select lpad(cast(value as varchar), 400, cast(value % 97 as varchar)) t \
                    from generate_series(1, 400000)";

#[tokio::test]
async fn what_is_not_for_reading_is_refused() {
    let engine = engine().await;
    for text in [
        "drop table cloudtrail",
        "drop view x",
        "delete from cloudtrail",
        "update cloudtrail set eventName = 'x'",
        "insert into cloudtrail select * from cloudtrail",
        "insert into cloudtrail values (1)",
        "truncate table cloudtrail",
        "create table t as select 1",
        "create view v as select 1",
        "create schema s",
        "create database d",
        "create function f() returns int return 1",
        "alter table cloudtrail add column x int",
        "merge into cloudtrail using t on 1 = 1 when matched then delete",
        "copy cloudtrail to '/tmp/x.parquet'",
        "copy (select 1) to 's3://bucket/x'",
        "set datafusion.execution.batch_size = 1",
        "reset datafusion.execution.batch_size",
        "show all",
        "show datafusion.execution.batch_size",
        "prepare p as select 1",
        "execute p",
        "deallocate p",
        "begin",
        "commit",
        "explain insert into cloudtrail select * from cloudtrail",
        "explain drop table cloudtrail",
        "select 1 into t",
        "with w as (insert into cloudtrail values (1)) select 1",
        "select * from cloudtrail for update",
        "select * from read_parquet('/etc/passwd')",
        "select * from parquet_metadata('/etc/passwd')",
        "select * from table(f())",
        "select version()",
        "select uuid()",
        "select random()",
        "select input_file_name() from cloudtrail",
        "select repeat('a', 1000000000)",
        "select array_repeat(1, 1000000000)",
        "select range(1, 1000000000)",
        "select generate_series(1, 1000000000)",
        "select array_agg(eventID) over () from cloudtrail",
        "select string_agg(eventID, ',') over (partition by region) from cloudtrail",
        "select count(distinct eventID) over (order by eventTime) from cloudtrail",
        "select median(1) over (order by eventTime rows between 9 preceding and current row) from cloudtrail",
        "select levenshtein(lpad('a', 100000, 'b'), lpad('c', 100000, 'd'))",
        "select array_has_all(x, x) from (select array_agg(value) x from generate_series(1, 100000))",
    ] {
        let error = error(&engine, text).await;
        let is_said = matches!(error, Error::Refused(_) | Error::Wrong(_));
        assert!(is_said, "{text}: {error:?}");
    }
    // files and places are no tables
    for text in [
        "select * from '/etc/passwd'",
        "select * from \"/etc/passwd\"",
        "select * from 's3://bucket/x.parquet'",
        "select * from information_schema.df_settings where value like '%/%' limit 0 union select * from nothing",
    ] {
        let error = error(&engine, text).await;
        assert!(
            matches!(error, Error::Wrong(_) | Error::Refused(_)),
            "{text}: {error:?}"
        );
    }
    for text in [
        "select 1",
        "select count(distinct eventID) over (partition by region) from cloudtrail",
        "select median(1) over () from cloudtrail",
        "select sum(1) over (order by eventTime rows between 9 preceding and current row) from cloudtrail",
        "select max(eventID) over (order by eventTime) from cloudtrail",
        "select row_number() over (order by eventTime) from cloudtrail",
        "select levenshtein(eventName, username) from cloudtrail",
        "select array_has_any(resources.name, make_array('a', 'b')) from cloudtrail",
    ] {
        let answer = lines(&engine, text, Sight::all()).await;
        assert!(answer.is_ok(), "{text}: {answer:?}");
    }
}

/// Whatever is nested as deep as a text can be is refused, or answered: it takes the
/// stack of a thread, and with it the server.
#[tokio::test]
async fn what_is_nested_deep_is_refused() {
    let engine = engine().await;
    let many = |piece: &str, count: usize| piece.repeat(count);
    for text in [
        format!("select 1{}", many("+1", 9000)),
        format!("select 1{}", many(" or 1=1", 3300)),
        format!("select 'a'{}", many("||'a'", 9000)),
        format!("select 1{}", many("::int", 6000)),
        format!("select 1{}", many(" is null", 4900)),
        format!("select {}1{}", many("(", 9000), many(")", 9000)),
        format!("select {}1", many("not ", 9900)),
        format!("select {}1", many("- ", 9900)),
        format!(
            "select {}1{}",
            many("case when true then ", 1900),
            many(" end", 1900)
        ),
        format!("select {}1{}", many("make_array(", 4900), many(")", 6000)),
        format!("select {}1{}", many("abs(", 4900), many(")", 6000)),
        format!("select {}1{}", many("(select ", 4900), many(")", 6000)),
        format!("select 1{}", many(" union all select 1", 2400)),
        format!(
            "select 1 from cloudtrail{}",
            many(" cross join cloudtrail", 3200)
        ),
        format!(
            "select 1 from cloudtrail{}",
            many(",unnest(make_array(1))", 2000)
        ),
        format!("select cast(null as int{})", many("[]", 9000)),
        format!(
            "select cast(null as {}int{})",
            many("array<", 6000),
            many(">", 6000)
        ),
        format!("select userIdentity{} from cloudtrail", many(".a", 9000)),
        format!("select resources{} from cloudtrail", many("[0]", 6000)),
        format!(
            "with {} select 1",
            (0..1400)
                .map(|n| format!("a{n} as (select 1)"))
                .collect::<Vec<_>>()
                .join(",")
        ),
        format!("select {} from cloudtrail", many("eventID,", 4000) + "1"),
        format!("select 1 where 1 in (1{})", many(",1", 9000)),
        format!("select case 1{} end", many(" when 1 then 2", 2400)),
        format!("{}select 1", many("explain ", 9900)),
        format!("select interval {}'1' day", many("interval ", 9900)),
        format!("select {}1{}", many("(select ", 40), many(")", 40)),
        format!("select {}1{}", many("coalesce(", 40), many(", 2)", 40)),
        format!(
            "select 1 from cloudtrail where {}eventName = 'x'{}",
            many("not (", 45),
            many(")", 45)
        ),
        format!("select get_json_object('{}', '$.a')", many("[", 100_000)),
        format!("select get_json_object('{{}}', '${}')", many(".a", 40_000)),
        format!(
            "select regexp_like('a', '{}a{}')",
            many("(", 40_000),
            many(")", 40_000)
        ),
    ] {
        let length = text.len();
        let start: String = text.chars().take(40).collect();
        // it comes back at all
        let answer = lines(&engine, &text, Sight::all()).await;
        let is_told = match &answer {
            Ok(_) => true,
            Err(error) => matches!(error, Error::Refused(_) | Error::Wrong(_)),
        };
        assert!(is_told, "{start} {length}: {answer:?}");
    }
    // what people write is answered
    let ids: Vec<String> = (0..1000).map(|n| format!("'{n}'")).collect();
    for text in [
        format!(
            "select 1 from cloudtrail where eventID in ({})",
            ids.join(",")
        ),
        format!(
            "select 1 from cloudtrail where eventID = ''{}",
            many(" or eventName = 'x'", 200)
        ),
    ] {
        let answer = lines(&engine, &text, Sight::all()).await;
        assert!(answer.is_ok(), "{answer:?}");
    }
}

#[tokio::test]
async fn what_grows_when_it_is_planned_is_refused() {
    let engine = engine().await;
    let mut text = "with a0 as (select * from cloudtrail)".to_owned();
    for n in 1..40 {
        text += &format!(", a{n} as (select x.* from a{0} x, a{0} y)", n - 1);
    }
    let error = error(&engine, &format!("{text} select count(*) from a39")).await;
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn queries_without_an_end_are_ended_and_others_are_answered() {
    let limit = Duration::from_millis(300);
    let engine = bounded(Options {
        timeout: limit,
        queries: 2,
        ..options()
    })
    .await;
    for text in [
        "with recursive r as (select 1 n union all select n + 1 from r) select count(*) from r",
        "with recursive r as (select 1 n union all select n + 1 from r) select n from r where n < 0",
        "select count(*) from generate_series(1, 10000000) a cross join generate_series(1, 10000000) b",
        "select max(a.value * b.value % 7) from generate_series(1, 10000000) a join generate_series(1, 10000000) b on a.value <> b.value",
        "select count(*) from generate_series(1, 10000000) a join generate_series(1, 10000000) b on a.value % 3 = b.value % 3 and a.value < b.value - 100000000",
        "select count(*) from (select unnest(make_array(1, 2, 3, 4)) from generate_series(1, 9000000000000))",
        "select count(*) from generate_series(1, 9000000000000)",
        "explain analyze select count(*) from generate_series(1, 9000000000000)",
    ] {
        assert_eq!(error(&engine, text).await, Error::Time { limit }, "{text}");
    }
    // whoever goes away before that ends them as well
    let engine = bounded(Options {
        threads: 1,
        ..options()
    })
    .await;
    let endless = "select value from generate_series(1, 10000000) a where not exists (select 1 from \
                   generate_series(1, 10000000) b where b.value * a.value < 0)";
    let asked = engine.ask(Question::of(endless), Sight::all());
    assert!(
        tokio::time::timeout(limit, asked)
            .await
            .is_ok_and(|answer| {
                drop(answer);
                true
            })
    );
    // their threads are free again
    assert_eq!(ask(&engine, "select 1 x").await, ["x", "1"]);
}

#[tokio::test]
async fn others_run_on_new_threads_where_a_query_does_not_end() {
    let limit = Duration::from_millis(300);
    let engine = bounded(Options {
        timeout: limit,
        threads: 1,
        queries: 4,
        ..options()
    })
    .await;
    // one function of one row, which nothing ends: minutes of a processor
    let text = "select regexp_replace(lpad('a', 1000000, 'a'), '((a{0,50}){0,50}){0,20}b', 'x')";
    assert_eq!(error(&engine, text).await, Error::Time { limit });
    let once = async || lines(&engine, "select 1", Sight::all()).await.is_ok();
    let again = async { while !once().await {} };
    let soon = Duration::from_secs(60);
    assert!(tokio::time::timeout(soon, again).await.is_ok());
}

#[tokio::test]
async fn groups_that_go_to_disk_between_threads_are_answered_or_refused() {
    for memory in [1 << 20, 4 << 20] {
        // a loaded machine is slow; what waits for itself takes any time
        let limit = Duration::from_secs(120);
        let engine = bounded(Options {
            memory,
            threads: 2,
            queries: 1,
            disk: 1 << 30,
            timeout: limit,
            ..options()
        })
        .await;
        for (rows, ids) in [(40_000, 337), (400_000, 5_000)] {
            let of = format!(
                "select value % 13 g, lpad(cast(value % {ids} as varchar), 132, 'x') id \
                 from generate_series(1, {rows})"
            );
            for text in [
                format!("select g, count(distinct id) n from ({of}) group by g"),
                format!("select count(*) from (select id, count(*) n from ({of}) group by id)"),
            ] {
                for _ in 0..2 {
                    let ended = lines(&engine, &text, Sight::all()).await;
                    assert!(
                        matches!(ended, Ok(_) | Err(Error::Memory { .. })),
                        "{text}: {ended:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_sort_of_ten_times_the_memory_goes_to_disk_or_is_refused() {
    let on_disk = small(1 << 30).await;
    let sorted = format!("select t from ({MANY}) order by t");
    let answer = on_disk
        .ask(Question::of(&sorted), Sight::all())
        .await
        .unwrap();
    let rows = answer.try_fold(0, |rows, batch| {
        std::future::ready(Ok(rows + batch.num_rows()))
    });
    assert_eq!(rows.await, Ok(400_000));
    // keys may be as large as what they are of
    let by_all = "select * from (select lpad(reverse(cast(value as varchar)), 32, '0') a, \
                  lpad(cast(value % 97 as varchar), 120, 'x') b, value c \
                  from generate_series(1, 150000)) order by b, a";
    let groups = format!("select value, max({LONG}) from {FEW} group by 1 order by 2 limit 1");
    for (text, wanted) in [(by_all, 150_000), (&*groups, 1)] {
        let rows = lines(&on_disk, text, Sight::all()).await;
        // the first line has names
        assert_eq!(rows.map(|rows| rows.len() - 1), Ok(wanted), "{text}");
    }
    let without = small(0).await;
    let error = error(&without, &sorted).await;
    assert!(
        matches!(&error, Error::Memory { bytes, .. } if *bytes == SHARE),
        "{error}"
    );
    let little = small(1 << 20).await;
    let error = super::fixture::error(&little, &sorted).await;
    assert!(
        matches!(error, Error::Disk { bytes } if bytes == 1 << 20),
        "{error}"
    );
}

#[tokio::test]
async fn what_cannot_go_to_disk_is_refused_by_name() {
    let engine = small(1 << 30).await;
    for (text, name) in [
        (format!("select array_agg(t) from ({MANY})"), ""),
        (format!("select array_agg({LONG}) from {FEW}"), ""),
        (
            format!("select value % 4, array_agg({LONG}) from {FEW} group by 1"),
            "",
        ),
        (
            format!("select array_agg(named_struct('t', {LONG})) from {FEW}"),
            "",
        ),
        (
            format!("select array_agg(distinct {LONG} order by {LONG}) from {FEW}"),
            "",
        ),
        (
            format!("select array_agg({LONG} order by -value) from {FEW}"),
            "",
        ),
        (
            format!("select string_agg({LONG}, '' order by -value) from {FEW}"),
            "",
        ),
        (
            format!("select string_agg(distinct {LONG}, '') from {FEW}"),
            "",
        ),
        (format!("select count(distinct {LONG}) from {FEW}"), ""),
        (
            format!("select t, count(*) over () from ({MANY})"),
            "Window",
        ),
        (
            format!("select a.t from ({MANY}) a join ({MANY}) b on a.t = b.t"),
            "",
        ),
        (format!("select string_agg(t, '') from ({MANY})"), ""),
    ] {
        let error = error(&engine, &text).await;
        let is_named = matches!(&error, Error::Memory { what, .. } if what.contains(name));
        assert!(is_named, "{text}: {error:?}");
    }
    assert_eq!(ask(&engine, "select 1 x").await, ["x", "1"]);
}

#[tokio::test]
async fn what_makes_much_of_little_is_refused() {
    let engine = small(1 << 30).await;
    let mut doubled =
        "select 'xxxxxxxxxxxxxxxx' || cast(value as varchar) t from generate_series(1, 4096)"
            .to_owned();
    for _ in 0..14 {
        doubled = format!("select t || t t from ({doubled})");
    }
    let mut rows = "select 1 x".to_owned();
    for _ in 0..3 {
        let list = "1,".repeat(999);
        rows = format!("select unnest([{list}1]) x from ({rows})");
    }
    for (text, is_refused) in [
        (format!("select max(length(t)) from ({doubled})"), true),
        (
            "select lpad('x', 2000000000) from cloudtrail".to_owned(),
            true,
        ),
        (
            format!(
                "select replace(t, 'x', '{}') from ({MANY})",
                "y".repeat(20_000)
            ),
            true,
        ),
        // rows come in pieces, however many they are
        (
            format!("select count(*) from ({rows} limit 3000000)"),
            false,
        ),
    ] {
        let found = lines(&engine, &text, Sight::all()).await;
        let is_refusal = matches!(found, Err(Error::Refused(_)));
        assert_eq!(
            is_refusal,
            is_refused,
            "{}: {found:?}",
            text.chars().take(80).collect::<String>()
        );
    }
}

#[tokio::test]
async fn types_of_types_are_bounded() {
    let engine = engine().await;
    for twice in [
        "struct(x, x)",
        "(x, x)",
        "{'a': x, 'b': x}",
        "named_struct('a', x, 'b', x)",
        "map([x], [x])",
        "map {x: x}",
        "arrays_zip([x], [x])",
    ] {
        let chain = |levels: usize| {
            let levels =
                (1..=levels).map(|n| format!(", a{n} as (select {twice} x from a{})", n - 1));
            let levels: Vec<_> = levels.collect();
            let last = levels.len();
            let levels = levels.concat();
            format!(
                "with a0 as (select eventID x from cloudtrail){levels} select count(x) n from a{last}"
            )
        };
        assert_eq!(ask(&engine, &chain(3)).await, ["n", "6"], "{twice}");
        let error = error(&engine, &chain(40)).await;
        let is_said = matches!(&error, Error::Refused(what) if what.contains("4096 members"));
        assert!(is_said, "{twice}: {error:?}");
    }
}

#[tokio::test]
async fn so_many_queries_run_at_once_and_others_wait() {
    let engine = bounded(Options {
        queries: 1,
        wait: Duration::from_millis(50),
        ..options()
    })
    .await;
    let endless = "select value from generate_series(1, 9000000000000)";
    let mut first = engine
        .ask(Question::of(endless), Sight::all())
        .await
        .unwrap();
    assert!(first.next().await.is_some());
    let busy = Error::Busy {
        most: 1,
        wait: Duration::from_millis(50),
    };
    assert_eq!(error(&engine, "select 1").await, busy);
    // dropped, it ends, and its place is free
    drop(first);
    let patient = tokio::time::timeout(Duration::from_secs(60), async {
        while lines(&engine, "select 1", Sight::all()).await.is_err() {}
    });
    assert!(patient.await.is_ok());
}

#[tokio::test]
async fn an_answer_is_made_as_it_is_read() {
    let engine = engine().await;
    let text = "select value from generate_series(1, 9000000000000)";
    let mut answer = engine.ask(Question::of(text), Sight::all()).await.unwrap();
    for _ in 0..3 {
        let batch = answer.next().await.unwrap().unwrap();
        // a message of 256 KB, and a batch
        assert!(batch.num_rows() <= 32_768 + crate::sql::BATCH_ROWS);
    }
}
