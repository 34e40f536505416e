//! The memory of one query.
//!
//! Who can put on disk what it holds has an equal part with others who can, of three
//! fifths at most: who merges what they made needs some, for keys above all, which may be
//! as large as what they are of, and cannot put it on disk.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use datafusion::{
    common::{DataFusionError, Result},
    execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};

/// See the module.
#[derive(Debug)]
pub(super) struct Pool {
    bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// How many can put on disk what they hold.
    spilling: usize,
    /// What they hold, in bytes.
    spillable: usize,
    /// What others do.
    other: usize,
}

impl Pool {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            held: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // numbers that are changed one at a time: right after a panic elsewhere
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn part(&mut self, consumer: &MemoryConsumer) -> &mut usize {
        match consumer.can_spill() {
            true => &mut self.spillable,
            false => &mut self.other,
        }
    }
}

impl MemoryPool for Pool {
    fn name(&self) -> &'static str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.lock().spilling += 1;
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            let mut held = self.lock();
            held.spilling = held.spilling.saturating_sub(1);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut held = self.lock();
        let part = held.part(reservation.consumer());
        *part = part.saturating_add(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut held = self.lock();
        let part = held.part(reservation.consumer());
        *part = part.saturating_sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut held = self.lock();
        let consumer = reservation.consumer();
        let (has, may_have) = match consumer.can_spill() {
            true => {
                let left = self.bytes.saturating_sub(held.other);
                let most = left.min(self.bytes / 5 * 3) / held.spilling.max(1);
                (reservation.size(), most)
            }
            false => (held.other.saturating_add(held.spillable), self.bytes),
        };
        if has.saturating_add(additional) > may_have {
            // who can put it on disk does then; else its name is told
            let name = consumer.name();
            return Err(DataFusionError::ResourcesExhausted(format!(
                "no memory for {name}"
            )));
        }
        let part = held.part(consumer);
        *part = part.saturating_add(additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        let held = self.lock();
        held.spillable.saturating_add(held.other)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a query's memory of {} bytes", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn who_spills_has_a_part_and_leaves_some_to_others() {
        let pool: Arc<dyn MemoryPool> = Arc::new(Pool::new(400));
        let sorter = |name: &str| {
            MemoryConsumer::new(name)
                .with_can_spill(true)
                .register(&pool)
        };
        let (a, b) = (sorter("a"), sorter("b"));
        assert!(a.try_grow(120).is_ok() && b.try_grow(120).is_ok());
        assert!(a.try_grow(1).is_err());
        let merge = MemoryConsumer::new("merge[0]").register(&pool);
        assert!(merge.try_grow(160).is_ok());
        let error = merge.try_grow(1).unwrap_err().to_string();
        assert!(error.contains("for merge"), "{error}");
        // what is given back is there for others, of whom fewer have more
        drop(b);
        assert!(merge.try_grow(50).is_ok());
        assert!(a.try_grow(70).is_ok() && a.try_grow(1).is_err());
        assert_eq!(pool.reserved(), 400);
        drop((a, merge));
        assert_eq!(pool.reserved(), 0);
    }
}
