//! A message out of a file that was filled in.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    OneofDescriptor, Value,
};

use super::node::Node;
use crate::{cli::time, clock::Clock, spelling::Nearest};

/// What a file had.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) message: DynamicMessage,
    /// Places in the message, and those in the file where they are others: empty
    /// elements of lists are left out.
    pub(super) moved: Vec<(String, String)>,
}

/// Makes the message.
///
/// # Errors
///
/// What is wrong, with the place and what would do, in a line.
///
/// `sibling`: a message that asks the same in another way. What a file has for that
/// alone does no harm where nothing is given by it.
pub(super) fn fill(
    kind: &MessageDescriptor,
    node: &Node,
    sibling: Option<&MessageDescriptor>,
) -> Result<Filled, String> {
    let mut filler = Filler {
        moved: Vec::new(),
        sibling: sibling.cloned(),
    };
    let message = match node {
        Node::Null => DynamicMessage::new(kind.clone()),
        Node::Map(_) => filler.message(kind, node, &Place::default())?,
        other => return Err(format!("{} where an object belongs", other.described())),
    };
    Ok(Filled {
        message,
        moved: filler.moved,
    })
}

/// Where something stands: in the file, and in the message that is sent.
#[derive(Clone, Debug, Default)]
struct Place {
    file: String,
    sent: String,
}

impl Place {
    fn field(&self, key: &str, name: &str) -> Self {
        let join = |before: &str, name: &str| match before {
            "" => name.to_owned(),
            before => format!("{before}.{name}"),
        };
        Self {
            file: join(&self.file, key),
            sent: join(&self.sent, name),
        }
    }

    fn element(&self, file: usize, sent: usize) -> Self {
        Self {
            file: format!("{}[{file}]", self.file),
            sent: format!("{}[{sent}]", self.sent),
        }
    }
}

struct Filler {
    moved: Vec<(String, String)>,
    sibling: Option<MessageDescriptor>,
}

impl Filler {
    fn message(
        &mut self,
        kind: &MessageDescriptor,
        node: &Node,
        at: &Place,
    ) -> Result<DynamicMessage, String> {
        let Node::Map(entries) = node else {
            return Err(wrong(at, node, "an object, in { }"));
        };
        let mut message = DynamicMessage::new(kind.clone());
        let mut seen: Vec<(FieldDescriptor, &str)> = Vec::new();
        for (key, node) in entries {
            let field = match field(kind, key, at) {
                Ok(field) => field,
                Err(_) if at.file.is_empty() && self.is_siblings(key, node)? => continue,
                Err(wrong) => return Err(wrong),
            };
            if let Some((_, before)) = seen.iter().find(|(known, _)| *known == field) {
                let before = at.field(before, "").file;
                return Err(format!(
                    "{}: it is there twice, as {before} too",
                    at.field(key, "").file
                ));
            }
            seen.push((field.clone(), key));
            let place = at.field(key, field.name());
            let Some(value) = self.value(&field, node, &place)? else {
                continue;
            };
            if let Some(oneof) = field.containing_oneof() {
                one_alone(&message, &oneof, &field, at)?;
            }
            message
                .try_set_field(&field, value)
                .map_err(|error| format!("{}: {error}", place.file))?;
        }
        Ok(message)
    }

    /// Whether a key is the sibling's alone, and says nothing that matters here.
    fn is_siblings(&mut self, key: &str, node: &Node) -> Result<bool, String> {
        let Some(sibling) = self.sibling.clone() else {
            return Ok(false);
        };
        let at = Place::default().field(key, key);
        let Ok(field) = field(&sibling, key, &Place::default()) else {
            return Ok(false);
        };
        match self.value(&field, node, &at)? {
            None => Ok(true),
            // how many come at once is no question of its own
            Some(_) if field.name() == "page_size" => Ok(true),
            Some(_) => Err(format!(
                "{}: is of {}; leave it out here",
                at.file,
                sibling.name()
            )),
        }
    }

    /// Texts by their names, as parameters are: the contract has no other maps.
    fn map(
        &mut self,
        field: &FieldDescriptor,
        node: &Node,
        at: &Place,
    ) -> Result<Option<Value>, String> {
        let Node::Map(entries) = node else {
            return Err(wrong(at, node, "an object, in { }"));
        };
        let Kind::Message(entry) = field.kind() else {
            return Err(format!("{}: cannot be given in a file", at.file));
        };
        let kind = entry.map_entry_value_field().kind();
        let mut map = HashMap::new();
        for (key, node) in entries {
            let at = at.field(key, key);
            let node = match node {
                // what is typed as a number is a text here
                Node::Int(number) => &Node::Text(number.to_string()),
                node => node,
            };
            if let Some(value) = self.one(&kind, node, &at)? {
                map.insert(MapKey::String(key.clone()), value);
            }
        }
        Ok((!map.is_empty()).then_some(Value::Map(map)))
    }

    /// What a field has; `None`: it is not given.
    fn value(
        &mut self,
        field: &FieldDescriptor,
        node: &Node,
        at: &Place,
    ) -> Result<Option<Value>, String> {
        if *node == Node::Null {
            return Ok(None);
        }
        if field.is_map() {
            return self.map(field, node, at);
        }
        if field.is_list() {
            let Node::List(nodes) = node else {
                return Err(wrong(at, node, "a list, in [ ]"));
            };
            // an empty text is a value to compare with, and names nothing
            let is_empty = |node: &Node| {
                matches!(node, Node::Text(text) if text.is_empty()) && field.name() != "values"
            };
            let list = self.list(&field.kind(), nodes, at, is_empty)?;
            return Ok((!list.is_empty()).then_some(Value::List(list)));
        }
        let Some(value) = self.one(&field.kind(), node, at)? else {
            return Ok(None);
        };
        // a zero says something only where presence does, and of alternatives none
        let says = match (&value, field.containing_oneof()) {
            (Value::Message(_), _) => true,
            (_, Some(oneof)) if oneof.is_synthetic() => true,
            _ => !value.is_default(&field.kind()),
        };
        Ok(says.then_some(value))
    }

    fn list(
        &mut self,
        kind: &Kind,
        nodes: &[Node],
        at: &Place,
        is_empty: impl Fn(&Node) -> bool,
    ) -> Result<Vec<Value>, String> {
        let mut list = Vec::with_capacity(nodes.len());
        for (place, node) in nodes.iter().enumerate() {
            let at = at.element(place, list.len());
            if *node == Node::Null {
                return Err(format!("{}: null; leave the element out", at.file));
            }
            if is_empty(node) {
                continue;
            }
            let first = self.moved.len();
            if place != list.len() {
                self.moved.push((at.sent.clone(), at.file.clone()));
            }
            match self.one(kind, node, &at)? {
                Some(value) => list.push(value),
                None => self.moved.truncate(first),
            }
        }
        Ok(list)
    }

    /// A value by itself; `None`: an object in which nothing is given.
    fn one(&mut self, kind: &Kind, node: &Node, at: &Place) -> Result<Option<Value>, String> {
        match kind {
            Kind::Message(kind) if is_known(kind) => known(kind, node, at),
            Kind::Message(kind) => {
                let message = self.message(kind, node, at)?;
                let is_empty = message.fields().next().is_none();
                Ok((!is_empty).then_some(Value::Message(message)))
            }
            kind => scalar(kind, node, at).map(Some),
        }
    }
}

/// A type of Google's own, which JSON has a form of its own for.
pub(super) fn is_known(kind: &MessageDescriptor) -> bool {
    kind.package_name() == "google.protobuf"
}

fn known(kind: &MessageDescriptor, node: &Node, at: &Place) -> Result<Option<Value>, String> {
    let (what, form) = match kind.name() {
        "Timestamp" => (
            "a time",
            "\"2024-05-06T07:08:09Z\", \"2024-05-06\" or \"2h\"",
        ),
        "Duration" => ("a span", "\"90s\", \"30m\" or \"1d12h\""),
        name => (name, "as protobuf's JSON has it"),
    };
    let Node::Text(text) = node else {
        return Err(wrong(
            at,
            node,
            &format!("{what} in quotes, such as {form}"),
        ));
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    let text = match kind.name() {
        // spans as they are typed elsewhere: a superset of seconds
        "Duration" => time::span(text).map_or_else(
            |_| text.clone(),
            |span| format!("{}.{:09}s", span.as_secs(), span.subsec_nanos()),
        ),
        // times, too: what protobuf's JSON has is among them, to the nanosecond
        "Timestamp" if text.parse::<Timestamp>().is_err() => {
            let clock = Clock::system();
            let second = time::when(text).map(|when| match at.sent.ends_with("end_time") {
                true => time::last(when, &clock),
                false => time::first(when, &clock),
            });
            second.map_or_else(|_| text.clone(), time::rfc3339)
        }
        _ => text.clone(),
    };
    DynamicMessage::deserialize(kind.clone(), serde_json::Value::String(text))
        .map(|message| Some(Value::Message(message)))
        .map_err(|_| {
            format!(
                "{}: {} is not {what}; write it like {form}",
                at.file,
                node.described()
            )
        })
}

fn scalar(kind: &Kind, node: &Node, at: &Place) -> Result<Value, String> {
    let value = match (kind, node) {
        (Kind::String, Node::Text(text)) => Some(Value::String(text.clone())),
        (Kind::String, Node::Int(_) | Node::Float(_) | Node::Bool(_)) => {
            return Err(wrong(at, node, "a text: put it in quotes"));
        }
        (Kind::Bool, Node::Bool(flag)) => Some(Value::Bool(*flag)),
        (Kind::Bytes, Node::Text(text)) => STANDARD
            .decode(text)
            .ok()
            .map(|bytes| Value::Bytes(bytes.into())),
        (Kind::Enum(kind), node) => return choice(kind, node, at),
        (Kind::Double, node) => float(node).map(Value::F64),
        (Kind::Float, node) => float(node).map(|number| {
            #[expect(clippy::cast_possible_truncation, reason = "nearest is what is meant")]
            let number = number as f32;
            Value::F32(number)
        }),
        (Kind::Int32 | Kind::Sint32 | Kind::Sfixed32, node) => integer(node)
            .and_then(|number| number.try_into().ok())
            .map(Value::I32),
        (Kind::Int64 | Kind::Sint64 | Kind::Sfixed64, node) => integer(node)
            .and_then(|number| number.try_into().ok())
            .map(Value::I64),
        (Kind::Uint32 | Kind::Fixed32, node) => integer(node)
            .and_then(|number| number.try_into().ok())
            .map(Value::U32),
        (Kind::Uint64 | Kind::Fixed64, node) => integer(node)
            .and_then(|number| number.try_into().ok())
            .map(Value::U64),
        _ => None,
    };
    value.ok_or_else(|| wrong(at, node, wanted(kind)))
}

/// What a field takes, for messages.
fn wanted(kind: &Kind) -> &'static str {
    match kind {
        Kind::String => "a text in quotes",
        Kind::Bool => "true or false",
        Kind::Bytes => "bytes as base64, in quotes",
        Kind::Double | Kind::Float => "a number",
        Kind::Uint32 | Kind::Fixed32 => "a whole number, 0 to 4294967295",
        Kind::Uint64 | Kind::Fixed64 => "a whole number, not below 0",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "a whole number, at most 2147483647",
        _ => "a whole number",
    }
}

/// protobuf's JSON has long integers as texts, and takes 1.0 for 1.
fn integer(node: &Node) -> Option<i128> {
    /// Beyond it a float does not tell whole numbers apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match node {
        Node::Int(number) => Some(*number),
        Node::Text(text) => text.parse().ok(),
        Node::Float(number) if number.fract() == 0.0 && number.abs() <= EXACT => {
            #[expect(clippy::cast_possible_truncation, reason = "whole, and in range")]
            let number = *number as i128;
            Some(number)
        }
        _ => None,
    }
}

fn float(node: &Node) -> Option<f64> {
    match node {
        #[expect(clippy::cast_precision_loss, reason = "nearest is what is meant")]
        Node::Int(number) => Some(*number as f64),
        Node::Float(number) => Some(*number),
        Node::Text(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok().filter(|number: &f64| number.is_finite()),
        },
        _ => None,
    }
}

/// What the names of an enum's values begin with: that of the first is it, and
/// `UNSPECIFIED`, as the style of protobuf has it.
fn prefix(kind: &EnumDescriptor) -> String {
    let first = kind.default_value();
    let name = first.name();
    name.strip_suffix("UNSPECIFIED")
        .unwrap_or_default()
        .to_owned()
}

/// A value of an enum, by its name or its number.
fn choice(kind: &EnumDescriptor, node: &Node, at: &Place) -> Result<Value, String> {
    let found = match node {
        // as everywhere, empty is not given
        Node::Text(text) if text.is_empty() => Some(kind.default_value()),
        // by its name, or that without what all of them begin with
        Node::Text(text) => kind
            .get_value_by_name(text)
            .or_else(|| kind.get_value_by_name(&format!("{}{text}", prefix(kind)))),
        node => integer(node)
            .and_then(|number| number.try_into().ok())
            .and_then(|number| kind.get_value(number)),
    };
    if let Some(found) = found {
        return Ok(Value::EnumNumber(found.number()));
    }
    let names: Vec<String> = kind.values().map(|value| value.name().to_owned()).collect();
    let near = match node {
        Node::Text(text) => {
            // without what all of them begin with, in any case
            let short = format!("_{}", text.to_uppercase().replace('-', "_"));
            let short = names.iter().find(|name| name.ends_with(&short)).cloned();
            short.or_else(|| Nearest::of(text, names.iter().map(String::as_str)))
        }
        _ => None,
    };
    let cure = match near {
        Some(name) => format!("did you mean {name:?}?"),
        None => format!("it is one of {}", names.join(", ")),
    };
    Err(format!(
        "{}: {} is not known here; {cure}",
        at.file,
        node.described()
    ))
}

/// The field that a key names.
fn field(kind: &MessageDescriptor, key: &str, at: &Place) -> Result<FieldDescriptor, String> {
    let found = kind
        .get_field_by_json_name(key)
        .or_else(|| kind.get_field_by_name(key));
    found.ok_or_else(|| {
        let names: Vec<(String, String)> = kind
            .fields()
            .map(|field| (field.json_name().to_owned(), field.name().to_owned()))
            .collect();
        let near = Nearest::of(
            key,
            names
                .iter()
                .flat_map(|(json, name)| [json.as_str(), name.as_str()]),
        );
        let cure = match near {
            Some(name) => format!("did you mean {name:?}?"),
            None => {
                let names: Vec<_> = names.iter().map(|(json, _)| json.as_str()).collect();
                format!("there are {}", names.join(", "))
            }
        };
        format!("{}: no such field; {cure}", at.field(key, "").file)
    })
}

/// Refuses a second one of alternatives.
fn one_alone(
    message: &DynamicMessage,
    oneof: &OneofDescriptor,
    field: &FieldDescriptor,
    at: &Place,
) -> Result<(), String> {
    let before = oneof
        .fields()
        .find(|other| other != field && message.has_field(other));
    match before {
        None => Ok(()),
        Some(before) => {
            let place = |field: &FieldDescriptor| at.field(field.json_name(), "").file;
            Err(format!(
                "{} and {} are both given, and only one of them may be",
                place(&before),
                place(field)
            ))
        }
    }
}

fn wrong(at: &Place, node: &Node, wanted: &str) -> String {
    format!("{}: {} where it takes {wanted}", at.file, node.described())
}
