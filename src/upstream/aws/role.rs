//! Credentials of an account, borrowed from a role there.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_config::SdkConfig;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use tokio::time::Instant;

use super::{Partition, Roles, classify::classify};
use crate::upstream::{ASSUME_ROLE, Error, ErrorKind};

/// For so long a refusal stands without asking again. The account's Regions
/// ask at once, and each refusal is an event there.
const REFUSED_FOR: Duration = Duration::from_secs(30);

/// Assumes a role whenever the SDK's cache, which all clients of the account
/// share, holds nothing that lasts for some more seconds.
pub(super) struct AssumedRole {
    sts: aws_sdk_sts::Client,
    arn: String,
    roles: Roles,
    refused: Mutex<Option<(Instant, Error)>>,
}

impl fmt::Debug for AssumedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumedRole")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}

impl AssumedRole {
    /// The role of `account`, assumed with the credentials and in the Region
    /// of `base`.
    pub(super) fn new(base: &SdkConfig, roles: &Roles, account: &str) -> Self {
        let region = base.region().map(AsRef::as_ref).unwrap_or_default();
        Self {
            sts: aws_sdk_sts::Client::new(base),
            arn: roles.arn_in(account, Partition::of_region(region)),
            roles: roles.clone(),
            refused: Mutex::default(),
        }
    }

    fn refusal(&self) -> Option<Error> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, error) = refused.as_ref()?;
        (at.elapsed() < REFUSED_FOR).then(|| error.clone())
    }

    async fn assume(&self) -> Result<Credentials, Error> {
        if let Some(error) = self.refusal() {
            return Err(error);
        }
        let lent = self.ask().await;
        let remembered = match &lent {
            Err(error) if error.kind == ErrorKind::Denied => Some((Instant::now(), error.clone())),
            _ => None,
        };
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = remembered;
        lent
    }

    async fn ask(&self) -> Result<Credentials, Error> {
        let answer = self
            .sts
            .assume_role()
            .role_arn(&self.arn)
            .role_session_name(&self.roles.session_name)
            .set_external_id(self.roles.external_id.clone())
            .send()
            .await;
        let lent = answer
            .map_err(|error| classify(&error))
            .and_then(|answer| answer.credentials.ok_or_else(|| unusable("no credentials")))
            .map_err(|error| self.blame(error))?;
        let expires = lent.expiration;
        let expires = std::time::SystemTime::try_from(expires)
            .map_err(|_| unusable("an expiration that is no time"))?;
        tracing::debug!(role = self.arn, expiration = %lent.expiration, "role assumed");
        Ok(Credentials::new(
            lent.access_key_id,
            lent.secret_access_key,
            Some(lent.session_token),
            Some(expires),
            "trailgate-role",
        ))
    }

    /// An error that says which step failed. STS's quota is not CloudTrail's,
    /// so a budget must not learn of it.
    fn blame(&self, mut error: Error) -> Error {
        tracing::warn!(role = self.arn, %error, "role not assumed");
        if error.kind == ErrorKind::Throttled {
            error.kind = ErrorKind::Transient;
        }
        error.code = format!("{ASSUME_ROLE}{}", error.code);
        error
    }
}

fn unusable(what: &str) -> Error {
    let message = format!("sts answered with {what}");
    Error::new(ErrorKind::Transient, "BadAnswer", message)
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let lent = self.assume().await;
            lent.map_err(CredentialsError::provider_error)
        })
    }
}
