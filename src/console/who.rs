//! Who visits: by a certificate, by a token, or by the word of a proxy.

use std::sync::Arc;

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, HeaderName, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::Console;
use crate::{
    grpc::{Refusal, Visit, Visitor},
    http,
};

/// The longest name of a user, in bytes: as of a token's subject.
const MAX_NAME: usize = 2048;

/// A proxy that says whom it brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// The name in its certificate; `None`: whoever calls from this machine.
    pub name: Option<String>,
    /// The header in which it says so. It must take away what a browser sends in it.
    pub header: HeaderName,
}

impl Proxy {
    fn is(&self, visitor: &http::Visitor) -> bool {
        match &self.name {
            Some(name) => visitor.name().is_some_and(|shown| **shown == **name),
            None => visitor.address.ip().to_canonical().is_loopback(),
        }
    }

    /// Whom it brings.
    fn user(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let mut said = headers.get_all(&self.header).iter();
        // two of them are nobody's word
        let (Some(said), None) = (said.next(), said.next()) else {
            return None;
        };
        let name = said.to_str().ok()?.trim();
        (!name.is_empty() && name.len() <= MAX_NAME).then(|| name.into())
    }
}

/// What the visitor of a page may ask, and the connection that it came by.
pub(super) struct Calls {
    pub(super) by: http::Visitor,
    pub(super) visitor: Visitor,
}

impl FromRequestParts<Console> for Calls {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let ConnectInfo(by) = ConnectInfo::<http::Visitor>::from_request_parts(parts, console)
            .await
            .map_err(IntoResponse::into_response)?;
        let proxy = console.options.proxy.as_ref();
        let proxy = proxy.filter(|proxy| proxy.is(&by));
        let user = match proxy {
            None => None,
            Some(proxy) => Some(
                proxy
                    .user(&parts.headers)
                    .ok_or_else(|| nobody(console, proxy))?,
            ),
        };
        let visitor = console.door.visitor(Visit {
            address: by.address,
            identity: by.identity.clone(),
            user,
            authorization: parts.headers.get(header::AUTHORIZATION).cloned(),
        });
        Ok(Self { by, visitor })
    }
}

fn nobody(console: &Console, proxy: &Proxy) -> Response {
    let refusal = Refusal {
        code: "UNAUTHENTICATED",
        reason: "NO_USER".to_owned(),
        message: format!("the proxy does not say in {} whom it brings", proxy.header),
        field: None,
        violations: Vec::new(),
    };
    console.refused(&refusal)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_proxy_says_one_name_or_none() {
        let proxy = Proxy {
            name: None,
            header: HeaderName::from_static("x-forwarded-user"),
        };
        let user = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append("x-forwarded-user", value);
            }
            proxy.user(&headers)
        };
        assert_eq!(user(&[" alice "]).as_deref(), Some("alice"));
        for none in [
            &[][..],
            &[""],
            &[" "],
            &["a", "b"],
            &["\u{e9}"],
            &["x".repeat(3000).as_str()],
        ] {
            assert_eq!(user(none), None, "{none:?}");
        }
    }
}
