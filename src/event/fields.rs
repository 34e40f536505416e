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
    RECORD_FIELDS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_so_that_all_are_found() {
        assert!(RECORD_FIELDS.is_sorted());
        assert!(RECORD_FIELDS.iter().all(|name| is_documented_field(name)));
        assert!(!is_documented_field("eventid"));
    }
}
