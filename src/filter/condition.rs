//! One match, checked: a field with a comparison.

use std::collections::BTreeSet;

use super::{
    Error, KnownFields, Match, Operator,
    compare::Compare,
    field::Field,
    members::{Leaf, Members, any_leaf},
    write_len, write_text,
};
use crate::event::{Attribute, AttributeKey, Event};

/// A condition on one field of an event.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    field: Field,
    /// Where a path's first segment stands among the wanted members.
    member: Option<usize>,
    operator: Operator,
    compare: Compare,
    negate: bool,
    ignore_case: bool,
    /// Distinct, as given.
    values: BTreeSet<Box<str>>,
}

impl Condition {
    /// Checks a match that stands at `path`, and adds what it looks into to
    /// `members`.
    pub(super) fn compile(
        source: &Match,
        path: &str,
        known: &dyn KnownFields,
        members: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let field = Field::parse(&source.field, &format!("{path}.field"), known)?;
        let ignore_case =
            source.ignore_case && !matches!(source.operator, Operator::Cidr | Operator::Exists);
        let compare = Compare::compile(source.operator, &source.values, ignore_case, path)?;
        let member = match &field {
            Field::Attribute(_) => None,
            Field::Path(first, _) => Some(position(members, first)),
        };
        Ok(Self {
            field,
            member,
            operator: source.operator,
            compare,
            negate: source.negate,
            ignore_case,
            values: source.values.iter().map(|v| v.as_str().into()).collect(),
        })
    }

    /// Whether it holds for `event`, whose record `members` reads.
    pub(super) fn holds(&self, event: &Event, members: &Members<'_>) -> bool {
        let found = match &self.field {
            Field::Attribute(key) => self.attribute_holds(*key, event),
            Field::Path(..) if event.is_malformed() => {
                namesake(&self.field).is_some_and(|key| self.attribute_holds(key, event))
            }
            Field::Path(_, rest) => self
                .member
                .and_then(|member| members.get(member))
                .is_some_and(|value| any_leaf(value, rest, &|leaf| self.leaf_holds(leaf))),
        };
        found != self.negate
    }

    fn leaf_holds(&self, leaf: Leaf<'_>) -> bool {
        match leaf {
            Leaf::Text(text) => self.text_holds(&text),
            Leaf::Object => self.operator == Operator::Exists,
        }
    }

    fn text_holds(&self, text: &str) -> bool {
        self.compare.holds(text, self.ignore_case)
    }

    fn attribute_holds(&self, key: AttributeKey, event: &Event) -> bool {
        Self::any_attribute(key, event, &|text: &str| self.text_holds(text))
    }

    /// Whether `holds` for any value of an attribute.
    pub(super) fn any_attribute(
        key: AttributeKey,
        event: &Event,
        holds: &dyn Fn(&str) -> bool,
    ) -> bool {
        // the index says an absent name, source or id as an empty one
        let given = |text: &str| !text.is_empty() && holds(text);
        match key {
            AttributeKey::AccessKeyId => event.access_key_id().is_some_and(holds),
            AttributeKey::EventId => given(event.id()),
            AttributeKey::EventName => given(event.name()),
            AttributeKey::EventSource => given(event.source()),
            AttributeKey::ReadOnly => event
                .read_only()
                .is_some_and(|flag| holds(if flag { "true" } else { "false" })),
            AttributeKey::ResourceName => {
                event.resources().any(|(_, name)| name.is_some_and(holds))
            }
            AttributeKey::ResourceType => {
                event.resources().any(|(kind, _)| kind.is_some_and(holds))
            }
            AttributeKey::Username => event.username().is_some_and(holds),
        }
    }

    /// Attributes of which every event has one for which this holds, if AWS can
    /// be asked by all of them; else none.
    pub(super) fn pushdown(&self) -> Vec<Attribute> {
        if self.operator != Operator::Equals || self.negate || self.ignore_case {
            return Vec::new();
        }
        let key = match self.field {
            Field::Attribute(key) => Some(key),
            // AWS names events as their records do
            Field::Path(..) => namesake(&self.field).filter(|key| *key != AttributeKey::ReadOnly),
        };
        let Some(key) = key else { return Vec::new() };
        let sendable = |value: &str| match key {
            AttributeKey::ReadOnly => matches!(value, "true" | "false"),
            _ => (1..=Attribute::MAX_VALUE_LEN).contains(&Attribute::value_len(value)),
        };
        if !self.values.iter().all(|value| sendable(value)) {
            return Vec::new();
        }
        let attributes = self.values.iter();
        attributes.map(|value| Attribute::new(key, value)).collect()
    }

    /// Whether it is about what AWS derives, and log files lack.
    pub(super) fn needs_derived(&self) -> bool {
        matches!(
            self.field,
            Field::Attribute(
                AttributeKey::Username | AttributeKey::ResourceName | AttributeKey::ResourceType
            )
        )
    }

    /// How dear it is: what needs the record parsed comes last.
    pub(super) fn cost(&self) -> (u8, u8) {
        let reads = u8::from(matches!(self.field, Field::Path(..)));
        (reads, self.compare.cost())
    }

    /// Appends a form that is the same for the same condition, and only then.
    pub(super) fn write_canonical(&self, out: &mut Vec<u8>) {
        match &self.field {
            Field::Attribute(key) => {
                out.push(0);
                write_text(out, key.as_str());
            }
            Field::Path(first, rest) => {
                out.push(1);
                write_len(out, rest.len() + 1);
                write_text(out, first);
                rest.iter().for_each(|segment| write_text(out, segment));
            }
        }
        write_text(out, self.operator.as_str());
        out.extend([u8::from(self.negate), u8::from(self.ignore_case)]);
        write_len(out, self.values.len());
        self.values.iter().for_each(|value| write_text(out, value));
    }
}

/// Where `name` stands in `names`, at the end if it is new.
pub(super) fn position(names: &mut Vec<String>, name: &str) -> usize {
    names
        .iter()
        .position(|known| known == name)
        .unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        })
}

/// The attribute that stands for a path where the record cannot be read, and
/// that says what the record says where it can.
pub(super) fn namesake(field: &Field) -> Option<AttributeKey> {
    match field {
        Field::Path(first, rest) if rest.is_empty() => match first.as_str() {
            "eventID" => Some(AttributeKey::EventId),
            "eventName" => Some(AttributeKey::EventName),
            "eventSource" => Some(AttributeKey::EventSource),
            "readOnly" => Some(AttributeKey::ReadOnly),
            _ => None,
        },
        _ => None,
    }
}
