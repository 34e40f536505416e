//! The top-level fields that records are documented to have.

/// Top-level fields of a record, sorted.
///
/// Source: the CloudTrail user guide, "record contents for management, data,
/// and network activity events" and "record contents for Insights events".
pub const RECORD_FIELDS: [&str; 33] = [
    "addendum",
    "additionalEventData",
    "apiVersion",
    "awsRegion",
    "edgeDeviceDetails",
    "errorCode",
    "errorMessage",
    "eventCategory",
    "eventContext",
    "eventID",
    "eventName",
    "eventSource",
    "eventTime",
    "eventType",
    "eventVersion",
    "insightContext",
    "insightDetails",
    "managementEvent",
    "readOnly",
    "recipientAccountId",
    "requestID",
    "requestParameters",
    "resources",
    "responseElements",
    "serviceEventDetails",
    "sessionCredentialFromConsole",
    "sharedEventID",
    "sourceIPAddress",
    "tlsDetails",
    "userAgent",
    "userIdentity",
    "vpcEndpointAccountId",
    "vpcEndpointId",
];

/// Whether the documentation of records knows a top-level field of this name.
#[must_use]
pub fn is_documented_field(name: &str) -> bool {
    number(name).is_some()
}

/// The place of a documented field in [`RECORD_FIELDS`]. Every record has
/// some twenty keys, so that it is found by one look into a table.
#[inline]
pub(super) fn number(name: &str) -> Option<usize> {
    let number = usize::from(*NUMBERS.get(spread(name.as_bytes()))?);
    (*RECORD_FIELDS.get(number)? == name).then_some(number)
}

/// No field's number.
const NONE: u8 = u8::MAX;

/// The number of the one field that [`spread`] puts there.
static NUMBERS: [u8; 128] = numbers();

/// Gives each of the documented names a place of its own: the factor was found
/// by trying.
const fn spread(name: &[u8]) -> usize {
    match name {
        [first, .., third, _, last] => {
            let sum = name.len() + *first as usize + *third as usize * 12 + *last as usize;
            sum % 128
        }
        _ => 0,
    }
}

#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "while it compiles, with numbers under 33"
)]
const fn numbers() -> [u8; 128] {
    let mut numbers = [NONE; 128];
    let mut number = 0;
    while number < RECORD_FIELDS.len() {
        let place = spread(RECORD_FIELDS[number].as_bytes());
        assert!(numbers[place] == NONE, "two fields have one place");
        numbers[place] = number as u8;
        number += 1;
    }
    numbers
}

/// The number of a documented field, while it compiles.
#[allow(clippy::indexing_slicing, reason = "while it compiles")]
pub(super) const fn number_of(name: &str) -> usize {
    let number = numbers()[spread(name.as_bytes())] as usize;
    assert!(
        RECORD_FIELDS[number].len() == name.len(),
        "no documented field"
    );
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_so_that_all_are_found() {
        assert!(RECORD_FIELDS.is_sorted());
        for (i, name) in RECORD_FIELDS.iter().enumerate() {
            assert_eq!(number(name), Some(i), "{name}");
            assert_eq!(number_of(name), i, "{name}");
        }
        for name in ["", "a", "abc", "eventid", "eventIDs", "eventXame"] {
            assert!(!is_documented_field(name), "{name}");
        }
    }
}
