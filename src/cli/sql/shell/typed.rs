//! What is typed, line by line, until it is a statement or a command.

use crate::sql::{MAX_TEXT, split};

/// What has been typed of a statement that has not come to its end.
#[derive(Debug, Default)]
pub(super) struct Typed {
    text: String,
}

/// What a line makes whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// A statement, with its semicolon.
    Statement(String),
    /// A command, without its backslash.
    Command(String),
    /// There was more than a query may have, and it is forgotten.
    TooLong,
}

impl Typed {
    /// Whether a line would begin a statement.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Forgets it.
    pub(super) fn clear(&mut self) {
        self.text.clear();
    }

    /// Takes a line, and says what it makes whole, in order.
    pub(super) fn line(&mut self, line: &str) -> Vec<Whole> {
        let said = line.trim();
        if let Some(command) = said.strip_prefix('\\')
            // in quotes it is text
            && !split(&self.text).is_open
        {
            return vec![Whole::Command(command.to_owned())];
        }
        if self.is_empty() {
            if said.is_empty() {
                return Vec::new();
            }
            if let Some(command) = word(said) {
                return vec![Whole::Command(command.to_owned())];
            }
        }
        if self.text.len() + line.len() > MAX_TEXT {
            self.clear();
            return vec![Whole::TooLong];
        }
        let begins = self.is_empty();
        self.text.push_str(line);
        self.text.push('\n');
        if !begins && !line.contains(';') {
            return Vec::new();
        }
        let split = split(&self.text);
        let statement = |text: &&str| Whole::Statement(text.trim().to_owned());
        let whole = split.whole.iter().map(statement).collect();
        self.text = split.rest.to_owned();
        whole
    }
}

/// The command that a line means which is a word alone, as in psql.
fn word(line: &str) -> Option<&'static str> {
    let line = line.trim_end_matches(';').trim_end();
    let commands = [("exit", "q"), ("quit", "q"), ("help", "?")];
    let mut commands = commands.into_iter();
    let (_, command) = commands.find(|(word, _)| line.eq_ignore_ascii_case(word))?;
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(text: &str) -> Whole {
        Whole::Statement(text.to_owned())
    }

    fn command(text: &str) -> Whole {
        Whole::Command(text.to_owned())
    }

    #[test]
    fn lines_become_statements() {
        let mut typed = Typed::default();
        assert_eq!(typed.line("select 1"), []);
        assert!(!typed.is_empty());
        assert_eq!(
            typed.line("; select ';' x; select"),
            [statement("select 1\n;"), statement("select ';' x;")]
        );
        assert_eq!(typed.line("2; -- done"), [statement("select\n2;")]);
        assert!(typed.is_empty());
        assert_eq!(typed.line("  "), []);
        assert_eq!(typed.line(";"), []);
        assert!(typed.is_empty());
        assert_eq!(typed.line("select 3"), []);
        typed.clear();
        assert!(typed.is_empty());
        // what is no SQL ends as well, and is refused
        assert_eq!(typed.line("sel\\ct;"), [statement("sel\\ct;")]);
    }

    #[test]
    fn commands_are_lines_outside_of_quotes() {
        let mut typed = Typed::default();
        assert_eq!(typed.line(" \\d cloudtrail "), [command("d cloudtrail")]);
        assert_eq!(typed.line("select"), []);
        assert_eq!(typed.line("\\?"), [command("?")]);
        assert_eq!(typed.line("'a"), []);
        assert_eq!(typed.line("\\q"), []);
        // no word is one within a statement
        assert_eq!(typed.line("exit"), []);
        assert_eq!(typed.line("';"), [statement("select\n'a\n\\q\nexit\n';")]);
        for (word, meant) in [("exit", "q"), ("QUIT;", "q"), ("help ;", "?")] {
            assert_eq!(typed.line(word), [command(meant)]);
        }
        assert_eq!(typed.line("helper"), []);
    }

    #[test]
    fn what_is_too_long_is_forgotten() {
        let mut typed = Typed::default();
        assert_eq!(typed.line("select '"), []);
        assert_eq!(typed.line(&"a".repeat(MAX_TEXT)), [Whole::TooLong]);
        assert!(typed.is_empty());
        assert_eq!(typed.line("select 1;"), [statement("select 1;")]);
    }
}
