//! Log files to an archive: what engines read afterwards.
//!
//! `cargo run --example archive -- AWSLogs archive`

#![expect(clippy::print_stdout, reason = "an example's output")]

use std::{env, error::Error, fs, io, path::PathBuf, sync::Arc};

use object_store::{local::LocalFileSystem, path::Path};
use trailgate::{
    archive::{Archive, Options},
    clock::Clock,
    collect::log_file::{Limits, Reader, Record},
    event::{Event, Origin, Scope},
};

/// Events that are committed at once, unless the third argument says how many: each commit
/// is a file for each account, Region and day.
const EVENTS: usize = 5_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let from = args.next().ok_or("where are the log files?")?;
    let to = args.next().ok_or("where is the archive to be?")?;
    let at_once = args.next().map_or(Ok(EVENTS), |events| events.parse())?;
    fs::create_dir_all(&to)?;
    let store = Arc::new(LocalFileSystem::new_with_prefix(&to)?);
    let archive =
        Archive::open(store, Path::default(), Clock::system(), Options::default()).await?;
    let mut files = Vec::new();
    find(from.into(), &mut files)?;
    files.sort();
    let mut events = Vec::new();
    for file in &files {
        read(&fs::read(file)?, &mut events)?;
        if events.len() >= at_once {
            archive.commit(&events, None).await?;
            events.clear();
        }
    }
    archive.commit(&events, None).await?;
    archive.compact().await?;
    let now = archive.snapshot();
    println!(
        "{} events in {} files of {} bytes, as of version {}",
        now.rows(),
        now.files(),
        now.bytes(),
        now.version()
    );
    Ok(())
}

/// The files below a folder, and below those in it.
fn find(folder: PathBuf, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "gz") {
            files.push(path);
        }
    }
    Ok(())
}

/// The events of a log file.
fn read(mut bytes: &[u8], events: &mut Vec<Arc<Event>>) -> Result<(), Box<dyn Error>> {
    // where a record does not say whose it is
    let scope = Scope::new("unknown", "unknown");
    let mut reader = Reader::new(Limits::default());
    while let Some(record) = reader.next(&mut bytes)? {
        if let Record::Whole(record) = record {
            let event = Event::from_record(&scope, record, Origin::LogFile, 0);
            events.push(Arc::new(event));
        }
    }
    reader.finish()?;
    Ok(())
}
