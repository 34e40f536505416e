//! Integration tests: a module a subject, one binary, one link.

// `#[cfg(test)]` tells clippy that helpers are tests too
#[cfg(test)]
mod abuse;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod archive;
#[cfg(test)]
mod aws;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod counts;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod export;
#[cfg(test)]
mod ingest;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod scopes;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod server;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod subscribe;
#[cfg(test)]
mod upstream;
