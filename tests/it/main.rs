//! Integration tests: a module a subject, one binary, one link.

mod simulator;
