//! A report's answer as a page has it: its first rows, and of more of them what its
//! picture needs.

use futures_util::StreamExt;
use prost_types::Timestamp;

use super::cells::{cut, text};
use crate::{
    grpc::{Refusal, Told},
    proto::v1::{
        ReportCell, ReportHeader, ReportRow, RunReportResponse, report_cell::Value,
        run_report_response::Piece,
    },
};

/// The rows that a page shows: more is long to read, and there is the file.
pub(super) const SHOWN: usize = 200;

/// The rows that are read for a picture: as many as the reports that tell events tell
/// where nothing is said. With [`LONGEST`] and five columns some 20 MB at most.
pub(super) const MOST: i64 = 10_000;

/// The longest text that is kept of a cell, in characters: no picture, and no table,
/// has room for more.
const LONGEST: usize = 400;

/// See the module.
pub(super) struct Read {
    pub(super) header: ReportHeader,
    /// The first rows.
    pub(super) shown: Vec<ReportRow>,
    /// Of all rows that were read the columns of the picture, in its order.
    pub(super) drawn: Vec<Vec<Option<Value>>>,
    /// The rows that were read.
    pub(super) rows: i64,
    /// Whether there are more.
    pub(super) is_cut: bool,
}

impl Read {
    /// Reads an answer as far as a page goes, then ends it.
    pub(super) async fn all(
        mut told: Told<RunReportResponse>,
        columns: &[&str],
    ) -> Result<Self, Refusal> {
        let mut read = Self {
            header: ReportHeader::default(),
            shown: Vec::new(),
            drawn: Vec::new(),
            rows: 0,
            is_cut: false,
        };
        let mut places: Vec<Option<usize>> = Vec::new();
        while let Some(response) = told.next().await {
            match response?.piece {
                None => {}
                Some(Piece::Header(header)) => {
                    let place = |name: &&str| {
                        let mut columns = header.columns.iter();
                        columns.position(|column| column.name == **name)
                    };
                    places = columns.iter().map(place).collect();
                    read.header = header;
                }
                Some(Piece::Rows(rows)) => {
                    for row in rows.rows {
                        if read.rows == MOST {
                            read.is_cut = true;
                            return Ok(read);
                        }
                        read.add(row, &places);
                    }
                }
            }
        }
        Ok(read)
    }

    fn add(&mut self, mut row: ReportRow, places: &[Option<usize>]) {
        for cell in &mut row.cells {
            if let Some(Value::Text(text)) = &mut cell.value {
                cut(text, LONGEST);
                text.shrink_to_fit();
            }
        }
        let of =
            |place: &Option<usize>| place.and_then(|place| row.cells.get(place)?.value.clone());
        self.drawn.push(places.iter().map(of).collect());
        self.rows += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(row);
        }
    }

    /// The second that a parameter is.
    pub(super) fn second(&self, name: &str) -> Option<i64> {
        let mut values = self.header.parameters.iter();
        let found = values.find(|value| value.name == name)?;
        match found.value.as_ref()?.value.as_ref()? {
            Value::Time(time) => Some(time.seconds),
            _ => None,
        }
    }

    /// The second that it was asked in.
    pub(super) fn as_of(&self) -> i64 {
        self.header
            .as_of
            .as_ref()
            .map_or(0, |time: &Timestamp| time.seconds)
    }

    /// What it is of: the values of all parameters.
    pub(super) fn of(&self) -> String {
        let told = |cell: &Option<ReportCell>| {
            let mut text = cell.as_ref().map(text).unwrap_or_default();
            cut(&mut text, 200);
            text
        };
        let values = self.header.parameters.iter();
        let values = values.map(|it| format!("{} {}", it.name, told(&it.value)));
        values.collect::<Vec<_>>().join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, stream};

    use super::*;
    use crate::proto::v1::{ReportColumn, ReportRows};

    fn cell(text: &str) -> ReportCell {
        let value = Some(Value::Text(text.to_owned()));
        ReportCell { value }
    }

    fn response(piece: Piece) -> Result<RunReportResponse, Refusal> {
        Ok(RunReportResponse { piece: Some(piece) })
    }

    fn header() -> Result<RunReportResponse, Refusal> {
        let column = |name: &str| ReportColumn {
            name: name.to_owned(),
            ..ReportColumn::default()
        };
        response(Piece::Header(ReportHeader {
            columns: vec![column("a"), column("b")],
            ..ReportHeader::default()
        }))
    }

    fn rows(count: usize, text: &str) -> Result<RunReportResponse, Refusal> {
        let row = ReportRow {
            cells: vec![cell("x"), cell(text)],
        };
        response(Piece::Rows(ReportRows {
            rows: vec![row; count],
        }))
    }

    #[test]
    fn much_is_read_as_far_as_a_page_goes() {
        let long = "é".repeat(5_000);
        let told = std::iter::once(header()).chain((0..20).map(move |_| rows(1_000, &long)));
        let told: Told<_> = Box::pin(stream::iter(told));
        let read = Read::all(told, &["b", "none"])
            .now_or_never()
            .unwrap()
            .unwrap();
        assert!(read.is_cut);
        assert_eq!(
            (read.rows, read.shown.len(), read.drawn.len()),
            (MOST, SHOWN, 10_000)
        );
        let [Some(Value::Text(text)), None] = &read.drawn[9_999][..] else {
            panic!("{:?}", read.drawn[9_999])
        };
        assert_eq!(text.chars().count(), LONGEST);
        assert!(text.ends_with('…'));
    }

    #[test]
    fn as_many_as_a_page_has_are_all() {
        let told: Told<_> = Box::pin(stream::iter([header(), rows(10_000, "y")]));
        let read = Read::all(told, &["a"]).now_or_never().unwrap().unwrap();
        assert!(!read.is_cut);
        assert_eq!(read.rows, MOST);
    }

    #[test]
    fn what_breaks_off_is_no_answer() {
        let refusal = Refusal::from(tonic::Status::unavailable("gone"));
        let told: Told<_> = Box::pin(stream::iter([header(), rows(5, "y"), Err(refusal)]));
        assert!(Read::all(told, &["a"]).now_or_never().unwrap().is_err());
    }
}
