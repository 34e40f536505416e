//! S3's own notifications.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;

use super::{Content, Error, Members, Nothing, ObjectRef, members, nested, open_at, text};

fn lacks(member: &'static str) -> Error {
    Error::Incomplete {
        form: "S3's",
        member,
    }
}

/// The objects of S3's `Records`; what a function's trigger wraps in `Records`
/// is opened too. `None`: no form that is known.
pub(super) fn of_records<'a>(
    records: &[&RawValue],
    depth: usize,
) -> Option<Result<Content<'a>, Error>> {
    let mut objects = Vec::new();
    for record in records {
        let record = members(record.get())?;
        match of_record(&record, depth) {
            Some(Ok(found)) => objects.extend(found),
            Some(Err(error)) => return Some(Err(error)),
            None => return None,
        }
    }
    if records.is_empty() {
        return None;
    }
    Some(Ok(if objects.is_empty() {
        Content::Nothing(Nothing::NotCreated)
    } else {
        Content::Objects(objects)
    }))
}

fn of_record(record: &Members<'_>, depth: usize) -> Option<Result<Vec<ObjectRef>, Error>> {
    let Some(s3) = nested(record, "s3") else {
        let inner = nested(record, "Sns").and_then(|sns| text(&sns, "Message"));
        let inner = inner.or_else(|| text(record, "body"))?;
        return match open_at(&inner, depth + 1) {
            Ok(Content::Objects(objects)) => Some(Ok(objects)),
            Ok(Content::Nothing(_)) => Some(Ok(Vec::new())),
            // one of several events in a message: nobody sends that
            Ok(Content::Event(_)) => None,
            Err(error) => Some(Err(error)),
        };
    };
    let name = text(record, "eventName").unwrap_or_default();
    let name = name.strip_prefix("s3:").unwrap_or(&name);
    if !name.starts_with("ObjectCreated:") {
        return Some(Ok(Vec::new()));
    }
    Some(of_parts(&s3, text(record, "awsRegion"), decoded).map(|object| vec![object]))
}

/// The object of an EventBridge event, whose key is not encoded.
pub(super) fn of_detail(detail: &Members<'_>, region: Option<String>) -> Result<ObjectRef, Error> {
    of_parts(detail, region, |key| key)
}

fn of_parts(
    parts: &Members<'_>,
    region: Option<String>,
    decode: impl Fn(String) -> String,
) -> Result<ObjectRef, Error> {
    let given = |text: &String| !text.is_empty();
    let bucket = nested(parts, "bucket").and_then(|bucket| text(&bucket, "name"));
    let bucket = bucket.filter(given).ok_or_else(|| lacks("bucket"))?;
    let object = nested(parts, "object").ok_or_else(|| lacks("object"))?;
    let key = text(&object, "key").filter(given);
    let key = decode(key.ok_or_else(|| lacks("key"))?);
    let first = |names: [&str; 2]| names.iter().find_map(|name| text(&object, name));
    Ok(ObjectRef {
        bucket,
        key,
        region,
        size: text(&object, "size").and_then(|size| size.parse().ok()),
        etag: first(["eTag", "etag"]).map(|etag| etag.trim_matches('"').to_owned()),
        version: first(["versionId", "version-id"]),
    })
}

/// A key as S3 writes it in its own notifications: encoded as a form is, with
/// `+` for a space. One that is no text once it is decoded stays as it is.
fn decoded(key: String) -> String {
    let spaced = key.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(Cow::into_owned).unwrap_or(key)
}
