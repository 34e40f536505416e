//! Settings as they are given: on the command line, in the environment, in a
//! file.

use std::{
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use super::{Error, History, Size, Span};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Whose keys sign requests to AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    /// The AWS credential chain: environment, profile, SSO, web identity,
    /// container, instance
    Chain,
    /// The account's id as access key id, as `trailgate simulate` expects
    Simulator,
}

/// Every setting of the server; none is required. A file has the same names
/// with underscores.
#[derive(Clone, Debug, Default, PartialEq, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Read settings from this YAML file
    #[arg(long, value_name = "FILE", env = "TRAILGATE_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Serve made-up events, live, from a simulator inside: needs no AWS
    #[arg(long, env = "TRAILGATE_DEMO", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    pub demo: Option<bool>,

    /// Where gRPC listens; port 0 takes a free one [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS", env = "TRAILGATE_LISTEN")]
    pub listen: Option<SocketAddr>,

    /// Where HTTP listens, for /livez, /readyz and /metrics [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "TRAILGATE_HTTP_LISTEN")]
    pub http_listen: Option<SocketAddr>,

    /// Listen beyond loopback, though everyone who gets there may read every event
    #[arg(long, env = "TRAILGATE_INSECURE", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    pub insecure: Option<bool>,

    /// Ask this endpoint instead of AWS
    #[arg(long, value_name = "URL", env = "TRAILGATE_AWS_ENDPOINT_URL")]
    pub aws_endpoint_url: Option<String>,

    /// Whose keys sign [default: simulator for an http:// endpoint on this
    /// machine with --account, else chain]
    #[arg(long, value_name = "WHOSE", env = "TRAILGATE_CREDENTIALS")]
    pub credentials: Option<Credentials>,

    /// The account to search [default: that of the credentials]
    #[arg(
        long,
        value_name = "ID",
        env = "TRAILGATE_ACCOUNT",
        value_delimiter = ','
    )]
    #[serde(default, alias = "accounts", deserialize_with = "one_or_many")]
    pub account: Vec<String>,

    /// A Region to search (repeatable) [default: that of the environment or profile]
    #[arg(
        long,
        value_name = "REGION",
        env = "TRAILGATE_REGION",
        value_delimiter = ','
    )]
    #[serde(default, alias = "regions", deserialize_with = "one_or_many")]
    pub region: Vec<String>,

    /// Requests a second that each scope may spend; 0: unmetered, for a
    /// simulator only [default: 2]
    #[arg(
        long,
        value_name = "N",
        env = "TRAILGATE_RATE",
        allow_negative_numbers = true
    )]
    pub rate: Option<f64>,

    /// How far back AWS can be asked, or "unlimited" [default: 90d]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_HISTORY")]
    pub history: Option<History>,

    /// Memory for events that were read [default: 256MB]
    #[arg(long, value_name = "SIZE", env = "TRAILGATE_CACHE_SIZE")]
    pub cache_size: Option<Size>,

    /// How long after its end a stretch of time must be read to count as
    /// settled [default: 15m]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_SETTLE_HORIZON")]
    pub settle_horizon: Option<Span>,

    /// The longest that a page may take, unless the caller's deadline is
    /// sooner [default: 60s]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_REQUEST_TIMEOUT")]
    pub request_timeout: Option<Span>,

    /// Requests to AWS that a page may buy, unless the caller says so [default: 200]
    #[arg(long, value_name = "N", env = "TRAILGATE_MAX_UPSTREAM_CALLS")]
    pub max_upstream_calls: Option<u64>,

    /// How long calls may take to finish once the server is told to stop [default: 30s]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_SHUTDOWN_GRACE")]
    pub shutdown_grace: Option<Span>,

    /// How log lines look [default: text]
    #[arg(long, value_name = "FORMAT", env = "TRAILGATE_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Which log lines are written: error, warn, info, debug, trace, or
    /// tracing directives such as info,trailgate=debug [default: info]
    #[arg(long, value_name = "LEVEL", env = "TRAILGATE_LOG_LEVEL")]
    pub log_level: Option<String>,
}

/// A list, or its only element.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(OneOrMany)
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // a bare number has lost its leading zeros by now
        f.write_str("a list, such as [012345678901], or one element in quotes")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(vec![name.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Self::Value, A::Error> {
        // as many as the file has room for
        let mut all = Vec::new();
        while let Some(name) = names.next_element()? {
            all.push(name);
        }
        Ok(all)
    }
}

/// The largest settings file: a few hundred accounts take a few kilobytes.
const MAX_FILE: u64 = 1024 * 1024;

impl Settings {
    /// Completes what flags and variables left open from the file that they
    /// name, if they do.
    ///
    /// # Errors
    /// If the file cannot be read, or is not YAML with known settings.
    pub fn with_file(self) -> Result<Self, Error> {
        match self.config.clone() {
            Some(path) => {
                let file = Self::read(&path)?;
                Ok(self.or(file))
            }
            None => Ok(self),
        }
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let error = |what: String| Error::new(format!("--config {}: {what}", path.display()));
        let size = fs::metadata(path).map_err(|e| error(e.to_string()))?.len();
        if size > MAX_FILE {
            return Err(error(format!("{size} bytes; at most {MAX_FILE} are read")));
        }
        let text = fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
        Self::parse(&text).map_err(error)
    }

    fn parse(text: &str) -> Result<Self, String> {
        // an empty file, or one of comments, sets nothing
        let is_empty = text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim().starts_with('#'));
        if is_empty {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error| {
            // the parser knows the place, and not the name of the setting there
            let at = error
                .location()
                .and_then(|at| usize::try_from(at.line()).ok());
            let line = at.and_then(|at| text.lines().nth(at.checked_sub(1)?));
            let place = line
                .map(|line| format!(" ({:?})", line.trim()))
                .unwrap_or_default();
            format!("{}{place}", one_line(&error.without_snippet().to_string()))
        })
    }

    fn or(self, file: Self) -> Self {
        let list = |given: Vec<String>, file| if given.is_empty() { file } else { given };
        Self {
            config: self.config,
            demo: self.demo.or(file.demo),
            listen: self.listen.or(file.listen),
            http_listen: self.http_listen.or(file.http_listen),
            insecure: self.insecure.or(file.insecure),
            aws_endpoint_url: self.aws_endpoint_url.or(file.aws_endpoint_url),
            credentials: self.credentials.or(file.credentials),
            account: list(self.account, file.account),
            region: list(self.region, file.region),
            rate: self.rate.or(file.rate),
            history: self.history.or(file.history),
            cache_size: self.cache_size.or(file.cache_size),
            settle_horizon: self.settle_horizon.or(file.settle_horizon),
            request_timeout: self.request_timeout.or(file.request_timeout),
            max_upstream_calls: self.max_upstream_calls.or(file.max_upstream_calls),
            shutdown_grace: self.shutdown_grace.or(file.shutdown_grace),
            log_format: self.log_format.or(file.log_format),
            log_level: self.log_level.or(file.log_level),
        }
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_flags_names_and_gives_way_to_them() {
        let file = Settings::parse(
            "listen: 127.0.0.1:1\nrate: 0\nhistory: unlimited\naccount: ['111122223333']\n\
             regions: [us-east-1, eu-west-1]\ncache_size: 1000\nsettle_horizon: 5m\nlog_format: json\n",
        )
        .unwrap();
        assert_eq!(file.region, ["us-east-1", "eu-west-1"]);
        assert_eq!(file.history.unwrap().get(), None);
        assert_eq!(file.log_format, Some(LogFormat::Json));
        let flags = Settings {
            rate: Some(1.0),
            region: vec!["us-west-2".into()],
            ..Settings::default()
        };
        let both = flags.or(file);
        assert_eq!(
            (both.rate, both.region.as_slice()),
            (Some(1.0), &["us-west-2".to_owned()][..])
        );
        assert_eq!(both.account, ["111122223333"]);
        assert_eq!(Settings::parse("# nothing\n"), Ok(Settings::default()));
        for text in [
            "account: [012345678901]",
            "account: '012345678901'",
            "accounts: [012345678901]",
        ] {
            assert_eq!(
                Settings::parse(text).unwrap().account,
                ["012345678901"],
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_gets_one_clear_line() {
        for (text, parts) in [
            ("listn: 127.0.0.1:1\n", &["listn"][..]),
            ("rate: fast\n", &["rate"]),
            ("account: 012345678901\n", &["[012345678901]", "in quotes"]),
            ("history: soon\n", &["soon", "90d", "unlimited"]),
            ("listen: [1\n", &[]),
            ("- 1\n", &[]),
        ] {
            let message = Settings::parse(text).unwrap_err();
            assert!(message.contains("line"), "{message}");
            assert!(!message.contains('\n') && !message.is_empty(), "{message}");
            for part in parts {
                assert!(message.contains(part), "{message}");
            }
        }
    }

    #[test]
    fn every_setting_is_in_the_merge() {
        // a setting that `or` forgot would be lost from the file
        let file = Settings {
            config: None,
            demo: Some(true),
            listen: "127.0.0.1:1".parse().ok(),
            http_listen: "127.0.0.1:2".parse().ok(),
            insecure: Some(true),
            aws_endpoint_url: Some("http://x".into()),
            credentials: Some(Credentials::Chain),
            account: vec!["1".into()],
            region: vec!["2".into()],
            rate: Some(3.0),
            history: "1d".parse().ok(),
            cache_size: "1".parse().ok(),
            settle_horizon: "1s".parse().ok(),
            request_timeout: "2s".parse().ok(),
            max_upstream_calls: Some(4),
            shutdown_grace: "3s".parse().ok(),
            log_format: Some(LogFormat::Json),
            log_level: Some("warn".into()),
        };
        assert_eq!(Settings::default().or(file.clone()), file);
    }
}
