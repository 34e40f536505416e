use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use super::check;

/// Keys that the index is made of, of which some stand where they mean nothing.
const KEYS: [&str; 24] = [
    "userIdentity",
    "sessionContext",
    "sessionIssuer",
    "type",
    "arn",
    "ARN",
    "ARNPrefix",
    "principalId",
    "accountId",
    "accessKeyId",
    "userName",
    "invokedBy",
    "resources",
    "requestParameters",
    "responseElements",
    "readOnly",
    "eventName",
    "eventCategory",
    "eventType",
    "errorCode",
    "userAgent",
    "recipientAccountId",
    "addendum",
    "a",
];

/// Whose call it was, as AWS writes it.
fn user() -> Value {
    json!({
        "type": "AssumedRole", "principalId": "P:session", "accountId": "444455556666",
        "arn": "arn:aws:sts::444455556666:assumed-role/R/session", "accessKeyId": "K",
        "userName": "u", "invokedBy": "i",
        "sessionContext": {"sessionIssuer": {"type": "Role", "userName": "R"}},
    })
}

fn values() -> impl Strategy<Value = Value> {
    const TEXTS: [&str; 5] = [
        "Role",
        "AssumedRole",
        "x/y:z",
        "true",
        "a user agent that is long",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!(12)),
        Just(user()),
        select(&TEXTS[..]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((select(&KEYS[..]), inner), 0..5).prop_map(|members| {
                let members = members.into_iter();
                members
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

/// A record's text, often with whose call it was; each member as often as it was drawn.
fn records() -> impl Strategy<Value = String> {
    let drawn = vec((select(&KEYS[..]), values()), 0..8);
    (any::<bool>(), drawn).prop_map(|(has_user, mut members)| {
        if has_user {
            members.insert(0, ("userIdentity", user()));
        }
        let members = members.into_iter();
        let members: Vec<_> = members
            .map(|(key, it)| format!("\"{key}\": {it}"))
            .collect();
        format!("{{{}}}", members.join(", "))
    })
}

/// A path: often one that leads to whose call it was.
fn paths() -> impl Strategy<Value = String> {
    let of_user = select(&KEYS[1..12]).prop_map(|key| format!("userIdentity.{key}"));
    let of_issuer = select(&["type", "userName"][..])
        .prop_map(|key| format!("userIdentity.sessionContext.sessionIssuer.{key}"));
    let any = vec(select(&KEYS[..]), 1..4).prop_map(|keys| keys.join("."));
    prop_oneof![any, of_user, of_issuer]
}

proptest! {
    #[test]
    fn what_is_told_does_not_depend_on_what_is_taken_out(
        taken in vec(paths(), 1..3),
        asked in vec(paths(), 0..4),
        record in records(),
    ) {
        check(&taken, asked, &record);
    }
}
