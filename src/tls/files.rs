//! The files that TLS is made of.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio_rustls::rustls::{
    self, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
};

use super::{Port, expiry::expiry};
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
/// What marks a key in PEM that is encrypted: PKCS #8's, and that of older forms.
const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
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

    /// Why clients may not take the certificate, though it can be served.
    pub(super) fn doubt(&self, contents: &Contents) -> Option<String> {
        let certs = self.certs(contents).ok()?;
        let first = certs.first()?;
        // what it is for is looked at after whether it holds: at its last second it does
        let end = u64::try_from(expiry(first)?.as_second()).ok()?;
        let then = UnixTime::since_unix_epoch(Duration::from_secs(end.checked_sub(1)?));
        let cert = webpki::EndEntityCert::try_from(first).ok()?;
        // by no authority: it would be unknown, if nothing was found before
        let usage = webpki::KeyUsage::server_auth();
        let found = cert.verify_for_usage(&[], &[], &[], then, usage, None, None);
        let what = match found.err()? {
            webpki::Error::CaUsedAsEndEntity => {
                "it is an authority's (CA:TRUE), which many clients do not take of a server, \
                 those of trailgate among them; sign one for the server with it (CA:FALSE)"
            }
            webpki::Error::RequiredEkuNotFoundContext(_) => {
                "its extendedKeyUsage has no serverAuth, so that clients do not take it of a \
                 server; sign one that has it, or has none"
            }
            _ => return None,
        };
        Some(self.cert().error(what).to_string())
    }

    /// What to serve gRPC and HTTP with.
    pub(super) fn configs(
        &self,
        contents: &Contents,
    ) -> Result<(Arc<ServerConfig>, Arc<ServerConfig>), Error> {
        let chain = self.certs(contents)?;
        if let Some(Err(error)) = chain.first().map(webpki::EndEntityCert::try_from) {
            return Err(self.cert().error(match error {
                webpki::Error::UnsupportedCertVersion => {
                    "it is of X.509 version 1; sign one with extensions, such as a \
                     subjectAltName (openssl x509 -req -extfile)"
                        .to_owned()
                }
                error => format!("its certificate cannot be read ({error}); give one of X.509"),
            }));
        }
        let wrong_key = |what: &str| self.key().error(what);
        let is_encrypted = |mark: &&[u8]| contents.key.windows(mark.len()).any(|it| it == *mark);
        if ENCRYPTED.iter().any(is_encrypted) {
            return Err(wrong_key(
                "its private key is encrypted; decrypt it with openssl pkey",
            ));
        }
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
