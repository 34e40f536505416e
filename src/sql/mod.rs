//! SQL over the archive: one table and some views, read and never written.
//!
//! A query is parsed, held against what a query may be, planned over the files that
//! its caller sees, and run on threads of its own, within a share of memory and of
//! time. Nothing that it says reaches files of other partitions: they are not in its
//! table.

mod allowed;
mod answer;
mod apart;
mod cells;
mod days;
mod defaults;
mod engine;
mod error;
mod files;
mod functions;
mod gate;
mod gathered;
mod given;
mod guard;
mod nested;
mod options;
mod order;
mod parameters;
mod pool;
mod reports;
mod runtime;
mod schema;
mod session;
mod sight;
mod spill;
mod split;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod until;
mod views;
mod words;

pub use self::{
    answer::Answer,
    cells::{Cells, Type},
    engine::{Described, Engine, NoEngine, Question},
    error::{Error, Reason},
    files::{Archived, File, Files, Source, Unlisted},
    functions::NoPlaces,
    given::{Typed, Why, Wrong},
    options::{BATCH_ROWS, Options},
    parameters::{Parameters, Value},
    reports::{Kind, Parameter, Report, Reported, nearest, report, reports},
    session::{CATALOG, SCHEMA, TABLE, words},
    sight::Sight,
    split::{Split, split},
    text::MAX_TEXT,
    views::{View, views},
};
