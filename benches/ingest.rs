//! What it takes to get events out of log files: from bytes of gzip to encoded
//! events in the feed, in processor time of one core, beside inflating alone.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark"
)]

#[path = "support/log_files.rs"]
mod log_files;

use std::{fs, hint::black_box, sync::Arc};

use flate2::{Decompress, FlushDecompress};
use log_files::LogFile;
use trailgate::{
    clock::Clock,
    collect::log_file::{Limits, Reader, Record},
    event::{Event, Origin, Scope},
    feed::{Feed, Options},
};

/// Each round measures everything once, in turns: a neighbour's work on the
/// machine falls on all.
const ROUNDS: usize = 9;

/// The most that events in the feed may take, in inflating by libdeflate.
const WANTED: f64 = 4.0;

/// The queue collector hands events on when their records have so many bytes,
/// with so many more for each.
const BATCH: (usize, usize) = (1 << 20, 1 << 10);

/// What is measured: its name, and what does it to a file.
type Case = (&'static str, fn(&LogFile, &mut Buffers) -> usize);

const CASES: [Case; 6] = [
    ("libdeflate alone", libdeflate),
    ("zlib-rs alone", zlib_rs),
    ("records", records),
    ("events, dropped", events_dropped),
    ("events, kept", events_kept),
    ("events in the feed", events_in_the_feed),
];

/// What is used again for every file.
struct Buffers {
    libdeflate: libdeflater::Decompressor,
    text: Vec<u8>,
    scope: Scope,
    events: Vec<Event>,
    feed: Feed,
}

fn main() {
    let is_smoke = std::env::args().any(|arg| arg == "--smoke");
    let (files, rounds) = if is_smoke {
        (2, 1)
    } else {
        (log_files::FILES, ROUNDS)
    };
    let files = log_files::make(files, 7);
    let packed: usize = files.iter().map(|file| file.gzip.len()).sum();
    let json: usize = files.iter().map(|file| file.json_len).sum();
    let count: usize = files.iter().map(|file| file.records).sum();
    println!(
        "{} files, {:.1} MB packed, {:.1} MB of JSON, {count} records; processor time of one core, {rounds} rounds",
        files.len(),
        packed as f64 / 1e6,
        json as f64 / 1e6,
    );
    let longest = files.iter().map(|file| file.json_len).max();
    let mut buffers = Buffers {
        libdeflate: libdeflater::Decompressor::new(),
        text: vec![0; longest.unwrap_or_default()],
        scope: Scope::new("111122223333", "us-east-1"),
        events: Vec::new(),
        feed: a_feed(),
    };
    let mut seconds = [const { Vec::new() }; CASES.len()];
    // the first does not count
    for round in 0..=rounds {
        // as large as it gets, and knows none of the events
        buffers.feed = a_feed();
        for ((_, case), seconds) in CASES.iter().zip(&mut seconds) {
            let before = cpu_seconds();
            let mut done = 0;
            for file in &files {
                done += case(file, &mut buffers);
            }
            let took = cpu_seconds() - before;
            assert!(done == json || done == count, "all was read");
            if round > 0 {
                seconds.push(took);
            }
        }
        assert_eq!(buffers.feed.stats().events, count as u64, "all are new");
    }
    println!("case                seconds  fastest    MB/s  us/record  x libdeflate  x zlib-rs");
    let [libdeflate, zlib_rs, .., in_the_feed] = &seconds;
    for ((name, _), own) in CASES.iter().zip(&seconds) {
        let middle = middle_of(own.clone());
        println!(
            "{name:19} {middle:7.3}  {:7.3}  {:6.0}  {:9.2}  {:12.2}  {:9.2}",
            own.iter().copied().fold(f64::INFINITY, f64::min),
            json as f64 / 1e6 / middle,
            middle * 1e6 / count as f64,
            ratio(own, libdeflate),
            ratio(own, zlib_rs),
        );
    }
    println!(
        "events in the feed: {:.2} times libdeflate alone; wanted: <= {WANTED:.2}",
        ratio(in_the_feed, libdeflate)
    );
}

fn middle_of(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// The ratio of runs beside each other, the one in the middle.
fn ratio(own: &[f64], beside: &[f64]) -> f64 {
    middle_of(
        own.iter()
            .zip(beside)
            .map(|(own, beside)| own / beside)
            .collect(),
    )
}

fn libdeflate(file: &LogFile, buffers: &mut Buffers) -> usize {
    let made = buffers
        .libdeflate
        .gzip_decompress(&file.gzip, &mut buffers.text);
    made.expect("gzip")
}

fn zlib_rs(file: &LogFile, buffers: &mut Buffers) -> usize {
    let mut member = Decompress::new_gzip(15);
    let ended = member.decompress(&file.gzip, &mut buffers.text, FlushDecompress::Finish);
    ended.expect("gzip");
    member.total_out() as usize
}

fn records(file: &LogFile, _: &mut Buffers) -> usize {
    each_record(file, |record| {
        black_box(record);
    })
}

fn events_dropped(file: &LogFile, buffers: &mut Buffers) -> usize {
    let scope = &buffers.scope;
    each_record(file, |record| {
        black_box(Event::from_record(scope, record, Origin::LogFile, 0));
    })
}

fn events_kept(file: &LogFile, buffers: &mut Buffers) -> usize {
    buffers.events.clear();
    let (scope, events) = (&buffers.scope, &mut buffers.events);
    each_record(file, |record| {
        events.push(Event::from_record(scope, record, Origin::LogFile, 0));
    })
}

/// What the queue collector does with a file. The log holds events as the bytes
/// that subscribers are told.
fn events_in_the_feed(file: &LogFile, buffers: &mut Buffers) -> usize {
    let (scope, feed) = (&buffers.scope, &buffers.feed);
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let (most, overhead) = BATCH;
    let records = each_record(file, |record| {
        let event = Event::from_record(scope, record, Origin::LogFile, 0);
        batch.push(Arc::new(event));
        bytes += record.len() + overhead;
        if bytes >= most {
            feed.take_from_queue(&batch);
            (batch, bytes) = (Vec::new(), 0);
        }
    });
    feed.take_from_queue(&batch);
    records
}

fn a_feed() -> Feed {
    Feed::new(Clock::system(), Options::default())
}

fn each_record(file: &LogFile, mut each: impl FnMut(&[u8])) -> usize {
    let mut reader = Reader::new(Limits::default());
    // as a body arrives
    for mut piece in file.gzip.chunks(64 << 10) {
        while let Some(record) = reader.next(&mut piece).expect("sound") {
            if let Record::Whole(record) = record {
                each(record);
            }
        }
    }
    let totals = reader.finish().expect("whole");
    usize::try_from(totals.records).expect("fits")
}

/// The processor time of this thread, in seconds: as the scheduler counts it,
/// in nanoseconds.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = text
        .split(' ')
        .next()
        .and_then(|first| first.parse::<f64>().ok());
    nanos.expect("schedstat has the time first") / 1e9
}
