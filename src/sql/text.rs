//! From a query's text to its tree, with names in one spelling.
//!
//! Names match whatever their case, as they do in Spark. Each word of the text that
//! is a name is written as CloudTrail writes it, or as it stands where it comes first;
//! from there on the engine compares them exactly. Members of structs are found by
//! `nested`, where their types are known.

use std::collections::HashMap;

use datafusion::sql::sqlparser::{
    ast::Statement,
    dialect::GenericDialect,
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan, Tokenizer},
};

use super::{error::Error, guard::not_for_reading};

/// The longest text of a query, in bytes: reports have some 4 KB, and a list of a
/// thousand ids some 40.
pub const MAX_TEXT: usize = 128 * 1024;

/// The most words, numbers and signs in a query. Whatever is nested in it is nested no
/// deeper, so that the engine's walks over it end on the stack that they have.
const MAX_TOKENS: usize = 20_000;

/// How deep the parser goes: its own bound.
const MAX_DEPTH: usize = 50;

/// How deep brackets and CASE may be nested. Where the parser comes to its own bound it
/// goes back and tries another reading, at each bracket: 2 to the power of them.
const MAX_OPEN: usize = 24;

/// Names as they are written, by their lower case.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(HashMap<String, String>);

impl Names {
    /// A name in its one spelling: that which came first.
    pub(super) fn spell(&mut self, name: &str) -> String {
        let Self(names) = self;
        names
            .entry(name.to_lowercase())
            .or_insert_with(|| name.to_owned())
            .clone()
    }

    /// All of them.
    pub(super) fn all(self) -> impl Iterator<Item = String> {
        self.0.into_values()
    }
}

/// Reads the one statement of a text; names that are new in it become known.
pub(super) fn parse(text: &str, names: &mut Names) -> Result<Statement, Error> {
    if text.len() > MAX_TEXT {
        let length = text.len();
        return Err(Error::refused(format!(
            "the query has {length} bytes; at most {MAX_TEXT}"
        )));
    }
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location();
    let mut tokens = tokens.map_err(|error| Error::wrong(format!("cannot be read: {error}")))?;
    if tokens.len() > MAX_TOKENS {
        return Err(Error::refused(format!(
            "the query has {} words and signs; at most {MAX_TOKENS}",
            tokens.len()
        )));
    }
    if let Some(wrong) = nested(&tokens) {
        return Err(Error::refused(wrong));
    }
    if let Some(word) = first_of_other(&tokens) {
        return Err(not_for_reading(&word.to_uppercase()));
    }
    let mut places = 0;
    for TokenWithSpan { token, .. } in &mut tokens {
        match token {
            Token::Word(word) => word.value = names.spell(&word.value),
            Token::Placeholder(place) if place == "?" => {
                places += 1;
                *place = format!("${places}");
            }
            _ => {}
        }
    }
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(MAX_DEPTH)
        .with_tokens_with_locations(tokens);
    let mut statements = parser.parse_statements().map_err(unread)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(Error::wrong(
            "there is no query; write one, such as SELECT 1",
        )),
        (Some(_), false) => Err(Error::refused(
            "there is more than one statement; send them one by one",
        )),
    }
}

/// The word that a text begins with, if what is read begins with none such: the parser
/// would say of most what it expects next.
fn first_of_other(tokens: &[TokenWithSpan]) -> Option<&str> {
    let tokens = tokens.iter().map(|token| &token.token);
    let first = tokens.into_iter().find(|token| {
        !matches!(
            token,
            Token::Whitespace(_) | Token::SemiColon | Token::LParen
        )
    })?;
    let Token::Word(word) = first else {
        return None;
    };
    let reads = matches!(
        word.keyword,
        Keyword::SELECT
            | Keyword::WITH
            | Keyword::VALUES
            | Keyword::EXPLAIN
            | Keyword::DESCRIBE
            | Keyword::DESC
            | Keyword::SHOW
            | Keyword::TABLE
            | Keyword::FROM
            // a typing error: the parser says so
            | Keyword::NoKeyword
    );
    (!reads).then_some(&*word.value)
}

/// What there is too much of that the parser lets be nested without end.
fn nested(tokens: &[TokenWithSpan]) -> Option<String> {
    let tokens = tokens.iter().map(|token| &token.token);
    let tokens = tokens.filter(|token| !matches!(token, Token::Whitespace(_)));
    let (mut lists, mut types, mut intervals) = (0, 0, 0);
    let (mut open, mut deepest) = (0_usize, 0);
    let mut before = &Token::EOF;
    for token in tokens {
        match token {
            Token::RBracket if *before == Token::LBracket => lists += 1,
            Token::Lt if matches!(before, Token::Word(_)) => types += usize::from(is_type(before)),
            Token::Word(word) => match word.keyword {
                Keyword::INTERVAL => intervals += 1,
                Keyword::CASE => open += 1,
                Keyword::END => open = open.saturating_sub(1),
                _ => {}
            },
            Token::LParen => open += 1,
            Token::RParen => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
        before = token;
    }
    if deepest > MAX_OPEN {
        return Some(format!(
            "brackets, subqueries and CASE are nested more than {MAX_OPEN} deep"
        ));
    }
    let counts = [
        (lists, "types of lists"),
        (types, "types within types"),
        (intervals, "intervals"),
    ];
    let mut counts = counts.into_iter();
    let (_, what) = counts.find(|(count, _)| *count > MAX_DEPTH)?;
    Some(format!("the query has more than {MAX_DEPTH} {what}"))
}

fn is_type(token: &Token) -> bool {
    let Token::Word(word) = token else {
        return false;
    };
    let keyword = word.keyword;
    matches!(keyword, Keyword::ARRAY | Keyword::MAP | Keyword::STRUCT)
}

fn unread(error: ParserError) -> Error {
    match error {
        ParserError::RecursionLimitExceeded => Error::refused(format!(
            "brackets and subqueries are nested more than {MAX_DEPTH} deep"
        )),
        ParserError::TokenizerError(what) | ParserError::ParserError(what) => {
            Error::wrong(format!("cannot be read: {what}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, Error> {
        let mut names = Names::default();
        for name in ["cloudtrail", "eventName", "userIdentity"] {
            names.spell(name);
        }
        parse(text, &mut names).map(|statement| statement.to_string())
    }

    #[test]
    fn names_have_one_spelling() {
        assert_eq!(
            read("select EVENTNAME, count(*) N from CloudTrail group by eventname order by n"),
            Ok(
                "SELECT eventName, count(*) AS N FROM cloudtrail GROUP BY eventName ORDER BY N"
                    .into()
            )
        );
        assert_eq!(
            read("with A as (select `useridentity`.ARN x from \"CLOUDTRAIL\" 't') select X from a"),
            Ok("WITH A AS (SELECT `userIdentity`.ARN AS x FROM \"cloudtrail\" 't') SELECT x FROM A"
                .into())
        );
        // what is in quotes is no name
        assert_eq!(read("select 'EVENTNAME'"), Ok("SELECT 'EVENTNAME'".into()));
    }

    #[test]
    fn one_statement_is_read() {
        assert!(read("select 1;").is_ok());
        for (text, words) in [
            ("", "there is no query"),
            (";", "there is no query"),
            ("-- nothing", "there is no query"),
            ("select 1; select 2", "more than one statement"),
            ("select 1; drop table cloudtrail", "more than one statement"),
            ("selec 1", "cannot be read"),
            ("select 'a", "cannot be read"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let nested = format!("select {}1{}", "(".repeat(200), ")".repeat(200));
        for text in [
            format!("select '{}'", "a".repeat(MAX_TEXT)),
            format!("select 1{}", "+1".repeat(MAX_TOKENS)),
            nested,
        ] {
            let error = read(&text).unwrap_err();
            assert!(matches!(error, Error::Refused(_)), "{error}");
        }
        // a long chain is not deep
        assert!(read(&format!("select 1{}", "+1".repeat(5000))).is_ok());
    }
}
