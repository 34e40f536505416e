//! Files: found, unpacked, and read as what they hold.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;

use super::{Loaded, Problem, read};
use crate::event::Scope;

/// The most bytes of one file, unpacked. AWS's log files have at most 50 MB
/// packed, and packing saves a factor of ten or so; more is a mistake or an
/// attack.
const MAX_FILE: u64 = 1 << 30;

/// The deepest directory that is searched: `AWSLogs` needs about ten, links
/// that go in circles any number.
const MAX_DEPTH: usize = 64;

/// Loads records from files and directories (searched through). What a file
/// is, its content says: S3 log files (`{"Records":[…]}`), answers of the AWS
/// CLI (`{"Events":[…]}`), or one `Event` object or record a line, each packed
/// with gzip or not. `fallback` is the scope of records that name none and
/// whose file's place names none.
///
/// Nothing in here fails: what cannot be used is a [`Problem`].
#[must_use]
pub fn load(paths: &[PathBuf], fallback: Option<&Scope>) -> Loaded {
    let mut loaded = Loaded::default();
    let mut files = Vec::new();
    for path in paths {
        find(path, 0, &mut files, &mut loaded.problems);
    }
    for path in files {
        loaded.files += 1;
        load_file(&path, fallback, &mut loaded);
    }
    loaded
}

fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) {
    let mut problem = |what: String| {
        problems.push(Problem {
            path: path.to_owned(),
            what,
        });
    };
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    if depth > MAX_DEPTH {
        return problem(format!("not searched: deeper than {MAX_DEPTH} directories"));
    }
    let entries = fs::read_dir(path).and_then(|entries| {
        entries
            .map(|e| e.map(|e| e.path()))
            .collect::<io::Result<Vec<_>>>()
    });
    match entries {
        Err(error) => problem(format!("cannot be listed: {error}")),
        Ok(mut entries) => {
            // the same order everywhere: seeds count on it
            entries.sort();
            for entry in entries {
                let hidden = entry
                    .file_name()
                    .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                if !hidden {
                    find(&entry, depth + 1, files, problems);
                }
            }
        }
    }
}

fn load_file(path: &Path, fallback: Option<&Scope>, loaded: &mut Loaded) {
    let problems = &mut loaded.problems;
    let mut problem = |what: String| {
        problems.push(Problem {
            path: path.to_owned(),
            what,
        });
    };
    let bytes = match unpack(path) {
        Err(error) => return problem(format!("cannot be read: {error}")),
        Ok((bytes, None)) => bytes,
        Ok((bytes, Some(damage))) => {
            problem(damage);
            bytes
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    if let std::borrow::Cow::Owned(_) = text {
        let at = std::str::from_utf8(&bytes).map_or_else(|e| e.valid_up_to(), str::len);
        problem(format!(
            "not UTF-8 at byte {at}: replacement characters stand in"
        ));
    }
    let place = place_of(path);
    let fallback = place.as_ref().or(fallback);
    read::read(&text, fallback, &mut loaded.records, &mut problem);
}

/// A file's bytes, unpacked if they are packed, and what is wrong with them.
fn unpack(path: &Path) -> io::Result<(Vec<u8>, Option<String>)> {
    let mut packed = Vec::new();
    fs::File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut packed)?;
    let (mut bytes, mut damage) = if packed.starts_with(&[0x1f, 0x8b]) {
        let mut bytes = Vec::new();
        let mut decoder = MultiGzDecoder::new(packed.as_slice()).take(MAX_FILE + 1);
        // what was unpacked before an error stays in `bytes`
        let damage = decoder.read_to_end(&mut bytes).err().map(|error| {
            let what = match error.kind() {
                io::ErrorKind::UnexpectedEof => "gzip ends too early".to_owned(),
                _ => format!("gzip is damaged ({error})"),
            };
            format!(
                "{what}, after {} unpacked bytes; what came before is used",
                bytes.len()
            )
        });
        (bytes, damage)
    } else {
        let named_gz = path.extension().is_some_and(|extension| extension == "gz");
        let damage = named_gz.then(|| "not gzip, whatever its name says; read as it is".to_owned());
        (packed, damage)
    };
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_FILE) {
        bytes.truncate(usize::try_from(MAX_FILE).unwrap_or(usize::MAX));
        damage = Some(format!(
            "larger than {MAX_FILE} bytes; the rest is left out"
        ));
    }
    Ok((bytes, damage))
}

/// The scope that a log file's place names:
/// `…/<account>/CloudTrail/<region>/…`, wherever that stands. Insights files
/// lie under `CloudTrail-Insight`.
fn place_of(path: &Path) -> Option<Scope> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    parts.windows(3).find_map(|window| match window {
        [account, "CloudTrail" | "CloudTrail-Insight", region]
            if !account.is_empty() && account.bytes().all(|b| b.is_ascii_digit()) =>
        {
            Some(Scope::new(account, region))
        }
        _ => None,
    })
}
