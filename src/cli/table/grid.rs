//! A table of texts.

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, presets::NOTHING,
};

use super::{GAP, printable};

/// A column of a [`grid`]: what it is called, and what it holds.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Head<'a> {
    Text(&'a str),
    Number(&'a str),
    /// What says something else where it is cut, such as a time.
    Whole(&'a str),
}

impl<'a> Head<'a> {
    /// What it is called.
    pub(in crate::cli) const fn name(self) -> &'a str {
        match self {
            Self::Text(name) | Self::Number(name) | Self::Whole(name) => name,
        }
    }
}

/// Lines of a table with a header, cut to the terminal's width if there is one.
pub(in crate::cli) fn grid(
    heads: &[Head<'_>],
    rows: impl IntoIterator<Item = Vec<String>>,
    width: Option<usize>,
) -> Vec<String> {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_truncation_indicator("…")
        .set_content_arrangement(match width {
            Some(_) => ContentArrangement::Dynamic,
            None => ContentArrangement::Disabled,
        });
    if let Some(width) = width {
        // the last column's padding is trimmed away
        table.set_width(u16::try_from(width + GAP).unwrap_or(u16::MAX));
    }
    let names = heads.iter().map(|head| head.name().to_owned());
    let mut add = |cells: Vec<String>| {
        let mut row = Row::from(cells.iter().map(|cell| printable(cell)).collect::<Vec<_>>());
        row.max_height(1);
        table.add_row(row);
    };
    add(names.collect());
    rows.into_iter().for_each(add);
    for (column, head) in table.column_iter_mut().zip(heads) {
        column.set_padding((0, 2));
        if matches!(head, Head::Number(_)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if matches!(head, Head::Whole(_)) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_lines_fit() {
        let heads = [Head::Text("NAME"), Head::Number("N")];
        let rows = || {
            [["a\u{1b}", "1"], ["bcdefghijklmn", "100"]].map(|row| row.map(str::to_owned).to_vec())
        };
        assert_eq!(
            grid(&heads, rows(), None),
            [
                "NAME             N",
                "a\u{fffd}               1",
                "bcdefghijklmn  100"
            ]
        );
        let lines = grid(&heads, rows(), Some(12));
        assert!(
            lines.iter().all(|line| line.chars().count() <= 12),
            "{lines:#?}"
        );
        assert!(
            lines[2].contains('…') && lines[2].ends_with("100"),
            "{lines:#?}"
        );
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn what_is_whole_is_not_cut() {
        let heads = [Head::Text("A"), Head::Whole("TIME"), Head::Text("B")];
        let row = [
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "2024-05-06T07:08:09Z",
            "bbbbbbbbbbbb",
        ];
        let lines = grid(&heads, [row.map(str::to_owned).to_vec()], Some(40));
        assert!(lines[1].contains("2024-05-06T07:08:09Z"), "{lines:#?}");
        assert!(
            lines.iter().all(|line| line.chars().count() <= 40),
            "{lines:#?}"
        );
    }
}
