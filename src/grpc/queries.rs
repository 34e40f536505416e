//! What all who ask the archive share: places, what each sees, and how long a message is.

use std::sync::Arc;

use tokio::time::Instant;
use tonic::Status;

use super::{
    peer::Asker,
    status::{Invalid, too_many},
};
use crate::{
    policy::Rights,
    slots::{Slot, Slots},
    sql::{Engine, Sight},
};

/// The most bytes of a message of an answer: below what clients take by themselves,
/// 4 MiB, as a row may be longer than the average that it is cut by.
pub(super) const MESSAGE: usize = 1 << 20;

/// An engine, and the places for queries. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Queries {
    pub(super) engine: Engine,
    /// Half of them for any one caller.
    places: Arc<Slots>,
}

impl Queries {
    pub(super) fn new(engine: Engine) -> Self {
        let places = Arc::new(Slots::new(engine.options().queries.max(1)));
        Self { engine, places }
    }

    /// Waits for a place.
    pub(super) async fn place(&self, asker: &Asker) -> Result<Slot, Status> {
        let options = self.engine.options();
        let end = Instant::now() + options.wait;
        let place = tokio::time::timeout_at(end, self.places.wait(&asker.caller)).await;
        place.ok().flatten().ok_or_else(|| {
            let (most, each) = (options.queries, self.places.each());
            let message = format!(
                "no place came within {} s: {most} queries are under way, or {each} of this \
                 caller's; try again later",
                options.wait.as_secs()
            );
            too_many("TOO_MANY_QUERIES", &message)
        })
    }
}

/// What a caller sees of the table. Who may not see all of the events of a scope sees
/// none of it: a query can tell what it is not shown from what it is.
pub(super) fn sight(rights: &Rights) -> Result<Sight, Status> {
    if rights.hides_events() || !rights.sees_whole_events() {
        let message = "this caller may see some events, or parts of them, alone, and SQL would \
                       tell of the others; it may ask by LookupEvents, ExportEvents and \
                       SummarizeEvents";
        return Err(Invalid::new("SQL_NEEDS_WHOLE_EVENTS", "query", message).denied());
    }
    Ok(Sight::of(
        rights.accounts().cloned(),
        rights.regions().cloned(),
    ))
}
