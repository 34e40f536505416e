//! Buckets as sources, and with whose credentials each is read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{StreamExt, TryStreamExt};

use super::{
    choice::Choice,
    place::Parts,
    source::{Listed, Listing, Source},
    trails::Delivery,
};
use crate::{
    collect::{
        Buckets, NO_BUCKET, OTHER_REGION,
        envelope::ObjectRef,
        queue::{Answer, Body, Objects, ObjectsError},
        trails::Listing as Names,
    },
    upstream::Aws,
};

/// A bucket.
struct Bucket {
    buckets: Arc<Buckets>,
    name: String,
}

impl Source for Bucket {
    fn list(&self, prefix: &str, after: Option<&str>) -> Listing {
        let listed = self.buckets.list(&self.name, prefix, after);
        let listed = listed.map_ok(|(key, size)| Listed {
            key,
            size,
            changed: None,
        });
        listed.boxed()
    }

    fn below<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<String>, ObjectsError> {
        self.buckets.below(&self.name, prefix)
    }

    fn open<'a>(&'a self, key: &'a str) -> Answer<'a, Body, ObjectsError> {
        Box::pin(async move {
            let object = ObjectRef {
                bucket: self.name.clone(),
                key: key.to_owned(),
                ..ObjectRef::default()
            };
            self.buckets.get(&object).await
        })
    }

    fn name(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    fn is_fixed(&self) -> bool {
        true
    }
}

/// Buckets, read with the credentials that were given, or with those of an account.
#[derive(Debug)]
pub struct Stores {
    own: Arc<Buckets>,
    aws: Option<Arc<Aws>>,
    lent: Mutex<HashMap<String, Arc<Buckets>>>,
}

impl Stores {
    /// Buckets that are read with the credentials of `own`, and where these may not
    /// with those that `aws` has for the accounts of their trails.
    #[must_use]
    pub fn new(own: Buckets, aws: Option<Arc<Aws>>) -> Self {
        Self {
            own: Arc::new(own),
            aws,
            lent: Mutex::default(),
        }
    }

    /// What lies where a prefix of a bucket was named.
    ///
    /// # Errors
    /// If the bucket does not tell.
    pub async fn parts(
        &self,
        bucket: &str,
        prefix: &str,
        choice: &Choice,
    ) -> Result<Parts, ObjectsError> {
        self.own.find_regions([bucket]).await;
        parts(&self.own, bucket, prefix, choice).await
    }

    /// What lies where trails deliver to.
    ///
    /// # Errors
    /// If the bucket tells nobody.
    pub async fn delivered(
        &self,
        delivery: &Delivery,
        choice: &Choice,
    ) -> Result<Parts, ObjectsError> {
        let Delivery { bucket, prefix, .. } = delivery;
        self.own.find_regions([bucket.as_str()]).await;
        let slash = if prefix.is_empty() { "" } else { "/" };
        let prefix = format!("{prefix}{slash}AWSLogs/");
        let mut refused = None;
        let lent = delivery.accounts.iter().filter_map(|id| self.lent(id));
        for buckets in std::iter::once(Arc::clone(&self.own)).chain(lent) {
            match self.anywhere(&buckets, delivery, &prefix, choice).await {
                // none is there as far as these credentials see
                Err(error) if is_denied(&error) => {
                    refused.get_or_insert(error);
                }
                told => return told,
            }
        }
        Err(refused.unwrap_or(ObjectsError::NotFound))
    }

    /// Asks where the bucket is taken to be, then where its trails were created.
    async fn anywhere(
        &self,
        buckets: &Arc<Buckets>,
        delivery: &Delivery,
        prefix: &str,
        choice: &Choice,
    ) -> Result<Parts, ObjectsError> {
        let mut told = parts(buckets, &delivery.bucket, prefix, choice).await;
        for region in &delivery.regions {
            match &told {
                Err(ObjectsError::Failed(why)) if why == OTHER_REGION => {}
                _ => break,
            }
            buckets.assume_region(&delivery.bucket, region);
            told = parts(buckets, &delivery.bucket, prefix, choice).await;
        }
        told
    }

    /// Buckets as an account reads them, if that has other credentials.
    fn lent(&self, account: &str) -> Option<Arc<Buckets>> {
        let aws = self.aws.as_ref()?;
        // a map alone: right after a panic elsewhere
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buckets) = lent.get(account) {
            return Some(Arc::clone(buckets));
        }
        let buckets = self.own.with_credentials(aws.credentials_of(account)?);
        let buckets = Arc::new(buckets);
        lent.insert(account.to_owned(), Arc::clone(&buckets));
        Some(buckets)
    }
}

fn is_denied(error: &ObjectsError) -> bool {
    match error {
        ObjectsError::Denied(_) => true,
        ObjectsError::Failed(why) => why == NO_BUCKET,
        ObjectsError::NotFound => false,
    }
}

async fn parts(
    buckets: &Arc<Buckets>,
    bucket: &str,
    prefix: &str,
    choice: &Choice,
) -> Result<Parts, ObjectsError> {
    let source: Arc<dyn Source> = Arc::new(Bucket {
        buckets: Arc::clone(buckets),
        name: bucket.to_owned(),
    });
    Parts::below(&format!("s3://{bucket}/"), &source, prefix, choice).await
}
