//! The pages, one a file.

pub(super) mod compare;
pub(super) mod counts;
pub(super) mod event;
pub(super) mod events;
pub(super) mod reports;
pub(super) mod scopes;
