//! When a certificate ends.
//!
//! Of all that X.509 has, this is one field behind four others: read here, in place of
//! a parser of everything (RFC 5280, 4.1).

use jiff::{Timestamp, civil::Date};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate's validity; `None`: it is none that can be read.
pub(super) fn expiry(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, behind)) = expect(rest, VERSION) {
        rest = behind;
    }
    // serial number, algorithm, issuer
    for _ in 0..3 {
        (_, _, rest) = next(rest)?;
    }
    let (validity, _) = expect(rest, SEQUENCE)?;
    let (_, _, rest) = next(validity)?;
    let (tag, time, _) = next(rest)?;
    time_of(tag, std::str::from_utf8(time).ok()?)
}

/// `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` from then on.
fn time_of(tag: u8, text: &str) -> Option<Timestamp> {
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (year + if year < 50 { 2000 } else { 1900 }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let digits = rest.strip_suffix('Z')?;
    let mut numbers = [0_i8; 5];
    for (place, number) in numbers.iter_mut().enumerate() {
        *number = digits.get(place * 2..place * 2 + 2)?.parse().ok()?;
    }
    let [month, day, hour, minute, second] = numbers;
    let date = Date::new(year, month, day).ok()?;
    let time = jiff::civil::Time::new(hour, minute, second, 0).ok()?;
    let zoned = date
        .to_datetime(time)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()?;
    Some(zoned.timestamp())
}

/// What a value of this tag has, and what comes behind it.
fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, value, rest) = next(der)?;
    (found == tag).then_some((value, rest))
}

/// A value's tag, what it has, and what comes behind it.
fn next(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        // nothing here is as long as that
        if bytes.len() > 3 {
            return None;
        }
        let length = bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        (length, rest)
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_read_in_both_forms_and_of_nothing_else() {
        for (year, end) in [
            (2031, "2031-02-03T00:00:00Z"),
            (2057, "2057-02-03T00:00:00Z"),
        ] {
            let mut params = rcgen::CertificateParams::new(vec!["gateway".into()]).unwrap();
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 2, 3);
            let key = rcgen::KeyPair::generate().unwrap();
            let der = params.self_signed(&key).unwrap().der().to_vec();
            assert_eq!(expiry(&der), Some(end.parse().unwrap()));
            for cut in 0..der.len() {
                // whatever it is, it is none or the same
                let found = expiry(&der[..cut]);
                assert_eq!(found, None);
            }
        }
        assert_eq!(expiry(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(time_of(UTC_TIME, "3102030000\u{e9}0Z"), None);
    }
}
