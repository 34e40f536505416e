//! The key pairs that callers sign with, from a file.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use serde::Deserialize;

use super::{Request, verify};
use crate::{
    awsjson::{Authorization, Code, Error},
    event::is_account,
    kept::{self, Looks, Named},
};

/// The most keys: one for each of a large organization's services in some accounts.
const MAX_KEYS: usize = 10_000;
/// The longest id and name. AWS's ids have up to 128 characters (IAM, `AccessKey`).
const MAX_NAME: usize = 128;
/// The shortest secret: AWS's have 40 characters, and who can guess one is let in.
const MIN_SECRET: usize = 20;

/// A key pair, and whose it is.
#[derive(Clone)]
pub struct Key {
    /// The caller's name.
    pub name: Arc<str>,
    /// The account that is asked by it.
    pub account: Arc<str>,
    secret: Arc<str>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

type ById = HashMap<String, Key>;

/// The key pairs of a file, which may change.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    /// What is in force.
    by_id: Mutex<Arc<ById>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    keys: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    access_key_id: String,
    secret_access_key: String,
    account_id: String,
    name: String,
}

impl Keys {
    /// Reads them.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn load(path: PathBuf) -> Result<Self, kept::Error> {
        let by_id = read(&path)?;
        Ok(Self {
            path,
            by_id: Mutex::new(Arc::new(by_id)),
        })
    }

    /// Those of a text, for tests.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Result<Self, String> {
        Ok(Self {
            path: PathBuf::new(),
            by_id: Mutex::new(Arc::new(parse(text)?)),
        })
    }

    /// Whose key signed this request.
    ///
    /// # Errors
    /// `UnrecognizedClientException`: nobody's here; see [`verify`].
    pub fn signer(
        &self,
        given: &Authorization<'_>,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<Key, Error> {
        let by_id = Arc::clone(&self.lock());
        let key = by_id.get(given.access_key_id);
        // key pairs of ours are no sessions
        let is_session = request.headers.contains_key("x-amz-security-token");
        let key = key.filter(|_| !is_session).ok_or_else(|| {
            Error::new(
                Code::UnrecognizedClient,
                "The security token included in the request is invalid.",
            )
        })?;
        verify(given, request, key.secret.as_bytes(), now)?;
        Ok(key.clone())
    }

    /// Keeps up with the file, for ever.
    pub async fn keep(&self, looks: Looks) {
        let (is_new, is_old) = (
            "new AWS keys are in force",
            "the AWS keys stay as they were",
        );
        // what is replaced is dropped, and there is no telling one secret by another
        let mut last = None;
        kept::keep(looks, "aws_keys", is_new, is_old, || {
            let text = named(&self.path).text()?;
            if last.as_ref() == Some(&text) {
                return Ok(false);
            }
            let by_id = parse(&text).map_err(|what| named(&self.path).error(what))?;
            let is_first = last.replace(text).is_none();
            let had = std::mem::replace(&mut *self.lock(), Arc::new(by_id));
            Ok(!is_first || !is_same(&had, &self.lock()))
        })
        .await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<ById>> {
        // replaced whole: right after a panic elsewhere
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_same(a: &ById, b: &ById) -> bool {
    let same =
        |a: &Key, b: &Key| (&a.name, &a.account, &a.secret) == (&b.name, &b.account, &b.secret);
    a.len() == b.len()
        && a.iter()
            .all(|(id, key)| b.get(id).is_some_and(|other| same(key, other)))
}

fn named(path: &Path) -> Named<'_> {
    Named {
        setting: "--aws-keys",
        path,
    }
}

fn read(path: &Path) -> Result<ById, kept::Error> {
    let text = named(path).text()?;
    parse(&text).map_err(|what| named(path).error(what))
}

/// The keys of a file. What is wrong is said without anything that stands in it: it
/// might be a secret.
fn parse(text: &str) -> Result<ById, String> {
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map_or_else(String::new, |at| {
            format!(" (line {}, column {})", at.line(), at.column())
        });
        format!(
            "no list of keys{place}; write keys: [{{access_key_id: …, secret_access_key: …, \
             account_id: '111122223333', name: …}}], with quotes around digits"
        )
    })?;
    if file.keys.len() > MAX_KEYS {
        let count = file.keys.len();
        return Err(format!("{count} keys; at most {MAX_KEYS}"));
    }
    let mut by_id = HashMap::with_capacity(file.keys.len());
    for (i, written) in file.keys.into_iter().enumerate() {
        let Written {
            access_key_id: id,
            secret_access_key: secret,
            account_id: account,
            name,
        } = written;
        let error = |part: &str, what: &str| Err(format!("keys[{i}].{part}: {what}"));
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if id.is_empty() || id.len() > MAX_NAME || !id.chars().all(is_word) {
            let what = "is no id; give 1 to 128 letters, digits, _ and -";
            return error("access_key_id", what);
        }
        if secret.len() < MIN_SECRET {
            let what = "is shorter than 20 characters; give 40 random ones, as AWS does";
            return error("secret_access_key", what);
        }
        if !is_account(&account) {
            let what = "is no account; give its 12 digits, in quotes";
            return error("account_id", what);
        }
        if name.is_empty() || name.chars().count() > MAX_NAME {
            return error("name", "is no name; give 1 to 128 characters");
        }
        let key = Key {
            name: name.into(),
            account: account.into(),
            secret: secret.into(),
        };
        if by_id.insert(id, key).is_some() {
            return error(
                "access_key_id",
                "is another's too; give each key an id of its own",
            );
        }
    }
    Ok(by_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_said_without_what_stands_in_it() {
        let one = |id: &str, secret: &str, account: &str, name: &str| {
            format!(
                "{{access_key_id: '{id}', secret_access_key: '{secret}', account_id: '{account}', \
                 name: '{name}'}}"
            )
        };
        let good = one("A", "sssssssssssssssssssss", "111122223333", "n");
        for (text, what) in [
            ("keys: sssssssssssssssssssss".to_owned(), "no list of keys"),
            (
                "keys: [{access_key_id: sssssssssssssssssssss}]".to_owned(),
                "line 1",
            ),
            (format!("keys: [{good}, {good}]"), "keys[1].access_key_id"),
            (
                format!(
                    "keys: [{}]",
                    one("a/b", "sssssssssssssssssssss", "111122223333", "n")
                ),
                "keys[0].access_key_id",
            ),
            (
                format!("keys: [{}]", one("A", "sssssssssssss", "111122223333", "n")),
                "keys[0].secret",
            ),
            (
                format!("keys: [{}]", one("A", "sssssssssssssssssssss", "1", "n")),
                "keys[0].account",
            ),
            (
                format!(
                    "keys: [{}]",
                    one("A", "sssssssssssssssssssss", "111122223333", "")
                ),
                "keys[0].name",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(what), "{error}");
            assert!(!error.contains("sss"), "{error}");
        }
        let keys = Keys::of(&format!("keys: [{good}]")).unwrap();
        let said = format!("{keys:?}");
        assert!(
            said.contains("111122223333") && !said.contains("sss"),
            "{said}"
        );
    }
}
