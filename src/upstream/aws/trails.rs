//! What AWS knows of trails: where their log files are.

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_cloudtrail::types as aws;

use super::{Aws, classify::classify, discover::patiently};
use crate::{event::Scope, upstream::Error};

/// A trail, as far as it says where its files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trail {
    /// Its ARN; its name where it has none.
    pub arn: String,
    /// The bucket that it delivers to.
    pub bucket: String,
    /// What keys have before `AWSLogs/`, without a slash at its ends. May be empty.
    pub prefix: String,
    /// Where it was created.
    pub home_region: Option<String>,
}

impl Aws {
    /// The trails that record an account in a Region, by CloudTrail `DescribeTrails`:
    /// also those that were created in other Regions, or by the organisation.
    ///
    /// # Errors
    /// As AWS answered. What may pass is tried again some times.
    pub async fn trails(&self, scope: &Scope) -> Result<Vec<Trail>, Error> {
        let config = self.config_of(&self.aside, &scope.account, Some(&scope.region));
        let client = aws_sdk_cloudtrail::Client::new(&config);
        let ask = || async {
            let answer = client.describe_trails().include_shadow_trails(true);
            let answer = answer.send().await.map_err(|error| classify(&error))?;
            Ok(answer.trail_list.unwrap_or_default())
        };
        let trails = patiently(ask).await?;
        Ok(trails.into_iter().filter_map(trail).collect())
    }

    /// Whose credentials sign for an account; `None`: those that sign where nothing
    /// else is said.
    #[must_use]
    pub fn credentials_of(&self, account: &str) -> Option<SharedCredentialsProvider> {
        self.lender(account)
    }
}

fn trail(trail: aws::Trail) -> Option<Trail> {
    let prefix = trail.s3_key_prefix.unwrap_or_default();
    Some(Trail {
        arn: trail.trail_arn.or(trail.name).unwrap_or_default(),
        // one that is being deleted may have none
        bucket: trail.s3_bucket_name.filter(|bucket| !bucket.is_empty())?,
        prefix: prefix.trim_matches('/').to_owned(),
        home_region: trail.home_region,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_says_where_its_files_are() {
        let told = aws::Trail::builder()
            .trail_arn("arn:aws:cloudtrail:eu-west-1:111122223333:trail/t")
            .s3_bucket_name("b")
            .s3_key_prefix("/a/b/")
            .home_region("eu-west-1");
        let expected = Trail {
            arn: "arn:aws:cloudtrail:eu-west-1:111122223333:trail/t".to_owned(),
            bucket: "b".to_owned(),
            prefix: "a/b".to_owned(),
            home_region: Some("eu-west-1".to_owned()),
        };
        assert_eq!(trail(told.build()), Some(expected));
        assert_eq!(trail(aws::Trail::builder().name("t").build()), None);
    }
}
