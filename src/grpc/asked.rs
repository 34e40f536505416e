//! What was asked, as JSON.

use prost::Message;
use prost_reflect::{DynamicMessage, Value};

use crate::proto::messages;

/// The fields that hold tokens.
const TOKENS: [&str; 2] = ["page_token", "resume_token"];

/// What stands for a token, which tells nobody anything.
const TOKEN: &str = "...";

/// A request, by the name of its message, as protobuf's JSON without tokens; `None`:
/// it cannot be told.
pub(super) fn json(name: &str, request: &impl Message) -> Option<String> {
    let message = messages()?.get_message_by_name(&format!("trailgate.v1.{name}"))?;
    let bytes = request.encode_to_vec();
    let mut message = DynamicMessage::decode(message, bytes.as_slice()).ok()?;
    for token in TOKENS {
        if message.has_field_by_name(token) {
            message.set_field_by_name(token, Value::String(TOKEN.to_owned()));
        }
    }
    serde_json::to_string(&message).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{
        EventFilter, LookupEventsRequest, Match, Operator, SubscribeEventsRequest,
        subscribe_events_request::Start,
    };

    #[test]
    fn what_was_asked_is_told_without_tokens() {
        let request = LookupEventsRequest {
            filters: vec![EventFilter {
                matches: vec![Match {
                    field: "eventName".into(),
                    operator: Operator::Prefix.into(),
                    values: vec!["Put\"".into()],
                    ..Match::default()
                }],
            }],
            page_token: "secret".into(),
            ..LookupEventsRequest::default()
        };
        let json = json("LookupEventsRequest", &request).unwrap();
        assert_eq!(
            json,
            r#"{"filters":[{"matches":[{"field":"eventName","operator":"OPERATOR_PREFIX","values":["Put\""]}]}],"pageToken":"..."}"#
        );
        let request = SubscribeEventsRequest {
            start: Some(Start::ResumeToken("secret".into())),
            ..SubscribeEventsRequest::default()
        };
        let json = super::json("SubscribeEventsRequest", &request).unwrap();
        assert_eq!(json, r#"{"resumeToken":"..."}"#);
    }
}
