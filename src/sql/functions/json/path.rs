//! Paths, such as `$.a.b[0]['c']`.

/// Where in a text something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A member of an object: `.name` or `['name']`.
    Named(String),
    /// An element of an array: `[0]`.
    Index(u64),
    /// Every element of an array: `[*]`.
    Each,
    /// Every member of an object, `.*`, which Spark reads and never finds.
    Members,
}

impl Path {
    /// Reads one; `None`: it is none, and nothing is found.
    ///
    /// White space counts, and does not, where it does for Spark: before a name it is
    /// none of it, after it it is.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('$')?;
        let mut steps = Vec::new();
        while let Some((step, after)) = step(rest) {
            steps.push(step);
            rest = after;
        }
        rest.trim_start_matches(is_space)
            .is_empty()
            .then_some(Self(steps))
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

fn step(text: &str) -> Option<(Step, &str)> {
    let spaced = text.trim_start_matches(is_space);
    for any in [".*", "['*']"] {
        if let Some(rest) = spaced.strip_prefix(any) {
            return Some((Step::Members, rest));
        }
    }
    if let Some(named) = text
        .strip_prefix('.')
        .and_then(|rest| name(rest, &['.', '[']))
    {
        return Some(named);
    }
    if let Some(rest) = spaced.strip_prefix("['")
        && let Some((named, rest)) = name(rest, &['\''])
        && let Some(rest) = rest.trim_start_matches(is_space).strip_prefix("']")
    {
        return Some((named, rest));
    }
    let rest = text.strip_prefix('[')?;
    if let Some(rest) = rest.strip_prefix("*]") {
        return Some((Step::Each, rest));
    }
    let rest = rest.trim_start_matches(is_space);
    let (digits, rest) = rest.split_once(']')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let index = is_number.then(|| digits.parse().ok()).flatten()?;
    Some((Step::Index(index), rest))
}

/// A name up to where one of these stands.
fn name<'a>(text: &'a str, ends: &[char]) -> Option<(Step, &'a str)> {
    let text = text.trim_start_matches(is_space);
    let end = text.find(ends).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    (!name.is_empty()).then(|| (Step::Named(name.to_owned()), rest))
}
