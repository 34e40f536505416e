//! A record, laid out for reading: each sign of it as AWS wrote it, and nothing else
//! but space between.

use maud::{Markup, PreEscaped, Render, html};

/// Deeper than that it stays on its line: a record of a megabyte of brackets would
/// become as many lines of as many spaces.
const DEEPEST: usize = 64;

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mark,
    Key,
    Text,
    Other,
}

impl Kind {
    fn class(self) -> Option<&'static str> {
        match self {
            Self::Mark => None,
            Self::Key => Some("key"),
            Self::Text => Some("text"),
            Self::Other => Some("other"),
        }
    }
}

/// A record with its keys and values marked.
pub(super) fn marked(record: &str) -> Markup {
    let mut out = String::with_capacity(record.len() * 2);
    let mut depth = 0_usize;
    let mut tokens = tokens(record).peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(DEEPEST)));
    };
    while let Some((kind, token)) = tokens.next() {
        let is_before = matches!(token, "}" | "]");
        if is_before {
            depth = depth.saturating_sub(1);
            line(&mut out, depth);
        }
        match kind.class() {
            Some(class) => html! { span class=(class) { (token) } }.render_to(&mut out),
            None => out.push_str(token),
        }
        let next = tokens.peek().map(|(_, token)| *token);
        match (token, next) {
            // what is empty stays together
            ("{", Some("}")) | ("[", Some("]")) => {
                tokens.next();
                out.push_str(if token == "{" { "}" } else { "]" });
            }
            ("{" | "[", _) => {
                depth += 1;
                line(&mut out, depth);
            }
            (",", _) => line(&mut out, depth),
            (":", _) => out.push(' '),
            _ => {}
        }
    }
    PreEscaped(out)
}

/// The tokens of a JSON text; what is none of it is one, too.
fn tokens(text: &str) -> impl Iterator<Item = (Kind, &str)> {
    let mut rest = text.trim_start();
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = match first {
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            '"' => string(rest),
            _ => rest
                .char_indices()
                .find(|(at, c)| *at > 0 && (c.is_whitespace() || "{}[],:\"".contains(*c)))
                .map_or(rest.len(), |(at, _)| at),
        };
        let (token, after) = rest.split_at_checked(end)?;
        rest = after.trim_start();
        let kind = match first {
            '{' | '}' | '[' | ']' | ',' | ':' => Kind::Mark,
            '"' if rest.starts_with(':') => Kind::Key,
            '"' => Kind::Text,
            _ => Kind::Other,
        };
        Some((kind, token))
    })
}

/// Where a string that `text` begins with ends.
fn string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_told_apart_and_every_sign_is_kept() {
        let text = r#"{"a": "<b> \" & \\", "n":[1.50, -2e3,true ,null], "e":{}, "f":[ ]}"#;
        let marked = marked(text).into_string();
        assert!(
            marked.contains(r#"<span class="key">&quot;a&quot;</span>: "#),
            "{marked}"
        );
        assert!(marked.contains("&lt;b&gt; \\&quot; &amp; \\\\"), "{marked}");
        assert!(
            marked.contains("\n    <span class=\"other\">1.50</span>,"),
            "{marked}"
        );
        assert!(marked.contains("{}") && marked.contains("[]"));
        assert!(!marked.contains("<b>"));
    }

    #[test]
    fn what_is_no_json_is_shown_as_it_is() {
        for text in [
            "",
            "not json",
            "{\"a",
            "\"",
            "}}}]",
            "{\"a\":\"\\",
            "é\u{202e}",
        ] {
            let said: String = tokens(text).map(|(_, token)| token).collect();
            let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            assert_eq!(said.replace(' ', ""), plain.replace(' ', ""), "{text:?}");
            let _ = marked(text);
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(marked(&deep).into_string().len() < 4_000_000);
    }
}
