//! The client commands as processes, against a gateway that answers by script.

mod export;
mod gateway;
mod get;
mod lookup;
mod refusals;
mod reports;
mod scopes;
mod summary;
