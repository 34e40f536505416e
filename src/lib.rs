//! trailgate stands in front of AWS CloudTrail: any filter over Event history,
//! one shared quota, and no request paid for twice.
//!
//! `ARCHITECTURE.md` has the map of the modules and who may know whom.

mod accept;
pub mod app;
pub mod archive;
pub mod audit;
pub mod awsjson;
pub mod backfill;
pub mod bearer;
pub mod budget;
pub mod chart;
pub mod cli;
pub mod client;
pub mod clock;
pub mod collect;
pub mod config;
pub mod console;
pub mod coverage;
pub mod event;
pub mod feed;
pub mod filter;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod grpc;
pub mod http;
pub mod keep;
pub mod kept;
pub mod lookup;
pub mod policy;
pub mod proto;
mod rates;
pub mod sealed;
mod seldom;
mod sheet;
pub mod sigv4;
pub mod simulator;
mod slots;
mod spelling;
#[cfg(feature = "sql")]
pub mod sql;
pub mod telemetry;
pub mod tls;
pub mod trace;
pub mod typed;
pub mod upstream;
mod when;
