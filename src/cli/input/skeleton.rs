//! A request to be filled in, and a sample of an answer.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, OneofDescriptor,
    ReflectMessage, Value,
};

use super::{
    contract::{field_comment, message_comment, values},
    fill::is_known,
};

/// How deep messages are written that have each other: none of the contract's do.
const MAX_DEPTH: usize = 12;

/// A message as it is written, with the field that each value is of.
enum Part {
    /// JSON, in a line.
    Leaf(String),
    List(Vec<Self>),
    Map(Vec<(FieldDescriptor, Self)>),
}

/// The request in JSON: every field, with what it has or is without being given.
pub(super) fn json(request: &DynamicMessage) -> String {
    let mut out = String::new();
    write_json(&part(request, 0), 0, &mut out);
    out.push('\n');
    out
}

/// The same in YAML, with what each field means.
pub(super) fn yaml(request: &DynamicMessage) -> String {
    let mut out = String::new();
    let mut head = message_comment(&request.descriptor());
    head.push("What is left as it is is not given.".to_owned());
    comment(&head, 0, &mut out);
    out.push('\n');
    write_yaml(&part(request, 0), 0, &mut out);
    out
}

/// A sample of an answer in JSON, with every field; where it tells one of several
/// things, one of each.
pub(super) fn sample(answer: &MessageDescriptor) -> String {
    let choice = answer.oneofs().find(|oneof| !oneof.is_synthetic());
    let samples: Vec<Part> = match choice {
        None => vec![sampled(answer, None, 0)],
        Some(oneof) => oneof
            .fields()
            .map(|field| sampled(answer, Some(&field), 0))
            .collect(),
    };
    let mut out = String::new();
    for sample in samples {
        write_json(&sample, 0, &mut out);
        out.push('\n');
    }
    out
}

fn part(message: &DynamicMessage, depth: usize) -> Part {
    if depth > MAX_DEPTH {
        return Part::Map(Vec::new());
    }
    let fields = message.descriptor().fields().collect::<Vec<_>>();
    let parts = fields.into_iter().map(|field| {
        let part = match (message.has_field(&field), field.kind()) {
            (true, _) => given(&field, &message.get_field(&field), depth),
            (false, _) if field.is_map() => Part::Map(Vec::new()),
            // one to be filled in shows what there is to fill
            (false, Kind::Message(kind)) if !is_known(&kind) => {
                let empty = part(&DynamicMessage::new(kind), depth + 1);
                match field.is_list() {
                    true => Part::List(vec![empty]),
                    false => empty,
                }
            }
            (false, _) if field.is_list() => Part::List(Vec::new()),
            (false, kind) => Part::Leaf(zero(&field, &kind)),
        };
        (field, part)
    });
    Part::Map(parts.collect())
}

fn given(field: &FieldDescriptor, value: &Value, depth: usize) -> Part {
    match value {
        Value::List(list) => {
            let parts = list.iter().map(|each| given(field, each, depth));
            Part::List(parts.collect())
        }
        Value::Message(message) if !is_known(&message.descriptor()) => part(message, depth + 1),
        Value::Map(map) => Part::Leaf(texts(map)),
        value => Part::Leaf(leaf(&field.kind(), value)),
    }
}

/// Texts by their names.
fn texts(map: &HashMap<MapKey, Value>) -> String {
    let texts = map.iter().filter_map(|(key, value)| {
        let (key, value) = (key.as_str()?, value.as_str()?);
        Some((key.to_owned(), serde_json::Value::from(value)))
    });
    serde_json::Value::Object(texts.collect()).to_string()
}

/// What stands where nothing is given.
fn zero(field: &FieldDescriptor, kind: &Kind) -> String {
    let is_optional = field
        .containing_oneof()
        .is_some_and(|oneof| oneof.is_synthetic());
    match kind {
        _ if is_optional => "null".to_owned(),
        // a time, a span
        Kind::Message(_) => r#""""#.to_owned(),
        kind => leaf(kind, &Value::default_value(kind)),
    }
}

/// A value as protobuf's JSON has it.
fn leaf(kind: &Kind, value: &Value) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    match value {
        Value::Bool(flag) => flag.to_string(),
        Value::I32(number) => number.to_string(),
        Value::U32(number) => number.to_string(),
        Value::I64(number) => format!("\"{number}\""),
        Value::U64(number) => format!("\"{number}\""),
        Value::F32(number) => float(f64::from(*number)),
        Value::F64(number) => float(*number),
        Value::String(value) => text(value),
        Value::Bytes(bytes) => text(&STANDARD.encode(bytes)),
        Value::EnumNumber(number) => {
            let name = match kind {
                Kind::Enum(kind) => kind.get_value(*number),
                _ => None,
            };
            name.map_or_else(|| number.to_string(), |value| text(value.name()))
        }
        Value::Message(message) => {
            serde_json::to_string(message).unwrap_or_else(|_| r#""""#.to_owned())
        }
        Value::List(_) | Value::Map(_) => "null".to_owned(),
    }
}

fn float(number: f64) -> String {
    match number.is_finite() {
        true => number.to_string(),
        false if number.is_nan() => r#""NaN""#.to_owned(),
        false if number > 0.0 => r#""Infinity""#.to_owned(),
        false => r#""-Infinity""#.to_owned(),
    }
}

/// An answer with something in every field, and of alternatives in `chosen`, or the
/// first.
fn sampled(kind: &MessageDescriptor, chosen: Option<&FieldDescriptor>, depth: usize) -> Part {
    if depth > MAX_DEPTH {
        return Part::Map(Vec::new());
    }
    let is_said = |field: &FieldDescriptor| {
        let oneof = field.containing_oneof().filter(|one| !one.is_synthetic());
        oneof.is_none_or(|oneof| match chosen {
            Some(chosen) => chosen == field,
            None => oneof.fields().next().as_ref() == Some(field),
        })
    };
    let parts = kind.fields().filter(is_said).map(|field| {
        let part = match field.kind() {
            _ if field.is_map() => return (field, Part::Map(Vec::new())),
            Kind::Message(kind) if !is_known(&kind) => sampled(&kind, None, depth + 1),
            Kind::Message(kind) if kind.name() == "Timestamp" => {
                Part::Leaf(r#""2024-05-06T07:08:09Z""#.to_owned())
            }
            Kind::Message(_) => Part::Leaf(r#""30s""#.to_owned()),
            Kind::Enum(kind) => {
                let value = kind.values().nth(1).unwrap_or_else(|| kind.default_value());
                Part::Leaf(format!("\"{}\"", value.name()))
            }
            Kind::String => Part::Leaf(format!("\"{}\"", field.name())),
            Kind::Bool => Part::Leaf("true".to_owned()),
            kind => Part::Leaf(leaf(&kind, &Value::default_value(&kind))),
        };
        match field.is_list() {
            true => (field, Part::List(vec![part])),
            false => (field, part),
        }
    });
    Part::Map(parts.collect())
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn write_json(part: &Part, depth: usize, out: &mut String) {
    /// Writes what is between two brackets, a line each.
    fn lines<T>(
        brackets: [char; 2],
        each: &[T],
        depth: usize,
        out: &mut String,
        write: impl Fn(&T, &mut String),
    ) {
        let [open, close] = brackets;
        out.push(open);
        for (place, one) in each.iter().enumerate() {
            out.push_str(if place == 0 { "\n" } else { ",\n" });
            indent(depth + 1, out);
            write(one, out);
        }
        if !each.is_empty() {
            out.push('\n');
            indent(depth, out);
        }
        out.push(close);
    }
    match part {
        Part::Leaf(text) => out.push_str(text),
        Part::List(list) => lines(['[', ']'], list, depth, out, |each, out| {
            write_json(each, depth + 1, out);
        }),
        Part::Map(map) => lines(['{', '}'], map, depth, out, |(field, each), out| {
            out.push('"');
            out.push_str(field.json_name());
            out.push_str("\": ");
            write_json(each, depth + 1, out);
        }),
    }
}

/// Writes what follows `key:` or `-`, from the start of a line if it is more than
/// one.
fn write_yaml(part: &Part, depth: usize, out: &mut String) {
    let block = |each: &Part| match each {
        Part::Leaf(_) => false,
        Part::List(list) => !list.is_empty(),
        Part::Map(map) => !map.is_empty(),
    };
    let follow = |each: &Part, out: &mut String| match block(each) {
        true => {
            out.push('\n');
            write_yaml(each, depth + 1, out);
        }
        false => {
            out.push(' ');
            write_json(each, 0, out);
            out.push('\n');
        }
    };
    match part {
        Part::Leaf(_) => write_json(part, 0, out),
        Part::List(list) => {
            for each in list {
                indent(depth, out);
                out.push('-');
                follow(each, out);
            }
        }
        Part::Map(map) => {
            for (field, each) in map {
                comment(&meaning(field), depth, out);
                indent(depth, out);
                out.push_str(field.json_name());
                out.push(':');
                follow(each, out);
            }
        }
    }
}

fn comment(lines: &[String], depth: usize, out: &mut String) {
    for line in lines {
        indent(depth, out);
        out.push_str("# ");
        out.push_str(line);
        while out.ends_with(' ') {
            out.pop();
        }
        out.push('\n');
    }
}

/// What a field means, and what it can be.
fn meaning(field: &FieldDescriptor) -> Vec<String> {
    let mut lines = field_comment(field);
    let kind = field.kind();
    if let Kind::Enum(kind) = &kind {
        for (name, means) in values(kind) {
            lines.push(format!("  {name}: {}", means.join(" ")));
        }
    }
    let known = match &kind {
        Kind::Message(kind) => kind.name().to_owned(),
        _ => String::new(),
    };
    match known.as_str() {
        "Timestamp" => lines.push("Such as \"2024-05-06T07:08:09Z\".".to_owned()),
        "Duration" => lines.push("Such as \"90s\", \"30m\" or \"1d12h\".".to_owned()),
        _ => {}
    }
    if let Some(oneof) = field.containing_oneof().filter(|one| !one.is_synthetic()) {
        lines.push(alternatives(&oneof));
    }
    lines
}

fn alternatives(oneof: &OneofDescriptor) -> String {
    let names: Vec<String> = oneof
        .fields()
        .map(|field| field.json_name().to_owned())
        .collect();
    format!("Only one of {} may be given.", names.join(", "))
}
