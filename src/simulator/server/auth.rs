//! Who asks: read from the signature's credential scope. The signature itself
//! is not checked: the simulator knows no secrets.

use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::awsjson::{Authorization, Code, Error};

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
    /// Reads the `Authorization` header.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let given = Authorization::parse(text(header::AUTHORIZATION.as_str()))?;
        Ok(Self {
            access_key: given.access_key_id.to_owned(),
            region: given.region.to_owned(),
            session: text("x-amz-security-token").and_then(Session::from_token),
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
}
