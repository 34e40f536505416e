//! Signatures by ring, which TLS has already.

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result, new_error},
};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    // nothing is signed here
    signer_factory: |_, _| Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has tokens verified by ring from now on; another provider that is there stays.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    match algorithm.family() == key.family() {
        true => Ok(Box::new(Verifier {
            algorithm: *algorithm,
            key: key.clone(),
        })),
        false => Err(new_error(ErrorKind::InvalidKeyFormat)),
    }
}

struct Verifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier {
    fn is_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let by = |algorithm: &'static dyn VerificationAlgorithm| {
            let DecodingKeyKind::SecretOrDer(key) = self.key.kind() else {
                return false;
            };
            let key = UnparsedPublicKey::new(algorithm, key);
            key.verify(message, signature).is_ok()
        };
        let by_rsa = |parameters: &'static RsaParameters| {
            let DecodingKeyKind::RsaModulusExponent { n, e } = self.key.kind() else {
                return false;
            };
            let key = RsaPublicKeyComponents { n, e };
            key.verify(parameters, message, signature).is_ok()
        };
        match self.algorithm {
            Algorithm::RS256 => by_rsa(&RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => by_rsa(&RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => by_rsa(&RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => by_rsa(&RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => by_rsa(&RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => by_rsa(&RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => by(&ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => by(&ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => by(&ED25519),
            _ => false,
        }
    }
}

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> std::result::Result<(), signature::Error> {
        match self.is_signed(message, signature) {
            true => Ok(()),
            false => Err(signature::Error::new()),
        }
    }
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
