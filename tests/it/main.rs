//! Integration tests: a module a subject, one binary, one link.

// `cfg(test)` tells clippy that helpers outside test functions are tests too
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod simulator;
