//! `trailgate lookup --estimate`: what a search would cost, and nothing bought.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use serde::Serialize;
use tonic::Status;

use super::{EXIT_FAILED, output::Format, refusal, report::count};
use crate::{
    cli::report,
    client::Client,
    proto::v1::{Estimate, LookupEventsRequest},
};

/// Asks for the estimate and writes it; the exit status to end with.
///
/// # Errors
///
/// The server's status.
pub(super) async fn estimate(
    client: &Client,
    request: LookupEventsRequest,
    timeout: Duration,
    format: Format,
) -> Result<u8, Status> {
    let request = LookupEventsRequest {
        estimate_only: true,
        ..request
    };
    let answer = client.lookup_page(request, timeout).await?;
    let Some(estimate) = answer.estimate else {
        report::note("the gateway gave no estimate");
        return Ok(EXIT_FAILED);
    };
    let text = match format {
        Format::Json | Format::Jsonl => json(&estimate),
        Format::Table | Format::Csv => Ok(words(&estimate)),
    };
    let written = text.map_err(io::Error::from).and_then(|text| {
        let mut to = io::stdout().lock();
        writeln!(to, "{text}")?;
        to.flush()
    });
    Ok(report::written(written))
}

/// The fewest requests that are asked about: half a minute at AWS's pace of a scope,
/// which is what one waits for without a word.
const MANY: i64 = 60;

/// Whether a question is to be asked that costs many requests: whoever sits at a
/// terminal is asked, after the estimate; a script knows. `limit` is how many events
/// are wanted, `None` all.
pub(super) async fn is_wanted(
    client: &Client,
    request: &LookupEventsRequest,
    limit: Option<u64>,
    timeout: Duration,
) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return true;
    }
    // how many match is a guess: where few do, all of the time is searched for them
    let is_rare = request
        .filters
        .iter()
        .any(|filter| !filter.matches.is_empty());
    let request = LookupEventsRequest {
        estimate_only: true,
        // as many as a page has at most
        page_size: limit.map_or(1000, |limit| limit.min(1000).try_into().unwrap_or(1000)),
        ..request.clone()
    };
    let most = i64::from(request.max_upstream_calls);
    // what is wrong the question itself is told
    let answer = client.lookup_page(request, timeout).await.ok();
    let Some(estimate) = answer.and_then(|answer| answer.estimate) else {
        return true;
    };
    let (calls, time) = match limit {
        Some(_) if !is_rare => (estimate.upstream_calls, estimate.duration),
        Some(_) | None => (
            estimate.window_upstream_calls.max(estimate.upstream_calls),
            estimate.window_duration,
        ),
    };
    let is_most = limit.is_some() && is_rare && calls > estimate.upstream_calls;
    let calls = if most > 0 { calls.min(most) } else { calls };
    let cost = cost(calls, time);
    calls < MANY
        || said_yes(&match is_most {
            true => format!("up to {cost}, if few events match"),
            false => cost,
        })
}

/// Asks on the terminal.
fn said_yes(cost: &str) -> bool {
    let mut to = io::stderr().lock();
    let asked = write!(to, "trailgate: this takes {cost}; go on? [y/N] ").and_then(|()| to.flush());
    drop(to);
    let mut answer = String::new();
    let read = asked.and_then(|()| io::stdin().read_line(&mut answer));
    let is_yes = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if !is_yes {
        report::note("not asked; narrow it, for example with --since, or go on with --yes");
    }
    read.is_ok() && is_yes
}

fn cost(calls: i64, time: Option<prost_types::Duration>) -> String {
    let calls = count(calls, "request");
    match span(time) {
        Some(span) => format!("about {calls} to AWS, {}", refusal::duration(span)),
        None => format!("about {calls} to AWS"),
    }
}

/// How long, as far as it was said.
fn span(span: Option<prost_types::Duration>) -> Option<Duration> {
    span.and_then(|span| span.try_into().ok())
}

fn words(estimate: &Estimate) -> String {
    let page = match estimate.upstream_calls {
        0 => "the first page: nothing, all of it is held".to_owned(),
        calls => format!("the first page: {}", cost(calls, estimate.duration)),
    };
    match estimate.window_upstream_calls {
        0 => page,
        calls => format!(
            "{page}\nall pages: {}",
            cost(calls, estimate.window_duration)
        ),
    }
}

#[derive(Serialize)]
struct Json {
    upstream_calls: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    window_upstream_calls: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_duration_seconds: Option<f64>,
}

fn json(estimate: &Estimate) -> serde_json::Result<String> {
    serde_json::to_string(&Json {
        upstream_calls: estimate.upstream_calls,
        duration_seconds: span(estimate.duration).map(|span| span.as_secs_f64()),
        window_upstream_calls: estimate.window_upstream_calls,
        window_duration_seconds: span(estimate.window_duration).map(|span| span.as_secs_f64()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_told_in_requests_and_seconds() {
        let mut estimate = Estimate {
            upstream_calls: 3,
            duration: Some(prost_types::Duration {
                seconds: 1,
                nanos: 500_000_000,
            }),
            window_upstream_calls: 40,
            window_duration: None,
        };
        assert_eq!(
            words(&estimate),
            "the first page: about 3 requests to AWS, 2 s\nall pages: about 40 requests to AWS"
        );
        assert_eq!(
            json(&estimate).unwrap(),
            r#"{"upstream_calls":3,"duration_seconds":1.5,"window_upstream_calls":40}"#
        );
        estimate.upstream_calls = 0;
        estimate.window_upstream_calls = 0;
        assert!(words(&estimate).contains("nothing"));
    }
}
