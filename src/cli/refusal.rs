//! What a call that failed is told as.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    EXIT_FAILED, EXIT_INPUT, EXIT_USAGE,
    asked::Asked,
    report::{LISTED, note},
};
use crate::{client::Fault, proto::code_name};

/// The gateway's word for a query that took longer than it lets queries take.
const SQL_TIME: &str = "SQL_TIME_EXCEEDED";

/// Where the call went, and what it asked.
pub(super) struct Call<'a> {
    pub(super) endpoint: &'a str,
    /// Whether the gateway has answered before.
    pub(super) has_answered: bool,
    pub(super) asked: &'a Asked,
}

impl Call<'_> {
    /// Says why it failed and what to do about it; the exit status to end
    /// with.
    pub(super) fn refused(&self, status: &Status) -> u8 {
        let usage = self.usage(status);
        let code = match usage {
            Some(_) if self.is_of_file(status) => EXIT_INPUT,
            Some(_) => EXIT_USAGE,
            None => EXIT_FAILED,
        };
        for line in usage.unwrap_or_else(|| self.lines(status)) {
            note(line);
        }
        code
    }

    /// Whether what cannot be used was in a file.
    fn is_of_file(&self, status: &Status) -> bool {
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| &bad.field_violations);
        let mut violations = violations.into_iter().flatten();
        self.asked.is_raw || violations.any(|violation| self.asked.input.has(&violation.field))
    }

    /// Whether it went by TLS.
    fn is_secure(&self) -> bool {
        let scheme = self.endpoint.split_once("://").map(|(scheme, _)| scheme);
        matches!(scheme, Some("https" | "grpcs"))
    }

    /// What was typed and the gateway cannot use, if that is why.
    fn usage(&self, status: &Status) -> Option<Vec<String>> {
        if status.code() != Code::InvalidArgument {
            return None;
        }
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| &bad.field_violations);
        let told: Vec<String> = violations
            .into_iter()
            .flatten()
            .filter_map(|violation| {
                let typed = self.asked.option(&violation.field)?;
                Some(format!("{typed}: {}", violation.description))
            })
            .take(LISTED)
            .collect();
        let is_filter = || {
            details
                .error_info()?
                .reason
                .eq("INVALID_FILTER")
                .then_some(())
        };
        match told.is_empty() {
            false => Some(told),
            true => is_filter().map(|()| vec![status.message().to_owned()]),
        }
    }

    fn lines(&self, status: &Status) -> Vec<String> {
        let endpoint = self.endpoint;
        match Fault::of(status) {
            None => {}
            Some(Fault::NoGateway) => {
                let or = match self.is_secure() {
                    true => "",
                    false => "; if it speaks TLS, write https://",
                };
                return vec![format!(
                    "what answers at {endpoint} is no trailgate gateway (gRPC is on port 50051 unless set{or})"
                )];
            }
            Some(Fault::Unreachable) if !self.has_answered => {
                let why = status.message();
                return vec![match in_tls(why) {
                    Some(hint) if self.is_secure() => {
                        format!("no TLS with the gateway at {endpoint} ({why}): {hint}")
                    }
                    _ => format!(
                        "no gateway answers at {endpoint} ({why}); start one with \"trailgate serve\", or name another with --endpoint"
                    ),
                }];
            }
            // it shook hands, or took the connection, and said nothing
            Some(Fault::WentAway) if !self.has_answered => {
                let hint = match self.is_secure() {
                    true => {
                        "it may not take the certificate that is shown (--client-cert), or the lack of one: its log says why"
                    }
                    false => {
                        "this may not be its port for gRPC (50051 unless set), or it speaks TLS (https://)"
                    }
                };
                return vec![format!(
                    "the gateway at {endpoint} went away before it answered; if it does so again, {hint}"
                )];
            }
            Some(Fault::Unreachable | Fault::WentAway) => {
                return vec![format!("the gateway at {endpoint} went away")];
            }
        }
        let details = status.get_error_details();
        let reason = details
            .error_info()
            .map(|info| format!(", {}", info.reason))
            .unwrap_or_default();
        let mut lines = vec![format!(
            "{} [{}{reason}]",
            status.message(),
            code_name(status.code())
        )];
        let violations = details.bad_request().map(|bad| &bad.field_violations);
        for violation in violations.into_iter().flatten().take(LISTED) {
            // the message usually says the first of them already
            if !status.message().contains(&violation.description) {
                lines.push(format!("  {}: {}", violation.field, violation.description));
            }
        }
        if details
            .error_info()
            .is_some_and(|info| info.reason == "RECORD_NOT_ALLOWED")
        {
            let view = r#"--cli-input-json '{"view": "BASIC"}'"#;
            lines.push(format!(
                "  ask without it: -o table or csv, or any format with {view}"
            ));
        }
        let wait = details.retry_info().and_then(|info| info.retry_delay);
        match (wait, status.code()) {
            (Some(wait), _) => lines.push(format!("  try again in {}", seconds(wait))),
            // it has a time of its own
            (None, Code::DeadlineExceeded) if reason.ends_with(SQL_TIME) => {
                lines.push("  that is the server's --sql-timeout".to_owned());
            }
            (None, Code::DeadlineExceeded) => {
                lines.push("  give it more time with --timeout".to_owned());
            }
            (None, _) => {}
        }
        lines
    }
}

/// What may have kept TLS from being spoken, by the words that rustls has for it, and
/// what to do; `None`: nothing that is known here.
fn in_tls(why: &str) -> Option<&'static str> {
    let hints = [
        (
            "UnknownIssuer",
            "its certificate is of an authority that is not trusted here; name that one with --ca-cert",
        ),
        (
            "CaUsedAsEndEntity",
            "its certificate is an authority's own; have it show one that was signed with that, and is none itself (CA:FALSE)",
        ),
        (
            "UnsupportedCertVersion",
            "its certificate is of X.509 version 1; have it show one that was signed with extensions",
        ),
        (
            "not valid for name",
            "ask it by a name that its certificate has as a subjectAltName",
        ),
        (
            "NotValidForName",
            "ask it by a name that its certificate has as a subjectAltName",
        ),
        ("expired", "have its certificate renewed"),
        ("Expired", "have its certificate renewed"),
        (
            "handshake eof",
            "it may be plain text (http://), or not take the certificate that is shown (--client-cert): its log says why",
        ),
        (
            "corrupt message",
            "what answers there speaks no TLS; write http://, if that is meant",
        ),
        (
            "alert",
            "it may not take the certificate that is shown (--client-cert): its log says why",
        ),
    ];
    let found = hints.iter().find(|(words, _)| why.contains(words))?;
    Some(found.1)
}

/// A span as one says it: in minutes or hours where it has some.
pub(super) fn duration(span: Duration) -> String {
    match span.as_secs() {
        0..=119 => seconds(span),
        secs @ 120..7200 => format!("{} min", secs.div_ceil(60)),
        secs => format!("{} h {} min", secs / 3600, secs % 3600 / 60),
    }
}

/// A span in whole seconds, rounded up: no wait is said to be nothing.
pub(super) fn seconds(span: Duration) -> String {
    let up = u64::from(span.subsec_nanos() > 0);
    format!("{} s", span.as_secs().saturating_add(up))
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;
    use crate::cli::where_clause::condition;

    #[test]
    fn a_refusal_is_told_with_its_reason_and_what_to_do() {
        let mut details = ErrorDetails::with_error_info("NO_SUCH", "trailgate", []);
        details.set_bad_request(vec![
            FieldViolation::new("page_token", "not one of ours"),
            FieldViolation::new("view", "9 is no value"),
        ]);
        let message = "page_token: not one of ours";
        let status = Status::with_error_details(Code::InvalidArgument, message, details);
        let asked = Asked::default();
        let call = |endpoint, has_answered| Call {
            endpoint,
            has_answered,
            asked: &asked,
        };
        assert_eq!(call("e", false).usage(&status), None);
        assert_eq!(
            call("e", false).lines(&status),
            [
                "page_token: not one of ours [INVALID_ARGUMENT, NO_SUCH]",
                "  view: 9 is no value",
            ]
        );
        let mut details = ErrorDetails::with_error_info("QUOTA_EXHAUSTED", "trailgate", []);
        details.set_retry_info(Some(Duration::from_millis(2500)));
        let status = Status::with_error_details(Code::ResourceExhausted, "no quota", details);
        assert_eq!(
            call("e", true).lines(&status),
            [
                "no quota [RESOURCE_EXHAUSTED, QUOTA_EXHAUSTED]",
                "  try again in 3 s"
            ]
        );
        let gone = Status::unavailable("tcp connect error");
        let lines = call("http://h:1", false).lines(&gone);
        assert!(
            lines[0].starts_with("no gateway answers at http://h:1 ("),
            "{lines:?}"
        );
        assert_eq!(
            call("http://h:1", true).lines(&gone),
            ["the gateway at http://h:1 went away"]
        );
        let lines = call("http://h:1", false).lines(&Status::unimplemented(""));
        assert!(lines[0].contains("is no trailgate gateway"), "{lines:?}");
        assert!(lines[0].contains("https://"), "{lines:?}");
        let lines = call("e", false).lines(&Status::deadline_exceeded("slow"));
        assert!(lines[1].contains("--timeout"), "{lines:?}");
        let details = ErrorDetails::with_error_info("SQL_TIME_EXCEEDED", "trailgate", []);
        let status = Status::with_error_details(Code::DeadlineExceeded, "slow", details);
        let lines = call("e", false).lines(&status);
        assert_eq!(lines[1..], ["  that is the server's --sql-timeout"]);
    }

    #[test]
    fn what_stood_in_the_way_of_tls_is_told_with_what_to_do() {
        let asked = Asked::default();
        let told = |endpoint, status: &Status| {
            let call = Call {
                endpoint,
                has_answered: false,
                asked: &asked,
            };
            call.lines(status).join("\n")
        };
        for (why, what) in [
            ("invalid peer certificate: UnknownIssuer", "--ca-cert"),
            (
                "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
                "CA:FALSE",
            ),
            ("tls handshake eof", "http://"),
            ("received fatal alert: BadCertificate", "--client-cert"),
        ] {
            let line = told("https://h:1", &Status::unavailable(why));
            assert!(line.contains(what) && line.contains(why), "{line}");
            assert!(!line.contains("trailgate serve"), "{line}");
        }
        // in plain text there is none
        let line = told("h:1", &Status::unavailable("tls handshake eof"));
        assert!(line.contains("trailgate serve"), "{line}");
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let mut gone = Status::unknown("transport error");
        gone.set_source(std::sync::Arc::new(broken));
        assert!(told("https://h:1", &gone).contains("--client-cert"));
        assert!(told("http://h:1", &gone).contains("50051"));
    }

    #[test]
    fn what_was_typed_is_named_as_it_was() {
        let asked = Asked {
            alternatives: vec![vec![condition("a=1"), condition("eventNmae=X")]],
            ..Asked::default()
        };
        let call = Call {
            endpoint: "e",
            has_answered: false,
            asked: &asked,
        };
        let mut details = ErrorDetails::with_error_info("INVALID_FILTER", "trailgate", []);
        let status = |details| Status::with_error_details(Code::InvalidArgument, "no", details);
        assert_eq!(
            call.usage(&status(details.clone())),
            Some(vec!["no".to_owned()])
        );
        details.add_bad_request_violation("filters[0].matches[1].field", "unknown field");
        assert_eq!(
            call.usage(&status(details)),
            Some(vec!["--where 'eventNmae=X': unknown field".to_owned()])
        );
    }
}
