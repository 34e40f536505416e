//! JSON as Jackson reads it for Spark: strings in single quotes and with control
//! characters in them are JSON as well.

use std::borrow::Cow;

use super::write::Writer;

/// How deep a text may be nested; Jackson's own bound.
const MAX_DEPTH: usize = 1000;
/// The longest number, in characters; Jackson's own bound.
const MAX_NUMBER: usize = 1000;

/// A text is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    Text,
    Number,
    True,
    False,
    Null,
}

/// A place in a text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn slice(&self, from: usize, to: usize) -> Result<&'a str, Bad> {
        self.text.get(from..to).ok_or(Bad)
    }

    /// Passes white space; what comes then.
    fn next(&mut self) -> Result<u8, Bad> {
        while let Some(byte) = self.byte() {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(Bad)
    }

    /// What the next value is; it is not read yet.
    pub(super) fn kind(&mut self) -> Result<Kind, Bad> {
        Ok(match self.next()? {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' | b'\'' => Kind::Text,
            b'-' | b'0'..=b'9' => Kind::Number,
            b't' => Kind::True,
            b'f' => Kind::False,
            b'n' => Kind::Null,
            _ => return Err(Bad),
        })
    }

    /// Passes the value of this kind that comes next.
    pub(super) fn skip(&mut self, kind: Kind) -> Result<(), Bad> {
        match kind {
            Kind::Object => self.members(|from, _| {
                let kind = from.kind()?;
                from.skip(kind)
            }),
            Kind::Array => self.elements(|from| {
                let kind = from.kind()?;
                from.skip(kind)
            }),
            Kind::Text => self.string().map(|_| ()),
            Kind::Number => self.number().map(|_| ()),
            Kind::True => self.word("true"),
            Kind::False => self.word("false"),
            Kind::Null => self.word("null"),
        }
    }

    /// Writes the value of this kind that comes next.
    pub(super) fn copy(&mut self, kind: Kind, to: &mut Writer) -> Result<(), Bad> {
        match kind {
            Kind::Object => {
                to.open('{');
                self.members(|from, name| {
                    to.name(&name);
                    let kind = from.kind()?;
                    from.copy(kind, to)
                })?;
                to.close('}');
            }
            Kind::Array => {
                to.open('[');
                self.elements(|from| {
                    let kind = from.kind()?;
                    from.copy(kind, to)
                })?;
                to.close(']');
            }
            Kind::Text => match self.string()? {
                (text, false) => to.text(text),
                (text, true) => to.units(units(text)?.into_iter()),
            },
            Kind::Number => {
                let number = self.number()?;
                if number.len() > MAX_NUMBER {
                    return Err(Bad);
                }
                to.number(number);
            }
            Kind::True | Kind::False | Kind::Null => {
                self.skip(kind)?;
                to.value(match kind {
                    Kind::True => "true",
                    Kind::False => "false",
                    _ => "null",
                });
            }
        }
        Ok(())
    }

    /// The members of the object that comes next.
    pub(super) fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Bad>,
    ) -> Result<(), Bad> {
        self.group(b'}', |from| {
            from.next()?;
            let name = from.text()?;
            match from.next()? {
                b':' => from.at += 1,
                _ => return Err(Bad),
            }
            member(from, name)
        })
    }

    /// The elements of the array that comes next.
    pub(super) fn elements(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<(), Bad>,
    ) -> Result<(), Bad> {
        self.group(b']', element)
    }

    fn group(
        &mut self,
        end: u8,
        mut one: impl FnMut(&mut Self) -> Result<(), Bad>,
    ) -> Result<(), Bad> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Bad);
        }
        self.at += 1;
        if self.next()? != end {
            loop {
                one(self)?;
                match self.next()? {
                    b',' => self.at += 1,
                    byte if byte == end => break,
                    _ => return Err(Bad),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Bad> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(Bad);
        }
        self.at += word.len();
        self.ends()
    }

    /// Whether a number or a word ends here.
    fn ends(&self) -> Result<(), Bad> {
        match self.byte() {
            None | Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b'}' | b']') => Ok(()),
            // as the next token it is refused there, or it is none that is read
            Some(b':' | b'[' | b'{' | b'"') => Ok(()),
            Some(_) => Err(Bad),
        }
    }

    fn number(&mut self) -> Result<&'a str, Bad> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.digits()?;
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(Bad);
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        self.ends()?;
        self.slice(start, self.at)
    }

    fn digits(&mut self) -> Result<&'a str, Bad> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        match self.at > start {
            true => self.slice(start, self.at),
            false => Err(Bad),
        }
    }

    /// Passes a string: what is between its quotes, and whether there are escapes in
    /// it. They are right.
    fn string(&mut self) -> Result<(&'a str, bool), Bad> {
        let quote = self.byte().ok_or(Bad)?;
        if !matches!(quote, b'"' | b'\'') {
            return Err(Bad);
        }
        self.at += 1;
        let start = self.at;
        let mut has_escapes = false;
        loop {
            self.at += memchr::memchr2(quote, b'\\', self.rest()).ok_or(Bad)?;
            if self.byte() == Some(quote) {
                let text = self.slice(start, self.at)?;
                self.at += 1;
                return Ok((text, has_escapes));
            }
            has_escapes = true;
            let (_, length) = escape(self.rest())?;
            self.at += length;
        }
    }

    /// The string that comes next.
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, Bad> {
        let (text, has_escapes) = self.string()?;
        match has_escapes {
            false => Ok(text.into()),
            true => unescape(text).map(Cow::Owned),
        }
    }
}

/// The code unit that an escape stands for, and its length in bytes.
fn escape(text: &[u8]) -> Result<(u16, usize), Bad> {
    let unit = match text.get(1).ok_or(Bad)? {
        b'b' => 8,
        b't' => 9,
        b'n' => 10,
        b'f' => 12,
        b'r' => 13,
        byte @ (b'"' | b'/' | b'\\' | b'\'') => u16::from(*byte),
        b'u' => {
            let digits = text.get(2..6).ok_or(Bad)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return Err(Bad);
            }
            let digits = str::from_utf8(digits).map_err(|_| Bad)?;
            let unit = u16::from_str_radix(digits, 16).map_err(|_| Bad)?;
            return Ok((unit, 6));
        }
        _ => return Err(Bad),
    };
    Ok((unit, 2))
}

/// A text with escapes, in UTF-16.
fn units(text: &str) -> Result<Vec<u16>, Bad> {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, _)) = rest.split_once('\\') {
        units.extend(before.encode_utf16());
        rest = rest.get(before.len()..).ok_or(Bad)?;
        let (unit, length) = escape(rest.as_bytes())?;
        units.push(unit);
        rest = rest.get(length..).ok_or(Bad)?;
    }
    units.extend(rest.encode_utf16());
    Ok(units)
}

fn unescape(text: &str) -> Result<String, Bad> {
    // half a character cannot be told by itself
    String::from_utf16(&units(text)?).map_err(|_| Bad)
}
