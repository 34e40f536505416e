//! Options that all commands share which talk to a gateway.

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};

use super::{report, time};
use crate::{
    client::{self, Client, EndpointError},
    proto::v1,
};

/// Which gateway, and how long it may take.
#[derive(Debug, Args)]
pub(super) struct Connect {
    /// The gateway: http://HOST:PORT or HOST:PORT; https://HOST:PORT for TLS
    #[arg(
        long,
        env = "TRAILGATE_ENDPOINT",
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:50051",
        value_parser = endpoint,
        help_heading = "Gateway"
    )]
    pub(super) endpoint: String,
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
    /// How long one answer may take; a search goes on from page to page
    #[arg(
        long,
        value_name = "SPAN",
        default_value = "30s",
        value_parser = time::some_span,
        help_heading = "Gateway"
    )]
    pub(super) timeout: Duration,
}

impl Connect {
    /// A client of the gateway; `None` after saying why there is none.
    pub(super) fn client(&self) -> Option<Client> {
        let tls = self.tls()?;
        let client = Client::with_tls(&self.endpoint, &tls)
            .map_err(|error| {
                let flag = match &error {
                    EndpointError::Endpoint { .. } => "--endpoint",
                    EndpointError::Authorities(_) => "--ca-cert",
                    EndpointError::Identity(_) => "--client-cert",
                };
                report::note(format_args!("{flag}: {error}"));
            })
            .ok()?;
        let Some(path) = &self.token_file else {
            return Some(client);
        };
        read("--token-file", path)?;
        Some(client.with_token_file(path))
    }

    fn tls(&self) -> Option<client::Tls> {
        let identity = match (&self.client_cert, &self.client_key) {
            (Some(cert), Some(key)) => {
                Some((read("--client-cert", cert)?, read("--client-key", key)?))
            }
            _ => None,
        };
        let ca = match &self.ca_cert {
            Some(path) => Some(read("--ca-cert", path)?),
            None => None,
        };
        Some(client::Tls { ca, identity })
    }
}

fn read(flag: &str, path: &Path) -> Option<Vec<u8>> {
    fs::read(path)
        .map_err(|error| report::note(format_args!("{flag} {}: {error}", path.display())))
        .ok()
}

fn endpoint(text: &str) -> Result<String, EndpointError> {
    client::address(text).map(|_| text.to_owned())
}

/// Which scopes, and which kind of events.
#[derive(Debug, Args)]
pub(super) struct Scopes {
    /// Only this account (repeatable) [default: all that the gateway has]
    #[arg(long = "account", value_name = "ID", help_heading = "What")]
    pub(super) accounts: Vec<String>,
    /// Only this Region (repeatable) [default: all that the gateway has]
    #[arg(long = "region", value_name = "REGION", help_heading = "What")]
    pub(super) regions: Vec<String>,
    /// The kind of events
    #[arg(long, value_enum, default_value = "management", help_heading = "What")]
    category: Category,
}

impl Scopes {
    /// The kind of events, as the contract has it.
    pub(super) const fn category(&self) -> v1::EventCategory {
        match self.category {
            Category::Management => v1::EventCategory::Management,
            Category::Insight => v1::EventCategory::Insight,
        }
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
