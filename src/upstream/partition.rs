//! Partitions: parts of AWS that share no accounts, credentials or endpoints.

/// A partition of AWS, known by how its Regions are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Partition {
    /// Its name, as ARNs have it.
    pub name: &'static str,
    /// Where events of services without a Region of their own are recorded:
    /// IAM, `CloudFront`, STS's global endpoint. `None`: not known.
    pub global_region: Option<&'static str>,
}

/// What Regions' names begin with, and the partition; whatever is not here is
/// in `aws`. Source: `partitions.json` of AWS's SDKs. Of the last five trailgate
/// knows no more than their names.
const PREFIXES: [(&str, &str, Option<&str>); 7] = [
    ("us-gov-", "aws-us-gov", Some("us-gov-west-1")),
    ("cn-", "aws-cn", Some("cn-north-1")),
    ("us-iso-", "aws-iso", None),
    ("us-isob-", "aws-iso-b", None),
    ("eu-isoe-", "aws-iso-e", None),
    ("us-isof-", "aws-iso-f", None),
    ("eusc-", "aws-eusc", None),
];

impl Partition {
    /// The one that most accounts are in.
    pub const AWS: Self = Self {
        name: "aws",
        global_region: Some("us-east-1"),
    };

    /// The partition of a Region, by its name.
    #[must_use]
    pub fn of_region(region: &str) -> Self {
        PREFIXES
            .into_iter()
            .find(|(prefix, ..)| region.starts_with(prefix))
            .map_or(Self::AWS, |(_, name, global_region)| Self {
                name,
                global_region,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regions_name_says_its_partition() {
        for (region, name, global) in [
            ("us-east-1", "aws", Some("us-east-1")),
            ("eu-central-1", "aws", Some("us-east-1")),
            ("us-gov-east-1", "aws-us-gov", Some("us-gov-west-1")),
            ("cn-northwest-1", "aws-cn", Some("cn-north-1")),
            ("us-isob-east-1", "aws-iso-b", None),
            ("eusc-de-east-1", "aws-eusc", None),
        ] {
            let partition = Partition::of_region(region);
            assert_eq!(
                (partition.name, partition.global_region),
                (name, global),
                "{region}"
            );
        }
    }
}
