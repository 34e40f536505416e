//! Options that all commands share which talk to a gateway.

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use clap::{Args, ValueEnum};

use super::{
    completions,
    profile::{self, Profile},
    report, time,
};
use crate::{
    client::{self, Client, EndpointError},
    proto::v1,
};

/// The gateway of this machine, on the port that it has unless set.
const LOCAL: &str = "http://127.0.0.1:50051";

/// The variable that has a gateway for all commands.
const ENDPOINT: &str = "TRAILGATE_ENDPOINT";

/// How long one answer may take where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Which gateway, and how long it may take.
#[derive(Debug, Args)]
pub(super) struct Connect {
    /// The gateway: http://HOST:PORT or HOST:PORT; https://HOST:PORT for TLS; @NAME
    /// for one that --cli-config names [default: @default, if there is one of that
    /// name, else http://127.0.0.1:50051]
    #[arg(
        long,
        env = ENDPOINT,
        hide_env_values = true,
        value_name = "URL",
        value_parser = endpoint,
        add = completions::endpoints(),
        help_heading = "Gateway"
    )]
    endpoint: Option<String>,
    /// The authorities of the gateway's certificate, in PEM [default: those that
    /// this machine trusts]
    #[arg(
        long,
        env = "TRAILGATE_CA_CERT",
        value_name = "FILE",
        help_heading = "Gateway"
    )]
    ca_cert: Option<PathBuf>,
    /// The certificate to show, in PEM
    #[arg(
        long,
        env = "TRAILGATE_CLIENT_CERT",
        value_name = "FILE",
        requires = "client_key",
        help_heading = "Gateway"
    )]
    client_cert: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(
        long,
        env = "TRAILGATE_CLIENT_KEY",
        value_name = "FILE",
        requires = "client_cert",
        help_heading = "Gateway"
    )]
    client_key: Option<PathBuf>,
    /// Send the bearer token that this file has; it may be renewed in place
    #[arg(
        long,
        env = "TRAILGATE_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Gateway"
    )]
    token_file: Option<PathBuf>,
    /// Where endpoints have names, in YAML [default: ~/.config/trailgate/config.yaml]
    #[arg(
        long,
        env = "TRAILGATE_CLI_CONFIG",
        value_name = "FILE",
        help_heading = "Gateway"
    )]
    cli_config: Option<PathBuf>,
    /// How long one answer may take; a search goes on from page to page [default: 30s]
    #[arg(
        long,
        value_name = "SPAN",
        value_parser = time::some_span,
        help_heading = "Gateway"
    )]
    pub(super) timeout: Option<Duration>,
    /// What is asked where nothing is said.
    #[arg(skip)]
    usual: OnceLock<&'static str>,
}

impl Connect {
    /// Which gateway is asked: an address, or a name with `@`.
    pub(super) fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or_else(|| {
            self.usual
                .get_or_init(|| match profile::has_default(self.cli_config.as_deref()) {
                    true => "@default",
                    false => LOCAL,
                })
        })
    }

    /// Whether the command line names a gateway: what the environment has is for all
    /// commands, whether they ask one or not.
    #[cfg(feature = "sql")]
    pub(super) fn names_endpoint(&self) -> bool {
        let usual = std::env::var_os(ENDPOINT);
        self.endpoint
            .as_ref()
            .is_some_and(|given| usual.is_none_or(|usual| usual.to_str() != Some(given)))
    }

    /// How long one answer may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(TIMEOUT)
    }

    /// A client of the gateway; `None` after saying why there is none.
    pub(super) fn client(&self) -> Option<Client> {
        self.open().map_err(report::note).ok()
    }

    /// A client of the gateway.
    ///
    /// # Errors
    ///
    /// Why there is none, in a line.
    pub(super) fn open(&self) -> Result<Client, String> {
        let named = self.named()?;
        let (endpoint, named) = match &named {
            Some(named) => (named.endpoint.as_str(), Some(named)),
            None => (self.endpoint(), None),
        };
        let tls = self.tls(named)?;
        let client = Client::with_tls(endpoint, &tls).map_err(|error| {
            let flag = match &error {
                EndpointError::Endpoint { .. } => "--endpoint",
                EndpointError::Authorities(_) => "--ca-cert",
                EndpointError::Identity(_) => "--client-cert",
            };
            match named {
                Some(_) => format!("{flag} of {}: {error}", self.endpoint()),
                None => format!("{flag}: {error}"),
            }
        })?;
        let token = self.file("--token-file", self.token_file.as_ref(), || {
            named?.token_file.as_ref()
        });
        let Some((flag, path)) = token else {
            return Ok(client);
        };
        read(&flag, path)?;
        Ok(client.with_token_file(path))
    }

    /// The endpoint by its name, where `--endpoint` has one.
    fn named(&self) -> Result<Option<Profile>, String> {
        let Some(name) = self.endpoint().strip_prefix('@') else {
            return Ok(None);
        };
        profile::find(name, self.cli_config.as_deref())
            .map(Some)
            .map_err(|wrong| format!("--endpoint @{name}: {wrong}"))
    }

    /// A file that an option names, or else a named endpoint, and which of them does.
    fn file<'a>(
        &self,
        flag: &str,
        given: Option<&'a PathBuf>,
        named: impl FnOnce() -> Option<&'a PathBuf>,
    ) -> Option<(String, &'a Path)> {
        match given {
            Some(path) => Some((flag.to_owned(), path)),
            None => {
                let name = flag.trim_start_matches('-').replace('-', "_");
                named().map(|path| (format!("{name} of {}", self.endpoint()), path.as_path()))
            }
        }
    }

    fn tls(&self, named: Option<&Profile>) -> Result<client::Tls, String> {
        let bytes =
            |file: Option<(String, &Path)>| file.map(|(flag, path)| read(&flag, path)).transpose();
        let cert = self.file("--client-cert", self.client_cert.as_ref(), || {
            named?.client_cert.as_ref()
        });
        let key = self.file("--client-key", self.client_key.as_ref(), || {
            named?.client_key.as_ref()
        });
        let ca = self.file("--ca-cert", self.ca_cert.as_ref(), || {
            named?.ca_cert.as_ref()
        });
        let identity = match (bytes(cert)?, bytes(key)?) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                let name = self.endpoint();
                return Err(format!(
                    "{name} has one of client_cert and client_key, and needs both"
                ));
            }
        };
        Ok(client::Tls {
            ca: bytes(ca)?,
            identity,
        })
    }
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{flag} {}: {error}", path.display()))
}

fn endpoint(text: &str) -> Result<String, EndpointError> {
    // whose it is is in a file
    if text.len() > 1 && text.starts_with('@') {
        return Ok(text.to_owned());
    }
    client::address(text).map(|_| text.to_owned())
}

/// Which scopes, and which kind of events.
#[derive(Debug, Args)]
pub(super) struct Scopes {
    /// Only this account (repeatable) [default: all that the gateway has]
    #[arg(long = "account", value_name = "ID", add = completions::accounts(), help_heading = "What")]
    pub(super) accounts: Vec<String>,
    /// Only this Region (repeatable) [default: all that the gateway has]
    #[arg(long = "region", value_name = "REGION", add = completions::regions(), help_heading = "What")]
    pub(super) regions: Vec<String>,
    /// The kind of events [default: management]
    #[arg(long, value_enum, help_heading = "What")]
    category: Option<Category>,
}

impl Scopes {
    /// The kind of events, as the contract has it, if it was said.
    pub(super) fn category(&self) -> Option<v1::EventCategory> {
        self.category.map(|category| match category {
            Category::Management => v1::EventCategory::Management,
            Category::Insight => v1::EventCategory::Insight,
        })
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Category {
    /// Calls that act on resources, sign-ins, service events
    Management,
    /// CloudTrail Insights events
    Insight,
}

/// Runs a command on a runtime of one thread; `None` after saying that there
/// is none to be had.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| report::note(format_args!("cannot start: {error}")))
        .ok()
        .map(|runtime| runtime.block_on(work))
}
