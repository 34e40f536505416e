//! Who it is that shows a certificate.

use std::{fmt, io, sync::Arc};

use tokio_rustls::rustls::pki_types::CertificateDer;

/// The longest name, in bytes: a SPIFFE id has at most 2,048 (SPIFFE-ID, 2.3).
const MAX_NAME: usize = 2048;

/// Who calls, by the subject alternative names of a certificate: its first URI,
/// such as a SPIFFE id, else its first DNS name. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    name: Arc<str>,
}

impl Identity {
    /// Whoever a certificate is for, which was found to be valid.
    ///
    /// # Errors
    /// If it has no such name, or one that is longer than 2,048 bytes.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> io::Result<Self> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let certificate = webpki::EndEntityCert::try_from(certificate)
            .map_err(|_| invalid("the client's certificate cannot be read"))?;
        let mut names = certificate
            .valid_uri_names()
            .chain(certificate.valid_dns_names());
        let name = names
            .next()
            .ok_or_else(|| invalid("the client's certificate has no URI and no DNS name"))?;
        if name.len() > MAX_NAME {
            return Err(invalid("the name in the client's certificate is too long"));
        }
        Ok(Self { name: name.into() })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
