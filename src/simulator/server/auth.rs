//! Who asks: read from the signature's credential scope. The signature itself
//! is not checked: the simulator knows no secrets.

use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::awsjson::{Code, Error};

/// Who asks, and in which Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) access_key: String,
    pub(super) region: String,
    pub(super) session: Option<Session>,
}

/// What a session token of ours says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// The assumed role's session, as an ARN.
    pub(super) arn: String,
    /// Its id and name.
    pub(super) user_id: String,
    /// When it ends, in seconds since the Unix epoch.
    pub(super) expires: i64,
}

/// What our session tokens begin with; any other token is passed over.
const SESSION_PREFIX: &str = "trailgate-";

impl Session {
    pub(super) fn to_token(&self) -> String {
        // two strings and a number always serialise
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{SESSION_PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }

    fn from_token(token: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD
            .decode(token.strip_prefix(SESSION_PREFIX)?)
            .ok()?;
        serde_json::from_slice(&json).ok()
    }
}

impl Caller {
    /// Reads `Authorization: AWS4-HMAC-SHA256
    /// Credential=KEY/DATE/REGION/SERVICE/aws4_request, …`.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(given) = text(header::AUTHORIZATION.as_str()) else {
            return Err(Error::new(
                Code::MissingAuthenticationToken,
                "Request is missing Authentication Token",
            ));
        };
        let caller = given
            .strip_prefix("AWS4-HMAC-SHA256")
            .and_then(|rest| {
                let fields = rest.split(',');
                fields
                    .map(str::trim)
                    .find_map(|field| field.strip_prefix("Credential="))
            })
            .and_then(|credential| {
                // the key comes first; the rest is counted from the end
                let mut parts = credential.rsplitn(5, '/');
                let ends_well = parts.next() == Some("aws4_request");
                let (_service, region, _date) = (parts.next()?, parts.next()?, parts.next()?);
                let access_key = parts.next()?;
                (ends_well && !region.is_empty() && !access_key.is_empty()).then(|| Self {
                    access_key: access_key.to_owned(),
                    region: region.to_owned(),
                    session: text("x-amz-security-token").and_then(Session::from_token),
                })
            });
        caller.ok_or_else(|| {
            Error::new(
                Code::IncompleteSignature,
                "The Authorization header has no Credential=KEY/DATE/REGION/SERVICE/aws4_request.",
            )
        })
    }

    /// Refuses a session that is over at `now`, in seconds since the Unix
    /// epoch.
    pub(super) fn check_session(&self, now: i64) -> Result<(), Error> {
        match &self.session {
            Some(session) if session.expires <= now => Err(Error::new(
                Code::ExpiredToken,
                "The security token included in the request is expired",
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        headers
    }

    #[test]
    fn the_credential_scope_says_who_and_where() {
        let mut given = headers(
            "AWS4-HMAC-SHA256 Credential=111122223333/20260101/eu-west-1/cloudtrail/aws4_request, SignedHeaders=host, Signature=0",
        );
        let session = Session {
            arn: "a".into(),
            user_id: "u".into(),
            expires: 100,
        };
        given.insert("x-amz-security-token", session.to_token().parse().unwrap());
        let caller = Caller::of(&given).unwrap();
        assert_eq!(caller.access_key, "111122223333");
        assert_eq!(caller.region, "eu-west-1");
        assert_eq!(caller.session, Some(session));
        assert!(caller.check_session(99).is_ok());
        assert_eq!(
            caller.check_session(100).unwrap_err().code,
            Code::ExpiredToken
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let none = Caller::of(&HeaderMap::new()).unwrap_err();
        assert_eq!(none.code, Code::MissingAuthenticationToken);
        for bad in [
            "Bearer x",
            "AWS4-HMAC-SHA256 SignedHeaders=host",
            "AWS4-HMAC-SHA256 Credential=AKIA/20260101/aws4_request",
            "AWS4-HMAC-SHA256 Credential=AKIA/20260101/r/s/aws5_request",
            "AWS4-HMAC-SHA256 Credential=/20260101/r/s/aws4_request",
        ] {
            let error = Caller::of(&headers(bad)).unwrap_err();
            assert_eq!(error.code, Code::IncompleteSignature, "{bad}");
        }
    }
}
