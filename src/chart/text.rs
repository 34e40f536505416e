//! Texts, which have no room but what they are given.
//!
//! Pictures are set in a typewriter's face at 12 units, whose signs are some 0.6 of that
//! wide: 7.3 units, rounded up.

/// The places that a text takes on a line: wide signs take two.
pub(super) fn places(text: &str) -> u64 {
    text.chars().map(of).sum()
}

fn of(c: char) -> u64 {
    match u32::from(c) {
        // Latin, Greek and Cyrillic; dashes and dots
        ..0x590 | 0x2000..0x2070 => 1,
        // of other scripts some signs are narrow, and have room to spare
        _ => 2,
    }
}

/// The width of so many places, in units.
pub(super) fn width(places: u64) -> u64 {
    // 7.3 units each
    places.saturating_mul(73).div_ceil(10)
}

/// The places that there are in so many units.
pub(super) fn places_in(units: u64) -> u64 {
    units.saturating_mul(10) / 73
}

/// A text on a line of so many places. Of a longer one its beginning and its end are
/// left: the beginnings of ARNs are alike, and the ends of addresses.
pub(super) fn cut(text: &str, most: u64) -> String {
    let text = shown(text);
    if places(&text) <= most {
        return text;
    }
    // the dots take one
    let room = most.saturating_sub(1);
    let (ahead, behind) = (room / 2, room - room / 2);
    let first = taken(text.chars(), ahead);
    let mut last: Vec<char> = taken(text.chars().rev(), behind).chars().collect();
    last.reverse();
    let last: String = last.into_iter().collect();
    format!("{first}…{last}")
}

/// The first signs that fit into so many places.
fn taken(signs: impl Iterator<Item = char>, most: u64) -> String {
    let mut used = 0;
    let fits = signs.take_while(|c| {
        used += of(*c);
        used <= most
    });
    fits.collect()
}

/// A text whose signs all show, and go one way: others draw over what is beside them,
/// or are none that XML has.
pub(super) fn shown(text: &str) -> String {
    let sign = |c: char| match is_shown(c) {
        true => c,
        false => '\u{fffd}',
    };
    text.chars().map(sign).collect()
}

fn is_shown(c: char) -> bool {
    !(c.is_control()
        || matches!(c,
            // marks and turns of direction (Unicode Standard Annex 9), separators
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // no characters
            | '\u{fffe}' | '\u{ffff}'))
}

/// A number with its thousands apart, by narrow spaces.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A round number in few signs.
pub(super) fn short(number: u64) -> String {
    const ENDS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut rest = number;
    for end in ENDS {
        if rest < 1_000 || !rest.is_multiple_of(1_000) {
            return format!("{rest}{end}");
        }
        rest /= 1_000;
    }
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_in_the_middle() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "ab…efg");
        assert_eq!(cut("世界世界", 5), "世…界");
        assert_eq!(cut("abc", 1), "…");
        for most in 1..12 {
            assert!(places(&cut("a世界bc世界d", most)) <= most, "{most}");
        }
    }

    #[test]
    fn a_text_goes_one_way_and_shows() {
        assert_eq!(
            shown("a\u{202e}b\u{0}\u{7f}\n"),
            "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(shown("é世🙂"), "é世🙂");
    }

    #[test]
    fn numbers_are_read_easily() {
        assert_eq!(number(0), "0");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(number(999), "999");
        assert_eq!(
            [0, 999, 2_000, 50_000_000, 1_500].map(short),
            ["0", "999", "2k", "50M", "1500"]
        );
    }

    #[test]
    fn places_are_units_and_back() {
        assert_eq!(width(10), 73);
        assert!((0..200).all(|n| places_in(width(n)) >= n && width(n) < 8 * n + 1));
    }
}
