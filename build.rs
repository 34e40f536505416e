//! Compiles the protos in Rust, so that no `protoc` is needed, and takes out of what
//! browsers are sent what is for its readers.

use std::{collections::BTreeSet, env, error::Error, fs, path::PathBuf};

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};

const PROTOS: [&str; 3] = [
    "trailgate/v1/event_service.proto",
    "trailgate/v1/report_service.proto",
    "trailgate/v1/scope_service.proto",
];

const PACKAGE: &str = ".trailgate.v1";

/// What the server tells as bytes that are ready.
const EVENT: &str = ".trailgate.v1.Event";
/// What it tells to many: its bytes are made once for all.
const ARRIVAL: &str = ".trailgate.v1.SubscribeEventsResponse";

/// Of `src/console`.
const ASSETS: [&str; 3] = ["console.css", "console.js", "reports.css"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for name in ASSETS {
        let path = format!("src/console/{name}");
        println!("cargo:rerun-if-changed={path}");
        fs::write(out.join(name), sent(&fs::read_to_string(path)?))?;
    }
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    // Reflection serves the same descriptors that the code is made of.
    fs::write(
        out.join("trailgate_descriptor.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure().compile_fds(descriptors.clone())?;

    // Once more for the server, where an event is its bytes: only messages that
    // have events are made twice.
    let server = out.join("server");
    fs::create_dir_all(&server)?;
    let mut builder = tonic_prost_build::configure()
        .build_client(false)
        .out_dir(server)
        .codec_path("crate::proto::Exact")
        .extern_path(EVENT, "crate::proto::Encoded")
        .extern_path(ARRIVAL, "crate::proto::Ready");
    let with_events = with_events(&descriptors);
    for name in types(&descriptors) {
        if !with_events.contains(&format!("{PACKAGE}.{name}")) {
            let path = format!("crate::proto::v1::{name}");
            builder = builder.extern_path(format!("{PACKAGE}.{name}"), path);
        }
    }
    builder.compile_fds(descriptors)?;
    Ok(())
}

/// A style or a script without indentation, and without comments that have their lines for
/// themselves.
fn sent(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let is_comment =
        |line: &&str| line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"));
    let kept = lines.filter(|line| !line.is_empty() && !is_comment(line));
    kept.map(|line| format!("{line}\n")).collect()
}

/// Messages and enums of the package.
fn types(descriptors: &FileDescriptorSet) -> BTreeSet<String> {
    let ours = descriptors.file.iter();
    ours.filter(|file| format!(".{}", file.package()) == PACKAGE)
        .flat_map(|file| {
            let messages = file.message_type.iter().map(DescriptorProto::name);
            let enums = file.enum_type.iter().map(EnumDescriptorProto::name);
            messages.chain(enums)
        })
        .map(str::to_owned)
        .collect()
}

/// The event, and every message that has one somewhere in it.
fn with_events(descriptors: &FileDescriptorSet) -> BTreeSet<String> {
    let mut found = BTreeSet::from([EVENT.to_owned()]);
    loop {
        let before = found.len();
        for message in descriptors.file.iter().flat_map(|file| &file.message_type) {
            if message
                .field
                .iter()
                .any(|field| found.contains(field.type_name()))
            {
                found.insert(format!("{PACKAGE}.{}", message.name()));
            }
        }
        if found.len() == before {
            return found;
        }
    }
}
