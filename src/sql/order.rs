//! Times of reports that have to be in order.

use super::{
    defaults::{self, MICROS},
    given::{Why, Wrong},
    parameters::Value,
    reports::Report,
};
use crate::when::rfc3339;

/// Moments of which the first has to be before the second, where a report has both: the
/// answer would be empty otherwise, or everything new, and nobody told why.
const ORDER: [(&str, &str); 3] = [
    ("compare_from", "since"),
    ("since", "until"),
    ("known_since", "unused_since"),
];

/// The moments that are not in order, beside what is wrong already: told of what was
/// given, as the other may be a default as of `now`, in seconds since the Unix epoch.
pub(super) fn disorder(
    report: &Report,
    given: &[(String, Value)],
    now: i64,
    wrong: &[Wrong],
) -> Vec<Wrong> {
    let values = report.complete(given.to_vec(), now);
    let is_wrong = |name: &str| wrong.iter().any(|it| it.parameter == name);
    let is_given = |name: &str| given.iter().any(|(known, _)| known == name);
    let pairs = ORDER.into_iter().filter_map(|(first, second)| {
        let (from, to) = (
            defaults::time(&values, first)?,
            defaults::time(&values, second)?,
        );
        if from < to || is_wrong(first) || is_wrong(second) {
            return None;
        }
        let (name, at, how, other, than) = match is_given(first) {
            true => (first, from, "before", second, to),
            false => (second, to, "after", first, from),
        };
        let by_default = if is_given(other) { "" } else { "by default " };
        Some(Wrong {
            parameter: name.to_owned(),
            why: Why::Invalid,
            message: format!(
                "{} is not {how} {other} ({by_default}{}); give an earlier {first} or a later {second}",
                moment(at),
                moment(than)
            ),
        })
    });
    pairs.collect()
}

/// A moment as it is told, of microseconds since the Unix epoch.
fn moment(micros: i64) -> String {
    rfc3339(micros.div_euclid(MICROS))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::sql::{Typed, report};

    /// What is wrong with these values, at noon on 2023-07-10: of which parameter, and the
    /// message.
    fn wrong(name: &str, given: &[(&str, &str)]) -> Vec<(String, String)> {
        let typed = Typed {
            now: 1_688_990_400,
            zone: TimeZone::UTC,
        };
        let values = typed.values(&report(name).unwrap(), given.iter().copied());
        let wrong = values.err().unwrap_or_default().into_iter();
        wrong.map(|it| (it.parameter, it.message)).collect()
    }

    #[test]
    fn periods_that_have_no_time_are_refused() {
        let told =
            |parameter: &str, message: &str| vec![(parameter.to_owned(), message.to_owned())];
        let of_both = "2023-05-26T00:00:00Z is not before until (2023-05-20T00:00:00Z); \
                       give an earlier since or a later until";
        for name in ["root_usage", "first_seen", "first_seen_places"] {
            let given = [("since", "2023-05-26"), ("until", "2023-05-20")];
            assert_eq!(wrong(name, &given), told("since", of_both), "{name}");
            let given = [("since", "2023-05-20"), ("until", "2023-05-26")];
            assert_eq!(wrong(name, &given), [], "{name}");
        }
        // the other is a default, or not far enough
        assert_eq!(
            wrong("first_seen", &[("until", "2023-05-26")]),
            told(
                "until",
                "2023-05-26T00:00:00Z is not after since (by default 2023-07-03T12:00:00Z); \
                 give an earlier since or a later until"
            )
        );
        assert_eq!(
            wrong("first_seen", &[("since", "2023-07-10T12:00:00Z")]),
            told(
                "since",
                "2023-07-10T12:00:00Z is not before until (by default 2023-07-10T12:00:00Z); \
                 give an earlier since or a later until"
            )
        );
        assert_eq!(
            wrong("first_seen", &[("since", "2023-07-10T11:59:59Z")]),
            []
        );
        assert_eq!(
            wrong("first_seen", &[("since", "7d"), ("until", "7d")]).len(),
            1
        );
        // the time before is the same
        assert_eq!(
            wrong(
                "first_seen",
                &[("since", "2023-05-20"), ("compare_from", "2023-05-20")]
            ),
            told(
                "compare_from",
                "2023-05-20T00:00:00Z is not before since (2023-05-20T00:00:00Z); \
                 give an earlier compare_from or a later since"
            )
        );
        let given = [("since", "2023-05-20"), ("compare_from", "2023-05-19")];
        assert_eq!(wrong("first_seen", &given), []);
        let given = [
            ("since", "30d"),
            ("compare_from", "60d"),
            ("new_to", "actor"),
        ];
        assert_eq!(wrong("first_seen", &given), []);
        // of a time that is not looked at nothing is known
        assert_eq!(
            wrong(
                "unused_keys_and_roles",
                &[
                    ("known_since", "2023-05-20"),
                    ("unused_since", "2023-05-20")
                ]
            ),
            told(
                "known_since",
                "2023-05-20T00:00:00Z is not before unused_since (2023-05-20T00:00:00Z); \
                 give an earlier known_since or a later unused_since"
            )
        );
        assert_eq!(
            wrong("unused_keys_and_roles", &[("known_since", "90d")]).len(),
            1
        );
        let given = [("unused_since", "1999-12-31")];
        let [(parameter, message)] = &wrong("unused_keys_and_roles", &given)[..] else {
            panic!("{:?}", wrong("unused_keys_and_roles", &given));
        };
        assert!(
            parameter == "unused_since"
                && message.contains("is not after known_since (by default 2000-01-01T00:00:00Z)"),
            "{message}"
        );
        let given = [("known_since", "91d")];
        assert_eq!(wrong("unused_keys_and_roles", &given), []);
        // what cannot be read is in no order
        let given = [
            ("since", "soon"),
            ("until", "2023-05-20"),
            ("compare_from", "1d"),
        ];
        let [(parameter, _)] = &wrong("first_seen", &given)[..] else {
            panic!("{:?}", wrong("first_seen", &given));
        };
        assert_eq!(parameter, "since");
    }
}
