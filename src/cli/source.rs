//! Where the events of a lookup come from: pages asked for one by one, or an
//! export.

use indicatif::ProgressBar;
use tonic::{Code, Status};

use super::{refusal::seconds, table::printable};
use crate::{
    client::{Export, Notice, Pages},
    proto::v1::{Event, ScopeStatus, Stats},
};

/// What came at once.
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    /// Whether more may come.
    pub(super) has_more: bool,
    pub(super) scopes: Vec<ScopeStatus>,
    /// What it took since the batch before.
    pub(super) stats: Stats,
}

/// Where events come from.
pub(super) enum Source {
    Pages(Box<Pages>),
    Export(Box<Exported>),
}

/// An export, and the pages to ask for where the gateway knows none.
pub(super) struct Exported {
    export: Export,
    pages: Option<Pages>,
    /// What the stream said it took so far.
    stats: Stats,
}

impl Source {
    pub(super) fn pages(pages: Pages) -> Self {
        Self::Pages(Box::new(pages))
    }

    /// An export; of a gateway that does not know it, `pages`.
    pub(super) fn export(export: Export, pages: Pages) -> Self {
        Self::Export(Box::new(Exported {
            export,
            pages: Some(pages),
            stats: Stats::default(),
        }))
    }

    /// Whether batches come as they are ready, with no end in sight.
    pub(super) const fn is_export(&self) -> bool {
        matches!(self, Self::Export(_))
    }

    /// Says on `bar` what is waited for.
    pub(super) fn waits_on(self, bar: &ProgressBar) -> Self {
        match self {
            Self::Pages(pages) => Self::Pages(Box::new(pages.on_wait(listener(bar)))),
            Self::Export(exported) => {
                let Exported {
                    export,
                    pages,
                    stats,
                } = *exported;
                Self::Export(Box::new(Exported {
                    export: export.on_wait(listener(bar)),
                    pages: pages.map(|pages| pages.on_wait(listener(bar))),
                    stats,
                }))
            }
        }
    }

    /// How much the next page may have and cost; an export has all and decides
    /// itself.
    pub(super) fn set(&mut self, size: u64, upstream_calls: i32) {
        let pages = match self {
            Self::Pages(pages) => Some(&mut **pages),
            Self::Export(exported) => exported.pages.as_mut(),
        };
        if let Some(pages) = pages {
            pages.set_page_size(i32::try_from(size).unwrap_or(i32::MAX));
            pages.set_max_upstream_calls(upstream_calls);
        }
    }

    /// What comes next; `None` after the last, and after an error.
    ///
    /// # Errors
    ///
    /// As of [`Pages::next`] and [`Export::next`].
    pub(super) async fn next(&mut self) -> Option<Result<Batch, Status>> {
        if let Self::Export(exported) = self {
            match exported.export.next().await {
                Some(Err(status)) if status.code() == Code::Unimplemented => {
                    match exported.pages.take() {
                        Some(pages) => *self = Self::pages(pages),
                        None => return Some(Err(status)),
                    }
                }
                answer => {
                    return answer.map(|answer| {
                        let batch = answer?;
                        // whoever has begun to answer knows how
                        exported.pages = None;
                        let so_far = batch.stats.unwrap_or_default();
                        let stats = since(&exported.stats, &so_far);
                        exported.stats = so_far;
                        Ok(Batch {
                            events: batch.events,
                            has_more: true,
                            scopes: batch.scopes,
                            stats,
                        })
                    });
                }
            }
        }
        let Self::Pages(pages) = self else {
            return None;
        };
        let page = pages.next().await?;
        Some(page.map(|page| Batch {
            has_more: !page.next_page_token.is_empty(),
            events: page.events,
            scopes: page.scopes,
            stats: page.stats.unwrap_or_default(),
        }))
    }
}

/// What was taken between two reports of all so far; a stream that was taken
/// up again begins at nothing.
fn since(before: &Stats, now: &Stats) -> Stats {
    let apart = |before: i64, now: i64| match now >= before {
        true => now - before,
        false => now,
    };
    Stats {
        upstream_calls: apart(before.upstream_calls, now.upstream_calls),
        events_scanned: apart(before.events_scanned, now.events_scanned),
        events_matched: apart(before.events_matched, now.events_matched),
        events_from_cache: apart(before.events_from_cache, now.events_from_cache),
        events_from_archive: apart(before.events_from_archive, now.events_from_archive),
    }
}

fn listener(bar: &ProgressBar) -> impl FnMut(Notice<'_>) + Send + 'static {
    let bar = bar.clone();
    move |notice| match notice {
        Notice::Retry(status, wait) => {
            let waiting = format!("{}; asking again in {}", status.message(), seconds(wait));
            bar.set_message(printable(&waiting));
        }
        Notice::Stalled(_) => bar.set_message("waiting for quota"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_batch_took_is_what_was_added() {
        let calls = |upstream_calls| Stats {
            upstream_calls,
            ..Stats::default()
        };
        assert_eq!(since(&calls(2), &calls(5)), calls(3));
        assert_eq!(since(&calls(5), &calls(1)), calls(1), "taken up again");
    }
}
