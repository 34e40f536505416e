//! Tests of the whole archive.

mod history;
mod local;
mod points;
mod refusals;
mod rows;
mod shared;
mod stage;
mod support;
mod upkeep;
mod whole;
