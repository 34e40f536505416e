//! Where scopes come from: which accounts, how each is reached, and which
//! Regions.

use std::{str::FromStr, time::Duration};

use super::{Error, Settings, Span};
use crate::{
    event::is_account,
    upstream::{Partition, Roles, Signing},
};

/// The most scopes of a server: an organisation's three hundred accounts in
/// seventeen Regions. Each is told of on every page, in some 200 bytes, and
/// clients refuse answers of 4 MiB.
pub const MAX_SCOPES: usize = 5000;

/// Where scopes come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Accounts to search; empty: all of the organisation, those of the
    /// profiles, or that of the credentials.
    pub accounts: Vec<String>,
    /// Accounts to leave out.
    pub exclude_accounts: Vec<String>,
    /// Accounts are those of the organisation.
    pub organization: bool,
    /// Accounts are those of these profiles.
    pub profiles: Vec<Profile>,
    /// How accounts are reached that are not that of the credentials.
    pub roles: Option<Roles>,
    /// Regions to search; empty: all that are enabled, or that of the
    /// environment or profile.
    pub regions: Vec<String>,
    /// Regions are those that each account has enabled.
    pub all_regions: bool,
    /// Regions to leave out.
    pub exclude_regions: Vec<String>,
    /// How often the organisation and the accounts are asked again; `None`:
    /// only at start.
    pub refresh: Option<Duration>,
}

/// A profile of `~/.aws/config`, for one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its account; `None`: STS is asked.
    pub account: Option<String>,
}

impl FromStr for Profile {
    type Err = String;

    /// `NAME`, or `ACCOUNT=NAME`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (account, name) = match text.split_once('=') {
            Some((account, name)) if is_account(account) => (Some(account.to_owned()), name),
            Some((account, _)) => {
                return Err(format!(
                    "{account:?} in {text:?} is no account: write NAME, or 111122223333=NAME"
                ));
            }
            None => (None, text),
        };
        if name.is_empty() {
            return Err(format!("{text:?} names no profile"));
        }
        Ok(Self {
            name: name.to_owned(),
            account,
        })
    }
}

impl Sources {
    /// Checks the settings, and whether they go together.
    pub(super) fn check(settings: &Settings, signing: &Signing) -> Result<Self, Error> {
        let sources = Self::read(settings)?;
        sources.check_conflicts(settings, signing)?;
        sources.check_names()?;
        // a simulator's keys are good everywhere
        if *signing == Signing::Chain {
            sources.check_partitions(&sources.regions)?;
        }
        let scopes = sources.accounts.len().max(1) * sources.regions.len().max(1);
        if scopes > MAX_SCOPES {
            return Err(too_many(scopes));
        }
        Ok(sources)
    }

    fn read(settings: &Settings) -> Result<Self, Error> {
        let is_set = Option::unwrap_or_default;
        let profiles = unique(settings.profile.clone())
            .iter()
            .map(|profile| profile.parse())
            .collect::<Result<Vec<Profile>, String>>()
            .map_err(|why| Error::new(format!("--profile {why}")))?;
        let roles = settings.assume_role_arn.as_ref().map(|arn| Roles {
            arn: arn.clone(),
            external_id: settings.assume_role_external_id.clone(),
            session_name: settings
                .assume_role_session_name
                .clone()
                .unwrap_or_else(|| "trailgate".to_owned()),
            in_own_account: is_set(settings.assume_role_in_own_account),
        });
        let refresh = settings
            .scope_refresh
            .map_or(Duration::from_secs(3600), Span::get);
        Ok(Self {
            accounts: unique(settings.account.clone()),
            exclude_accounts: unique(settings.exclude_account.clone()),
            organization: is_set(settings.organization),
            profiles,
            roles,
            regions: unique(settings.region.clone()),
            all_regions: is_set(settings.all_regions),
            exclude_regions: unique(settings.exclude_region.clone()),
            refresh: (!refresh.is_zero()).then_some(refresh),
        })
    }

    fn check_conflicts(&self, settings: &Settings, signing: &Signing) -> Result<(), Error> {
        let refuse = |why: String| Err(Error::new(why));
        let demo = settings.demo.unwrap_or_default();
        let has = [
            ("--organization", self.organization),
            ("--assume-role-arn", self.roles.is_some()),
            ("--profile", !self.profiles.is_empty()),
        ];
        if let Some((flag, _)) = has.iter().find(|(_, given)| *given) {
            if demo {
                return refuse(format!(
                    "--demo needs no AWS, and {flag} asks it; leave out either"
                ));
            }
            if *signing == Signing::Simulator {
                return refuse(format!(
                    "--credentials simulator makes keys from --account, and {flag} needs real \
                     ones; leave out either"
                ));
            }
        }
        if demo && self.all_regions {
            return refuse("--demo has Regions of its own; leave --all-regions out".to_owned());
        }
        if !self.profiles.is_empty() {
            let others = [
                ("--account", !self.accounts.is_empty(), "write ACCOUNT=NAME"),
                ("--organization", self.organization, BASE),
                ("--assume-role-arn", self.roles.is_some(), BASE),
            ];
            if let Some((flag, _, instead)) = others.iter().find(|(_, given, _)| *given) {
                return refuse(format!(
                    "each --profile is for its own account; leave {flag} out, or {instead}"
                ));
            }
        }
        if self.organization && self.roles.is_none() {
            return refuse(
                "--organization finds accounts, and each needs a role to be read by: name it with \
                 --assume-role-arn 'arn:aws:iam::{account}:role/NAME'"
                    .to_owned(),
            );
        }
        if self.roles.is_some() && self.accounts.is_empty() && !self.organization {
            return refuse(
                "--assume-role-arn needs accounts: name them with --account, or say --organization"
                    .to_owned(),
            );
        }
        let of_roles = [
            (
                "--assume-role-external-id",
                settings.assume_role_external_id.is_some(),
            ),
            (
                "--assume-role-session-name",
                settings.assume_role_session_name.is_some(),
            ),
            (
                "--assume-role-in-own-account",
                settings.assume_role_in_own_account.unwrap_or_default(),
            ),
        ];
        if self.roles.is_none()
            && let Some((flag, _)) = of_roles.iter().find(|(_, given)| *given)
        {
            return refuse(format!("{flag} does nothing without --assume-role-arn"));
        }
        if self.accounts.len() > 1 && self.roles.is_none() && *signing == Signing::Chain && !demo {
            return refuse(format!(
                "{} accounts, and credentials for one; name a role to assume in each with \
                 --assume-role-arn 'arn:aws:iam::{{account}}:role/NAME', or give a --profile for \
                 each",
                self.accounts.len()
            ));
        }
        if self.all_regions && !self.regions.is_empty() {
            return refuse(
                "--all-regions has every Region; leave --region out, and --exclude-region those \
                 that are not wanted"
                    .to_owned(),
            );
        }
        if settings.scope_refresh.is_some() && !self.changes() {
            return refuse(
                "--scope-refresh does nothing without --organization or --all-regions".to_owned(),
            );
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), Error> {
        let accounts = [
            ("account", &self.accounts),
            ("exclude-account", &self.exclude_accounts),
        ];
        for (flag, ids) in accounts {
            if let Some(id) = ids.iter().find(|id| !is_account(id)) {
                let message = format!("--{flag} {id:?} is no account: it needs 12 digits");
                return Err(Error::new(message));
            }
        }
        let regions = [
            ("region", &self.regions),
            ("exclude-region", &self.exclude_regions),
        ];
        for (flag, names) in regions {
            if let Some(name) = names.iter().find(|name| !is_region(name)) {
                let message = format!("--{flag} {name:?} is no Region; write it as eu-central-1");
                return Err(Error::new(message));
            }
        }
        let left = |all: &[String], out: &[String]| {
            all.is_empty() || all.iter().any(|name| !out.contains(name))
        };
        if !left(&self.accounts, &self.exclude_accounts) {
            return Err(Error::new("--exclude-account leaves no --account"));
        }
        if !left(&self.regions, &self.exclude_regions) {
            return Err(Error::new("--exclude-region leaves no --region"));
        }
        let Some(roles) = &self.roles else {
            return Ok(());
        };
        if let Some(why) = Roles::fault_of(&roles.arn) {
            return Err(Error::new(format!(
                "--assume-role-arn {:?} {why}; write it as 'arn:aws:iam::{{account}}:role/NAME'",
                roles.arn
            )));
        }
        // API reference, AssumeRole
        let fits = |text: &str, marks: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
        };
        let name = &roles.session_name;
        if !(2..=64).contains(&name.len()) || !fits(name, "_=,.@+-") {
            return Err(Error::new(format!(
                "--assume-role-session-name {name:?} is no session's name: it needs 2 to 64 \
                 letters, digits or any of _=,.@+-"
            )));
        }
        if let Some(id) = &roles.external_id
            && (!(2..=1224).contains(&id.len()) || !fits(id, "_=,.@:/+-"))
        {
            // it is no secret to AWS, but may be one to those who read logs
            return Err(Error::new(
                "--assume-role-external-id is no external id: it needs 2 to 1224 letters, digits \
                 or any of _=,.@:/+-",
            ));
        }
        Ok(())
    }

    /// Refuses what one set of credentials cannot reach: Regions of several
    /// partitions, or a role of another one.
    ///
    /// # Errors
    /// With what to do.
    pub fn check_partitions(&self, regions: &[String]) -> Result<(), Error> {
        let Some(first) = regions.first() else {
            return Ok(());
        };
        let partition = Partition::of_region(first);
        let other = regions
            .iter()
            .find(|region| Partition::of_region(region) != partition);
        // profiles have credentials each, but a scope is every account in every Region
        if let Some(other) = other {
            return Err(Error::new(format!(
                "{first} is in partition {} and {other} in {}, and no credentials are good for \
                 both; run a server for each partition",
                partition.name,
                Partition::of_region(other).name
            )));
        }
        let named = self.roles.as_ref().and_then(Roles::partition);
        if let Some(named) = named.filter(|named| *named != partition.name) {
            return Err(Error::new(format!(
                "--assume-role-arn names partition {named}, and {first} is in {}; write {{partition}} \
                 there",
                partition.name
            )));
        }
        Ok(())
    }

    /// Whether the scopes may change while they are served.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.organization || self.all_regions
    }
}

const BASE: &str = "name the credentials that do that with AWS_PROFILE";

/// More scopes than a server may have.
pub(crate) fn too_many(scopes: usize) -> Error {
    Error::new(format!(
        "{scopes} scopes; at most {MAX_SCOPES} in one server: restrict them with --account or \
         --exclude-account, --region or --exclude-region"
    ))
}

fn unique(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

/// Whether a text has the form of a Region's name.
pub(crate) fn is_region(name: &str) -> bool {
    name.contains('-')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests;
