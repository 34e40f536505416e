//! JSON as Jackson writes it for Spark.

/// JSON on its way out, without white space.
#[derive(Default)]
pub(crate) struct Writer {
    text: String,
    /// A comma belongs before the next value.
    is_next: bool,
    /// Characters that UTF-16 has in halves are written as they are: elsewhere Jackson
    /// writes each half escaped.
    is_whole: bool,
}

impl Writer {
    /// One that writes elements of an array, without its brackets.
    pub(crate) fn within_array() -> Self {
        Self {
            is_whole: true,
            ..Self::default()
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn begin(&mut self) {
        if std::mem::replace(&mut self.is_next, true) {
            self.text.push(',');
        }
    }

    /// A value as it stands.
    pub(crate) fn value(&mut self, text: &str) {
        self.begin();
        self.text.push_str(text);
    }

    /// A text, without quotes.
    pub(crate) fn raw(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(crate) fn open(&mut self, bracket: char) {
        self.begin();
        self.text.push(bracket);
        self.is_next = false;
    }

    pub(crate) fn close(&mut self, bracket: char) {
        self.text.push(bracket);
        self.is_next = true;
    }

    pub(crate) fn name(&mut self, name: &str) {
        self.text(name);
        self.text.push(':');
        self.is_next = false;
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.begin();
        self.text.push('"');
        for c in text.chars() {
            self.character(c);
        }
        self.text.push('"');
    }

    /// A text in UTF-16, of which halves of characters may stand alone.
    pub(crate) fn units(&mut self, units: impl Iterator<Item = u16>) {
        self.begin();
        self.text.push('"');
        for c in char::decode_utf16(units) {
            match c {
                Ok(c) => self.character(c),
                Err(half) => self.escape(half.unpaired_surrogate()),
            }
        }
        self.text.push('"');
    }

    fn character(&mut self, c: char) {
        match c {
            '"' => self.text.push_str("\\\""),
            '\\' => self.text.push_str("\\\\"),
            '\u{8}' => self.text.push_str("\\b"),
            '\t' => self.text.push_str("\\t"),
            '\n' => self.text.push_str("\\n"),
            '\u{c}' => self.text.push_str("\\f"),
            '\r' => self.text.push_str("\\r"),
            c if c < ' ' || (c > '\u{ffff}' && !self.is_whole) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    self.escape(*unit);
                }
            }
            c => self.text.push(c),
        }
    }

    fn escape(&mut self, unit: u16) {
        self.text.push_str(&format!("\\u{unit:04X}"));
    }

    /// A number: whole ones as they are, others as a double has them.
    pub(crate) fn number(&mut self, number: &str) {
        self.begin();
        if number.contains(['.', 'e', 'E']) {
            self.text
                .push_str(&double(number.parse().unwrap_or(f64::NAN)));
        } else if number == "-0" {
            self.text.push('0');
        } else {
            self.text.push_str(number);
        }
    }
}

/// A double as Java writes it: with an exponent below 0.001 and from ten million on.
fn double(number: f64) -> String {
    if number.is_infinite() {
        let sign = if number < 0.0 { "-" } else { "" };
        return format!("\"{sign}Infinity\"");
    }
    let size = number.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        // with a digit after the point, which Debug writes as well
        return format!("{number:?}");
    }
    let written = format!("{number:e}");
    match written.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => format!("{digits}E{exponent}"),
        Some((digits, exponent)) => format!("{digits}.0E{exponent}"),
        None => written,
    }
}
