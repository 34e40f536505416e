//! What must be true of every message, whoever wrapped it.

use serde_json::json;

use super::{Content, Error, MAX_SEEN, open};

/// Checks what a message is read as, and that it is the same wrapped once more.
pub(crate) fn check(body: &str) {
    let content = open(body);
    match &content {
        Ok(Content::Objects(objects)) => {
            assert!(!objects.is_empty());
            for object in objects {
                assert!(!object.bucket.is_empty() && !object.key.is_empty());
            }
        }
        Ok(Content::Event(event)) => {
            // it stands in the message as it is, or quoted
            let is_object = serde_json::from_str::<super::Members<'_>>(&event.record).is_ok();
            assert!(is_object, "{}", event.record);
        }
        Ok(Content::Nothing(_)) => {}
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 2 * MAX_SEEN, "{text}");
            assert!(!text.contains(char::is_control), "{text}");
        }
    }
    for wrapped in [
        // SNS with its envelope, a forwarder that quotes, and one that does not
        json!({"Type": "Notification", "TopicArn": "arn", "Message": body}).to_string(),
        json!(body).to_string(),
    ] {
        let again = open(&wrapped);
        match (&again, &content) {
            // one too many, or what is wrong is told of another depth
            (Err(Error::TooDeep), _) | (Err(_), Err(_)) => {}
            _ => assert_eq!(again, content, "{wrapped}"),
        }
    }
}
