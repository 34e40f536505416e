//! What SQL queries are held to.

use std::{path::PathBuf, time::Duration};

use super::{Error, Settings, Size, Span};

/// See `crate::sql::Options`, which has the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sql {
    /// Memory for what all hold, in bytes.
    pub memory: u64,
    /// Disk for what they hold beyond it, in bytes; 0: none.
    pub disk: u64,
    /// The directory for that; `None`: the system's for temporary files.
    pub spill: Option<PathBuf>,
    /// Queries at once.
    pub queries: usize,
    /// How long others wait.
    pub wait: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// The threads that they run on.
    pub threads: usize,
    /// The database of places.
    pub places: Option<PathBuf>,
}

/// The least share of a query, in bytes: below it, hardly any is answered.
const LEAST_SHARE: u64 = 16_000_000;

/// The most queries at once, and threads: of a large machine.
const MOST: usize = 256;

/// What settings say; `None`: there is no SQL here.
pub(super) fn sql(settings: &Settings) -> Result<Option<Sql>, Error> {
    let Settings {
        sql_memory: memory,
        sql_disk: disk,
        sql_spill: spill,
        sql_queries: queries,
        sql_wait: wait,
        sql_timeout: timeout,
        sql_threads: threads,
        sql_places: places,
        ..
    } = settings;
    let set = [
        ("--sql-memory", memory.is_some()),
        ("--sql-disk", disk.is_some()),
        ("--sql-spill", spill.is_some()),
        ("--sql-queries", queries.is_some()),
        ("--sql-wait", wait.is_some()),
        ("--sql-timeout", timeout.is_some()),
        ("--sql-threads", threads.is_some()),
        ("--sql-places", places.is_some()),
    ];
    let set = set.into_iter().find(|(_, is_set)| *is_set);
    if let Some((setting, _)) = set {
        if !cfg!(feature = "sql") {
            return Err(Error::new(format!(
                "{setting} is for SQL, which this trailgate was built without; take one of a \
                 release, or build with --features sql"
            )));
        }
        if settings.archive.is_none() {
            return Err(Error::new(format!(
                "{setting} is for SQL over an archive; say where that is with --archive"
            )));
        }
    }
    if settings.archive.is_none() || !cfg!(feature = "sql") {
        return Ok(None);
    }
    for (setting, number) in [("--sql-queries", queries), ("--sql-threads", threads)] {
        if let Some(number) = number.filter(|number| !(1..=MOST).contains(number)) {
            return Err(Error::new(format!("{setting} {number}: give 1 to {MOST}")));
        }
    }
    let queries = queries.unwrap_or(4);
    let memory = memory.map_or(512_000_000, Size::get);
    let share = memory / u64::try_from(queries).unwrap_or(1).max(1);
    if share < LEAST_SHARE {
        return Err(Error::new(format!(
            "--sql-memory {memory} is less than 16MB for each of --sql-queries {queries}; give \
             more, or let fewer run at once"
        )));
    }
    let timeout = timeout.map_or(Duration::from_secs(300), Span::get);
    if timeout.is_zero() {
        return Err(Error::new(
            "--sql-timeout 0s lets nothing be answered; give 1s or more",
        ));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Some(Sql {
        memory,
        disk: disk.map_or(10_000_000_000, Size::get),
        spill: spill.clone(),
        queries,
        wait: wait.map_or(Duration::from_secs(30), Span::get),
        timeout,
        // the server has others to answer
        threads: threads.unwrap_or((cores / 2).max(1)),
        places: places.clone(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_goes_with_an_archive_and_has_bounds() {
        let read = |text: &str| sql(&Settings::parse(text).unwrap());
        let wrong = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(read(""), Ok(None));
        if !cfg!(feature = "sql") {
            assert_eq!(read("archive: a"), Ok(None));
            assert!(wrong("archive: a\nsql_queries: 1").contains("built without"));
            return;
        }
        let known = read("archive: a\nsql_queries: 2\nsql_disk: 0")
            .unwrap()
            .unwrap();
        assert_eq!(
            (known.queries, known.disk, known.memory),
            (2, 0, 512_000_000)
        );
        assert!(known.threads > 0);
        for (text, words) in [
            ("sql_timeout: 1m", "--archive"),
            ("archive: a\nsql_queries: 0", "--sql-queries 0"),
            ("archive: a\nsql_threads: 1000", "--sql-threads 1000"),
            ("archive: a\nsql_memory: 32MB", "16MB"),
            ("archive: a\nsql_timeout: 0s", "--sql-timeout"),
        ] {
            let said = wrong(text);
            assert!(said.contains(words), "{text}: {said}");
        }
    }
}
