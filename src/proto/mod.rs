//! Generated types, and the one place that turns events into them.

mod code;
mod convert;

pub use code::code_name;
pub use convert::{basic_size, event, full_size};

/// `trailgate.v1`, generated from `proto/trailgate/v1`.
#[allow(clippy::all, missing_docs, unreachable_pub, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("trailgate.v1");
}

/// The descriptors that the generated types were made of, for reflection.
pub const DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/trailgate_descriptor.bin"));
