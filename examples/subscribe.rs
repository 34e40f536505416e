//! A service that is told what happens: it goes on where it was, whatever is
//! started anew in between.
//!
//! `cargo run --example subscribe -- http://127.0.0.1:50051 alerts.checkpoint`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example's output"
)]

use std::{env, error::Error, io};

use trailgate::{
    client::{CheckpointFile, Client},
    proto::v1::{EventFilter, Match, SubscribeEventsRequest},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let endpoint = args.next().unwrap_or("http://127.0.0.1:50051".to_owned());
    let file = args.next().unwrap_or("alerts.checkpoint".to_owned());
    // all but what only reads
    let matches = vec![Match {
        field: "ReadOnly".to_owned(),
        values: vec!["true".to_owned()],
        negate: true,
        ..Match::default()
    }];
    let request = SubscribeEventsRequest {
        filters: vec![EventFilter { matches }],
        ..SubscribeEventsRequest::default()
    };
    let mut events = Client::new(&endpoint)?
        .subscribe(request)
        .checkpoint(CheckpointFile::new(file))
        .on_gap(|gap| eprintln!("not told: {gap:?}"));
    let forever = events.for_each(|event| async move {
        println!("{} {} {}", event.event_id, event.event_name, event.username);
        Ok::<(), io::Error>(())
    });
    tokio::select! {
        ended = forever => match ended? {},
        stop = tokio::signal::ctrl_c() => stop?,
    }
    // what was handled does not come again
    events.save().await?;
    Ok(())
}
