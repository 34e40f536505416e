//! Tests of the whole archive.

mod history;
mod refusals;
mod shared;
mod stage;
mod support;
mod upkeep;
mod whole;
