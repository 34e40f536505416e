//! Integration tests: a module a subject, one binary, one link.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod server;
#[cfg(test)]
mod upstream;
