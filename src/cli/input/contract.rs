//! The contract's own description: messages, methods, and what each field means.

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor,
    MethodDescriptor,
};
use prost_types::source_code_info::Location;

use crate::proto::messages;

/// The package that all of it is in.
const PACKAGE: &str = "trailgate.v1";

/// A message of the contract by its name without the package; `None`: there is none.
pub(in crate::cli) fn message(name: &str) -> Option<MessageDescriptor> {
    messages()?.get_message_by_name(&format!("{PACKAGE}.{name}"))
}

/// Every method of the contract.
pub(in crate::cli) fn methods() -> Vec<MethodDescriptor> {
    let services = messages().into_iter().flat_map(DescriptorPool::services);
    services
        .filter(|service| service.package_name() == PACKAGE)
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect()
}

/// A method by its name: `LookupEvents`, or with its service, and with its package,
/// before a slash or a dot.
pub(in crate::cli) fn method(name: &str) -> Option<MethodDescriptor> {
    let name = name.trim_start_matches('/').replace('/', ".");
    methods().into_iter().find(|method| {
        let full = method.full_name();
        full.strip_suffix(name.as_str())
            .is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

/// What a field means, a line each.
pub(super) fn field_comment(field: &FieldDescriptor) -> Vec<String> {
    let file = field.parent_message().parent_file();
    comment(&file, field.path())
}

/// What a message is, a line each.
pub(super) fn message_comment(message: &MessageDescriptor) -> Vec<String> {
    comment(&message.parent_file(), message.path())
}

/// The values of an enum, with what each means.
pub(super) fn values(kind: &EnumDescriptor) -> Vec<(String, Vec<String>)> {
    let file = kind.parent_file();
    kind.values()
        .map(|value| (value.name().to_owned(), comment(&file, value.path())))
        .collect()
}

/// What stands before something in the proto, a line each; nothing where the
/// descriptors have no comments.
fn comment(file: &FileDescriptor, path: &[i32]) -> Vec<String> {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let mut places = info.into_iter().flat_map(|info| &info.location);
    let text = places
        .find(|place| place.path == path)
        .map(Location::leading_comments);
    let lines = text.unwrap_or_default().trim_end().lines();
    lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned())
        .collect()
}
