//! `trailgate sql` and `trailgate report` where they were left out: what to do instead.

use std::{ffi::OsString, process::ExitCode};

use clap::Args;

use super::{EXIT_USAGE, report::note};

/// See the module.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct NoSql {
    /// Whatever is given
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _given: Vec<OsString>,
}

impl NoSql {
    /// Says why there is no answer.
    pub(super) fn run(&self) -> ExitCode {
        note(
            "this trailgate was built without SQL: build it with `cargo build --features sql`; \
             images and releases have it",
        );
        ExitCode::from(EXIT_USAGE)
    }
}
