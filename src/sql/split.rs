//! Statements that are typed one after the other.

use datafusion::sql::sqlparser::{
    dialect::GenericDialect,
    tokenizer::{Token, Tokenizer},
};

/// A text, cut after the semicolons that end statements: those in quotes and in comments
/// end none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split<'a> {
    /// Statements, each with its semicolon. Such as say nothing are left out.
    pub whole: Vec<&'a str>,
    /// What comes after them, if it says something.
    pub rest: &'a str,
    /// Whether quotes, or a comment, are open where it ends.
    pub is_open: bool,
}

/// Cuts a text into statements.
#[must_use]
pub fn split(text: &str) -> Split<'_> {
    let mut tokens = Vec::new();
    let dialect = GenericDialect {};
    let read = Tokenizer::new(&dialect, text).tokenize_with_location_into_buf(&mut tokens);
    let mut places = Places::of(text);
    let (mut whole, mut start, mut says) = (Vec::new(), 0, false);
    for token in &tokens {
        match token.token {
            Token::SemiColon => {
                let from = token.span.start;
                let end = places
                    .byte(from.line, from.column)
                    .map_or(text.len(), |at| at + 1);
                let statement = text.get(start..end).unwrap_or_default();
                whole.extend(says.then_some(statement));
                (start, says) = (end, false);
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => says = true,
        }
    }
    let rest = text.get(start..).unwrap_or_default();
    let (rest, is_open) = match read {
        Ok(()) if says => (rest, false),
        Ok(()) => ("", false),
        Err(error) if is_unended(&error.message) => (rest, true),
        // whoever answers says what is wrong with it
        Err(_) if rest.trim_end().ends_with(';') => {
            whole.push(rest);
            ("", false)
        }
        Err(_) => (rest, false),
    };
    Split {
        whole,
        rest,
        is_open,
    }
}

/// Whether it cannot be read for what is still to come, in the tokenizer's words.
fn is_unended(message: &str) -> bool {
    let words = ["Unterminated", "before EOF", "Unexpected EOF"];
    words.iter().any(|words| message.contains(words))
}

/// Bytes of a text by their lines and columns, which must be asked for in order.
struct Places<'a> {
    chars: std::str::CharIndices<'a>,
    line: u64,
    column: u64,
}

impl<'a> Places<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            chars: text.char_indices(),
            line: 1,
            column: 1,
        }
    }

    fn byte(&mut self, line: u64, column: u64) -> Option<usize> {
        for (at, c) in self.chars.by_ref() {
            let is_here = (self.line, self.column) == (line, column);
            match c {
                '\n' => (self.line, self.column) = (self.line + 1, 1),
                _ => self.column += 1,
            }
            if is_here {
                return Some(at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> (Vec<&str>, &str, bool) {
        let split = split(text);
        (split.whole, split.rest, split.is_open)
    }

    #[test]
    fn statements_end_outside_of_quotes_and_comments() {
        assert_eq!(
            parts("select 1;select 'é;'\n;  select \";\" from"),
            (
                vec!["select 1;", "select 'é;'\n;"],
                "  select \";\" from",
                false
            )
        );
        assert_eq!(
            parts("select 1; -- one;\n /* two; */ ; "),
            (vec!["select 1;"], "", false)
        );
        for open in [
            "select 'a;\n",
            "select `a;",
            "/* a;",
            "select $$a;",
            "select 'it''s;",
        ] {
            let text = format!("select 1;{open}");
            assert_eq!(parts(&text), (vec!["select 1;"], open, true));
        }
        // a comment of one line ends with it
        assert_eq!(parts("-- it's\nselect 1;").0.len(), 1);
        assert_eq!(parts("-- it's;"), (vec![], "", false));
        assert_eq!(parts(""), (vec![], "", false));
    }

    proptest! {
        #[test]
        fn what_is_cut_is_told_again(
            pieces in prop::collection::vec(
                prop::sample::select(vec!["é", "'", "\"", ";", "\n", "--", "/*", "*/", "a", " ", "$", "\\"]),
                0..20,
            )
        ) {
            let text = pieces.concat();
            let mut left = text.as_str();
            let split = split(&text);
            for part in split.whole.iter().chain([&split.rest]) {
                let at = left.find(part);
                prop_assert!(at.is_some(), "{text:?}: {split:?}");
                left = left.get(at.unwrap() + part.len()..).unwrap();
            }
            prop_assert!(split.whole.iter().all(|whole| whole.trim_end().ends_with(';')));
        }
    }
}
