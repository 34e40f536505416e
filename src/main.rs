//! The `trailgate` binary. See `trailgate --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    trailgate::cli::main()
}
