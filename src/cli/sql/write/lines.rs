//! Cells that have lines of their own, such as plans.

/// The most lines of a cell that are written: plans of views upon views have some
/// hundred.
const MAX_LINES: usize = 500;

/// What begins a line that is no row of its own: what a caller of AWS wrote could pass
/// for one otherwise.
const MARK: &str = "| ";

/// Lines that a row takes.
pub(super) fn height(row: &[String]) -> usize {
    let heights = row.iter().map(|cell| parts(cell).count());
    heights.max().unwrap_or_default().max(1)
}

/// A row as rows whose cells have one line each, below each other.
pub(super) fn lines(row: &[String]) -> Vec<Vec<String>> {
    let height = height(row);
    if height == 1 {
        return vec![row.iter().map(|cell| first(cell)).collect()];
    }
    let mut lines = vec![Vec::with_capacity(row.len()); height];
    for cell in row {
        let mut parts = parts(cell);
        for (place, line) in lines.iter_mut().enumerate() {
            line.push(match (parts.next(), place) {
                (None, _) => String::new(),
                (Some(part), 0) => part.to_owned(),
                (Some(part), _) => format!("{MARK}{part}"),
            });
        }
    }
    lines
}

fn first(cell: &str) -> String {
    parts(cell).next().unwrap_or_default().to_owned()
}

/// The lines of a cell, as far as they are written.
fn parts(cell: &str) -> impl Iterator<Item = &str> {
    let parts = cell.split_terminator('\n').enumerate();
    parts.take(MAX_LINES).map(|(place, part)| match place + 1 {
        MAX_LINES => "…",
        _ => part,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn lines_of_cells_stand_below_each_other() {
        assert_eq!(lines(&row(&["a", "", "b\t"])), [row(&["a", "", "b\t"])]);
        assert_eq!(
            lines(&row(&["plan", "A\n  B\n\n  C\n", "1\n2"])),
            [
                row(&["plan", "A", "1"]),
                row(&["", "|   B", "| 2"]),
                row(&["", "| ", ""]),
                row(&["", "|   C", ""]),
            ]
        );
        assert_eq!(height(&row(&["plan", "A\nB\n"])), 2);
        assert_eq!(height(&[]), 1);
    }

    #[test]
    fn a_cell_of_lines_without_end_is_cut() {
        let lines = lines(&row(&["x", &"a\n".repeat(100_000)]));
        assert_eq!(lines.len(), MAX_LINES);
        assert_eq!(lines.last(), Some(&row(&["", "| …"])));
    }
}
