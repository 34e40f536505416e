//! Readers of what buckets hold, as the queue collector wants them.

use std::io::Write;

use flate2::write::MultiGzDecoder;

use super::{
    log_file::{self, Problem, Record},
    queue::{Fault, Found, Reader, Readers},
};

/// Readers of log files and digests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files {
    /// What a log file may cost.
    pub limits: log_file::Limits,
}

impl Readers for Files {
    fn records(&self) -> Box<dyn Reader> {
        Box::new(Records(log_file::Reader::new(self.limits)))
    }

    fn content(&self) -> Box<dyn Reader> {
        Box::new(Content {
            decoder: MultiGzDecoder::new(Vec::new()),
            piece: Vec::new(),
        })
    }
}

struct Records(log_file::Reader);

impl Reader for Records {
    fn next<'a>(&'a mut self, packed: &mut &[u8]) -> Result<Option<Found<'a>>, Fault> {
        match self.0.next(packed) {
            Ok(found) => Ok(found.map(|record| match record {
                Record::Whole(record) => Found::Piece(record),
                Record::TooLarge(len) => Found::TooLarge(len),
            })),
            Err(error) => Err(fault(&error)),
        }
    }

    fn finish(self: Box<Self>) -> Result<(), Fault> {
        self.0.finish().map(|_| ()).map_err(|error| fault(&error))
    }
}

fn fault(error: &log_file::Error) -> Fault {
    match error.problem {
        Problem::PackedTooShort | Problem::TooShort => Fault::Truncated,
        Problem::UnpacksToMore(most) | Problem::TooManyBytes(most) => Fault::TooLarge(most),
        Problem::NoRecords => Fault::NoRecords,
        Problem::Damaged
        | Problem::NotGzip(_)
        | Problem::TooManyMembers(_)
        | Problem::Unexpected(..) => Fault::Damaged(error.to_string()),
    }
}

/// Bytes that a decoder is given at a time: what it gives for them is held.
const PIECE: usize = 16 << 10;

struct Content {
    decoder: MultiGzDecoder<Vec<u8>>,
    piece: Vec<u8>,
}

impl Reader for Content {
    fn next<'a>(&'a mut self, packed: &mut &[u8]) -> Result<Option<Found<'a>>, Fault> {
        if packed.is_empty() {
            return Ok(None);
        }
        let (now, later) = packed.split_at(PIECE.min(packed.len()));
        *packed = later;
        let damaged = |error: std::io::Error| Fault::Damaged(error.to_string());
        self.decoder.write_all(now).map_err(damaged)?;
        // it holds back what it has
        self.decoder.flush().map_err(damaged)?;
        self.piece = std::mem::take(self.decoder.get_mut());
        Ok(Some(Found::Piece(&self.piece)))
    }

    fn finish(mut self: Box<Self>) -> Result<(), Fault> {
        self.decoder.try_finish().map_err(|_| Fault::Truncated)
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn read(mut reader: Box<dyn Reader>, mut bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut all = Vec::new();
        while let Some(found) = reader.next(&mut bytes)? {
            match found {
                Found::Piece(piece) => all.extend_from_slice(piece),
                Found::TooLarge(len) => panic!("{len}"),
            }
        }
        reader.finish().map(|()| all)
    }

    #[test]
    fn records_and_content_are_read_and_damage_is_told() {
        let text = "{\"Records\":[{\"a\":1},{\"b\":2}]}";
        let files = Files::default();
        let bytes = packed(text);
        assert_eq!(
            read(files.records(), &bytes).unwrap(),
            b"{\"a\":1}{\"b\":2}"
        );
        assert_eq!(read(files.content(), &bytes).unwrap(), text.as_bytes());
        let short = &bytes[..bytes.len() - 9];
        assert_eq!(read(files.records(), short), Err(Fault::Truncated));
        assert!(read(files.content(), short).is_err());
        assert_eq!(
            read(files.records(), &packed("{\"a\":1}")),
            Err(Fault::NoRecords)
        );
        let mut broken = bytes.clone();
        broken[0] = b'x';
        assert!(matches!(
            read(files.content(), &broken),
            Err(Fault::Damaged(_))
        ));
    }
}
