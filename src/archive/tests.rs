//! Tests of the whole archive.

mod shared;
mod support;
mod whole;
