//! The Organizations service's `ListAccounts`.

use axum::{body::Bytes, http::HeaderMap, response::Response};
use serde::{Deserialize, Serialize};

use super::{Caller, Simulator, json_error, reply};
use crate::{
    awsjson::{self, Code, Error},
    event::Scope,
    upstream::Partition,
};

const LIST_ACCOUNTS: &str = "ListAccounts";
/// The most accounts on a page, and how many where the request does not say
/// (API reference, `ListAccounts`).
const MAX_RESULTS: usize = 20;

/// The operation that an `X-Amz-Target` names, if it is one of Organizations'.
pub(super) fn operation(target: &str) -> Option<&str> {
    target.strip_prefix("AWSOrganizationsV20161128.")
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    accounts: Vec<Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Account {
    id: String,
    arn: String,
    email: String,
    name: String,
    /// Retired by AWS in favour of `State`; older clients read it.
    status: &'static str,
    state: &'static str,
    joined_method: &'static str,
}

/// Answers a request to Organizations. `NextToken` is the last account's id.
pub(super) fn answer(
    simulator: &Simulator,
    operation: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    let caller = Caller::of(headers);
    if operation != LIST_ACCOUNTS {
        return json_error(&simulator.refuse_unknown(caller.as_ref().ok()));
    }
    let scope = match caller.and_then(|caller| simulator.scope_of(&caller)) {
        Ok(scope) => scope,
        Err(error) => {
            simulator.count_stray(LIST_ACCOUNTS, &error);
            return json_error(&error);
        }
    };
    let answer = list(simulator, &scope, body);
    simulator.count(&scope, LIST_ACCOUNTS, answer.as_ref().map(|_| ()));
    match answer {
        Ok(answer) => {
            // strings always serialise
            let body = serde_json::to_vec(&answer).unwrap_or_default();
            reply(200, awsjson::CONTENT_TYPE, body)
        }
        Err(error) => json_error(&error),
    }
}

fn list(simulator: &Simulator, caller: &Scope, body: &[u8]) -> Result<Answer, Error> {
    let management = simulator.management_account();
    if management.as_deref() != Some(&*caller.account) {
        return Err(Error::new(
            Code::AccessDenied,
            "You don't have permissions to access this resource.",
        ));
    }
    let request: Request = serde_json::from_slice(body).map_err(|e| {
        let message = format!("The request body cannot be read: {e}");
        Error::new(Code::Serialization, message)
    })?;
    let limit = request.max_results.unwrap_or(MAX_RESULTS);
    if !(1..=MAX_RESULTS).contains(&limit) {
        let message = format!("MaxResults must be between 1 and {MAX_RESULTS}.");
        return Err(Error::new(Code::InvalidInput, message));
    }
    let partition = Partition::of_region(&caller.region).name;
    let after = request.next_token.unwrap_or_default();
    let mut rest = simulator
        .organization()
        .into_iter()
        .filter(|(id, _)| *id > after);
    let accounts: Vec<Account> = rest
        .by_ref()
        .take(limit)
        .map(|(id, is_active)| {
            let state = if is_active { "ACTIVE" } else { "SUSPENDED" };
            Account {
                arn: format!(
                    "arn:{partition}:organizations::{}:account/o-simulator/{id}",
                    caller.account
                ),
                email: format!("{id}@example.com"),
                name: format!("simulated {id}"),
                status: state,
                state,
                joined_method: "CREATED",
                id,
            }
        })
        .collect();
    let more = rest.next().is_some();
    let last = accounts.last().map(|account| account.id.clone());
    Ok(Answer {
        next_token: last.filter(|_| more),
        accounts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, simulator::Options};

    fn simulator(accounts: usize) -> Simulator {
        let options = Options {
            accounts: (1..=accounts).map(|n| format!("{n:012}")).collect(),
            management_account: Some("000000000002".into()),
            suspended: vec!["000000000003".into(), "999999999999".into()],
            ..Options::default()
        };
        Simulator::new(options, Clock::system(), Vec::new())
    }

    fn ask(simulator: &Simulator, account: &str, body: &str) -> Result<Answer, Error> {
        list(
            simulator,
            &Scope::new(account, "us-east-1"),
            body.as_bytes(),
        )
    }

    #[test]
    fn accounts_come_in_pages_with_their_state() {
        let simulator = simulator(30);
        let first = ask(&simulator, "000000000002", "{}").unwrap();
        assert_eq!(first.accounts.len(), 20);
        let token = first.next_token.unwrap();
        let body = format!(r#"{{"NextToken":"{token}"}}"#);
        let second = ask(&simulator, "000000000002", &body).unwrap();
        assert_eq!((second.accounts.len(), second.next_token), (11, None));
        let suspended: Vec<String> = first
            .accounts
            .into_iter()
            .chain(second.accounts)
            .filter(|account| account.state == "SUSPENDED")
            .map(|account| account.id)
            .collect();
        assert_eq!(suspended, ["000000000003", "999999999999"]);
    }

    #[test]
    fn only_the_management_account_may_ask_and_only_as_the_api_has_it() {
        let simulator = simulator(3);
        let code = |account, body| ask(&simulator, account, body).err().unwrap().code;
        assert_eq!(code("000000000001", "{}"), Code::AccessDenied);
        assert_eq!(code("000000000002", "["), Code::Serialization);
        assert_eq!(
            code("000000000002", r#"{"MaxResults":21}"#),
            Code::InvalidInput
        );
        assert_eq!(
            operation("AWSOrganizationsV20161128.ListAccounts"),
            Some("ListAccounts")
        );
        assert_eq!(operation("CloudTrail_20131101.LookupEvents"), None);
    }
}
