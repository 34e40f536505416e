//! What a table and CSV are asked to show: columns that every event has, and fields
//! of its record.

use std::sync::Arc;

use clap::ValueEnum;

use super::{Column, printable};
use crate::{
    event::{Event as Read, Origin, Scope},
    filter::{Fields, Sight},
    proto::v1::Event,
    spelling::Nearest,
};

/// A column that somebody chose.
#[derive(Clone, Debug)]
pub(in crate::cli) enum Chosen {
    /// One that every event has.
    Known(Column),
    /// A field of the record, by its path.
    Path(Arc<Path>),
}

/// A field of the record.
#[derive(Debug)]
pub(in crate::cli) struct Path {
    /// As it was written, which is its header.
    name: String,
    field: Fields,
}

impl Chosen {
    /// Reads a column's name or a path into the record, as conditions have them.
    ///
    /// # Errors
    /// It is neither: what is wrong with it.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(column) = Column::from_str(text, true) {
            return Ok(Self::Known(column));
        }
        let listed = || Column::names().collect::<Vec<_>>().join(", ");
        if let Sight::Attribute(key) = Sight::of(text)? {
            return Err(format!(
                "{:?} is what AWS searches by, and no column; columns are {}, and fields of the \
                 record such as requestParameters.bucketName",
                key.as_str(),
                listed()
            ));
        }
        let field = Fields::parse(&[text.to_owned()], "--columns", &()).map_err(|error| {
            let mut nearest = Nearest::to(text);
            Column::names().for_each(|name| nearest.consider(&name));
            match (text.contains('.'), nearest.found()) {
                (false, Some(name)) => format!("no column; did you mean {name:?}?"),
                (false, None) => format!(
                    "no column: those are {}, and fields of the record such as \
                     requestParameters.bucketName (\"record.{text}\" shows it anyway)",
                    listed()
                ),
                (true, _) => error.message.clone(),
            }
        })?;
        Ok(Self::Path(Arc::new(Path {
            name: text.to_owned(),
            field,
        })))
    }

    /// Whether it is read from the record.
    pub(in crate::cli) fn needs_record(&self) -> bool {
        matches!(self, Self::Known(Column::Record) | Self::Path(_))
    }

    pub(super) fn header(&self) -> String {
        match self {
            Self::Known(column) => column.header().to_owned(),
            Self::Path(path) => path.name.clone(),
        }
    }

    /// The header of CSV.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Known(column) => column.name(),
            Self::Path(path) => path.name.clone(),
        }
    }

    /// The narrowest that it is cut to, in characters.
    pub(super) fn narrowest(&self) -> usize {
        match self {
            Self::Known(column) => column.narrowest(),
            Self::Path(_) => 12,
        }
    }

    /// As wide as most values are, in characters.
    pub(super) fn usual(&self) -> usize {
        match self {
            Self::Known(column) => column.usual(),
            Self::Path(path) => path.name.chars().count().clamp(12, 30),
        }
    }

    /// The widest that it gets, in characters.
    pub(super) fn widest(&self) -> usize {
        match self {
            Self::Known(column) => column.widest(),
            Self::Path(_) => 80,
        }
    }

    /// What the event has to show here, on a line.
    pub(super) fn cell(&self, event: &Event) -> String {
        match self {
            Self::Known(column) => column.cell(event),
            Self::Path(_) => printable(&self.value(event)),
        }
    }

    /// What the event has here, whole and as it is; of several values all.
    pub(super) fn value(&self, event: &Event) -> String {
        match self {
            Self::Known(column) => column.value(event),
            Self::Path(path) => {
                let scope = Scope::new(&event.account_id, &event.region);
                let record = event.record.as_bytes();
                let read = Read::from_record(&scope, record, Origin::LookupEvents, 0);
                let values = path.field.values(&read).into_iter().flatten();
                values.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

impl From<Column> for Chosen {
    fn from(column: Column) -> Self {
        Self::Known(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_shows_what_the_record_has() {
        let event = Event {
            account_id: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
            record: r#"{"eventName":"A","requestParameters":{"ids":[{"id":"x"},{"id":7}],
                "name":"a\nb"}}"#
                .to_owned(),
            ..Event::default()
        };
        let shown = |text: &str| {
            let column = Chosen::parse(text).unwrap();
            assert!(column.needs_record());
            (column.header(), column.cell(&event))
        };
        let named = |text: &str, cell: &str| (text.to_owned(), cell.to_owned());
        for (text, cell) in [
            ("requestParameters.ids.id", "7; x"),
            ("requestParameters.none", ""),
            ("errorCode", ""),
            ("eventName", "A"),
            ("record.odd", ""),
        ] {
            assert_eq!(shown(text), named(text, cell));
        }
        assert!(!shown("requestParameters.name").1.contains('\n'));
        assert!(!Chosen::parse("who").unwrap().needs_record());
        assert!(Chosen::parse(" RECORD").unwrap().needs_record());
    }

    #[test]
    fn what_is_no_column_is_said_with_what_may_be_meant() {
        for (text, said) in [
            ("whom", "did you mean \"who\"?"),
            ("zzzzzz", "those are time, event,"),
            ("requestParameter.x", "did you mean \"requestParameters\"?"),
            ("requestParameters..x", "empty segment"),
            ("Username", "no column"),
            ("", "empty"),
        ] {
            let error = Chosen::parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
