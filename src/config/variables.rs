//! Variables of the environment that are meant for trailgate, and which of them
//! nobody reads.

use super::Error;
use crate::spelling::Nearest;

/// What variables that are meant for trailgate begin with.
const PREFIX: &str = "TRAILGATE_";
/// What the tests of this project read, which may run servers.
const TESTS: [&str; 2] = ["TRAILGATE_TEST_", "TRAILGATE_BIN"];

/// Refuses variables of the environment (`given`) that look as if they were meant
/// for trailgate, and are none that a command reads (`known`). Values tell those
/// apart that Kubernetes sets.
///
/// # Errors
/// If there is one: the first by name, with the nearest spelling.
pub(crate) fn check(
    known: &[String],
    given: impl IntoIterator<Item = (String, String)>,
) -> Result<(), Error> {
    let is_unknown = |(name, value): &(String, String)| {
        name.starts_with(PREFIX)
            && !known.contains(name)
            && !is_service_link(name, value)
            && !TESTS.iter().any(|test| name.starts_with(test))
    };
    let Some((name, _)) = given.into_iter().filter(is_unknown).min() else {
        return Ok(());
    };
    let hint = match Nearest::of(&name, known.iter().map(String::as_str)) {
        Some(name) => format!("did you mean {name}?"),
        None => "trailgate serve --help has those that there are".to_owned(),
    };
    Err(Error::new(format!("unknown variable {name}; {hint}")))
}

/// Whether Kubernetes sets it for a service whose name begins with `trailgate`
/// (its documentation, "Accessing the Service", environment variables).
fn is_service_link(name: &str, value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // of a service trailgate-live the name has more in between
    let rest = name.strip_prefix("TRAILGATE").unwrap_or_default();
    let is_service = rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_SERVICE_PORT")
        || rest.contains("_SERVICE_PORT_");
    // a URL, where whoever means a setting gives a number
    let is_port = rest == "_PORT" || rest.ends_with("_PORT") && value.contains("://");
    if is_service || is_port {
        return true;
    }
    rest.rsplit_once("_PORT_").is_some_and(|(_, port)| {
        let mut words = port.split('_');
        words.next().is_some_and(is_number)
            && matches!(words.next(), Some("TCP" | "UDP" | "SCTP"))
            && matches!(words.next(), None | Some("ADDR" | "PORT" | "PROTO"))
            && words.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_reads_is_refused_with_what_was_meant() {
        let known = ["TRAILGATE_REGION", "TRAILGATE_LISTEN", "TRAILGATE_ENDPOINT"];
        let known = known.map(str::to_owned);
        let given = |name: &str| {
            let (name, value) = name.split_once('=').unwrap_or((name, ""));
            let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            check(&known, [pair("HOME", "/"), pair(name, value)])
        };
        for name in [
            "TRAILGATE_REGION",
            "TRAILGATE_ENDPOINT",
            "TRAILGATE_TEST_KILLS",
            "TRAILGATE_BIN",
            "AWS_REGOIN",
            "TRAILGATE",
            "TRAILGATE_SERVICE_HOST",
            "TRAILGATE_SERVICE_PORT",
            "TRAILGATE_SERVICE_PORT_GRPC",
            "TRAILGATE_PORT",
            "TRAILGATE_PORT_50051_TCP",
            "TRAILGATE_PORT_50051_TCP_ADDR",
            "TRAILGATE_PORT_50051_TCP_PORT",
            "TRAILGATE_PORT_50051_TCP_PROTO",
            "TRAILGATE_LIVE_SERVICE_HOST",
            "TRAILGATE_LIVE_PORT=tcp://10.0.0.1:50051",
            "TRAILGATE_LIVE_PORT_8080_TCP",
        ] {
            assert_eq!(given(name), Ok(()), "{name}");
        }
        for (name, part) in [
            ("TRAILGATE_REGOIN", "TRAILGATE_REGION?"),
            ("TRAILGATE_LISTENS", "TRAILGATE_LISTEN?"),
            ("TRAILGATE_LISTEN_PORT", "TRAILGATE_LISTEN?"),
            ("TRAILGATE_PORT_X_TCP", "--help"),
            ("TRAILGATE_PORT_1_TCP_X", "--help"),
            ("TRAILGATE_", "--help"),
        ] {
            let message = given(name).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
            assert!(message.contains(part), "{message}");
        }
    }
}
