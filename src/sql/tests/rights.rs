//! What a caller sees, whatever it writes.

use std::sync::Arc;

use super::fixture::{engine, lines};
use crate::sql::Sight;

fn one() -> Sight {
    let set = |name: &str| Some([Arc::from(name)].into());
    Sight::of(set("111111111111"), set("eu-central-1"))
}

#[tokio::test]
async fn a_caller_sees_its_partitions_alone_whatever_it_writes() {
    let engine = engine().await;
    for text in [
        "select * from cloudtrail",
        "select * from cloudtrail where account_id = '222222222222' or true",
        "select * from trailgate.archive.cloudtrail",
        "select * from cloudtrail a full outer join cloudtrail b on a.eventID = b.eventID",
        "select distinct account_id, region from cloudtrail",
        "select count(*), min(account_id), max(account_id), max(region), max(eventTime) from cloudtrail",
        "select account_id, approx_distinct(region) from cloudtrail group by cube(account_id, region)",
        "select * from (select account_id, row_number() over (order by account_id desc) n from cloudtrail)",
        "select 1 / (case when account_id = '222222222222' then 0 else 1 end) x from cloudtrail",
        "select arrow_cast(account_id, 'Int64') from cloudtrail",
        "with recursive r as (select account_id, 0 d from cloudtrail union all select account_id, d + 1 from r where d < 2) select * from r",
        "explain select * from cloudtrail",
        "explain verbose select * from cloudtrail where account_id = '222222222222'",
        "explain analyze select * from cloudtrail",
        "explain analyze verbose select count(*) from cloudtrail where region = 'us-east-1'",
        "describe cloudtrail",
        "show tables",
        "select * from information_schema.tables",
        "select * from information_schema.columns",
        "select * from information_schema.views",
        "select * from information_schema.schemata",
        "select cast(account_id as int) from cloudtrail",
    ] {
        let told = match lines(&engine, text, one()).await {
            Ok(lines) => lines.join("\n"),
            Err(error) => error.to_string(),
        };
        // what was asked for may come back
        let theirs = match text.contains("2222") {
            true => "account_id=2222",
            false => "2222",
        };
        assert!(!told.contains(theirs), "{text}: {told}");
        assert!(!told.contains("bob"), "{text}: {told}");
        let asks_region = text.contains("us-east-1");
        assert!(asks_region || !told.contains("us-east-1"), "{text}: {told}");
    }
    let count = lines(&engine, "select count(*) n from cloudtrail", one()).await;
    assert_eq!(count.unwrap(), ["n", "3"]);
    // an error tells no more
    let text = "select 1 / (case when account_id <> '111111111111' then 0 else 1 end) x from cloudtrail limit 1";
    assert_eq!(lines(&engine, text, one()).await.unwrap(), ["x", "1"]);
}

#[tokio::test]
async fn nothing_is_seen_without_a_right() {
    let engine = engine().await;
    let none = Sight::of(Some([].into()), None);
    let count = lines(&engine, "select count(*) n from cloudtrail", none.clone()).await;
    assert_eq!(count.unwrap(), ["n", "0"]);
    let plan = lines(&engine, "explain analyze select * from cloudtrail", none)
        .await
        .unwrap();
    assert!(!plan.join(" ").contains("parquet"), "{plan:?}");
}
