//! The files that TLS is made of.

use std::{path::PathBuf, sync::Arc};

use tokio_rustls::rustls::{
    self, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
};

use super::Port;
use crate::kept::{Error, Named};

/// Where certificates are, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The server's certificate, and those between it and its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of callers' certificates. `None`: none is asked for.
    pub client_ca: Option<PathBuf>,
}

const CERT: &str = "--tls-cert";
const KEY: &str = "--tls-key";
const CLIENT_CA: &str = "--tls-client-ca";

/// What the files have.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // a key is nobody's to read
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}

impl Files {
    fn cert(&self) -> Named<'_> {
        Named {
            setting: CERT,
            path: &self.cert,
        }
    }

    fn key(&self) -> Named<'_> {
        Named {
            setting: KEY,
            path: &self.key,
        }
    }

    fn client_ca(&self) -> Option<Named<'_>> {
        let path = self.client_ca.as_deref()?;
        Some(Named {
            setting: CLIENT_CA,
            path,
        })
    }

    pub(super) fn read(&self) -> Result<Contents, Error> {
        Ok(Contents {
            cert: self.cert().bytes()?,
            key: self.key().bytes()?,
            client_ca: self.client_ca().map(Named::bytes).transpose()?,
        })
    }

    /// The certificate, and those between it and its authority.
    pub(super) fn certs(&self, contents: &Contents) -> Result<Vec<CertificateDer<'static>>, Error> {
        certificates(self.cert(), &contents.cert)
    }

    /// What to serve gRPC and HTTP with.
    pub(super) fn configs(
        &self,
        contents: &Contents,
    ) -> Result<(Arc<ServerConfig>, Arc<ServerConfig>), Error> {
        let chain = self.certs(contents)?;
        let wrong_key = |what: &str| self.key().error(what);
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| wrong_key("it has no private key in PEM (BEGIN PRIVATE KEY)"))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong_key(&error.to_string()))?;
        let builder = match (self.client_ca(), &contents.client_ca) {
            (Some(file), Some(pem)) => {
                let wrong_ca = |what: String| file.error(what);
                let mut roots = RootCertStore::empty();
                for authority in certificates(file, pem)? {
                    roots
                        .add(authority)
                        .map_err(|error| wrong_ca(format!("{error}; give authorities")))?;
                }
                // probes show none: who calls otherwise is asked when it calls
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error: VerifierBuilderError| wrong_ca(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            let what = match error {
                rustls::Error::InconsistentKeys(_) => {
                    "it is not the key of the certificate; give both of one pair".to_owned()
                }
                error => format!("{error}; give an RSA, ECDSA or Ed25519 key with its certificate"),
            };
            wrong_key(&what)
        })?;
        if contents.client_ca.is_some() {
            // a session that is taken up again shows no certificate: it would outlive
            // one that has expired or whose authority is not trusted any more
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        let with = |port| {
            let mut config = config.clone();
            config.alpn_protocols = match port {
                Port::Grpc => vec![b"h2".to_vec()],
                Port::Http => vec![b"http/1.1".to_vec()],
            };
            Arc::new(config)
        };
        Ok((with(Port::Grpc), with(Port::Http)))
    }
}

fn certificates(file: Named<'_>, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(file.error("it has no certificate in PEM (BEGIN CERTIFICATE)")),
    }
}
