//! Tests of the whole archive.

mod shared;
mod stage;
mod support;
mod upkeep;
mod whole;
