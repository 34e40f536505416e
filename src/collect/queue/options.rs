//! Settings of the queue collector.

use std::time::Duration;

/// Settings of the queue collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a request waits for the first message. At most 20 s (SQS).
    pub wait: Duration,
    /// For how long a message stays with us at a time; it is extended while it
    /// is worked on. 1 s to 12 h (SQS).
    pub visibility: Duration,
    /// How long a message stays with us in all. A little less than 12 h, which
    /// SQS counts from when it sent the message.
    pub longest: Duration,
    /// The most messages that are worked on at once.
    pub messages: usize,
    /// The most files that are read at once: each takes a batch, and the next.
    pub files: usize,
    /// A batch of events is handed on when its records have this many bytes.
    pub batch_bytes: usize,
    /// The most batches of one file that are handed on and not yet safe.
    pub unsettled: usize,
    /// How long a file may send nothing before it is given up for now.
    pub stall: Duration,
    /// How often a file is opened, if it fails, before its message goes back.
    pub attempts: u32,
    /// The most bytes that a digest may unpack to.
    pub digest_bytes: usize,
    /// How many files are remembered as done.
    pub remembered: usize,
    /// After how many receives a message that cannot be used is given up.
    pub poison_receives: u32,
    /// After how many receives a message is given up whose object is not there.
    pub gone_receives: u32,
    /// The first pause after the queue failed, and between attempts; it doubles.
    pub pause: Duration,
    /// The longest pause after the queue failed.
    pub longest_pause: Duration,
    /// How long a message that failed is left alone at first; it doubles with
    /// each receive.
    pub aside: Duration,
    /// The longest that a message that failed is left alone.
    pub longest_aside: Duration,
    /// How often a message is tried to be deleted.
    pub deletes: u32,
}

impl Default for Options {
    /// SQS's longest wait and stay; a minute's visibility, as AWS's own library
    /// has, of which a crash costs no more. Four files of 1 MB batches, eight of
    /// them unsettled: some 40 MB at most. 10,000 files are ten hours of a
    /// hundred scopes, and two megabytes. A message that cannot be used is read
    /// five times, over about five minutes; an object that is not there is
    /// looked for three times (S3 is consistent: it will not come).
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(20),
            visibility: Duration::from_secs(60),
            longest: Duration::from_secs(12 * 3600 - 60),
            messages: 20,
            files: 4,
            batch_bytes: 1 << 20,
            unsettled: 8,
            stall: Duration::from_secs(60),
            attempts: 3,
            digest_bytes: 16 << 20,
            remembered: 10_000,
            poison_receives: 5,
            gone_receives: 3,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            aside: Duration::from_secs(10),
            longest_aside: Duration::from_secs(900),
            deletes: 4,
        }
    }
}

/// The pause with this number (from 0): doubled each time, up to `cap`, between
/// half and all of it so that several spread out.
pub(super) fn pause(base: Duration, cap: Duration, number: u32) -> Duration {
    let doubled = base.saturating_mul(1_u32 << number.min(16));
    doubled.min(cap).mul_f64(rand::random_range(0.5..=1.0))
}
