//! Which scopes have files, found by listing what stands below each other.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{sleep, timeout};

use super::{Inner, LONGEST_PAUSE, PAUSE, STALL, Source, Sources, Trail, stalled};
use crate::{
    collect::{
        object_key::{Kind, Root},
        queue::ObjectsError,
    },
    event::{Scope, is_account},
};

/// Requests at once: S3 answers thousands a second of each prefix.
const AT_ONCE: usize = 16;

impl Inner {
    /// Finds out which scopes have files; tries until it is known.
    pub(super) async fn discover(&self) -> Arc<Sources> {
        let mut pause = PAUSE;
        loop {
            match self.sources().await {
                Ok(sources) => {
                    let sources = Arc::new(sources);
                    tracing::info!(scopes = sources.len(), "found the scopes of trails");
                    self.found.send_replace(Some(Arc::clone(&sources)));
                    return sources;
                }
                Err((trail, error)) => {
                    tracing::warn!(%trail, %error, "cannot list a trail's files, trying again");
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn sources(&self) -> Result<Sources, (Trail, ObjectsError)> {
        let mut sources: Sources = BTreeMap::new();
        for trail in &self.trails {
            let found = self.sources_of(trail).await;
            let found = found.map_err(|error| (trail.clone(), error))?;
            for (scope, source) in found {
                sources.entry(scope).or_default().push(source);
            }
        }
        for sources in sources.values_mut() {
            sources.sort_by(|a, b| (&a.bucket, &a.prefix).cmp(&(&b.bucket, &b.prefix)));
            // two settings may name the same
            sources.dedup();
        }
        Ok(sources)
    }

    async fn sources_of(&self, trail: &Trail) -> Result<Vec<(Scope, Source)>, ObjectsError> {
        let mut roots = vec![trail.root(trail.organisation.as_deref())];
        let mut accounts: Vec<(Root, String)> = Vec::new();
        while let Some(root) = roots.pop() {
            for name in self.below(trail, root.as_str()).await? {
                if name.starts_with("o-") && trail.organisation.is_none() {
                    roots.push(trail.root(Some(&name)));
                } else if is_account(&name) && self.filter.admits_account(&name) {
                    accounts.push((root.clone(), name));
                }
            }
        }
        let found = stream::iter(accounts)
            .map(|(root, account)| async move {
                let prefix = format!("{}{account}/", root.as_str());
                let mut found = Vec::new();
                for name in self.below(trail, &prefix).await? {
                    let kind = Kind::of_segment(&name).filter(|kind| kind.has_records());
                    let Some(kind) = kind.filter(|kind| self.filter.admits_kind(*kind)) else {
                        continue;
                    };
                    for region in self.below(trail, &format!("{prefix}{name}/")).await? {
                        let scope = Scope::new(&account, &region);
                        if self.filter.admit_scope(&scope).is_err() {
                            continue;
                        }
                        let source = Source {
                            bucket: trail.bucket.clone(),
                            kind,
                            prefix: root.scope(kind, &scope),
                            root: root.clone(),
                        };
                        found.push((scope, source));
                    }
                }
                Ok(found)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<_>>();
        Ok(found.await?.into_iter().flatten().collect())
    }

    async fn below(&self, trail: &Trail, prefix: &str) -> Result<Vec<String>, ObjectsError> {
        let listed = self.ports.listing.below(&trail.bucket, prefix);
        timeout(STALL, listed)
            .await
            .unwrap_or_else(|_| Err(stalled()))
    }
}
