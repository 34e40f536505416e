//! Years of log files, on their way into the archive.
//!
//! What is to be loaded comes in parts: an account below a trail's place, a prefix of
//! a bucket, a directory. Each is listed in the order of its keys, past what is
//! loaded; its files are read side by side, and committed in batches. What is loaded
//! is noted after it is committed, so that a backfill which ended in whatever way goes
//! on where it was, and reads little twice.

mod bucket;
mod choice;
mod chosen;
mod done;
mod estimate;
mod ledger;
mod list;
mod load;
mod patience;
mod place;
mod read;
mod seen;
mod source;
mod spans;
mod states;
mod target;
mod trails;
mod walk;

pub use bucket::Stores;
pub use choice::Choice;
pub use chosen::{Chosen, Why};
pub use estimate::Estimate;
pub use load::{Load, Options};
pub use place::{Parts, Place};
pub use read::{Counts, Fault};
pub use seen::{Failed, Report, Seen, SoFar};
pub use target::{Committed, Compacted, Target, TargetError};
pub use trails::{Deliveries, Delivery};
