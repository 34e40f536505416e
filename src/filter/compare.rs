//! One operator with its values: whether a text satisfies it.

use std::{borrow::Cow, collections::HashSet, net::IpAddr};

use ipnet::{IpNet, Ipv4Net};
use regex::{RegexSet, RegexSetBuilder};

use super::{Error, MAX_VALUE_CHARS, MAX_VALUES, Operator, shown};

/// The most bytes that the compiled patterns of one match may take: room for
/// a thousand plain names, or a few counted Unicode classes.
const PATTERN_SIZE: usize = 1 << 20;
/// The most bytes that a search's cache of states may take; beyond it a search
/// is slower, never wrong.
const PATTERN_CACHE: usize = 1 << 20;

/// An operator with its values, ready to compare.
#[derive(Clone, Debug)]
pub(super) enum Compare {
    Equals(HashSet<Box<str>>),
    Prefix(Vec<Box<str>>),
    Suffix(Vec<Box<str>>),
    Contains(Vec<Box<str>>),
    Glob(RegexSet),
    Regex(RegexSet),
    Cidr(Vec<IpNet>),
    Exists,
}

impl Compare {
    /// Checks the values of a match; `path` says where the match stands.
    pub(super) fn compile(
        operator: Operator,
        values: &[String],
        ignore_case: bool,
        path: &str,
    ) -> Result<Self, Error> {
        check(operator, values, path)?;
        let fold = |value: &String| -> Box<str> { folded(value, ignore_case).into() };
        let folded = || values.iter().map(fold).collect();
        Ok(match operator {
            Operator::Equals => Self::Equals(values.iter().map(fold).collect()),
            Operator::Prefix => Self::Prefix(folded()),
            Operator::Suffix => Self::Suffix(folded()),
            Operator::Contains => Self::Contains(folded()),
            Operator::Glob => {
                let globs: Vec<String> = values
                    .iter()
                    .enumerate()
                    .map(|(i, value)| {
                        glob(&fold(value)).map_err(|what| value_error(path, i, value, what))
                    })
                    .collect::<Result<_, _>>()?;
                // both sides are in lowercase already
                Self::Glob(patterns(&globs, values, false, path)?)
            }
            Operator::Regex => Self::Regex(patterns(values, values, ignore_case, path)?),
            Operator::Cidr => Self::Cidr(
                values
                    .iter()
                    .enumerate()
                    .map(|(i, value)| {
                        network(value).ok_or_else(|| {
                            let what =
                                "is no network; write 10.0.0.0/8, 2001:db8::/32 or an address";
                            value_error(path, i, value, what)
                        })
                    })
                    .collect::<Result<_, _>>()?,
            ),
            Operator::Exists => Self::Exists,
        })
    }

    /// Whether `text` satisfies any of the values.
    pub(super) fn holds(&self, text: &str, ignore_case: bool) -> bool {
        match self {
            Self::Equals(values) => values.contains(&*folded(text, ignore_case)),
            Self::Prefix(values) => {
                let text = folded(text, ignore_case);
                values.iter().any(|value| text.starts_with(&**value))
            }
            Self::Suffix(values) => {
                let text = folded(text, ignore_case);
                values.iter().any(|value| text.ends_with(&**value))
            }
            Self::Contains(values) => {
                let text = folded(text, ignore_case);
                values.iter().any(|value| text.contains(&**value))
            }
            Self::Glob(globs) => globs.is_match(&folded(text, ignore_case)),
            Self::Regex(patterns) => patterns.is_match(text),
            Self::Cidr(networks) => text.parse().is_ok_and(|address: IpAddr| {
                let address = address.to_canonical();
                networks.iter().any(|network| network.contains(&address))
            }),
            Self::Exists => true,
        }
    }

    /// How dear a comparison is, as a rank.
    pub(super) const fn cost(&self) -> u8 {
        match self {
            Self::Exists | Self::Equals(_) => 0,
            Self::Prefix(_) | Self::Suffix(_) | Self::Cidr(_) => 1,
            Self::Contains(_) => 2,
            Self::Glob(_) | Self::Regex(_) => 3,
        }
    }
}

fn check(operator: Operator, values: &[String], path: &str) -> Result<(), Error> {
    let at = format!("{path}.values");
    if operator == Operator::Exists {
        return match values.len() {
            0 => Ok(()),
            count => Err(Error::new(at, format!("{count} given; EXISTS takes none"))),
        };
    }
    if values.is_empty() {
        return Err(Error::new(
            at,
            format!("none given; {operator} needs at least one"),
        ));
    }
    if values.len() > MAX_VALUES {
        let count = values.len();
        return Err(Error::new(
            at,
            format!("{count} given; at most {MAX_VALUES} are allowed"),
        ));
    }
    for (i, value) in values.iter().enumerate() {
        let chars = value.chars().count();
        if chars > MAX_VALUE_CHARS {
            let what = format!("has {chars} characters; at most {MAX_VALUE_CHARS} are allowed");
            return Err(value_error(path, i, value, &what));
        }
    }
    Ok(())
}

fn value_error(path: &str, index: usize, value: &str, what: &str) -> Error {
    let shown = shown(value);
    Error::new(
        format!("{path}.values[{index}]"),
        format!("{shown:?} {what}"),
    )
}

fn folded(text: &str, ignore_case: bool) -> Cow<'_, str> {
    if ignore_case {
        text.to_lowercase().into()
    } else {
        text.into()
    }
}

/// A glob as a regular expression for the whole text.
fn glob(glob: &str) -> Result<String, &'static str> {
    let mut pattern = String::from(r"(?s)\A");
    let mut chars = glob.chars();
    while let Some(c) = chars.next() {
        match c {
            // runs of stars mean one and would only cost states
            '*' if pattern.ends_with(".*") => {}
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            '\\' => match chars.next() {
                Some(escaped) => push_literal(&mut pattern, escaped),
                None => return Err(r"ends in a backslash; write \\ for a backslash"),
            },
            other => push_literal(&mut pattern, other),
        }
    }
    pattern.push_str(r"\z");
    Ok(pattern)
}

fn push_literal(pattern: &mut String, c: char) {
    pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

/// Compiles patterns into one set; `values` are the patterns as given.
fn patterns(
    patterns: &[String],
    values: &[String],
    ignore_case: bool,
    path: &str,
) -> Result<RegexSet, Error> {
    let build = |patterns: &[String], size| {
        RegexSetBuilder::new(patterns)
            .case_insensitive(ignore_case)
            .size_limit(size)
            .dfa_size_limit(PATTERN_CACHE)
            .build()
    };
    build(patterns, PATTERN_SIZE).map_err(|error| {
        if let (regex::Error::CompiledTooBig(_), [value]) = (&error, values) {
            let what = format!("takes more than {PATTERN_SIZE} bytes; shorten it, or repeat less");
            return value_error(path, 0, value, &what);
        }
        if let regex::Error::CompiledTooBig(_) = error {
            let what = format!(
                "together they take more than {PATTERN_SIZE} bytes; give fewer, or use EQUALS for plain values"
            );
            return Error::new(format!("{path}.values"), what);
        }
        // with no room at all only the syntax is looked at, which is cheap
        let alone = |pattern| match build(std::slice::from_ref(pattern), 0) {
            Err(regex::Error::CompiledTooBig(_)) | Ok(_) => None,
            Err(error) => Some(reason(&error)),
        };
        patterns
            .iter()
            .zip(values)
            .enumerate()
            .find_map(|(i, (pattern, value))| {
                let what = format!("is no regular expression: {}", alone(pattern)?);
                Some(value_error(path, i, value, &what))
            })
            .unwrap_or_else(|| Error::new(format!("{path}.values"), reason(&error)))
    })
}

/// The last line of the regex crate's drawing says what is wrong.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// A network, or a bare address as a network of one; IPv4 addresses mapped
/// into IPv6 are IPv4.
fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpNet>() {
        Ok(network) => network,
        Err(_) => text.parse::<IpAddr>().ok()?.into(),
    };
    let mapped = |v6: ipnet::Ipv6Net| {
        let v4 = v6.addr().to_ipv4_mapped()?;
        Ipv4Net::new(v4, v6.prefix_len().checked_sub(96)?).ok()
    };
    Some(match network {
        IpNet::V6(v6) => mapped(v6).map_or(network, IpNet::V4),
        IpNet::V4(_) => network,
    })
}
