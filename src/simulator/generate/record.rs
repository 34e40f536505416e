//! A draft as the record that AWS would write.

use jiff::Timestamp;

use super::{
    Draft,
    actors::{Actor, Kind},
    catalog::names_resources,
    things::{unique_id, uuid},
};
use crate::simulator::chance::hash;

/// The time as records write it.
fn time(secs: i64) -> String {
    Timestamp::from_second(secs).unwrap_or_default().to_string()
}

/// The record of a draft. Everything in it comes from tables of ours without
/// a character that JSON escapes, so that it is put together as text.
pub(super) fn record(draft: &Draft<'_>) -> String {
    let Draft {
        actor,
        action,
        things,
        id,
        ..
    } = draft;
    let host = format!("{}.{}.amazonaws.com", action.service, things.region);
    let login = action.service == "signin";
    let (address, agent) = match actor.kind {
        Kind::Service => (actor.name.as_str(), actor.name.as_str()),
        _ => (actor.address.as_str(), actor.agent),
    };
    let mut text = String::with_capacity(1600);
    let mut put = |part: &str| text.push_str(part);
    put("{\"eventVersion\":\"1.11\",\"userIdentity\":");
    put(&identity(actor, draft));
    put(&format!(
        ",\"eventTime\":\"{}\",\"eventSource\":\"{}.amazonaws.com\",\"eventName\":\"{}\",\
         \"awsRegion\":\"{}\",\"sourceIPAddress\":\"{address}\",\"userAgent\":\"{agent}\"",
        time(things.time),
        action.service,
        action.name,
        things.region
    ));
    if let Some((code, message)) = draft.error {
        // a failed login has a message alone
        if !code.is_empty() {
            put(&format!(",\"errorCode\":\"{code}\""));
        }
        put(&format!(",\"errorMessage\":\"{}\"", things.fill(message)));
    }
    put(",\"requestParameters\":");
    put(&things.fill(action.request));
    put(",\"responseElements\":");
    match draft.error {
        Some(_) if login => put("{\"ConsoleLogin\":\"Failure\"}"),
        Some(_) => put("null"),
        None => put(&things.fill(action.response)),
    }
    if login {
        // some people still have no second factor: what auditors look for
        let mfa = if things.draw.is_multiple_of(8) {
            "No"
        } else {
            "Yes"
        };
        put(&format!(
            ",\"additionalEventData\":{{\"LoginTo\":\"https://console.aws.amazon.com/console/home\",\"MobileVersion\":\"No\",\"MFAUsed\":\"{mfa}\"}}"
        ));
    } else {
        if action.service == "s3" {
            put(
                ",\"additionalEventData\":{\"SignatureVersion\":\"SigV4\",\"CipherSuite\":\"TLS_AES_128_GCM_SHA256\",\"bytesTransferredIn\":0,\"AuthenticationMethod\":\"AuthHeader\",\"bytesTransferredOut\":",
            );
            put(&(200 + things.draw % 900).to_string());
            put("}");
        }
        put(&format!(
            ",\"requestID\":\"{}\"",
            uuid((things.draw, "request"))
        ));
    }
    put(&format!(
        ",\"eventID\":\"{id}\",\"readOnly\":{}",
        action.read_only
    ));
    if names_resources(action.service)
        && let Some((kind, name)) = action.resource
    {
        put(&format!(
            ",\"resources\":[{{\"accountId\":\"{}\",\"type\":\"{kind}\",\"ARN\":\"{}\"}}]",
            things.account,
            things.fill(name)
        ));
    }
    let kind = if login {
        "AwsConsoleSignIn"
    } else {
        "AwsApiCall"
    };
    put(&format!(
        ",\"eventType\":\"{kind}\",\"managementEvent\":true,\"recipientAccountId\":\"{}\"",
        things.account
    ));
    if action.service == "sts" && actor.kind == Kind::Service {
        put(&format!(
            ",\"sharedEventID\":\"{}\"",
            uuid((things.draw, "shared"))
        ));
    }
    put(",\"eventCategory\":\"Management\"");
    if actor.kind != Kind::Service {
        let host = if login {
            "signin.aws.amazon.com"
        } else {
            &host
        };
        put(&format!(
            ",\"tlsDetails\":{{\"tlsVersion\":\"TLSv1.3\",\"cipherSuite\":\"TLS_AES_128_GCM_SHA256\",\
             \"clientProvidedHostHeader\":\"{host}\"}}"
        ));
        if actor.agent.starts_with("Mozilla") && !login {
            put(",\"sessionCredentialFromConsole\":\"true\"");
        }
    }
    put("}");
    text
}

fn identity(actor: &Actor, draft: &Draft<'_>) -> String {
    let Draft {
        things, access_key, ..
    } = draft;
    let (account, name) = (things.account, actor.name.as_str());
    // whoever logs in has no key yet
    let key = access_key
        .as_ref()
        .map(|key| format!(",\"accessKeyId\":\"{key}\""))
        .unwrap_or_default();
    let began = time(actor.session_start(things.time));
    match actor.kind {
        Kind::Service => format!("{{\"type\":\"AWSService\",\"invokedBy\":\"{name}\"}}"),
        Kind::IamUser => {
            let id = unique_id("AIDA", 17, (account, name));
            format!(
                "{{\"type\":\"IAMUser\",\"principalId\":\"{id}\",\
                 \"arn\":\"arn:aws:iam::{account}:user/{name}\",\"accountId\":\"{account}\"\
                 {key},\"userName\":\"{name}\"}}"
            )
        }
        Kind::Root => format!(
            "{{\"type\":\"Root\",\"principalId\":\"{account}\",\
             \"arn\":\"arn:aws:iam::{account}:root\",\"accountId\":\"{account}\"\
             {key},\"sessionContext\":{{\"attributes\":{{\
             \"creationDate\":\"{began}\",\"mfaAuthenticated\":\"true\"}}}}}}"
        ),
        Kind::Person | Kind::Program => {
            let id = unique_id("AROA", 17, (account, name));
            let session = &actor.session;
            let path = if actor.kind == Kind::Person {
                "aws-reserved/sso.amazonaws.com/"
            } else {
                ""
            };
            let on_instance = actor.kind == Kind::Program && session.starts_with("i-");
            let delivery = if on_instance {
                ",\"ec2RoleDelivery\":\"2.0\""
            } else {
                ""
            };
            format!(
                "{{\"type\":\"AssumedRole\",\"principalId\":\"{id}:{session}\",\
                 \"arn\":\"arn:aws:sts::{account}:assumed-role/{name}/{session}\",\
                 \"accountId\":\"{account}\"{key},\"sessionContext\":{{\
                 \"sessionIssuer\":{{\"type\":\"Role\",\"principalId\":\"{id}\",\
                 \"arn\":\"arn:aws:iam::{account}:role/{path}{name}\",\
                 \"accountId\":\"{account}\",\"userName\":\"{name}\"}},\"attributes\":{{\
                 \"creationDate\":\"{began}\",\"mfaAuthenticated\":\"{}\"}}{delivery}}}}}",
                actor.kind == Kind::Person && !hash(session).is_multiple_of(5)
            )
        }
    }
}
