//! A table of texts.

use comfy_table::{CellAlignment, ContentArrangement, Row, Table, presets::NOTHING};

use super::printable;

/// A column of a [`grid`]: what it is called, and whether it holds numbers.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Head<'a> {
    Text(&'a str),
    Number(&'a str),
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
        table.set_width(u16::try_from(width + 2).unwrap_or(u16::MAX));
    }
    let names = heads.iter().map(|head| match head {
        Head::Text(name) | Head::Number(name) => (*name).to_owned(),
    });
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
}
