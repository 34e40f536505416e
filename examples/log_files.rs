//! Log files of a made-up trail, where a trail puts them: what the benchmark of analysis
//! reads.
//!
//! `cargo run --release --example log_files -- AWSLOGS_PARENT [FILES]`

#![expect(clippy::print_stdout, reason = "an example's output")]

#[path = "../benches/support/log_files.rs"]
mod log_files;

use std::{env, error::Error, fs, path::Path};

use log_files::FILES;

/// What the records say themselves.
const ACCOUNT: &str = "111122223333";
const REGION: &str = "us-east-1";

/// Each file has five minutes of a busy trail, and is so many seconds after the one
/// before: together they are of twenty days.
const APART: usize = 3 * 3600;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let root = args.next().ok_or("where are the log files to be?")?;
    let files = args.next().map_or(Ok(FILES), |files| files.parse())?;
    let (mut records, mut json, mut gzip) = (0, 0, 0);
    for number in 0..files.min(FILES) {
        let file = log_files::one(number, 7, APART);
        let path = path_of(number);
        let path = Path::new(&root).join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, &file.gzip)?;
        records += file.records;
        json += file.json_len;
        gzip += file.gzip.len();
    }
    // for whoever asked: see benches/analysis
    println!("{{\"records\":{records},\"json\":{json},\"gzip\":{gzip}}}");
    Ok(())
}

/// As a trail names it: it is delivered some minutes after its events.
fn path_of(number: usize) -> String {
    let seconds = number * APART + 600;
    let day = 6 + seconds / 86_400;
    let time = format!("{:02}{:02}", seconds / 3600 % 24, seconds / 60 % 60);
    format!(
        "AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2024/05/{day:02}/\
         {ACCOUNT}_CloudTrail_{REGION}_202405{day:02}T{time}Z_{number:016x}.json.gz"
    )
}
