//! How the console is reached.

use std::net::SocketAddr;

use http::HeaderName;

use super::{Error, Settings};
use crate::console::{Hosts, Options, Proxy};

/// Says that a proxy is whoever calls from this machine.
const LOOPBACK: &str = "loopback";

/// How the console is reached where HTTP listens here; `None`: it is not served.
///
/// # Errors
/// If a setting of it cannot be used.
pub(super) fn options(settings: &Settings, listen: SocketAddr) -> Result<Option<Options>, Error> {
    let is_here = listen.ip().is_loopback();
    let names = settings.console_host.clone();
    for name in &names {
        if name.is_empty() || name.contains(['/', '@', '*']) || name.contains(char::is_whitespace) {
            return Err(Error::new(format!(
                "--console-host {name:?} is no name of a host; give it as in \
                 trailgate.example.org, without scheme and port"
            )));
        }
    }
    let proxy = proxy(settings)?;
    if !settings.console.unwrap_or(is_here) {
        return Ok(None);
    }
    let hosts = match is_here {
        true => Hosts::Here(names),
        false => Hosts::Named(names),
    };
    Ok(Some(Options { hosts, proxy }))
}

fn proxy(settings: &Settings) -> Result<Option<Proxy>, Error> {
    let header = settings.console_user_header.as_deref();
    let Some(name) = &settings.console_proxy else {
        return match header {
            None => Ok(None),
            Some(header) => Err(Error::new(format!(
                "--console-user-header {header} is believed of nobody; name the proxy that says \
                 it with --console-proxy"
            ))),
        };
    };
    if name.trim().is_empty() {
        let message = "--console-proxy is empty; give the name in the proxy's certificate, or \
                       loopback";
        return Err(Error::new(message));
    }
    if name != LOOPBACK && settings.tls_client_ca.is_none() {
        return Err(Error::new(format!(
            "--console-proxy {name} is known by its certificate, and none is asked for; give \
             --tls-client-ca, or loopback for a proxy on this machine"
        )));
    }
    let header = header.unwrap_or("x-forwarded-user");
    let header: HeaderName = header.parse().map_err(|_| {
        Error::new(format!(
            "--console-user-header {header:?} is no name of a header; give one such as \
             x-forwarded-user"
        ))
    })?;
    Ok(Some(Proxy {
        name: (name != LOOPBACK).then(|| name.clone()),
        header,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &Settings, listen: &str) -> Result<Option<Options>, String> {
        options(settings, listen.parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn it_is_served_on_loopback_and_elsewhere_if_told_so() {
        let here = of(&Settings::default(), "127.0.0.1:1").unwrap().unwrap();
        assert_eq!(here.hosts, Hosts::Here(Vec::new()));
        assert_eq!(of(&Settings::default(), "0.0.0.0:1"), Ok(None));
        let is = |console| Settings {
            console: Some(console),
            ..Settings::default()
        };
        assert_eq!(of(&is(false), "[::1]:1"), Ok(None));
        let there = of(&is(true), "0.0.0.0:1").unwrap().unwrap();
        assert_eq!(there.hosts, Hosts::Named(Vec::new()));
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        let proxy = |name: &str, header: Option<&str>| Settings {
            console_proxy: Some(name.to_owned()),
            console_user_header: header.map(str::to_owned),
            ..Settings::default()
        };
        let host = Settings {
            console_host: vec!["https://a".to_owned()],
            ..Settings::default()
        };
        let header = Settings {
            console_user_header: Some("x-user".to_owned()),
            ..Settings::default()
        };
        for (settings, says) in [
            (host, "https://a"),
            (header, "--console-proxy"),
            (proxy("", None), "is empty"),
            (proxy("p.example.org", None), "--tls-client-ca"),
            (proxy("loopback", Some("a b")), "\"a b\""),
        ] {
            let error = of(&settings, "127.0.0.1:1").unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let known = of(&proxy("loopback", None), "127.0.0.1:1")
            .unwrap()
            .unwrap();
        assert_eq!(known.proxy.unwrap().header, "x-forwarded-user");
    }
}
