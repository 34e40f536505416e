//! The role that is assumed in each account.

use super::Partition;

/// How accounts are reached by a role of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// The role's ARN, with `{account}` for the account and `{partition}`,
    /// where it stands, for the partition.
    pub arn: String,
    /// What the roles' trust policies may want to hear.
    pub external_id: Option<String>,
    /// The sessions' name: what the accounts' own events show as the user.
    pub session_name: String,
    /// Assume the role also in the account of the credentials themselves,
    /// which is asked with these otherwise.
    pub in_own_account: bool,
}

const ACCOUNT: &str = "{account}";
const PARTITION: &str = "{partition}";

impl Roles {
    /// The role's ARN in an account.
    #[must_use]
    pub fn arn_in(&self, account: &str, partition: Partition) -> String {
        self.arn
            .replace(PARTITION, partition.name)
            .replace(ACCOUNT, account)
    }

    /// The partition that the pattern names; `None`: it leaves it open.
    #[must_use]
    pub fn partition(&self) -> Option<&str> {
        self.arn.split(':').nth(1).filter(|name| *name != PARTITION)
    }

    /// What is wrong with a pattern, if anything is.
    #[must_use]
    pub fn fault_of(arn: &str) -> Option<&'static str> {
        if !arn.contains(ACCOUNT) {
            return Some("has no {account}, and every account has a role of its own");
        }
        let known = arn.replace(ACCOUNT, "").replace(PARTITION, "aws");
        if known.contains(['{', '}']) {
            return Some("has a placeholder other than {account} and {partition}");
        }
        let mut parts = known.splitn(6, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (head, partition, service, region) = (next(), next(), next(), next());
        let (account, resource) = (next(), next());
        let is_role = resource
            .strip_prefix("role/")
            .is_some_and(|path| !path.is_empty() && !path.ends_with('/'));
        let is_arn = head == "arn"
            && partition.starts_with("aws")
            && service == "iam"
            && region.is_empty()
            && account.is_empty()
            && is_role;
        (!is_arn).then_some("is no role's ARN")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_becomes_each_accounts_role() {
        let roles = |arn: &str| Roles {
            arn: arn.to_owned(),
            external_id: None,
            session_name: "trailgate".to_owned(),
            in_own_account: false,
        };
        let open = roles("arn:{partition}:iam::{account}:role/audit/{account}");
        assert_eq!(open.partition(), None);
        assert_eq!(
            open.arn_in("111122223333", Partition::of_region("cn-north-1")),
            "arn:aws-cn:iam::111122223333:role/audit/111122223333"
        );
        let written = roles("arn:aws-us-gov:iam::{account}:role/Reader");
        assert_eq!(written.partition(), Some("aws-us-gov"));
        assert_eq!(
            written.arn_in("111122223333", Partition::AWS),
            "arn:aws-us-gov:iam::111122223333:role/Reader"
        );
    }

    #[test]
    fn what_is_no_pattern_is_told_why() {
        for (arn, part) in [
            ("arn:aws:iam::111122223333:role/R", "no {account}"),
            ("arn:aws:iam::{account}:role/{name}", "other than"),
            ("arn:aws:iam::{account}:user/R", "no role's ARN"),
            ("arn:aws:iam::{account}:role/", "no role's ARN"),
            ("arn:aws:iam::1{account}:role/R", "no role's ARN"),
            ("{account}", "no role's ARN"),
        ] {
            let fault = Roles::fault_of(arn);
            assert!(
                fault.is_some_and(|why| why.contains(part)),
                "{arn}: {fault:?}"
            );
        }
        for arn in [
            "arn:aws:iam::{account}:role/R",
            "arn:{partition}:iam::{account}:role/path/R",
        ] {
            assert_eq!(Roles::fault_of(arn), None, "{arn}");
        }
    }
}
