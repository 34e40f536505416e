//! The records of `{"Records":[…]}`, found in a window that moves along.

use super::{Problem, nesting::Nesting};

/// The list that is read.
const RECORDS: &str = "Records";

/// The longest that its key can be written: six bytes for each character.
const MAX_KEY: usize = 6 * RECORDS.len();

/// What was found next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing to the end of the window.
    More,
    /// A record, and where it stands in the window.
    Record { start: usize, end: usize },
    /// A record that is larger than the largest that is given: its length.
    TooLarge(u64),
}

/// What is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The object.
    Start,
    /// Its first key, or its end.
    KeyOrEnd,
    /// A key.
    Key,
    /// The rest of a key.
    InKey { is_escaped: bool },
    /// The colon, and whether the key is the wanted one.
    Colon { is_records: bool },
    /// A member's value.
    Value { is_records: bool },
    /// The rest of a value that is passed over.
    InValue,
    /// The first record, or the end of the list.
    RecordOrEnd,
    /// A record.
    Record,
    /// The rest of a record.
    InRecord,
    /// What follows a member's value.
    AfterValue,
    /// Nothing.
    End,
}

pub(super) struct Splitter {
    state: State,
    /// What was passed of the window.
    at: usize,
    /// Where in the window the record starts that is being passed.
    start: usize,
    /// Bytes of that record that were dropped, since it is too large.
    dropped: u64,
    nesting: Nesting,
    /// The key that is being passed, as far as it can be the wanted one.
    key: Vec<u8>,
    saw_records: bool,
    max_record: usize,
}

impl Splitter {
    /// A splitter that gives records of at most so many bytes.
    pub(super) fn new(max_record: usize) -> Self {
        Self {
            state: State::Start,
            at: 0,
            start: 0,
            dropped: 0,
            nesting: Nesting::default(),
            key: Vec::new(),
            saw_records: false,
            max_record,
        }
    }

    /// How many bytes of the window were passed.
    pub(super) fn passed(&self) -> usize {
        self.at
    }

    /// Whether the text may end here.
    pub(super) fn end(&self) -> Result<(), Problem> {
        match self.state {
            State::Start => Err(Problem::NoRecords),
            State::End => Ok(()),
            _ => Err(Problem::TooShort),
        }
    }

    /// Lets go of the front of the window: of how many bytes. What is kept is
    /// the part of one record.
    pub(super) fn forget(&mut self) -> usize {
        let mut forgotten = self.at;
        if self.state == State::InRecord {
            if self.at - self.start > self.max_record {
                self.dropped += count(self.at - self.start);
                self.start = self.at;
            }
            forgotten = self.start;
        }
        self.at -= forgotten;
        self.start = 0;
        forgotten
    }

    /// What comes next in the window, which only grows until something is
    /// forgotten.
    pub(super) fn next(&mut self, window: &[u8]) -> Result<Found, Problem> {
        loop {
            let rest = window.get(self.at..).unwrap_or_default();
            if let State::InRecord | State::InValue = self.state {
                let (len, ended) = self.nesting.pass(rest);
                self.at += len;
                let Some(byte) = ended else {
                    return Ok(Found::More);
                };
                if self.state == State::InRecord {
                    return self.record(window, byte);
                }
                self.state = State::AfterValue;
                continue;
            }
            let Some(byte) = rest.first().copied() else {
                return Ok(Found::More);
            };
            self.step(byte)?;
        }
    }

    /// A record ends before this byte.
    fn record(&mut self, window: &[u8], byte: u8) -> Result<Found, Problem> {
        self.state = match byte {
            b',' => State::Record,
            b']' => State::AfterValue,
            _ => return Err(Problem::Unexpected(byte, "a comma or the end of Records")),
        };
        let (start, end) = (self.start, self.at);
        self.at += 1;
        let len = std::mem::take(&mut self.dropped) + count(end - start);
        if len > count(self.max_record) {
            return Ok(Found::TooLarge(len));
        }
        let spaces = window.get(start..end).unwrap_or_default().iter().rev();
        let spaces = spaces.take_while(|byte| is_space(**byte)).count();
        Ok(Found::Record {
            start,
            end: end - spaces,
        })
    }

    /// Passes a byte, or goes over to what passes many.
    fn step(&mut self, byte: u8) -> Result<(), Problem> {
        let unexpected = |wanted| Err(Problem::Unexpected(byte, wanted));
        if let State::InKey { is_escaped } = self.state {
            self.at += 1;
            self.in_key(byte, is_escaped);
            return Ok(());
        }
        if is_space(byte) {
            self.at += 1;
            return Ok(());
        }
        let next = match (self.state, byte) {
            // a byte order mark, which some programs put in front
            (State::Start, 0xef | 0xbb | 0xbf) => State::Start,
            (State::Start, b'{') => State::KeyOrEnd,
            (State::Start, _) => return Err(Problem::NoRecords),
            (State::KeyOrEnd | State::Key, b'"') => {
                self.key.clear();
                State::InKey { is_escaped: false }
            }
            (State::KeyOrEnd | State::AfterValue, b'}') if self.saw_records => State::End,
            (State::KeyOrEnd | State::AfterValue, b'}') => return Err(Problem::NoRecords),
            (State::KeyOrEnd | State::Key, _) => return unexpected("a key"),
            (State::Colon { is_records }, b':') => State::Value { is_records },
            (State::Colon { .. }, _) => return unexpected("a colon"),
            (State::Value { is_records: true }, b'[') => {
                self.saw_records = true;
                State::RecordOrEnd
            }
            (State::RecordOrEnd, b']') => State::AfterValue,
            (State::AfterValue, b',') => State::Key,
            (State::AfterValue, _) => return unexpected("a comma or the end of the object"),
            (State::End, _) => return unexpected("the end of the file"),
            (_, b',' | b'}' | b']') => return unexpected("a value"),
            (state, _) => {
                // the byte is the first of the value
                self.nesting = Nesting::default();
                self.start = self.at;
                self.state = match state {
                    State::Value { .. } => State::InValue,
                    _ => State::InRecord,
                };
                return Ok(());
            }
        };
        self.at += 1;
        self.state = next;
        Ok(())
    }

    fn in_key(&mut self, byte: u8, is_escaped: bool) {
        if byte == b'"' && !is_escaped {
            let is_records = self.is_records();
            self.state = State::Colon { is_records };
            return;
        }
        // one byte too many shows that it is another
        if self.key.len() <= MAX_KEY {
            self.key.push(byte);
        }
        self.state = State::InKey {
            is_escaped: byte == b'\\' && !is_escaped,
        };
    }

    fn is_records(&self) -> bool {
        if !self.key.contains(&b'\\') {
            return self.key == RECORDS.as_bytes();
        }
        let quoted = [b"\"", self.key.as_slice(), b"\""].concat();
        serde_json::from_slice::<String>(&quoted).is_ok_and(|key| key == RECORDS)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t' | b'\r')
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
