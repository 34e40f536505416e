//! Who may be shown a page by a browser: other sites send browsers here, too.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Console;

/// Names by which the console may be called. A page of another site can have its own
/// name lead to this machine (DNS rebinding), and would read what is shown under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// This machine's own, and these.
    Here(Vec<String>),
    /// These; of none, any: who visits shows a certificate, which no page of another
    /// site has.
    Named(Vec<String>),
}

impl Hosts {
    fn has(&self, host: &str) -> bool {
        let name = without_port(host);
        let is_one = |names: &[String]| names.iter().any(|one| one.eq_ignore_ascii_case(name));
        match self {
            Self::Here(names) => {
                matches!(name, "127.0.0.1" | "[::1]")
                    || name.eq_ignore_ascii_case("localhost")
                    || is_one(names)
            }
            Self::Named(names) => names.is_empty() || is_one(names),
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // an IPv6 address has colons of its own, in brackets
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() => name,
        _ => host,
    }
}

/// Nothing but what this server serves, and nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Refuses what another site asks for through a visitor's browser, and has browsers
/// hold answers to what they are.
pub(super) async fn guard(
    State(console): State<Console>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let mut response = if !host.is_some_and(|host| console.options.hosts.has(host)) {
        let why = format!(
            "the console is not called {:?} here; call it localhost, or name it with --console-host\n",
            host.unwrap_or_default()
        );
        (StatusCode::MISDIRECTED_REQUEST, why).into_response()
    } else if is_foreign(headers, request.uri().path()) {
        let why = "this was asked for by another site; open it in a tab of its own\n";
        (StatusCode::FORBIDDEN, why).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // what is shown is for who asked, and for now
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// What is no page, and may spend much of a quota, or fills a disk.
const NO_PAGES: [&str; 3] = ["/download", "/counts", "/live/stream"];
/// The same of each report: how its path ends.
const ROWS: &str = "/rows.csv";

fn is_no_page(path: &str) -> bool {
    NO_PAGES.contains(&path) || path.ends_with(ROWS)
}

/// Whether another site has a browser ask, but for opening a page: each question may
/// spend quota.
fn is_foreign(headers: &HeaderMap, path: &str) -> bool {
    let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_page = of("sec-fetch-mode") == Some("navigate")
        && of("sec-fetch-dest") == Some("document")
        && !is_no_page(path);
    matches!(of("sec-fetch-site"), Some("cross-site" | "same-site")) && !is_page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_on_this_machine_answers_to_its_names_alone() {
        let hosts = Hosts::Here(vec!["Console.example.org".to_owned()]);
        for host in [
            "localhost:8080",
            "LOCALHOST",
            "127.0.0.1:1",
            "[::1]:8080",
            "[::1]",
            "console.example.org:443",
        ] {
            assert!(hosts.has(host), "{host}");
        }
        for host in [
            "",
            "evil.example.org",
            "localhost.evil.org:8080",
            "127.0.0.1.evil.org",
            "[::2]:1",
            "evil.org:localhost",
        ] {
            assert!(!hosts.has(host), "{host}");
        }
        assert!(Hosts::Named(Vec::new()).has("any"));
        let named = Hosts::Named(vec!["a".to_owned()]);
        assert!(named.has("a:1") && !named.has("localhost"));
    }

    #[test]
    fn another_site_may_open_a_page_and_nothing_else() {
        let is_foreign = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            super::is_foreign(&pairs.collect(), "/events")
        };
        let opened = [
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(!is_foreign(&[]));
        assert!(!is_foreign(&[("sec-fetch-site", "same-origin")]));
        assert!(!is_foreign(&[("sec-fetch-site", "none")]));
        assert!(is_foreign(&[("sec-fetch-site", "cross-site")]));
        assert!(is_foreign(&[
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "no-cors")
        ]));
        assert!(!is_foreign(
            &[&[("sec-fetch-site", "cross-site")], &opened[..]].concat()
        ));
        // a file is no page
        let mut file = HeaderMap::new();
        for (name, value) in [("sec-fetch-site", "cross-site")].iter().chain(&opened) {
            file.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        for path in NO_PAGES.into_iter().chain(["/reports/root_usage/rows.csv"]) {
            assert!(super::is_foreign(&file, path), "{path}");
        }
        assert!(!super::is_foreign(&file, "/reports/root_usage"));
        assert!(!super::is_foreign(&file, "/events"));
        let framed = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        assert!(is_foreign(
            &[&[("sec-fetch-site", "cross-site")], &framed[..]].concat()
        ));
    }
}
