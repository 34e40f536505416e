//! Queries against a small archive.

mod archived;
mod bounds;
mod fixture;
mod names;
mod reads;
mod rights;
