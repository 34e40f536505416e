//! Answers queries over an archive in this process, each a line of standard input, and
//! says of each how many rows it has and how many seconds it took, to the last of them.
//!
//! `echo 'SELECT count(*) FROM cloudtrail' | cargo run --features sql --example questions -- archive`

#![expect(clippy::print_stdout, reason = "an example's output")]

use std::{
    env,
    error::Error,
    io::{self, BufRead, Write},
    sync::Arc,
};

use futures::StreamExt;
use object_store::{local::LocalFileSystem, path::Path};
use tokio::time::Instant;
use trailgate::{
    archive::{Archive, Options},
    clock::Clock,
    sql::{self, Archived, Engine, Question, Sight, views},
};

#[tokio::main(worker_threads = 1)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let from = args.next().ok_or("where is the archive?")?;
    let mut options = sql::Options::default();
    if let Some(threads) = args.next() {
        options.threads = threads.parse()?;
    }
    let store = Arc::new(LocalFileSystem::new_with_prefix(&from)?);
    let archive = Archive::open_to_read(
        store.clone(),
        Path::default(),
        Clock::system(),
        Options::default(),
    );
    let source = Archived::new(archive.await?, store, Path::default());
    let engine = Engine::new(Arc::new(source), views(), options)?;
    for text in io::stdin().lock().lines() {
        let begun = Instant::now();
        let mut answer = engine.ask(Question::of(text?), Sight::all()).await?;
        let mut rows = 0;
        while let Some(batch) = answer.next().await {
            rows += batch?.num_rows();
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!(r#"{{"rows":{rows},"seconds":{seconds}}}"#);
        io::stdout().flush()?;
    }
    Ok(())
}
