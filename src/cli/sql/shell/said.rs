//! Commands of the shell, which begin with a backslash.

use clap::ValueEnum;

use super::super::{value, write::Shape};

/// What `\?` tells.
const HELP: &str = "\
A query ends with a semicolon, and may have many lines. Ctrl-C ends a query under way,
and forgets what was typed.
  \\d                 the tables and views
  \\d NAME            the columns of one
  \\o FORMAT          table, csv or json
  \\set               the values of parameters
  \\set NAME VALUE    :NAME in a query has this value, as with --param
  \\unset NAME        it has none
  \\r                 forget what was typed of a query
  \\q                 leave (so do exit, quit and Ctrl-D)";

/// What a command says.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Leave,
    Ask(String),
    Shape(Shape),
    Set(String, String),
    Unset(String),
    /// Tell the values.
    Values,
    /// Forget what was typed.
    Reset,
    Tell(&'static str),
    Wrong(String),
}

/// What a command without its backslash says.
pub(super) fn said(command: &str) -> Said {
    let (command, rest) = command
        .split_once(char::is_whitespace)
        .unwrap_or((command, ""));
    // a habit
    let rest = rest.trim().trim_end_matches(';').trim_end();
    match (command.trim_end_matches(';'), rest) {
        ("q", _) => Said::Leave,
        ("?", _) => Said::Tell(HELP),
        ("r", _) => Said::Reset,
        ("d", "") => Said::Ask("SHOW TABLES".to_owned()),
        ("d", name) => Said::Ask(format!("DESCRIBE {name}")),
        ("o", name) => match Shape::from_str(name, true) {
            Ok(shape) if !shape.is_binary() => Said::Shape(shape),
            _ => Said::Wrong(format!("\\o {name}: give table, csv or json")),
        },
        ("set", "") => Said::Values,
        ("set", rest) => set(rest),
        ("unset", "") => Said::Wrong("\\unset: give the name of a parameter".to_owned()),
        ("unset", name) => Said::Unset(name.trim_start_matches(':').to_owned()),
        (command, _) => Said::Wrong(format!("\\{command} is not known; \\? has help")),
    }
}

fn set(rest: &str) -> Said {
    let (name, value) = rest
        .split_once(|c: char| c.is_whitespace() || c == '=')
        .unwrap_or((rest, ""));
    let name = match value::name(name) {
        Ok(name) => name,
        Err(wrong) => return Said::Wrong(format!("\\set: {wrong}")),
    };
    match value.trim() {
        "" => Said::Wrong(format!(
            "\\set {name}: give a value, as \\set {name} VALUE; '' is the empty text"
        )),
        value => Said::Set(name.to_owned(), unquoted(value)),
    }
}

/// A value without the quotes that it would have in a query.
fn unquoted(value: &str) -> String {
    let inner = value
        .strip_prefix('\'')
        .and_then(|it| it.strip_suffix('\''));
    inner.map_or_else(|| value.to_owned(), |inner| inner.replace("''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_known() {
        assert_eq!(said("q"), Said::Leave);
        assert_eq!(said("q;"), Said::Leave);
        assert_eq!(said("r"), Said::Reset);
        assert_eq!(said("d"), Said::Ask("SHOW TABLES".to_owned()));
        assert_eq!(
            said("d  cloudtrail;"),
            Said::Ask("DESCRIBE cloudtrail".to_owned())
        );
        assert_eq!(said("o csv"), Said::Shape(Shape::Csv));
        assert!(matches!(said("o parquet"), Said::Wrong(_)));
        assert!(matches!(said("x"), Said::Wrong(text) if text.contains("\\x")));
    }

    #[test]
    fn values_are_set_as_they_are_typed() {
        let set = |name: &str, value: &str| Said::Set(name.to_owned(), value.to_owned());
        assert_eq!(said("set who ann"), set("who", "ann"));
        assert_eq!(said("set :since=30d;"), set("since", "30d"));
        assert_eq!(said("set who 'it''s ann'"), set("who", "it's ann"));
        assert_eq!(said("set who ''"), set("who", ""));
        assert_eq!(said("set who a b"), set("who", "a b"));
        assert_eq!(said("set who '"), set("who", "'"));
        assert_eq!(said("unset :who"), Said::Unset("who".to_owned()));
        assert_eq!(said("set"), Said::Values);
        for wrong in ["set who", "set a-b c", "set : x", "unset"] {
            assert!(matches!(said(wrong), Said::Wrong(_)), "{wrong}");
        }
    }
}
