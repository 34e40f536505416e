//! Settings as a file has them, with where each came from.

use clap::Args as _;
use serde_json::{Map, Value};

use super::{Config, Credentials, Error, Poll, Settings};
use crate::{collect::Polling, upstream::Signing};

/// What stands for a secret that is set.
const MASK: &str = "****";

impl Settings {
    /// What is set, by name. What is not is null, or an empty list.
    ///
    /// # Errors
    /// If a path is no text.
    pub(crate) fn by_name(&self) -> Result<Map<String, Value>, Error> {
        match serde_json::to_value(self) {
            Ok(Value::Object(all)) => Ok(all),
            Ok(_) => Ok(Map::new()),
            Err(error) => Err(Error::new(format!("a setting cannot be written: {error}"))),
        }
    }
}

/// The settings in force, as YAML that `--config` reads as the same, but for
/// secrets. Each line says where its value comes from; `said_by` is asked for the flag
/// or the variable that gave one. What is not set is a comment, and so are secrets,
/// masked, since a mask is none.
///
/// # Errors
/// If the settings cannot be used, or a path is no text.
pub(crate) fn show(
    given: &Settings,
    file: &Settings,
    said_by: impl Fn(&str) -> Option<String>,
) -> Result<String, Error> {
    let config = Config::try_from(given.clone().or(file.clone()))?;
    let (given, file) = (given.by_name()?, file.by_name()?);
    let defaults = config.defaults().by_name()?;
    let set = |all: &Map<String, Value>, name: &str| {
        let value = all.get(name).filter(|value| is_set(value));
        value.cloned()
    };
    let mut lines = String::new();
    for arg in Settings::augment_args(clap::Command::new("serve")).get_arguments() {
        let name = arg.get_id().as_str();
        if name == "config" {
            continue;
        }
        let found = set(&given, name)
            .map(|value| (value, said_by(name).unwrap_or_else(|| "given".to_owned())))
            .or_else(|| set(&file, name).map(|value| (value, "file".to_owned())))
            .or_else(|| set(&defaults, name).map(|value| (value, "default".to_owned())));
        lines += &match found {
            // what is no business of who sees a process is none of who sees this
            Some((_, from)) if arg.is_hide_env_values_set() => {
                format!("# {name}: \"{MASK}\" # {from}\n")
            }
            // JSON is YAML
            Some((value, from)) => format!("{name}: {value} # {from}\n"),
            None => format!("# {name}: not set\n"),
        };
    }
    Ok(lines)
}

fn is_set(value: &Value) -> bool {
    !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty())
}

impl Config {
    /// Settings that say what is in force where nothing is set, as far as that may be
    /// said aloud without changing what the others mean.
    fn defaults(&self) -> Settings {
        let has_roles = self.sources.roles.is_some();
        let refresh = self.sources.refresh.unwrap_or_default();
        Settings {
            demo: Some(self.demo),
            listen: Some(self.listen),
            http_listen: Some(self.http_listen),
            console: Some(self.console.is_some()),
            insecure: Some(false),
            serve_aws: Some(self.serve_aws),
            // the demo has a simulator of its own
            credentials: (!self.demo).then_some(match self.signing {
                Signing::Chain => Credentials::Chain,
                Signing::Simulator => Credentials::Simulator,
            }),
            organization: Some(self.sources.organization),
            assume_role_session_name: has_roles.then(|| "trailgate".to_owned()),
            assume_role_in_own_account: Some(false),
            all_regions: Some(self.sources.all_regions),
            scope_refresh: self.sources.changes().then(|| refresh.into()),
            rate: Some(self.rate),
            history: Some(self.history.into()),
            cache_size: Some(self.coverage.max_bytes.into()),
            settle_horizon: Some(self.coverage.horizon.into()),
            queue_endpoint_url: self.queue_endpoint_url.clone(),
            poll: Some(match self.poll.polling {
                Polling::Full => Poll::Full,
                Polling::Settle => Poll::Settle,
                Polling::Off => Poll::Off,
            }),
            poll_interval: Some(self.poll.interval.into()),
            poll_max_interval: Some(self.poll.max_interval.into()),
            feed_size: Some(self.feed_bytes.into()),
            archive_interval: self.archive.as_ref().map(|it| it.keep.interval.into()),
            archive_compaction: self.archive.as_ref().map(|it| it.chores.compaction.into()),
            archive_retention: self.archive.as_ref().map(|it| it.chores.retention.into()),
            archive_memory: self.archive.as_ref().map(|it| it.max_memory.into()),
            request_timeout: Some(self.limits.timeout.into()),
            max_upstream_calls: Some(self.limits.max_upstream_calls),
            caller_daily_requests: Some(self.caller_daily_requests),
            caller_calls_per_second: Some(self.limits.calls_per_second),
            shutdown_grace: Some(self.shutdown_grace.into()),
            replicas: Some(self.replicas),
            max_connection_age: self.max_connection_age.map(Into::into),
            log_format: Some(self.log_format),
            log_level: Some(self.log_level.clone()),
            trace_sample: self.traces.as_ref().map(|traces| traces.sample),
            ..Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(given: &Settings, file: &Settings) -> String {
        show(given, file, |name| Some(format!("--{name}"))).unwrap()
    }

    fn read(text: &str) -> Settings {
        Settings::parse(text).unwrap()
    }

    /// Reads what is shown, and whether it means the same.
    fn check(settings: Settings) {
        let text = shown(&settings, &Settings::default());
        let again = read(&text);
        let settings = Settings {
            assume_role_external_id: None,
            ..settings
        };
        let used = |settings: &Settings| {
            let config = Config::try_from(settings.clone()).unwrap();
            format!("{config:?}")
        };
        assert_eq!(used(&again), used(&settings), "{text}");
        let again = again.by_name().unwrap();
        for (name, value) in settings.by_name().unwrap() {
            if is_set(&value) {
                assert_eq!(again[&name], value, "{name}");
            }
        }
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for text in [
            "# nothing",
            "demo: true",
            "organization: true\nassume_role_arn: arn:aws:iam::{account}:role/R\nall_regions: true\n\
             assume_role_external_id: '4711'\nexclude_account: ['012345678901']\n\
             exclude_regions: [us-west-1]\nscope_refresh: 0",
            "profile: [a, '111122223333=b']\nregion: eu-west-1",
            "account: '012345678901'\naws_endpoint_url: http://127.0.0.1:4599\nrate: 0\n\
             history: unlimited\ncache_size: 1000\npoll_interval: 1m30s\ninsecure: true\n\
             listen: '[::]:1'",
            "queue: https://sqs.eu-central-1.amazonaws.com/1/q\ntrail: s3://trail\nqueue_prefix: ['a: b # c']\n\
             replicas: 3\nmax_connection_age: 1h\nlog_level: info,hyper=debug\nlog_format: json\n\
             credentials: chain\npoll: off\nfeed_size: 5MB",
        ] {
            check(read(text));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_set_is_read_as_the_same(
            level in "\\PC{0,20}",
            prefixes in prop::collection::vec("\\PC{1,12}", 0..4),
            rate in 0.1..1e6_f64,
            millis in 100_u64..10_000_000_000,
            bytes in any::<u64>(),
            calls in 1..u64::MAX,
            replicas in 1..=64_u32,
        ) {
            let span = || Some(std::time::Duration::from_millis(millis).into());
            check(Settings {
                log_level: Some(level),
                queue_prefix: prefixes,
                rate: Some(rate),
                poll_interval: span(),
                shutdown_grace: span(),
                settle_horizon: span(),
                max_connection_age: span(),
                cache_size: Some(bytes.into()),
                max_upstream_calls: Some(calls),
                replicas: Some(replicas),
                ..Settings::default()
            });
        }
    }

    #[test]
    fn each_line_says_where_it_comes_from_and_secrets_are_masked() {
        let given = read("rate: 1\nregion: [us-east-1]");
        let file = read(
            "rate: 2\naccount: ['111122223333']\nassume_role_external_id: secret\n\
             assume_role_arn: arn:aws:iam::{account}:role/R",
        );
        let text = shown(&given, &file);
        for line in [
            "rate: 1.0 # --rate",
            "region: [\"us-east-1\"] # --region",
            "account: [\"111122223333\"] # file",
            "# assume_role_external_id: \"****\" # file",
            "listen: \"127.0.0.1:50051\" # default",
            "settle_horizon: \"15m\" # default",
            "# max_connection_age: not set",
            "# exclude_account: not set",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
        assert!(!text.contains("secret"), "{text}");
        let settings = text.lines().filter(|line| !line.is_empty()).count();
        assert_eq!(settings, given.by_name().unwrap().len());
    }
}
