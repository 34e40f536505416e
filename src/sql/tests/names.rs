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
