//! Named endpoints: `--endpoint @prod`, from a file.

use std::{
    collections::BTreeMap,
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::spelling::Nearest;

/// The longest file, in bytes: a few lines for each endpoint.
const MAX_FILE: u64 = 1 << 20;

/// What a file has at least, for messages.
const FORM: &str = "endpoints: {NAME: {endpoint: https://HOST:PORT}}";
/// The name of the endpoint that is asked where nothing is said.
const DEFAULT: &str = "default";

/// Where a gateway is, and how it is called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    pub(super) endpoint: String,
    #[serde(default)]
    pub(super) ca_cert: Option<PathBuf>,
    #[serde(default)]
    pub(super) client_cert: Option<PathBuf>,
    #[serde(default)]
    pub(super) client_key: Option<PathBuf>,
    #[serde(default)]
    pub(super) token_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    endpoints: BTreeMap<String, Profile>,
}

/// The file that has them: `given`, or where such files are.
pub(super) fn path(given: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = given {
        return Some(path.to_owned());
    }
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let base = set("XDG_CONFIG_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(set("HOME")?).join(".config")))?;
    Some(base.join("trailgate").join("config.yaml"))
}

/// The endpoint of this name.
///
/// # Errors
///
/// There is none, or the file cannot be used: why, in a line.
pub(super) fn find(name: &str, given: Option<&Path>) -> Result<Profile, String> {
    let path = path(given).ok_or("no home directory; name a file with --cli-config")?;
    let at = path.display();
    let named = read(&path)?;
    let Some(profile) = named.get(name) else {
        let cure = match Nearest::of(name, named.keys().map(String::as_str)) {
            Some(name) => format!("did you mean @{name}?"),
            None if named.is_empty() => "it has none under \"endpoints\"".to_owned(),
            None => {
                let names: Vec<_> = named.keys().map(|name| format!("@{name}")).collect();
                format!("there are {}", names.join(", "))
            }
        };
        return Err(format!("{at} has no endpoint {name:?}; {cure}"));
    };
    Ok(profile.clone())
}

/// Whether there is one of the name that is asked where nothing is said. A file that
/// cannot be used may have one: asked for, it says why.
pub(super) fn has_default(given: Option<&Path>) -> bool {
    let Some(path) = path(given) else {
        return false;
    };
    match read(&path) {
        Ok(named) => named.contains_key(DEFAULT),
        Err(_) => given.is_some() || path.exists(),
    }
}

/// The names that there are; none where the file cannot be used.
pub(super) fn names(given: Option<&Path>) -> Vec<String> {
    let named = path(given).and_then(|path| read(&path).ok());
    named.unwrap_or_default().into_keys().collect()
}

fn read(path: &Path) -> Result<BTreeMap<String, Profile>, String> {
    let at = path.display();
    let wrong = |what: &dyn std::fmt::Display| format!("{at}: {what}");
    let size = fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => wrong(&format_args!("{error}; write one with {FORM}")),
        _ => wrong(&error),
    })?;
    let size = size.len();
    if size > MAX_FILE {
        return Err(wrong(&format_args!(
            "{size} bytes; at most {MAX_FILE} are read"
        )));
    }
    let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let file = match text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#')
    }) {
        true => File::default(),
        false => parse(&text).map_err(|what| wrong(&what))?,
    };
    let beside = path.parent().unwrap_or(Path::new("."));
    let named = file.endpoints.into_iter().map(|(name, profile)| {
        let place = |path: Option<PathBuf>| path.map(|path| placed(beside, &path));
        let profile = Profile {
            endpoint: profile.endpoint,
            ca_cert: place(profile.ca_cert),
            client_cert: place(profile.client_cert),
            client_key: place(profile.client_key),
            token_file: place(profile.token_file),
        };
        (name, profile)
    });
    Ok(named.collect())
}

fn parse(text: &str) -> Result<File, String> {
    serde_saphyr::from_str(text).map_err(|error: serde_saphyr::Error| {
        let error = error.without_snippet();
        let place = error.location().map(|at| format!(" at line {}", at.line()));
        match error {
            serde_saphyr::Error::SerdeUnknownField {
                field, expected, ..
            } => {
                let cure = match Nearest::of(field, expected.iter().copied()) {
                    Some(name) => format!("did you mean {name:?}?"),
                    None => format!("there are {}", expected.join(", ")),
                };
                let place = place.unwrap_or_default();
                format!("unknown name {field:?}{place}; {cure}")
            }
            error => {
                let text = error.to_string();
                let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                format!("{text}; write it as {FORM}")
            }
        }
    })
}

/// A path as whoever wrote the file meant it: from home, or from beside the file.
fn placed(beside: &Path, path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => beside.join(path),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn an_endpoint_is_found_by_its_name_with_files_beside_its_own() {
        let file = file(
            "endpoints:\n  prod:\n    endpoint: https://gateway:50051\n    ca_cert: ca.pem\n    \
             token_file: /run/token\n  test: {endpoint: localhost:1}\n",
        );
        let prod = find("prod", Some(file.path())).unwrap();
        assert_eq!(prod.endpoint, "https://gateway:50051");
        let beside = file.path().parent().unwrap();
        assert_eq!(prod.ca_cert, Some(beside.join("ca.pem")));
        assert_eq!(prod.token_file, Some("/run/token".into()));
        assert_eq!(names(Some(file.path())), ["prod", "test"]);
        let wrong = find("prdo", Some(file.path())).unwrap_err();
        assert!(wrong.ends_with("did you mean @prod?"), "{wrong}");
        let wrong = find("production", Some(file.path())).unwrap_err();
        assert!(wrong.ends_with("there are @prod, @test"), "{wrong}");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_in_a_line() {
        for (text, words) in [
            ("endpoint: x\n", "did you mean \"endpoints\"?"),
            (
                "endpoints:\n  a:\n    endpoint: b:1\n    ca_crt: x\n",
                "unknown name \"ca_crt\" at line 4; did you mean \"ca_cert\"?",
            ),
            ("endpoints: {a: {}}\n", "endpoint"),
            ("endpoints: [\n", "line"),
            ("# nothing\n", "it has none"),
        ] {
            let file = file(text);
            let wrong = find("a", Some(file.path())).unwrap_err();
            assert!(wrong.contains(words), "{text}: {wrong}");
            assert!(!wrong.contains('\n'), "{wrong}");
        }
        assert!(has_default(Some(Path::new("/no/such/file"))), "it says so");
        assert!(!has_default(Some(file("# nothing\n").path())));
        let named = file("endpoints:\n  default: {endpoint: localhost:1}\n");
        assert!(has_default(Some(named.path())));
        let wrong = find("a", Some(Path::new("/no/such/file"))).unwrap_err();
        assert!(wrong.contains("No such file"), "{wrong}");
    }
}
