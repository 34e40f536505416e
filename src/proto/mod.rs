//! Generated types, and the one place that turns events into them.

mod code;
mod codec;
mod convert;
mod ready;

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

pub use code::code_name;
pub use codec::{Exact, ExactEncoder};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use convert::oracle;
pub use convert::{Encoded, basic_size, full_size};
pub use ready::Ready;

/// `trailgate.v1`, generated from `proto/trailgate/v1`.
#[allow(clippy::all, missing_docs, unreachable_pub, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("trailgate.v1");
}

/// The services, and those answers of `trailgate.v1` that have events: here
/// each event is an [`Encoded`], whose bytes are ready, and what a subscription
/// tells is a [`Ready`]. Everything else is [`v1`]'s.
#[allow(clippy::all, missing_docs, unreachable_pub, reason = "generated")]
pub mod server {
    include!(concat!(env!("OUT_DIR"), "/server/trailgate.v1.rs"));
}

/// The descriptors that the generated types were made of, with the comments of the
/// protos, for reflection.
pub const DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/trailgate_descriptor.bin"));

/// The same, read; `None`: they are broken.
pub(crate) fn messages() -> Option<&'static DescriptorPool> {
    static MESSAGES: LazyLock<Option<DescriptorPool>> =
        LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).ok());
    MESSAGES.as_ref()
}
