//! How scopes stand.

use trailgate::proto::v1::{Scope, ScopeCoverage, ScopeState};

use super::gateway::{Gateway, ended, trailgate};

fn scope(region: &str) -> Scope {
    Scope {
        account_id: "111122223333".to_owned(),
        region: region.to_owned(),
        state: ScopeState::Ok.into(),
        requests_per_second: 2.0,
        max_requests_per_second: 2.0,
        coverage: Some(ScopeCoverage {
            seconds: 9 * 86_400,
            events: 12,
            ..ScopeCoverage::default()
        }),
        requests_bought: 4,
        ..Scope::default()
    }
}

#[tokio::test]
async fn scopes_are_listed_in_each_format() {
    let (gateway, address) = Gateway::start([]).await;
    gateway.script().scopes = vec![scope("eu-west-1"), scope("eu-west-2")];
    let (code, out, err) = ended(&mut trailgate(address, &["scopes"])).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let rows: Vec<Vec<_>> = out
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(
        rows[1],
        [
            "111122223333/eu-west-1",
            "ok",
            "2/2",
            "10.0%",
            "12",
            "4",
            "0"
        ]
    );
    let args = ["scopes", "-o", "csv", "--region", "eu-west-2"];
    let (code, out, _) = ended(&mut trailgate(address, &args)).await;
    assert_eq!(code, Some(0));
    assert!(out.starts_with("account_id,region,state,"), "{out}");
    assert_eq!(out.lines().count(), 2, "{out}");
    let (code, out, _) = ended(&mut trailgate(address, &["scopes", "-o", "json"])).await;
    assert_eq!(code, Some(0));
    let read: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(read["scopes"][1]["region"], "eu-west-2");
    let args = ["scopes", "--account", "444455556666"];
    let (code, out, _) = ended(&mut trailgate(address, &args)).await;
    assert_eq!((code, out.as_str()), (Some(0), "no scopes\n"));
}
