//! What must be true of every file that is read, and its records as `serde_json`
//! finds them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Error, Limits, Reader, Record, Totals};

/// What a file gives: its records (of one that is too large its length), and
/// how it ends.
pub(super) type Given = (Vec<Result<Vec<u8>, u64>>, Result<Totals, Error>);

pub(super) fn read_in(limits: Limits, pieces: &[&[u8]]) -> Given {
    let mut reader = Reader::new(limits);
    let mut records = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        loop {
            match reader.next(&mut input) {
                Ok(Some(Record::Whole(record))) => records.push(Ok(record.to_vec())),
                Ok(Some(Record::TooLarge(len))) => records.push(Err(len)),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(reader.next(&mut &b"{"[..]), Err(error.clone()));
                    return (records, Err(error));
                }
            }
        }
        assert!(input.is_empty(), "what gives no record is used up");
    }
    (records, reader.finish())
}

/// The records of a file that is not packed, as `serde_json` finds them; `None`: it
/// is no JSON object with one list of them.
pub(super) fn records_of(text: &str) -> Option<Vec<&str>> {
    #[derive(Deserialize)]
    struct File<'a> {
        #[serde(rename = "Records", borrow)]
        records: Vec<&'a RawValue>,
    }
    let file: File<'_> = serde_json::from_str(text).ok()?;
    Some(file.records.into_iter().map(RawValue::get).collect())
}

/// Checks that a file is read alike however it is cut: in pieces of so many bytes,
/// over and over.
pub(crate) fn check_cuts(limits: Limits, file: &[u8], cuts: &[usize]) {
    let whole = read_in(limits, &[file]);
    let mut pieces = Vec::new();
    let mut rest = file;
    for len in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*len).clamp(1, rest.len()));
        pieces.push(piece);
        rest = after;
    }
    assert_eq!(read_in(limits, &pieces), whole);
    let (records, ended) = whole;
    for record in &records {
        match record {
            Ok(record) => assert!(record.len() <= limits.record),
            Err(len) => assert!(*len > super::count(limits.record)),
        }
    }
    if let Ok(totals) = ended {
        assert_eq!(totals.records, super::count(records.len()));
        assert!(totals.packed <= limits.packed && totals.unpacked <= limits.unpacked);
    }
}

/// Checks that a file gives the records of `text`, which it packs, if `serde_json`
/// finds any in it. `limits` let all of them through.
pub(crate) fn check_records(limits: Limits, file: &[u8], text: &[u8]) {
    let text = str::from_utf8(text);
    let Some(expected) = text.ok().and_then(records_of) else {
        return;
    };
    let (records, ended) = read_in(limits, &[file]);
    assert!(ended.is_ok(), "{ended:?}");
    let records: Vec<_> = records
        .iter()
        .map(|record| record.as_ref().map(Vec::as_slice))
        .collect();
    let expected: Vec<_> = expected
        .into_iter()
        .map(|record| Ok(record.as_bytes()))
        .collect();
    assert_eq!(records, expected);
}
