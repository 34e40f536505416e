//! What may come next in a query.

use rustyline::{
    Context, Result,
    completion::{Completer, Pair},
};

use crate::sql::words;

/// Words of SQL that queries here have.
const KEYWORDS: [&str; 48] = [
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "DATE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "SELECT",
    "SHOW TABLES",
    "TIMESTAMP",
    "TRUE",
    "UNION",
    "WHERE",
    "WITH",
];

/// See the module.
#[derive(Debug)]
pub(super) struct Helper {
    /// Names, as they are written.
    names: Vec<String>,
}

impl Default for Helper {
    fn default() -> Self {
        Self { names: words() }
    }
}

impl Helper {
    /// What a word may become.
    fn offers(&self, word: &str) -> Vec<String> {
        let begins = |name: &str| {
            name.get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        let names = self.names.iter().filter(|name| begins(name)).cloned();
        let is_lower = word.chars().all(|c| !c.is_uppercase());
        let keywords = KEYWORDS.into_iter().filter(|name| begins(name));
        let keywords = keywords.map(|name| match is_lower {
            true => name.to_lowercase(),
            false => name.to_owned(),
        });
        let mut offers: Vec<String> = names.chain(keywords).collect();
        offers.sort_by_key(|name| name.to_lowercase());
        offers.dedup();
        offers
    }
}

impl Completer for Helper {
    type Candidate = Pair;

    fn complete(&self, line: &str, place: usize, _: &Context<'_>) -> Result<(usize, Vec<Pair>)> {
        let before = line.get(..place).unwrap_or_default();
        let start = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |at| at + 1);
        let word = before.get(start..).unwrap_or_default();
        if word.is_empty() {
            return Ok((place, Vec::new()));
        }
        let pair = |name: String| Pair {
            display: name.clone(),
            replacement: name,
        };
        Ok((start, self.offers(word).into_iter().map(pair).collect()))
    }
}

impl rustyline::hint::Hinter for Helper {
    type Hint = String;
}
impl rustyline::highlight::Highlighter for Helper {}
impl rustyline::validate::Validator for Helper {}
impl rustyline::Helper for Helper {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_words_are_offered_whatever_their_case() {
        let helper = Helper::default();
        assert!(helper.offers("eventn").contains(&"eventName".to_owned()));
        assert!(helper.offers("EVENTN").contains(&"eventName".to_owned()));
        assert!(
            helper
                .offers("princ")
                .contains(&"principal_activity".to_owned())
        );
        assert!(
            helper
                .offers("get_j")
                .contains(&"get_json_object".to_owned())
        );
        assert!(helper.offers("SEL").contains(&"SELECT".to_owned()));
        assert!(helper.offers("sel").contains(&"select".to_owned()));
        assert!(helper.offers("é").is_empty());
    }
}
