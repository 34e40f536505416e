//! Settings that are read again while the server runs.

use serde_json::{Map, Value};

use crate::{
    config::{self, Config, Settings},
    kept::Looks,
    telemetry::Logs,
};

/// The settings that can change while the server runs.
const RELOADED: [&str; 1] = ["log_level"];

/// Reads settings again: those of the file, behind the flags and variables that the
/// process was started with.
#[derive(Debug)]
pub struct Reload {
    given: Settings,
    logs: Logs,
    /// What is in force, by name.
    in_force: Map<String, Value>,
    /// What was read last, or why it could not be used.
    read: Result<Map<String, Value>, config::Error>,
}

/// What became of a reload.
#[derive(Debug, PartialEq, Eq)]
struct Reloaded {
    /// What is different now.
    changed: Vec<String>,
    /// What would be after a restart.
    left: Vec<String>,
}

impl Reload {
    /// `given` are flags and variables, and `in_force` is what came of them and the
    /// file when the server started.
    ///
    /// # Errors
    /// If a path is no text.
    pub fn new(given: Settings, in_force: &Settings, logs: Logs) -> Result<Self, config::Error> {
        let in_force = in_force.by_name()?;
        Ok(Self {
            given,
            logs,
            read: Ok(in_force.clone()),
            in_force,
        })
    }

    /// Keeps up with the file, for ever, and logs what came of it: once while it
    /// stays the same, and to who had it looked at. What cannot be used changes
    /// nothing.
    pub async fn keep(mut self, mut looks: Looks) {
        // the server began with them
        looks.note("settings", true);
        loop {
            let is_told = looks.next().await;
            let before = self.read.clone();
            let reloaded = self.again();
            looks.note("settings", reloaded.is_ok());
            if !is_told && self.read == before {
                continue;
            }
            match reloaded {
                Ok(Reloaded { changed, left }) => {
                    let changed = match changed.is_empty() {
                        true => "nothing".to_owned(),
                        false => changed.join(", "),
                    };
                    tracing::info!(changed, "settings were read again");
                    if !left.is_empty() {
                        let settings = left.join(", ");
                        tracing::warn!(settings, "other settings changed, and need a restart");
                    }
                }
                Err(error) => {
                    tracing::error!(
                        %error,
                        "the settings cannot be used; those before stay in force"
                    );
                }
            }
        }
    }

    fn again(&mut self) -> Result<Reloaded, config::Error> {
        let settings = self.given.clone().with_file();
        let read = settings.and_then(|settings| {
            let config = Config::try_from(settings.clone())?;
            let wanted = settings.by_name()?;
            // nothing else can fail
            self.logs.set_level(&config.log_level)?;
            Ok(wanted)
        });
        let wanted = match read {
            Ok(wanted) => wanted,
            Err(error) => {
                self.read = Err(error.clone());
                return Err(error);
            }
        };
        self.read = Ok(wanted.clone());
        let is_reloaded = |name: &String| RELOADED.contains(&name.as_str());
        let differ = wanted
            .iter()
            .filter(|(name, value)| self.in_force.get(*name) != Some(value));
        let (changed, left) = differ.map(|(name, _)| name.clone()).partition(is_reloaded);
        let reloaded = Reloaded { changed, left };
        for name in &reloaded.changed {
            if let Some(value) = wanted.get(name) {
                self.in_force.insert(name.clone(), value.clone());
            }
        }
        Ok(reloaded)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_changed_is_told_apart_and_what_cannot_be_used_changes_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let given = Settings {
            config: Some(file.path().to_owned()),
            region: vec!["us-east-1".into()],
            ..Settings::default()
        };
        let in_force = given.clone().with_file().unwrap();
        let mut reload = Reload::new(given, &in_force, Logs::none()).unwrap();
        let mut read = |text: &str| {
            fs::write(file.path(), text).unwrap();
            reload
                .again()
                .map(|reloaded| (reloaded.changed, reloaded.left))
        };
        let names =
            |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.to_owned()).collect() };
        assert_eq!(read(""), Ok((names(&[]), names(&[]))));
        assert_eq!(
            read("log_level: warn\nreplicas: 2\nrate: 1\nregion: eu-west-1"),
            Ok((names(&["log_level"]), names(&["rate", "replicas"])))
        );
        // nothing is in force that waits for a restart
        assert_eq!(
            read("log_level: warn\nreplicas: 2"),
            Ok((names(&[]), names(&["replicas"])))
        );
        for bad in ["log_level: loud", "rate: -1", "log_levle: info"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(read("log_level: warn"), Ok((names(&[]), names(&[]))));
        assert_eq!(read(""), Ok((names(&["log_level"]), names(&[]))));
    }
}
