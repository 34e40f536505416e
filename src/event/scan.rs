//! One pass over JSON text: what `serde_json` takes for JSON is JSON here, and
//! nothing else, but nothing is made of it on the way. Values are slices of
//! the text; whoever wants one reads it then.

use std::{borrow::Cow, ops::Range};

use super::json;

/// A place in a text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    marks: Marks,
    at: usize,
    /// What is open within the value that is being passed, innermost last:
    /// whether each is an object. No longer than the text.
    open: Vec<bool>,
}

/// A key: as it stands, or what its escapes say.
pub(super) type Key<'a> = Cow<'a, str>;

/// A value as it stands.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) text: &'a str,
    /// It is a string that says what stands between its quotes.
    is_plain: bool,
}

impl<'a> Value<'a> {
    /// A scalar as text: types vary in the wild (`readOnly` as a string,
    /// accounts as numbers). Null, arrays and objects are no text.
    pub(super) fn scalar(self) -> Option<Cow<'a, str>> {
        if self.is_plain {
            let inner = self.text.get(1..self.text.len() - 1)?;
            return Some(inner.into());
        }
        json::scalar(self.text)
    }
}

/// The members of an object that is all of `text`. Each is told with its key,
/// in the text's order, the scanner before its value; whoever hears of it
/// passes the value. `None`: not an object, or not to its end, and then what
/// was told does not count.
pub(super) fn members<'a>(
    text: &'a str,
    each: &mut impl FnMut(&mut Scanner<'a>, Key<'a>) -> Option<()>,
) -> Option<()> {
    let mut scanner = Scanner::new(text);
    scanner.object(false, each)?;
    scanner.space();
    scanner.peek().is_none().then_some(())
}

/// The elements of an array that is all of `text`, told as [`members`] tells
/// those of an object.
pub(super) fn elements<'a>(
    text: &'a str,
    each: &mut impl FnMut(&mut Scanner<'a>) -> Option<()>,
) -> Option<()> {
    let mut scanner = Scanner::new(text);
    scanner.array(each)?;
    scanner.space();
    scanner.peek().is_none().then_some(())
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            marks: Marks::of(text.as_bytes()),
            at: 0,
            open: Vec::new(),
        }
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space, not yet passed.
    #[inline(always)]
    fn token(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        if byte > b' ' {
            return Some(byte);
        }
        self.space();
        self.peek()
    }

    #[cold]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.token()? == byte).then(|| self.at += 1)
    }

    /// Whether an object comes next.
    pub(super) fn is_object(&mut self) -> bool {
        self.token() == Some(b'{')
    }

    /// Whether an array comes next.
    pub(super) fn is_array(&mut self) -> bool {
        self.token() == Some(b'[')
    }

    /// Passes a value: where it stands.
    pub(super) fn place(&mut self) -> Option<Range<usize>> {
        self.token()?;
        let start = self.at;
        self.value()?;
        Some(start..self.at)
    }

    /// The members of the object that comes next, as [`members`] tells them.
    /// The keys of an object within another hold no control characters.
    pub(super) fn object(
        &mut self,
        is_nested: bool,
        each: &mut impl FnMut(&mut Self, Key<'a>) -> Option<()>,
    ) -> Option<()> {
        self.expect(b'{')?;
        if self.token()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.key(is_nested)?;
            each(self, key)?;
            match self.token()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// The elements of the array that comes next, as [`elements`] tells them.
    pub(super) fn array(&mut self, each: &mut impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'[')?;
        if self.token()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            each(self)?;
            match self.token()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// A key and its colon.
    #[inline(always)]
    fn key(&mut self, is_nested: bool) -> Option<Key<'a>> {
        self.expect(b'"')?;
        let start = self.at;
        // serde_json lets control characters pass in a key that is read as
        // bytes, and so they have always passed in the record's own
        let is_plain = self.string(!is_nested)?;
        let key = if is_plain {
            Cow::Borrowed(self.text.get(start..self.at - 1)?)
        } else {
            Cow::Owned(json::key(self.text.get(start - 1..self.at)?)?)
        };
        self.expect(b':')?;
        Some(key)
    }

    /// Passes a string whose opening quote was passed. Whether it has no
    /// escapes.
    #[inline(always)]
    fn string(&mut self, may_control: bool) -> Option<bool> {
        let bytes = self.text.as_bytes();
        let mut is_plain = true;
        loop {
            let end = self.marks.next(self.at)?;
            let byte = *bytes.get(end)?;
            self.at = end + 1;
            match byte {
                b'"' => return Some(is_plain),
                b'\\' => {
                    is_plain = false;
                    self.escape()?;
                }
                _ if may_control => {}
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
                self.at += 4;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    /// Passes a value: its text.
    #[inline]
    pub(super) fn value(&mut self) -> Option<Value<'a>> {
        let byte = self.token()?;
        let start = self.at;
        if byte == b'"' {
            self.at += 1;
            let is_plain = self.string(false)?;
            let text = self.text.get(start..self.at)?;
            return Some(Value { text, is_plain });
        }
        let text = self.passed()?;
        Some(Value {
            text,
            is_plain: false,
        })
    }

    /// Passes a value that is no string, whose first byte comes next.
    fn passed(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.open.clear();
        loop {
            if self.begin()? {
                continue;
            }
            // a value ended, and with it what it stands at the end of
            loop {
                let Some(is_object) = self.open.last().copied() else {
                    return self.text.get(start..self.at);
                };
                let byte = self.token()?;
                self.at += 1;
                match (byte, is_object) {
                    (b',', true) => {
                        self.inner_key()?;
                        break;
                    }
                    (b',', false) => break,
                    (b'}', true) | (b']', false) => {
                        self.open.pop();
                    }
                    _ => return None,
                }
            }
        }
    }

    /// Passes a scalar, an empty array, an empty object, or the start of one
    /// that is not empty: then true, and its first value comes next.
    fn begin(&mut self) -> Option<bool> {
        let byte = self.token()?;
        self.at += 1;
        match byte {
            b'"' => self.string(false).map(|_| false),
            b'{' => {
                if self.token()? == b'}' {
                    self.at += 1;
                    return Some(false);
                }
                self.open.push(true);
                self.inner_key()?;
                Some(true)
            }
            b'[' => {
                if self.token()? == b']' {
                    self.at += 1;
                    return Some(false);
                }
                self.open.push(false);
                Some(true)
            }
            b't' => self.word(b"rue"),
            b'f' => self.word(b"alse"),
            b'n' => self.word(b"ull"),
            b'-' => {
                let first = self.peek()?;
                self.at += 1;
                self.number(first)
            }
            _ => self.number(byte),
        }
    }

    #[inline]
    fn inner_key(&mut self) -> Option<()> {
        self.expect(b'"')?;
        self.string(false)?;
        self.expect(b':')
    }

    fn word(&mut self, rest: &[u8]) -> Option<bool> {
        let end = self.at + rest.len();
        let is_it = self.text.as_bytes().get(self.at..end)? == rest;
        self.at = end;
        is_it.then_some(false)
    }

    /// A number whose first digit was passed.
    fn number(&mut self, first: u8) -> Option<bool> {
        match first {
            b'0' => {
                if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                    return None;
                }
            }
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Some(false)
    }

    fn some_digits(&mut self) -> Option<()> {
        let start = self.at;
        self.digits();
        (self.at > start).then_some(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }
}

/// Where quotes, backslashes and control characters stand in a text: a bit for
/// each byte, and a word for each block. Strings are most of a record and
/// mostly short; finding their ends bit by bit spares a branch that the
/// processor cannot guess.
struct Marks(Vec<u64>);

impl Marks {
    fn of(text: &[u8]) -> Self {
        let (blocks, rest) = text.as_chunks::<64>();
        let mut marks = Vec::with_capacity(blocks.len() + 1);
        marks.extend(blocks.iter().map(marks_of));
        let mut last = [b' '; 64];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        marks.push(marks_of(&last));
        Self(marks)
    }

    /// The first place from `at` on that is marked.
    #[inline]
    fn next(&self, at: usize) -> Option<usize> {
        let mut block = at / 64;
        let mut bits = self.0.get(block)? & (u64::MAX << (at % 64));
        while bits == 0 {
            block += 1;
            bits = *self.0.get(block)?;
        }
        Some(block * 64 + bits.trailing_zeros() as usize)
    }
}

/// Written so that it becomes vector instructions: a byte that is one for each
/// that is marked, then eight of them at once moved together by a product.
fn marks_of(block: &[u8; 64]) -> u64 {
    let mut marks = [0_u8; 64];
    for (mark, byte) in marks.iter_mut().zip(block) {
        *mark = u8::from((*byte == b'"') | (*byte == b'\\') | (*byte < b' '));
    }
    let (words, _) = marks.as_chunks::<8>();
    words.iter().rev().fold(0, |bits, word| {
        let word = u64::from_le_bytes(*word);
        bits << 8 | word.wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}
