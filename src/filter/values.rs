//! The values of chosen fields, as filters would compare them.

use std::cell::RefCell;

use super::{
    Error, KnownFields,
    condition::{Condition, namesake, position},
    field::Field,
    members::{Leaf, Members, any_leaf},
};
use crate::event::Event;

/// Fields of events, named as [`super::Match::field`] is.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Each with the place of a path's first segment in `members`.
    fields: Vec<(Field, usize)>,
    members: Vec<String>,
}

impl Fields {
    /// Reads the names; `path` says where in the question they stand.
    ///
    /// # Errors
    ///
    /// The first name that is no field, as [`super::Filter::compile`] says it.
    pub fn parse(names: &[String], path: &str, known: &dyn KnownFields) -> Result<Self, Error> {
        let mut fields = Self::default();
        for (i, name) in names.iter().enumerate() {
            let field = Field::parse(name, &format!("{path}[{i}]"), known)?;
            let member = match &field {
                Field::Attribute(_) => 0,
                Field::Path(first, _) => position(&mut fields.members, first),
            };
            fields.fields.push((field, member));
        }
        Ok(fields)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The distinct values of each field, in the order of the names: strings,
    /// and the text of numbers and booleans. An absent field has none, nor has
    /// null or an object. The record is parsed at most once.
    #[must_use]
    pub fn values(&self, event: &Event) -> Vec<Vec<String>> {
        let members = Members::new(&self.members, event);
        let values = |(field, member): &(Field, usize)| {
            let found = RefCell::new(Vec::new());
            let add = |text: &str| {
                found.borrow_mut().push(text.to_owned());
                false
            };
            let key = match field {
                Field::Attribute(key) => Some(*key),
                Field::Path(..) if event.is_malformed() => namesake(field),
                Field::Path(_, rest) => {
                    if let Some(value) = members.get(*member) {
                        any_leaf(value, rest, &|leaf| match leaf {
                            Leaf::Text(text) => add(&text),
                            Leaf::Object => false,
                        });
                    }
                    None
                }
            };
            if let Some(key) = key {
                Condition::any_attribute(key, event, &add);
            }
            let mut found = found.into_inner();
            found.sort_unstable();
            found.dedup();
            found
        };
        self.fields.iter().map(values).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Origin, Scope};

    fn event(record: &str) -> Event {
        let scope = Scope::new("111122223333", "us-east-1");
        Event::from_record(&scope, record.as_bytes(), Origin::LogFile, 0)
    }

    fn values(names: &[&str], record: &str) -> Vec<Vec<String>> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let fields = Fields::parse(&names, "top_fields", &()).unwrap();
        assert_eq!((fields.len(), fields.is_empty()), (names.len(), false));
        fields.values(&event(record))
    }

    #[test]
    fn each_distinct_value_comes_once() {
        let record = r#"{"eventName":"A","errorCode":null,"readOnly":true,"requestParameters":
            {"ids":[{"id":"x"},{"id":1e3},{"id":"x"},{"id":null},{"id":{"id":"deeper"}}],"a.b":["",false]}}"#;
        let names = [
            "EventName",
            "errorCode",
            "requestParameters.ids.id",
            "requestParameters",
            "requestParameters.a\\.b",
            "record.no.such",
            "ReadOnly",
        ];
        let expected: [&[&str]; 7] = [
            &["A"],
            &[],
            &["1e3", "x"],
            &[],
            &["", "false"],
            &[],
            &["true"],
        ];
        assert_eq!(values(&names, record), expected);
    }

    #[test]
    fn a_malformed_record_has_what_the_index_has() {
        assert_eq!(
            values(&["eventName", "errorCode"], "not json"),
            [const { Vec::<String>::new() }; 2]
        );
    }

    #[test]
    fn a_typing_error_is_told_with_its_place() {
        let names = ["EventName".to_owned(), "errorcode".to_owned()];
        let error = Fields::parse(&names, "top_fields", &()).unwrap_err();
        assert_eq!(error.path, "top_fields[1]");
        assert!(error.message.contains("errorCode"), "{error}");
    }
}
