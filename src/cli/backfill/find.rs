//! What is to be loaded: found by asking for trails, or where it was said to be.

use std::sync::Arc;

use serde::Serialize;

use super::{Backfill, Over};
use crate::{
    app::{self, find_scopes},
    backfill::{Choice, Deliveries, Parts, Place, Stores},
    cli::{
        EXIT_FAILED, EXIT_USAGE,
        progress::Progress,
        report::{count, note},
    },
    collect::{AwsOptions, Buckets},
    config::{Config, Credentials, Settings},
};

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Found {
    /// What is to be loaded.
    #[serde(skip)]
    pub(super) parts: Parts,
    /// Where trails deliver to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deliveries: Vec<Delivered>,
    /// Who did not tell of trails.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_told: Vec<NotTold>,
    /// What could not be looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_found: Vec<NotFound>,
}

#[derive(Debug, Serialize)]
struct Delivered {
    place: String,
    trails: Vec<String>,
}

#[derive(Debug, Serialize)]
struct NotTold {
    account: String,
    region: String,
    code: String,
}

#[derive(Debug, Serialize)]
struct NotFound {
    place: String,
    message: String,
}

impl Found {
    /// Whether something may be there that was not found.
    pub(super) fn is_partial(&self) -> bool {
        !self.not_told.is_empty() || !self.not_found.is_empty()
    }

    fn miss(&mut self, place: String, why: &impl ToString) {
        let message = why.to_string();
        note(format_args!("{place}: {message}"));
        self.not_found.push(NotFound { place, message });
    }
}

impl Backfill {
    /// Finds what is to be loaded.
    pub(super) async fn find(
        &self,
        choice: &Choice,
        progress: &mut Progress,
    ) -> Result<Found, Over> {
        let found = match self.places.is_empty() {
            true => self.by_trails(choice, progress).await?,
            false => self.by_places(choice, progress).await?,
        };
        if found.parts.names().next().is_some() {
            return Ok(found);
        }
        if found.not_found.is_empty() {
            let of = match (
                choice.accounts.is_empty(),
                choice.without_accounts.is_empty(),
            ) {
                (true, true) => "",
                (false, true) => " that --account names",
                (true, false) => " that --exclude-account leaves",
                (false, false) => " that --account and --exclude-account leave",
            };
            progress.note(format_args!(
                "there is nothing to load: no account{of} has log files there"
            ));
        }
        Err(Over(EXIT_FAILED))
    }

    async fn by_places(&self, choice: &Choice, progress: &mut Progress) -> Result<Found, Over> {
        progress.say("looking at the places".to_owned());
        let mut found = Found::default();
        let mut stores = None;
        for place in &self.places {
            let parts = match place {
                Place::Here(path) => Parts::here(path),
                Place::S3 { bucket, prefix } => {
                    let stores = match &stores {
                        Some(stores) => stores,
                        None => stores.insert(Stores::new(self.buckets().await?, None)),
                    };
                    let parts = stores.parts(bucket, prefix, choice).await;
                    parts.map_err(|error| error.to_string())
                }
            };
            match parts {
                Ok(parts) => found.parts.extend(parts),
                Err(why) => progress.aside(|| found.miss(place.to_string(), &why)),
            }
        }
        Ok(found)
    }

    async fn by_trails(&self, choice: &Choice, progress: &mut Progress) -> Result<Found, Over> {
        progress.say("looking for accounts and Regions".to_owned());
        let config = Config::try_from(self.settings()).map_err(|error| {
            note(error);
            Over(EXIT_USAGE)
        })?;
        let (aws, scopes) = find_scopes(&config).await.map_err(|error| match error {
            app::Error::Config(_) => {
                note(error);
                Over(EXIT_USAGE)
            }
            app::Error::Regions { code } => {
                note(format_args!(
                    "cannot list the enabled Regions of any account ({code}); allow \
                     account:ListRegions, or name Regions with --region"
                ));
                Over(EXIT_FAILED)
            }
            error => {
                note(error);
                Over(EXIT_FAILED)
            }
        })?;
        let asked = i64::try_from(scopes.len()).unwrap_or(i64::MAX);
        progress.say(format!("looking for trails in {}", count(asked, "scope")));
        let ask = |scope| {
            let aws = Arc::clone(&aws);
            async move { aws.trails(&scope).await }
        };
        let told = Deliveries::find(scopes, ask).await;
        for line in told.failures() {
            progress.note(line);
        }
        if told.failed.len() == told.asked {
            progress.note(
                "nobody told of trails; allow cloudtrail:DescribeTrails, or name the places of \
                 log files",
            );
            return Err(Over(EXIT_FAILED));
        }
        if told.all.is_empty() {
            progress.note(format_args!(
                "no trail was found in {}; name the places of log files, if there are some",
                count(asked, "scope")
            ));
            return Err(Over(EXIT_FAILED));
        }
        let stores = Stores::new(self.buckets().await?, Some(Arc::clone(&aws)));
        let mut found = Found {
            not_told: told.failed.iter().map(not_told).collect(),
            ..Found::default()
        };
        for delivery in &told.all {
            let (bucket, prefix) = (&delivery.bucket, &delivery.prefix);
            let place = match prefix.as_str() {
                "" => format!("s3://{bucket}/"),
                prefix => format!("s3://{bucket}/{prefix}/"),
            };
            progress.say(format!("looking at {place}"));
            match stores.delivered(delivery, choice).await {
                Ok(parts) => found.parts.extend(parts),
                Err(why) => progress.aside(|| found.miss(place.clone(), &why)),
            }
            found.deliveries.push(Delivered {
                place,
                trails: delivery.trails.iter().cloned().collect(),
            });
        }
        Ok(found)
    }

    /// The settings of a server that would search where trails are looked for.
    fn settings(&self) -> Settings {
        let has_roles = self.assume_role_arn.is_some();
        Settings {
            // without roles they say whose files are loaded, and the credentials who is asked
            account: match has_roles {
                true => self.accounts.clone(),
                false => Vec::new(),
            },
            exclude_account: match has_roles {
                true => self.exclude_accounts.clone(),
                false => Vec::new(),
            },
            organization: Some(self.organization),
            assume_role_arn: self.assume_role_arn.clone(),
            assume_role_external_id: self.assume_role_external_id.clone(),
            assume_role_session_name: self.assume_role_session_name.clone(),
            assume_role_in_own_account: has_roles.then_some(self.assume_role_in_own_account),
            profile: self.profiles.clone(),
            region: self.regions.clone(),
            all_regions: Some(self.regions.is_empty()),
            exclude_region: self.exclude_regions.clone(),
            credentials: Some(Credentials::Chain),
            aws_endpoint_url: self.aws_endpoint_url.clone(),
            ..Settings::default()
        }
    }

    async fn buckets(&self) -> Result<Buckets, Over> {
        let options = AwsOptions {
            endpoint_url: self.aws_endpoint_url.clone(),
            region: self.bucket_region.clone(),
            simulated: None,
        };
        Buckets::open(&options).await.ok_or_else(|| {
            note("no Region is known for the bucket; name one with --bucket-region or AWS_REGION");
            Over(EXIT_USAGE)
        })
    }
}

fn not_told((scope, error): &(crate::event::Scope, crate::upstream::Error)) -> NotTold {
    NotTold {
        account: scope.account.to_string(),
        region: scope.region.to_string(),
        code: error.code.clone(),
    }
}
