//! Who asks, where, and with what right.

use std::sync::Arc;

use super::{Aws, BY_A_PAGE, Bytes, Code, Ending, Error, Parts, Refusal, Visitor, header, sigv4};
use crate::{
    accept::neighbour,
    awsjson::Authorization,
    budget::{Caller, Terms},
    event::{Scope, is_account},
    policy::{Method, Rights, Who},
};

/// Who asks, and what.
pub(super) struct Known {
    /// Whose turns and allowance it takes.
    pub(super) caller: Caller,
    pub(super) rights: Arc<Rights>,
    pub(super) scope: Scope,
}

impl Aws {
    /// Lets a request in, or not.
    pub(super) fn admit(
        &self,
        visitor: &Visitor,
        parts: &Parts,
        body: &Bytes,
        ending: &mut Ending,
    ) -> Result<Known, Refusal> {
        let header = parts.headers.get(header::AUTHORIZATION);
        let header = header.and_then(|header| header.to_str().ok());
        let given = Authorization::parse(header)?;
        let (who, account) = self.signer(visitor, parts, body, &given)?;
        ending.is_by(&who);
        let rights = self.options.access.rights(&who, Some(Method::LookupEvents));
        let rights = rights.map_err(|_| {
            denied("who asks has no right to it by the policy of this gateway, or is not known")
        })?;
        // AWS's form of an event is made of its record
        if !rights.sees_record() {
            return Err(denied(
                "records are not for this caller, and an event has one",
            ));
        }
        let caller = caller(visitor, &who, &rights);
        let caller = match ending.notes() {
            Some(notes) => caller.counted(Arc::clone(notes.requests())),
            None => caller,
        };
        let share = rights.share().calls_per_second;
        let taken = self.options.rates.take(&caller, share);
        taken.map_err(|often| Refusal {
            error: Error::new(
                Code::Throttling,
                format!("Rate exceeded: {} calls a second", often.per_second),
            ),
            wait: Some(often.wait),
        })?;
        // scopes that may not be seen are as if they were not there
        let scope = account.map(|account| Scope::new(&account, given.region));
        let scopes = self.options.scopes.now();
        let is_there = |scope: &Scope| rights.sees(scope) && scopes.binary_search(scope).is_ok();
        let scope = scope.filter(is_there).ok_or_else(|| {
            Error::new(
                Code::UnrecognizedClient,
                "The security token included in the request is invalid: this gateway does not \
                 search the Region that it is signed for, or not for its account (an access key \
                 id of 12 digits names one).",
            )
        })?;
        Ok(Known {
            caller,
            rights,
            scope,
        })
    }

    /// Whose the request is, and which account it asks.
    fn signer(
        &self,
        visitor: &Visitor,
        parts: &Parts,
        body: &Bytes,
        given: &Authorization<'_>,
    ) -> Result<(Who, Option<Arc<str>>), Refusal> {
        let Some(keys) = &self.options.keys else {
            // a page that a browser shows must not ask what the machine may
            if BY_A_PAGE
                .iter()
                .any(|name| parts.headers.contains_key(name))
            {
                return Err(denied("pages may not ask where no signature is checked"));
            }
            let who = match visitor.name() {
                Some(name) => Who::Certificate(Arc::clone(name)),
                None => Who::Anonymous,
            };
            return Ok((who, self.account(given.access_key_id)));
        };
        let request = sigv4::Request {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            body,
        };
        let key = keys.signer(given, &request, self.now())?;
        Ok((Who::Key(key.name), Some(key.account)))
    }

    /// The account of a key that nobody knows: the one that it is the id of, else the
    /// only one there is, else the one that AWS wrote into it.
    fn account(&self, access_key_id: &str) -> Option<Arc<str>> {
        if is_account(access_key_id) {
            return Some(access_key_id.into());
        }
        let scopes = self.options.scopes.now();
        let mut accounts = scopes.iter().map(|scope| &scope.account);
        let first = accounts.next()?;
        if accounts.all(|account| account == first) {
            return Some(Arc::clone(first));
        }
        written_in(access_key_id).map(Arc::from)
    }
}

/// The account that an access key id of AWS's has in it: keys made since 2019 have it in
/// bits 2 to 41 of what stands in base32 behind their kind. Not documented: found by
/// A. Steele ("AWS Access Key ID formats", 2020) and T. Be'ery ("A short note on AWS KEY
/// ID", 2023). An older one says another, which is not searched here.
fn written_in(access_key_id: &str) -> Option<String> {
    let rest = ["AKIA", "ASIA"]
        .iter()
        .find_map(|kind| access_key_id.strip_prefix(kind))?;
    let first = rest.get(..10)?.bytes().try_fold(0_u64, |bits, c| {
        let five = match c {
            b'A'..=b'Z' => c - b'A',
            b'2'..=b'7' => c - b'2' + 26,
            _ => return None,
        };
        Some(bits << 5 | u64::from(five))
    })?;
    let account = (first >> 9) & ((1 << 40) - 1);
    Some(format!("{account:012}"))
}

/// Whose turns and allowance a call takes: those of gRPC calls by the same caller.
fn caller(visitor: &Visitor, who: &Who, rights: &Rights) -> Caller {
    let address = visitor.address.ip();
    let caller = match who {
        // no certificate has such a name: these are two who ask
        Who::Key(name) => Caller::named(&format!("key {name}")),
        Who::Certificate(name) => Caller::named(name),
        // no proxy speaks for callers here, and no token is shown
        Who::Token(_) | Who::User(_) | Who::Anonymous => {
            Caller::peer(neighbour(address).unwrap_or(address))
        }
    };
    let share = rights.share();
    caller.on(Terms {
        weight: share.weight,
        daily: share.daily_requests,
    })
}

pub(super) fn denied(why: &str) -> Refusal {
    let what = "Not authorized to perform: cloudtrail:LookupEvents";
    Refusal::new(Code::AccessDenied, format!("{what}: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_account_in_it() {
        for (key, account) in [
            ("ASIAQNZGKIQY56JQ7WML", Some("029608264753")),
            ("AKIAIOSFODNN7EXAMPLE", Some("581039954779")),
            ("AKIAIOSFOD", None),
            ("AKIAIOSFODNN1EXAMPLE", None),
            ("AKIA0OSFODNN7EXAMPLE", None),
            ("AROAIOSFODNN7EXAMPLE", None),
            ("x", None),
        ] {
            assert_eq!(written_in(key).as_deref(), account, "{key}");
        }
    }
}
