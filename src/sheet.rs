//! CSV that a spreadsheet can open without running what somebody logged.

use std::{borrow::Cow, fmt::Write as _, io};

/// What makes a spreadsheet take a cell for a formula where it begins with it
/// (OWASP, "CSV Injection"), in every width that Unicode has.
const FORMULA: [char; 12] = [
    '=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫',
];

/// What makes a spreadsheet take a cell for text.
const MARK: char = '\'';

/// How cells are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cells {
    /// As they are, for programs; a spreadsheet may run them.
    pub(crate) raw: bool,
    /// Without control characters, which draw on a terminal.
    pub(crate) printable: bool,
}

impl Cells {
    fn written(self, cell: &str) -> String {
        let cell = match self.raw {
            true => cell.to_owned(),
            false => guarded(cell),
        };
        match self.printable {
            true => printable(&cell),
            false => cell,
        }
    }

    /// Rows as CSV, quoted as RFC 4180 has it, with Unix line ends.
    ///
    /// # Errors
    ///
    /// None that rows of one length can cause.
    pub(crate) fn lines(self, rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows {
            writer.write_record(row.iter().map(|cell| self.written(cell)))?;
        }
        writer.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// What some spreadsheets begin a new cell at, whatever the quotes say: those of
/// languages with a decimal comma take semicolons for the file's commas.
const BREAKS: [char; 4] = [';', '\t', '\r', '\n'];

/// The cell with an apostrophe before each part that a spreadsheet might run, or
/// that has one there already: so taking one away always gives the part back.
fn guarded(cell: &str) -> String {
    let mut guarded = String::with_capacity(cell.len());
    for (place, part) in cell.split_inclusive(BREAKS).enumerate() {
        // a cell that begins with a break is dangerous by itself (OWASP)
        let is_broken = place == 0 && part.starts_with(&BREAKS[1..]);
        if is_broken || part.starts_with(MARK) || is_formula(part) {
            guarded.push(MARK);
        }
        guarded.push_str(part);
    }
    guarded
}

/// Whether a spreadsheet might take it for a formula, as far as what comes before
/// does not show, or is a quote.
fn is_formula(part: &str) -> bool {
    let shown = part.trim_start_matches(|c| is_unseen(c) || c == '"');
    shown.starts_with(FORMULA)
}

fn is_unseen(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Text without control characters, which a caller of AWS could use to draw on
/// the terminal of whoever reads the log.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c.is_control() || turns(c) {
            true => '\u{fffd}',
            false => c,
        })
        .collect()
}

/// JSON whose texts draw nothing on a terminal: what would is escaped, which says the
/// same. Below U+0020 JSON has no such characters.
pub(crate) fn printable_json(text: &str) -> Cow<'_, str> {
    let draws = |c: char| ('\u{7f}'..='\u{9f}').contains(&c) || turns(c);
    if !text.contains(draws) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        match draws(c) {
            true => {
                let _ = write!(shown, "\\u{:04x}", u32::from(c));
            }
            false => shown.push(c),
        }
    }
    shown.into()
}

/// Whether a character changes the direction of what follows, and so where on a line
/// something seems to stand (Unicode Standard Annex 9, the explicit ones).
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows below a header: without one, a mark of byte order that begins the
    /// first cell would count as the file's.
    fn read(csv: &[u8]) -> Vec<Vec<String>> {
        let mut reader = csv::Reader::from_reader(csv);
        let rows = reader.records().map(|row| {
            let row = row.unwrap();
            row.iter().map(str::to_owned).collect()
        });
        rows.collect()
    }

    #[test]
    fn what_would_draw_on_a_terminal_is_shown_as_a_sign_or_escaped() {
        assert_eq!(
            printable("a\u{1b}[31m\u{9b}b\u{202e}c\u{2066}"),
            "a\u{fffd}[31m\u{fffd}b\u{fffd}c\u{fffd}"
        );
        assert_eq!(printable("é\u{301} 日本 ✓"), "é\u{301} 日本 ✓");
        let json = "{\"a\":\"\u{9b}31m\u{202e}é\"}";
        let shown = printable_json(json);
        assert_eq!(shown, "{\"a\":\"\\u009b31m\\u202eé\"}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&shown), read(json));
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_marked() {
        for cell in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            " =1",
            "\u{a0}\u{feff}@x",
            "＝1",
            "\tx",
            "\rx",
            "'=1",
            "'",
            "\"=1",
        ] {
            assert_eq!(guarded(cell), format!("'{cell}"));
        }
        for cell in [
            "",
            " ",
            "a=1",
            "10.0.0.1",
            "{\"a\": -1}",
            "é",
            "2024-05-06T07:08:09Z",
        ] {
            assert_eq!(guarded(cell), cell);
        }
    }

    #[test]
    fn what_other_separators_make_a_cell_is_marked_too() {
        for (cell, marked) in [
            ("x;=1", "x;'=1"),
            ("x; =1;y", "x;' =1;y"),
            ("x\t+1\n-1", "x\t'+1\n'-1"),
            ("x;\"=1\"", "x;'\"=1\""),
            ("\t=1", "'\t'=1"),
            ("x;'y", "x;''y"),
            ("=a;=b", "'=a;'=b"),
            (
                "Mozilla/5.0 (X11; Linux x86_64)",
                "Mozilla/5.0 (X11; Linux x86_64)",
            ),
            ("a=b; c-d", "a=b; c-d"),
        ] {
            assert_eq!(guarded(cell), marked);
        }
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let row = ["a", "b, c", "d \"e\"", "f\r\ng", "-h"].map(str::to_owned);
        let lines = |cells: Cells| String::from_utf8(cells.lines([row.to_vec()]).unwrap()).unwrap();
        assert_eq!(
            lines(Cells::default()),
            "a,\"b, c\",\"d \"\"e\"\"\",\"f\r\ng\",'-h\n"
        );
        let raw = Cells {
            raw: true,
            ..Cells::default()
        };
        assert!(lines(raw).ends_with(",-h\n"));
        let printable = Cells {
            printable: true,
            ..Cells::default()
        };
        assert!(lines(printable).contains(",f\u{fffd}\u{fffd}g,"));
    }

    /// Cells that are likely to be dangerous.
    fn cell() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[ \t\r\n\u{a0}\u{feff}\u{200b}']{0,3}[-=+@＝＋－＠﹦﹢﹣﹫|,;\"'a]{0,3}[ -~\r\n]{0,9}",
        ]
    }

    /// By the general categories of Unicode: spaces, controls and formats.
    fn has_no_shape(c: char) -> bool {
        matches!(
            u32::from(c),
            0..=0x20 | 0x7f..=0xa0 | 0xad | 0x1680 | 0x180e | 0x2000..=0x200f | 0x2028..=0x202f
                | 0x205f..=0x206f | 0x3000 | 0xfeff
        )
    }

    proptest! {
        #[test]
        fn no_cell_is_run_and_every_one_comes_back(
            rows in prop::collection::vec(prop::collection::vec(cell(), 3), 0..6)
        ) {
            let header = ["a", "b", "c"].map(str::to_owned).to_vec();
            let all = || std::iter::once(header.clone()).chain(rows.clone());
            let csv = Cells::default().lines(all()).unwrap();
            // as those read it who have other separators
            for delimiter in [b',', b';', b'\t'] {
                let mut reader = csv::ReaderBuilder::new();
                let mut reader = reader.delimiter(delimiter).flexible(true).from_reader(&csv[..]);
                for row in reader.records() {
                    for cell in &row.unwrap() {
                        // an oracle of its own: the first sign that has a shape
                        let first = cell.chars().find(|c| !has_no_shape(*c));
                        prop_assert!(!first.is_some_and(|c| "=+-@＝＋－＠﹦﹢﹣﹫".contains(c)), "{cell:?}");
                        let is_broken = cell.starts_with(['\t', '\r', '\n']);
                        prop_assert!(!is_broken || delimiter != b',', "{cell:?}");
                    }
                }
            }
            let back = |row: &Vec<String>| -> Vec<String> {
                let part = |part: &str| part.strip_prefix('\'').unwrap_or(part).to_owned();
                row.iter().map(|cell| cell.split_inclusive([';', '\t', '\r', '\n']).map(part).collect()).collect()
            };
            prop_assert_eq!(read(&csv).iter().map(back).collect::<Vec<_>>(), rows.clone());
            let raw = Cells { raw: true, ..Cells::default() };
            prop_assert_eq!(read(&raw.lines(all()).unwrap()), rows);
        }
    }
}
