//! Compiles the protos in Rust, so that no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

const PROTOS: [&str; 2] = [
    "trailgate/v1/event_service.proto",
    "trailgate/v1/scope_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // Reflection serves the same descriptors that the code is made of.
    fs::write(
        out.join("trailgate_descriptor.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
