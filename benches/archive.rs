//! What it takes to get log files into an archive: from bytes of gzip to committed Parquet
//! in a local directory, in processor time of one core; what a record takes there; and how
//! much memory. Each case is a process of its own, so that what others left behind does not
//! count.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

#[path = "support/log_files.rs"]
mod log_files;

use std::{env, fs, fs::File, path::Path, process::Command, sync::Arc};

use log_files::LogFile;
use object_store::local::LocalFileSystem;
use parquet::file::metadata::ParquetMetaDataReader;
use tokio::runtime::{Builder, Runtime};
use trailgate::{
    archive::{Archive, Options},
    clock::Clock,
    collect::log_file::{Limits, Reader, Record},
    event::{Event, Origin, Scope},
};

/// Records that one core is to bring into the archive in a second, at least.
const WANTED: f64 = 50_000.0;

/// Log files that a commit has: what a busy trail brings in an hour, or a backfill at once.
const FILES_A_COMMIT: usize = 10;

/// The limits of memory that are tried, in MB.
const MEMORY: [u64; 2] = [256, 64];

fn main() {
    let args: Vec<String> = env::args()
        .skip_while(|arg| arg != "--case")
        .skip(1)
        .collect();
    if let [what, memory, folder, ..] = args.as_slice() {
        let memory = memory.parse().expect("a number");
        match what.as_str() {
            "commit" => commit(memory, Path::new(folder)),
            _ => merge(memory, Path::new(folder)),
        }
        return;
    }
    let files = files();
    let sum = |of: fn(&LogFile) -> usize| files.iter().map(of).sum::<usize>() as f64;
    let each = sum(|file| file.records);
    println!(
        "log files to an archive in a local directory; wanted: >= {WANTED:.0} records/s a core; \
         a record has {:.0} bytes of JSON, {:.0} of gzip",
        sum(|file| file.json_len) / each,
        sum(|file| file.gzip.len()) / each,
    );
    println!(
        "what    limit MB  records/s  of that parsing  bytes/record  without record  files  peak MB"
    );
    for memory in MEMORY {
        let folder = tempfile::tempdir().expect("a folder");
        for what in ["commit", "merge"] {
            let mut command = Command::new(env::current_exe().expect("a path"));
            command
                .args(["--case", what, &memory.to_string()])
                .arg(folder.path());
            if is_smoke() {
                command.arg("--smoke");
            }
            assert!(command.status().expect("runs").success());
        }
    }
}

fn is_smoke() -> bool {
    env::args().any(|arg| arg == "--smoke")
}

fn files() -> Vec<LogFile> {
    log_files::make(if is_smoke() { 2 } else { log_files::FILES }, 7)
}

/// The archive in a folder, with a limit to its memory in MB, and what runs it: one core, as
/// far as it waits for nothing.
fn archive(memory: u64, folder: &Path) -> (Archive, Runtime) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let store = LocalFileSystem::new_with_prefix(folder).expect("a folder");
    let options = Options {
        max_memory: memory << 20,
        ..Options::default()
    };
    let opened = Archive::open(Arc::new(store), "".into(), Clock::system(), options);
    (runtime.block_on(opened).expect("an archive"), runtime)
}

fn commit(memory: u64, folder: &Path) {
    let files = files();
    let records: usize = files.iter().map(|file| file.records).sum();
    let begun = cpu_seconds();
    let parsed: usize = files.iter().map(|file| events(file).len()).sum();
    assert_eq!(parsed, records);
    let parsing = cpu_seconds() - begun;
    let (archive, runtime) = archive(memory, folder);
    let before = forget_peak();
    let mut given = 0;
    let begun = cpu_seconds();
    runtime.block_on(async {
        for some in files.chunks(FILES_A_COMMIT) {
            let events: Vec<_> = some.iter().flat_map(events).collect();
            archive.commit(&events, None).await.expect("room");
            given = given.max(events.iter().map(|event| event.weight()).sum());
        }
    });
    let took = cpu_seconds() - begun;
    // what a commit is given is the caller's
    let peak = resident("VmHWM") - before - given as f64 / 1e6;
    assert_eq!(
        archive.snapshot().rows(),
        records as u64,
        "each is there, once"
    );
    tell(
        "commit",
        memory,
        &archive,
        folder,
        took,
        parsing / took,
        peak,
    );
}

fn merge(memory: u64, folder: &Path) {
    let (archive, runtime) = archive(memory, folder);
    let rows = archive.snapshot().rows();
    let before = forget_peak();
    let begun = cpu_seconds();
    runtime.block_on(archive.compact()).expect("room");
    let took = cpu_seconds() - begun;
    let peak = resident("VmHWM") - before;
    assert_eq!(archive.snapshot().rows(), rows, "each is there, once");
    tell("merge", memory, &archive, folder, took, 0.0, peak);
}

fn tell(
    what: &str,
    memory: u64,
    archive: &Archive,
    folder: &Path,
    took: f64,
    parsing: f64,
    peak: f64,
) {
    let (bytes, of_records) = sizes(archive, folder);
    let snapshot = archive.snapshot();
    let each = |bytes: u64| bytes as f64 / snapshot.rows() as f64;
    println!(
        "{what:6}  {memory:8}  {:9.0}  {parsing:15.2}  {:12.0}  {:14.0}  {:5}  {peak:7.0}",
        snapshot.rows() as f64 / took,
        each(bytes),
        each(bytes - of_records),
        snapshot.files(),
    );
}

fn events(file: &LogFile) -> Vec<Arc<Event>> {
    let scope = Scope::new("111122223333", "us-east-1");
    let mut events = Vec::with_capacity(file.records);
    let mut reader = Reader::new(Limits::default());
    // as a body arrives
    for mut piece in file.gzip.chunks(64 << 10) {
        while let Some(record) = reader.next(&mut piece).expect("sound") {
            if let Record::Whole(record) = record {
                events.push(Arc::new(Event::from_record(
                    &scope,
                    record,
                    Origin::LogFile,
                    0,
                )));
            }
        }
    }
    reader.finish().expect("whole");
    events
}

/// Bytes of the files of the newest version, and those of the column of records in them.
fn sizes(archive: &Archive, folder: &Path) -> (u64, u64) {
    let (mut bytes, mut records) = (0, 0);
    for file in archive.snapshot().all() {
        let parquet = File::open(folder.join(&*file.path)).expect("a file");
        bytes += parquet.metadata().expect("a size").len();
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&parquet);
        for group in metadata.expect("a footer").row_groups() {
            let column = group
                .columns()
                .iter()
                .find(|column| column.column_path().string() == "record");
            let size = column.expect("a column").compressed_size();
            records += u64::try_from(size).expect("a size");
        }
    }
    (bytes, records)
}

/// Has the kernel forget how much memory this process had at most; how much it has now.
fn forget_peak() -> f64 {
    fs::write("/proc/self/clear_refs", "5").expect("Linux");
    resident("VmRSS")
}

/// Megabytes of memory of this process: now (`VmRSS`), or at most (`VmHWM`).
fn resident(what: &str) -> f64 {
    let text = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text
        .lines()
        .find(|line| line.starts_with(what))
        .expect("it is told");
    let kilobytes = line
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse::<f64>().ok());
    kilobytes.expect("a number") / 1e3
}

/// The processor time of this process, all its threads, in seconds.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").expect("Linux");
    // after the name, which may have spaces
    let (_, rest) = text.rsplit_once(") ").expect("a name");
    let fields: Vec<_> = rest.split(' ').collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|ticks| ticks.parse::<f64>().ok())
            .expect("ticks")
    };
    // a hundredth of a second each
    (ticks(11) + ticks(12)) / 100.0
}
