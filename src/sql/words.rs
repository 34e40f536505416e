//! What the engine says of a wrong query, in words that who wrote it can use.

use datafusion::common::SchemaError;

use super::{
    session::{CATALOG, SCHEMA, TABLE},
    views,
};
use crate::spelling::Nearest;

/// What of the engine's words is told: a few lines.
const MAX_TOLD: usize = 600;

/// A column that there is not, or one of several.
pub(super) fn of_schema(error: &SchemaError) -> String {
    let SchemaError::FieldNotFound {
        field,
        valid_fields,
    } = error
    else {
        return told(&error.to_string());
    };
    let name = field.flat_name();
    let mut columns: Vec<&str> = Vec::new();
    for field in valid_fields {
        if !columns.contains(&field.name.as_str()) {
            columns.push(&field.name);
        }
    }
    if let Some(meant) = Nearest::of(&field.name, columns.iter().copied()) {
        return format!("there is no column {name}; did you mean {meant}?");
    }
    let there = match columns.is_empty() {
        true => String::new(),
        false => format!("; there are {}", columns.join(", ")),
    };
    // who wrote it in double quotes meant a text, as in other languages
    let text = field.name.replace('\'', "''");
    cut(&format!(
        "there is no column {name} (a text is put in single quotes: '{text}'){there}"
    ))
}

/// What else is wrong with a query.
pub(super) fn of_plan(what: &str) -> String {
    if let Some(table) = between(what, "table '", "' not found") {
        // as it is named without saying where it is; of another place, with it
        let here = format!("{CATALOG}.{SCHEMA}.");
        let name = table.strip_prefix(&*here).unwrap_or(table);
        let views: Vec<&str> = views::names().collect();
        return format!(
            "there is no table {name}; there are {TABLE} and the views {}",
            views.join(", ")
        );
    }
    if let Some(call) = between(what, "argument types '", "'. You might") {
        return format!(
            "{call} cannot be computed: no function of that name takes these types; cast what \
             it is given, as in cast(x as bigint)"
        );
    }
    told(what)
}

/// The engine's words in a line of ours.
pub(super) fn told(what: &str) -> String {
    let what = what
        .split_once("\n\nbacktrace:")
        .map_or(what, |(before, _)| before);
    let words: Vec<&str> = what.split_whitespace().collect();
    let what = words.join(" ");
    let told = cut(what.trim_end_matches('.'));
    let mut chars = told.chars();
    match chars.next() {
        // a name stays as it is
        Some(first) if !chars.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => told,
    }
}

fn cut(what: &str) -> String {
    let mut told: String = what.chars().take(MAX_TOLD).collect();
    if told.len() < what.len() {
        told.push('…');
    }
    told
}

/// What stands first between two words.
fn between<'a>(what: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = what.split_once(before)?;
    Some(rest.split_once(after)?.0)
}
