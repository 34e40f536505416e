//! One event.

use super::gateway::{Gateway, ended, page, trailgate};

#[tokio::test]
async fn one_event_is_got_in_each_format() {
    let (gateway, address) = Gateway::start([]).await;
    gateway.script().event = Some(page(7..8, "").events.remove(0));
    for (format, expected) in [
        ("json", "{\"event_id\":\"7\",\"record\":{\"n\": 7}}\n"),
        ("record", "{\"n\": 7}\n"),
        ("table", "id          7\n"),
    ] {
        let (code, out, err) = ended(&mut trailgate(address, &["get", "-o", format, "7"])).await;
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(out.starts_with(expected), "{out}");
    }
    let (code, out, err) = ended(&mut trailgate(address, &["get", "8"])).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(
        err,
        "trailgate: no event has the id \"8\" in the scopes searched\n"
    );
}
