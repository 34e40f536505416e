//! Names, whatever their case.

use super::fixture::{ask, engine, error};

#[tokio::test]
async fn names_match_whatever_their_case_and_come_out_as_cloudtrail_has_them() {
    let engine = engine().await;
    for text in [
        "SELECT eventName FROM cloudtrail ORDER BY eventTime LIMIT 1",
        "select EVENTNAME from CLOUDTRAIL order by EventTime limit 1",
        "select \"eventname\" from `CloudTrail` order by eventtime limit 1",
        "select c.eventname from cloudtrail C order by c.eventtime limit 1",
        "select cloudtrail.eventname from trailgate.archive.cloudtrail order by 1 desc nulls last limit 1 offset 2",
    ] {
        let lines = ask(&engine, text).await;
        assert_eq!(lines, ["eventName", "GetObject"], "{text}");
    }
}

#[tokio::test]
async fn members_of_structs_match_whatever_their_case() {
    let engine = engine().await;
    for text in [
        "SELECT userIdentity.userName FROM cloudtrail WHERE userIdentity.userName = 'bob' LIMIT 1",
        "select USERIDENTITY.username from cloudtrail where useridentity.USERNAME = 'bob' limit 1",
        "select c.useridentity.username from cloudtrail c where c.userIdentity.ARN like '%bob' limit 1",
    ] {
        assert_eq!(ask(&engine, text).await, ["userName", "bob"], "{text}");
    }
    let text = "select userIdentity.sessionContext.attributes.MFAAUTHENTICATED, count(*) n \
                from cloudtrail group by userIdentity.sessionContext.attributes.mfaAuthenticated";
    assert_eq!(ask(&engine, text).await, ["mfaAuthenticated|n", "true|6"]);
    // beside a column of that name
    let text =
        "select username, userIdentity.userName from cloudtrail where username = 'bob' limit 1";
    assert_eq!(ask(&engine, text).await, ["username|userName", "bob|bob"]);
    // through a subquery, and a WITH
    let text = "with w as (select userIdentity.userName, eventName from cloudtrail) \
                select USERNAME, count(*) n from W group by username order by 1";
    assert_eq!(ask(&engine, text).await, ["userName|n", "ann|4", "bob|2"]);
}

#[tokio::test]
async fn lists_are_read_as_spark_reads_them() {
    let engine = engine().await;
    let one = |what: &str| format!("select {what} from cloudtrail where eventName = 'PutObject'");
    for (what, found) in [
        ("resources[0].name x", "bucket-0"),
        ("resources[1].NAME x", "all"),
        ("resources[2].name x", ""),
        ("resources.name x", "[bucket-0, all]"),
        ("array_contains(resources.name, 'all') x", "true"),
        ("resources.type x", "[AWS::S3::Bucket, ]"),
    ] {
        assert_eq!(ask(&engine, &one(what)).await, ["x", found], "{what}");
    }
}

#[tokio::test]
async fn what_there_is_not_is_said() {
    let engine = engine().await;
    for (text, words) in [
        ("select evntName from cloudtrail", "eventName"),
        ("select 1 from cloudtrial", "cloudtrial"),
        ("select userIdentity.nme from cloudtrail", "nme"),
        ("select strlength(eventName) from cloudtrail", "strlength"),
    ] {
        let error = error(&engine, text).await.to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_day_is_compared_with_no_number() {
    let engine = engine().await;
    for condition in [
        "date >= 2023",
        "2023 < DATE",
        "date = 2023-07-10",
        "date between 2023 and '2024-01-01'",
        "region = 'us-east-1' and not (date in ('2023-07-10', -1))",
        "date is distinct from 0",
        "cast(eventTime as date) <> 1",
    ] {
        for text in [
            format!("select 1 from cloudtrail where {condition}"),
            format!("explain select * from (select count(*) from cloudtrail c where {condition})"),
            format!("select 1 where exists (select 1 from cloudtrail c where {condition})"),
            format!("select count(case when {condition} then 1 end) from cloudtrail"),
        ] {
            let error = error(&engine, &text).await;
            let told = error.to_string();
            assert!(
                matches!(error, crate::sql::Error::Wrong(_)),
                "{text}: {told}"
            );
            assert!(
                told.contains("compares a day with a number"),
                "{text}: {told}"
            );
        }
    }
    for condition in [
        "date >= '2023'::text || '-01-01'",
        "date >= date '2023-01-01'",
        "date_part('year', date) >= 2023",
        "date - interval '1' day > '2022-12-31' and length(eventName) > 1 + 1",
        "extract(year from date) in (2023, 2024)",
    ] {
        let text = format!("select count(*) n from cloudtrail where {condition}");
        assert_eq!(ask(&engine, &text).await, ["n", "6"], "{condition}");
    }
}
