//! The `Authorization` header of a signed request: whose key signed, for where,
//! and what.
//!
//! Source: "Signature Version 4 signing process", AWS IAM user guide.

use super::{Code, Error};

/// The one algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What ends a credential scope.
pub const TERMINATOR: &str = "aws4_request";

/// What an `Authorization` header says. Nothing of it is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// Whose key signed.
    pub access_key_id: &'a str,
    /// The day of the signature, `YYYYMMDD`.
    pub date: &'a str,
    /// The Region that is asked.
    pub region: &'a str,
    /// The service that is asked.
    pub service: &'a str,
    /// The names of the headers that were signed, `;` between them.
    pub signed_headers: Option<&'a str>,
    /// The signature in hexadecimal.
    pub signature: Option<&'a str>,
}

impl<'a> Authorization<'a> {
    /// Reads `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request,
    /// SignedHeaders=…, Signature=…`.
    ///
    /// # Errors
    ///
    /// `MissingAuthenticationTokenException` without a header,
    /// `IncompleteSignatureException` with another one.
    pub fn parse(header: Option<&'a str>) -> Result<Self, Error> {
        let Some(header) = header else {
            return Err(Error::new(
                Code::MissingAuthenticationToken,
                "Request is missing Authentication Token",
            ));
        };
        Self::read(header).ok_or_else(|| {
            Error::new(
                Code::IncompleteSignature,
                "The Authorization header has no Credential=KEY/DATE/REGION/SERVICE/aws4_request.",
            )
        })
    }

    fn read(header: &'a str) -> Option<Self> {
        let fields = header.strip_prefix(ALGORITHM)?;
        let field = |name: &str| {
            let mut fields = fields.split(',').map(str::trim);
            fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        // the key comes first; the rest is counted from the end
        let mut parts = field("Credential")?.rsplitn(5, '/');
        let ends_well = parts.next() == Some(TERMINATOR);
        let (service, region, date) = (parts.next()?, parts.next()?, parts.next()?);
        let access_key_id = parts.next()?;
        (ends_well && !region.is_empty() && !access_key_id.is_empty()).then(|| Self {
            access_key_id,
            date,
            region,
            service,
            signed_headers: field("SignedHeaders"),
            signature: field("Signature"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_whose_key_signed_what() {
        let header = "AWS4-HMAC-SHA256 Credential=111122223333/20260101/eu-west-1/cloudtrail/aws4_request, \
                      SignedHeaders=host;x-amz-date,Signature=0f";
        let read = Authorization::parse(Some(header)).unwrap();
        let expected = Authorization {
            access_key_id: "111122223333",
            date: "20260101",
            region: "eu-west-1",
            service: "cloudtrail",
            signed_headers: Some("host;x-amz-date"),
            signature: Some("0f"),
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let none = Authorization::parse(None).unwrap_err();
        assert_eq!(none.code, Code::MissingAuthenticationToken);
        for bad in [
            "Bearer x",
            "AWS4-HMAC-SHA256 SignedHeaders=host",
            "AWS4-HMAC-SHA256 Credential=AKIA/20260101/aws4_request",
            "AWS4-HMAC-SHA256 Credential=AKIA/20260101/r/s/aws5_request",
            "AWS4-HMAC-SHA256 Credential=/20260101/r/s/aws4_request",
        ] {
            let error = Authorization::parse(Some(bad)).unwrap_err();
            assert_eq!(error.code, Code::IncompleteSignature, "{bad}");
        }
    }
}
