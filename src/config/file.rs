//! Settings from a YAML file.

use std::path::Path;

use super::{Error, Settings};
use crate::{kept::Named, spelling::Nearest};

impl Settings {
    /// Completes what flags and variables left open from the file that they
    /// name, if they do.
    ///
    /// # Errors
    /// If the file cannot be read, or is not YAML with known settings.
    pub fn with_file(self) -> Result<Self, Error> {
        let file = self.in_file()?;
        Ok(self.or(file))
    }

    /// What the file says that they name, if they do.
    ///
    /// # Errors
    /// As [`Settings::with_file`].
    pub(crate) fn in_file(&self) -> Result<Self, Error> {
        let path = self.config.as_deref();
        path.map_or_else(|| Ok(Self::default()), Self::read)
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let file = Named {
            setting: "--config",
            path,
        };
        let read = file
            .text()
            .and_then(|text| Self::parse(&text).map_err(|what| file.error(what)));
        Ok(read?)
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // an empty file, or one of comments, sets nothing
        let is_empty = text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim().starts_with('#'));
        if is_empty {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error: serde_saphyr::Error| {
            // the parser knows the place, and not the name of the setting there
            let at = error
                .location()
                .and_then(|at| usize::try_from(at.line()).ok());
            let line = at.and_then(|at| text.lines().nth(at.checked_sub(1)?));
            let place = line
                .map(|line| format!(" ({:?})", line.trim()))
                .unwrap_or_default();
            let error = error.without_snippet();
            let what = match (error, error.location()) {
                (
                    serde_saphyr::Error::SerdeUnknownField {
                        field, expected, ..
                    },
                    Some(at),
                ) => {
                    format!("{} at line {}", unknown(field, expected), at.line())
                }
                (error, _) => in_our_words(&one_line(&error.to_string())),
            };
            format!("{what}{place}")
        })
    }

    /// What is not set here is as in the file.
    pub(crate) fn or(self, file: Self) -> Self {
        let list = |given: Vec<String>, file| if given.is_empty() { file } else { given };
        Self {
            config: self.config,
            demo: self.demo.or(file.demo),
            listen: self.listen.or(file.listen),
            http_listen: self.http_listen.or(file.http_listen),
            console: self.console.or(file.console),
            console_host: list(self.console_host, file.console_host),
            console_proxy: self.console_proxy.or(file.console_proxy),
            console_user_header: self.console_user_header.or(file.console_user_header),
            insecure: self.insecure.or(file.insecure),
            aws_endpoint_url: self.aws_endpoint_url.or(file.aws_endpoint_url),
            credentials: self.credentials.or(file.credentials),
            account: list(self.account, file.account),
            exclude_account: list(self.exclude_account, file.exclude_account),
            organization: self.organization.or(file.organization),
            assume_role_arn: self.assume_role_arn.or(file.assume_role_arn),
            assume_role_external_id: self
                .assume_role_external_id
                .or(file.assume_role_external_id),
            assume_role_session_name: self
                .assume_role_session_name
                .or(file.assume_role_session_name),
            assume_role_in_own_account: self
                .assume_role_in_own_account
                .or(file.assume_role_in_own_account),
            profile: list(self.profile, file.profile),
            region: list(self.region, file.region),
            all_regions: self.all_regions.or(file.all_regions),
            exclude_region: list(self.exclude_region, file.exclude_region),
            scope_refresh: self.scope_refresh.or(file.scope_refresh),
            rate: self.rate.or(file.rate),
            history: self.history.or(file.history),
            cache_size: self.cache_size.or(file.cache_size),
            settle_horizon: self.settle_horizon.or(file.settle_horizon),
            queue: list(self.queue, file.queue),
            queue_endpoint_url: self.queue_endpoint_url.or(file.queue_endpoint_url),
            trail: list(self.trail, file.trail),
            queue_account: list(self.queue_account, file.queue_account),
            queue_region: list(self.queue_region, file.queue_region),
            queue_bucket: list(self.queue_bucket, file.queue_bucket),
            queue_prefix: list(self.queue_prefix, file.queue_prefix),
            poll: self.poll.or(file.poll),
            poll_interval: self.poll_interval.or(file.poll_interval),
            poll_max_interval: self.poll_max_interval.or(file.poll_max_interval),
            feed_size: self.feed_size.or(file.feed_size),
            archive: self.archive.or(file.archive),
            archive_interval: self.archive_interval.or(file.archive_interval),
            archive_compaction: self.archive_compaction.or(file.archive_compaction),
            archive_retention: self.archive_retention.or(file.archive_retention),
            archive_memory: self.archive_memory.or(file.archive_memory),
            request_timeout: self.request_timeout.or(file.request_timeout),
            max_upstream_calls: self.max_upstream_calls.or(file.max_upstream_calls),
            caller_daily_requests: self.caller_daily_requests.or(file.caller_daily_requests),
            caller_calls_per_second: self
                .caller_calls_per_second
                .or(file.caller_calls_per_second),
            audit_log: self.audit_log.or(file.audit_log),
            shutdown_grace: self.shutdown_grace.or(file.shutdown_grace),
            replicas: self.replicas.or(file.replicas),
            max_connection_age: self.max_connection_age.or(file.max_connection_age),
            log_format: self.log_format.or(file.log_format),
            log_level: self.log_level.or(file.log_level),
            otlp_endpoint: self.otlp_endpoint.or(file.otlp_endpoint),
            trace_sample: self.trace_sample.or(file.trace_sample),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            tls_client_ca: self.tls_client_ca.or(file.tls_client_ca),
            jwt_issuer: self.jwt_issuer.or(file.jwt_issuer),
            jwt_audience: list(self.jwt_audience, file.jwt_audience),
            jwt_keys: self.jwt_keys.or(file.jwt_keys),
            jwt_keys_ca: self.jwt_keys_ca.or(file.jwt_keys_ca),
            serve_aws: self.serve_aws.or(file.serve_aws),
            aws_keys: self.aws_keys.or(file.aws_keys),
            policy: self.policy.or(file.policy),
        }
    }
}

/// What is wrong with a name that is none of a setting.
fn unknown(name: &str, known: &[&str]) -> String {
    let hint = match Nearest::of(name, known.iter().copied()) {
        Some(name) => format!("did you mean {name:?}?"),
        None => "settings are called as flags are, with underscores".to_owned(),
    };
    format!("unknown setting {name:?}; {hint}")
}

/// A message of the parser, with what to do.
fn in_our_words(message: &str) -> String {
    const CURES: [(&str, &str); 5] = [
        (
            "invalid socket address syntax",
            "write it as 127.0.0.1:50051",
        ),
        ("invalid floating point", "write a number such as 1.5"),
        ("invalid boolean", "say true or false"),
        ("invalid u", "write a whole number"),
        ("duplicate mapping key", "leave one of them out"),
    ];
    let message = message.replace(", set DuplicateKeyPolicy in Options if acceptable", "");
    let cure = CURES.iter().find(|(words, _)| message.contains(words));
    match cure {
        Some((_, cure)) => format!("{message}; {cure}"),
        None => message,
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Credentials, LogFormat, Poll},
        *,
    };

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
        let scopes = Settings::parse(
            "organization: true\nassume_role_arn: arn:aws:iam::{account}:role/R\n\
             exclude_account: ['111122223333']\nall_regions: true\n\
             exclude_regions: [us-west-1]\nscope_refresh: 10m\n",
        )
        .unwrap();
        assert_eq!(scopes.organization, Some(true));
        assert_eq!(
            scopes.assume_role_arn.as_deref(),
            Some("arn:aws:iam::{account}:role/R")
        );
        assert_eq!(scopes.exclude_region, ["us-west-1"]);
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
            (
                "listn: 127.0.0.1:1\n",
                &["listn", "\"listen\"?", "line 1"][..],
            ),
            (
                "rate: 1\n# why\ncache-size: 1MB\n",
                &["\"cache_size\"?", "line 3"],
            ),
            ("color: red\n", &["color", "underscores"]),
            ("config: other.yaml\n", &["config"]),
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
            console: Some(false),
            console_host: vec!["18".into()],
            console_proxy: Some("19".into()),
            console_user_header: Some("20".into()),
            insecure: Some(true),
            aws_endpoint_url: Some("http://x".into()),
            credentials: Some(Credentials::Chain),
            account: vec!["1".into()],
            exclude_account: vec!["3".into()],
            organization: Some(true),
            assume_role_arn: Some("4".into()),
            assume_role_external_id: Some("5".into()),
            assume_role_session_name: Some("6".into()),
            assume_role_in_own_account: Some(true),
            profile: vec!["7".into()],
            region: vec!["2".into()],
            all_regions: Some(true),
            exclude_region: vec!["8".into()],
            scope_refresh: "9s".parse().ok(),
            rate: Some(3.0),
            history: "1d".parse().ok(),
            cache_size: "1".parse().ok(),
            settle_horizon: "1s".parse().ok(),
            queue: vec!["https://sqs.eu-west-1.amazonaws.com/1/q".into()],
            queue_endpoint_url: Some("http://127.0.0.1:4566".into()),
            trail: vec!["s3://trail".into()],
            queue_account: vec!["111122223333".into()],
            queue_region: vec!["eu-west-1".into()],
            queue_bucket: vec!["trail".into()],
            queue_prefix: vec!["AWSLogs/".into()],
            poll: Some(Poll::Off),
            poll_interval: "7s".parse().ok(),
            poll_max_interval: "8s".parse().ok(),
            feed_size: "5MB".parse().ok(),
            archive: Some("s3://archive".into()),
            archive_interval: "11s".parse().ok(),
            archive_compaction: "12s".parse().ok(),
            archive_retention: "400d".parse().ok(),
            archive_memory: "64MB".parse().ok(),
            request_timeout: "2s".parse().ok(),
            caller_daily_requests: Some(7),
            max_upstream_calls: Some(4),
            caller_calls_per_second: Some(8),
            audit_log: Some("16".into()),
            shutdown_grace: "3s".parse().ok(),
            replicas: Some(3),
            max_connection_age: "1h".parse().ok(),
            log_format: Some(LogFormat::Json),
            log_level: Some("warn".into()),
            otlp_endpoint: Some("http://127.0.0.1:4317".into()),
            trace_sample: Some(0.5),
            tls_cert: Some("9".into()),
            tls_key: Some("10".into()),
            tls_client_ca: Some("11".into()),
            jwt_issuer: Some("13".into()),
            jwt_audience: vec!["14".into()],
            jwt_keys: Some("15".into()),
            jwt_keys_ca: Some("17".into()),
            serve_aws: Some(true),
            aws_keys: Some("18".into()),
            policy: Some("12".into()),
        };
        assert_eq!(Settings::default().or(file.clone()), file);
    }
}
