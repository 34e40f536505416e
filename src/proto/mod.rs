//! Generated types, and the one place that turns an event into them.

#![allow(clippy::all, clippy::doc_markdown, missing_docs)]

/// `trailgate.v1`, generated from `proto/trailgate/v1`.
pub mod v1 {
    tonic::include_proto!("trailgate.v1");
}

/// The descriptors that the generated types were made of, for reflection.
pub const DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/trailgate_descriptor.bin"));
