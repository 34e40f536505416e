//! Integration tests: a module a subject, one binary, one link.

#[cfg(test)]
mod cli;
