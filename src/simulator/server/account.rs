//! The Account service's `ListRegions`.

use std::sync::Arc;

use axum::{body::Bytes, extract::State, http::HeaderMap, response::Response};
use serde::{Deserialize, Serialize};

use super::{Caller, Simulator, json_error, reply};
use crate::awsjson::{Code, Error};

const LIST_REGIONS: &str = "ListRegions";
const MAX_RESULTS: usize = 50;

/// A Region that an account has without opting in: all that are served, unless
/// it is told otherwise.
const ENABLED: &str = "ENABLED_BY_DEFAULT";
/// One that it has opted out of.
const DISABLED: &str = "DISABLED";

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    max_results: Option<usize>,
    next_token: Option<String>,
    region_opt_status_contains: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    regions: Vec<Region>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Region {
    region_name: String,
    region_opt_status: &'static str,
}

/// `POST /listRegions`: the Regions served, in order, and whether the account has
/// enabled them. `NextToken` is the last
/// Region's name.
pub(super) async fn list_regions(
    State(simulator): State<Arc<Simulator>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let scope = match Caller::of(&headers).and_then(|caller| simulator.scope_of(&caller)) {
        Ok(scope) => scope,
        Err(error) => {
            simulator.count_stray(LIST_REGIONS, &error);
            return json_error(&error);
        }
    };
    let answer = answer(simulator.account_regions(&scope.account), &body);
    simulator.count(&scope, LIST_REGIONS, answer.as_ref().map(|_| ()));
    match answer {
        Ok(answer) => {
            let body = serde_json::to_vec(&answer).unwrap_or_default();
            reply(200, "application/json", body)
        }
        Err(error) => json_error(&error),
    }
}

fn answer(regions: Vec<(String, bool)>, body: &[u8]) -> Result<Answer, Error> {
    let request: Request = if body.trim_ascii().is_empty() {
        Request::default()
    } else {
        serde_json::from_slice(body).map_err(|e| {
            Error::new(
                Code::Serialization,
                format!("The request body cannot be read: {e}"),
            )
        })?
    };
    let wanted = request.region_opt_status_contains.unwrap_or_default();
    let after = request.next_token.unwrap_or_default();
    let limit = request
        .max_results
        .unwrap_or(MAX_RESULTS)
        .clamp(1, MAX_RESULTS);
    let mut rest = regions
        .into_iter()
        .filter(|(region, _)| *region > after)
        .map(|(region, enabled)| (region, if enabled { ENABLED } else { DISABLED }))
        .filter(|(_, status)| wanted.is_empty() || wanted.iter().any(|w| w == status));
    let regions: Vec<Region> = rest
        .by_ref()
        .take(limit)
        .map(|(region_name, region_opt_status)| Region {
            region_name,
            region_opt_status,
        })
        .collect();
    let more = rest.next().is_some();
    let last = regions.last().map(|region| region.region_name.clone());
    Ok(Answer {
        next_token: last.filter(|_| more),
        regions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_come_in_pages_and_by_status() {
        let regions = || {
            let regions = [("a", true), ("b", true), ("c", true), ("d", false)];
            regions.map(|(r, enabled)| (r.to_owned(), enabled)).to_vec()
        };
        let show = |body: &str| {
            let answer = answer(regions(), body.as_bytes()).unwrap();
            let names: Vec<String> = answer.regions.into_iter().map(|r| r.region_name).collect();
            (names.concat(), answer.next_token)
        };
        assert_eq!(show(""), ("abcd".into(), None));
        assert_eq!(show(r#"{"MaxResults":2}"#), ("ab".into(), Some("b".into())));
        assert_eq!(
            show(r#"{"MaxResults":2,"NextToken":"b"}"#),
            ("cd".into(), None)
        );
        assert_eq!(
            show(r#"{"RegionOptStatusContains":["DISABLED"]}"#),
            ("d".into(), None)
        );
        assert_eq!(
            show(r#"{"RegionOptStatusContains":["ENABLED","ENABLED_BY_DEFAULT"]}"#).0,
            "abc"
        );
        assert_eq!(
            answer(regions(), b"[").err().unwrap().code,
            Code::Serialization
        );
    }
}
