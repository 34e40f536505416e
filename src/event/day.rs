//! Days of UTC as numbers: how many there are since 1970-01-01, as columns and logs have
//! them.

use jiff::{
    Span,
    civil::{Date, date},
};

const EPOCH: Date = date(1970, 1, 1);

/// The number of a day; before 1970-01-01 it is negative.
#[must_use]
pub fn day_number(day: Date) -> i32 {
    (day - EPOCH).get_days()
}

/// The day of a number; `None`: it is further away than days are told.
#[must_use]
pub fn numbered_day(number: i64) -> Option<Date> {
    EPOCH.checked_add(Span::new().try_days(number).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_numbers_are_each_others() {
        for (day, number) in [
            (EPOCH, 0),
            (date(1969, 12, 31), -1),
            (date(2024, 2, 29), 19_782),
            (Date::MIN, -4_371_587),
            (Date::MAX, 2_932_896),
        ] {
            assert_eq!(day_number(day), number);
            assert_eq!(numbered_day(number.into()), Some(day));
        }
        for beyond in [2_932_897, -4_371_588, i64::MAX, i64::MIN] {
            assert_eq!(numbered_day(beyond), None);
        }
    }
}
