//! STS over the AWS Query protocol: forms in, XML out.

use axum::{http::HeaderMap, response::Response};
use jiff::Timestamp;

use super::{Caller, Simulator, auth::Session, reply};
use crate::{
    awsjson::{Code, Error},
    event::Scope,
    upstream::Partition,
};

const ASSUME_ROLE: &str = "AssumeRole";
const GET_CALLER_IDENTITY: &str = "GetCallerIdentity";
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// How long a session lasts if the request does not say, and the bounds of
/// what it may say, in seconds (API reference, `AssumeRole`).
const DURATION: (i64, i64, i64) = (900, 3600, 43_200);

/// An error in STS's words: its codes and statuses are not CloudTrail's.
struct Refused {
    status: u16,
    code: &'static str,
    message: String,
    /// What the counters say.
    counted: Code,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let (status, code) = match error.code {
            Code::MissingAuthenticationToken => (403, "MissingAuthenticationToken"),
            Code::UnrecognizedClient => (403, "InvalidClientTokenId"),
            Code::ExpiredToken => (403, "ExpiredToken"),
            Code::AccessDenied => (403, "AccessDenied"),
            Code::IncompleteSignature => (400, "IncompleteSignature"),
            Code::UnknownOperation => (400, "InvalidAction"),
            _ => (400, "ValidationError"),
        };
        Self {
            status,
            code,
            counted: error.code,
            message: error.message,
        }
    }
}

/// Answers an STS request.
pub(super) fn answer(simulator: &Simulator, headers: &HeaderMap, body: &[u8]) -> Response {
    let form = form(body);
    let operation = match field(&form, "Action") {
        Some(ASSUME_ROLE) => ASSUME_ROLE,
        Some(GET_CALLER_IDENTITY) => GET_CALLER_IDENTITY,
        _ => super::UNKNOWN,
    };
    let nowhere = Scope::new("", "");
    let (scope, answer) = match Caller::of(headers) {
        Err(error) => (nowhere, Err(error)),
        Ok(caller) => match simulator.scope_of(&caller) {
            Err(error) => (nowhere, Err(error)),
            Ok(scope) => {
                let answer = match operation {
                    ASSUME_ROLE => assume_role(simulator, &scope, &form),
                    GET_CALLER_IDENTITY => Ok(identity(&caller, &scope)),
                    _ => Err(Error::new(
                        Code::UnknownOperation,
                        "The simulator answers AssumeRole and GetCallerIdentity.",
                    )),
                };
                (scope, answer)
            }
        },
    };
    let id = simulator.request_id();
    let (status, body) = match answer.map_err(Refused::from) {
        Ok(result) => {
            simulator.count(&scope, operation, Ok(()));
            let body = format!(
                "<{operation}Response xmlns=\"{NAMESPACE}\"><{operation}Result>{result}\
                 </{operation}Result><ResponseMetadata><RequestId>{id}</RequestId>\
                 </ResponseMetadata></{operation}Response>"
            );
            (200, body)
        }
        Err(refused) => {
            let error = Error::new(refused.counted, refused.message.clone());
            simulator.count(&scope, operation, Err(&error));
            let body = format!(
                "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{}</Code>\
                 <Message>{}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
                refused.code,
                escape(&refused.message)
            );
            (refused.status, body)
        }
    };
    reply(status, "text/xml", body.into_bytes())
}

fn identity(caller: &Caller, scope: &Scope) -> String {
    let account = &scope.account;
    let (arn, user_id) = match &caller.session {
        Some(session) => (session.arn.clone(), session.user_id.clone()),
        None => (
            format!("arn:{}:iam::{account}:user/simulator", partition(scope)),
            "AIDASIMULATOR".to_owned(),
        ),
    };
    format!(
        "<Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account>",
        escape(&arn),
        escape(&user_id),
        escape(account)
    )
}

/// Credentials whose access key id is the account of the role: that is how
/// later requests are attributed.
fn assume_role(
    simulator: &Simulator,
    caller: &Scope,
    form: &[(String, String)],
) -> Result<String, Error> {
    let invalid = |message: String| Error::new(Code::Serialization, message);
    let need = |name: &str| {
        field(form, name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| invalid(format!("{name} is missing.")))
    };
    let (arn, session) = (need("RoleArn")?, need("RoleSessionName")?);
    let (account, role) =
        parse_role(arn).ok_or_else(|| invalid(format!("{arn} is no role's ARN.")))?;
    let (least, usual, most) = DURATION;
    let seconds = match field(form, "DurationSeconds") {
        None => usual,
        Some(given) => given
            .parse()
            .ok()
            .filter(|seconds| (least..=most).contains(seconds))
            .ok_or_else(|| {
                invalid(format!(
                    "DurationSeconds must be between {least} and {most}."
                ))
            })?,
    };
    if !simulator.lends(account, field(form, "ExternalId")) {
        let account = &caller.account;
        let message = format!(
            "User: arn:{}:iam::{account}:user/simulator is not authorized to perform: \
             sts:AssumeRole on resource: {arn}",
            partition(caller)
        );
        return Err(Error::new(Code::AccessDenied, message));
    }
    let seconds = simulator.options.session.map_or(seconds, |most| {
        seconds.min(i64::try_from(most.as_secs()).unwrap_or(i64::MAX))
    });
    let expires = simulator.clock.now_secs().saturating_add(seconds);
    let issued = Session {
        arn: format!(
            "arn:{}:sts::{account}:assumed-role/{role}/{session}",
            partition(caller)
        ),
        user_id: format!("AROASIMULATOR:{session}"),
        expires,
    };
    let expiration = Timestamp::from_second(expires).unwrap_or(Timestamp::MAX);
    Ok(format!(
        "<AssumedRoleUser><Arn>{}</Arn><AssumedRoleId>{}</AssumedRoleId></AssumedRoleUser>\
         <Credentials><AccessKeyId>{account}</AccessKeyId>\
         <SecretAccessKey>simulator-has-no-secrets</SecretAccessKey>\
         <SessionToken>{}</SessionToken><Expiration>{expiration}</Expiration></Credentials>",
        escape(&issued.arn),
        escape(&issued.user_id),
        issued.to_token(),
    ))
}

fn partition(scope: &Scope) -> &'static str {
    Partition::of_region(&scope.region).name
}

/// The account and the name of `arn:aws:iam::ACCOUNT:role/PATH/NAME`.
fn parse_role(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(6, ':');
    let (head, _partition, service, _region) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (account, resource) = (parts.next()?, parts.next()?);
    let path = resource.strip_prefix("role/")?;
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    (head == "arn" && service == "iam" && !account.is_empty() && !name.is_empty())
        .then_some((account, name))
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// A form, decoded. The body's limit bounds it.
fn form(body: &[u8]) -> Vec<(String, String)> {
    body.split(|b| *b == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let mut next = || halves.next().map(decode).unwrap_or_default();
            (next(), next())
        })
        .collect()
}

fn decode(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut ahead = rest.clone();
                let mut digit = || char::from(ahead.next()?).to_digit(16);
                match digit()
                    .zip(digit())
                    .and_then(|(a, b)| u8::try_from(a << 4 | b).ok())
                {
                    Some(decoded) => {
                        rest = ahead;
                        decoded
                    }
                    None => byte,
                }
            }
            _ => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // no other control character may stand in XML
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let form = form(b"Action=AssumeRole&RoleArn=arn%3Aaws&x=a+b%2&flag&&e=");
        assert_eq!(field(&form, "Action"), Some("AssumeRole"));
        assert_eq!(field(&form, "RoleArn"), Some("arn:aws"));
        assert_eq!(field(&form, "x"), Some("a b%2"));
        assert_eq!(field(&form, "flag"), Some(""));
        assert_eq!(field(&form, "absent"), None);
    }

    #[test]
    fn role_arns_name_account_and_role() {
        for (arn, parsed) in [
            (
                "arn:aws:iam::111122223333:role/Audit",
                Some(("111122223333", "Audit")),
            ),
            (
                "arn:aws:iam::111122223333:role/a/b/Audit",
                Some(("111122223333", "Audit")),
            ),
            ("arn:aws:iam::111122223333:user/ann", None),
            ("arn:aws:sts::111122223333:role/x", None),
            ("arn:aws:iam:::role/x", None),
            ("role", None),
        ] {
            assert_eq!(parse_role(arn), parsed, "{arn}");
        }
    }

    #[test]
    fn nothing_breaks_out_of_the_xml() {
        assert_eq!(
            escape("<a & \"b\">\u{1}"),
            "&lt;a &amp; &quot;b&quot;&gt;\u{fffd}"
        );
    }
}
