//! What `get_json_object` finds: to the character what Spark's function of that name
//! finds, so that one query has one answer in both.
//!
//! Of members with one name the first counts whose value is not null, which is
//! Spark's rule. A text that is no JSON as far as it has to be read has nothing.

mod path;
mod scan;
#[cfg(test)]
mod tests;
mod write;

pub(super) use self::{path::Path, write::Writer};

use self::{
    path::Step,
    scan::{Bad, Kind, Scanner},
};

/// How a value that is found is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// By itself: a text without quotes.
    Raw,
    /// Within an array.
    Quoted,
    /// Within an array, and arrays by their elements.
    Flat,
}

impl Path {
    /// What is there in a text, if anything.
    pub(super) fn find(&self, text: &str) -> Option<String> {
        let mut to = Writer::default();
        let mut scanner = Scanner::new(text);
        match find(&mut scanner, self.steps(), Style::Raw, &mut to) {
            Ok(true) => Some(to.into_text()),
            Ok(false) | Err(Bad) => None,
        }
    }
}

/// Reads the value that comes next to its end, and writes what is found in it;
/// whether anything was.
fn find(from: &mut Scanner<'_>, path: &[Step], style: Style, to: &mut Writer) -> Result<bool, Bad> {
    let kind = from.kind()?;
    let Some((step, rest)) = path.split_first() else {
        return whole(from, kind, style, to);
    };
    match (kind, step) {
        (Kind::Object, Step::Named(name)) => named(from, name, rest, style, to),
        (Kind::Array, Step::Index(index)) => {
            let style = match rest.first() {
                Some(Step::Each) => Style::Quoted,
                _ => style,
            };
            nth(from, *index, rest, style, to)
        }
        (Kind::Array, Step::Each) => each(from, rest, style, to),
        _ => from.skip(kind).map(|()| false),
    }
}

fn whole(from: &mut Scanner<'_>, kind: Kind, style: Style, to: &mut Writer) -> Result<bool, Bad> {
    match (kind, style) {
        (Kind::Text, Style::Raw) => {
            let text = from.text()?;
            to.raw(&text);
            Ok(true)
        }
        (Kind::Array, Style::Flat) => {
            let mut is_found = false;
            from.elements(|from| {
                is_found |= find(from, &[], style, to)?;
                Ok(())
            })?;
            Ok(is_found)
        }
        _ => {
            from.copy(kind, to)?;
            Ok(true)
        }
    }
}

fn named(
    from: &mut Scanner<'_>,
    name: &str,
    rest: &[Step],
    style: Style,
    to: &mut Writer,
) -> Result<bool, Bad> {
    let mut is_found = false;
    from.members(|from, key| {
        let is_it = !is_found && key == name;
        let kind = from.kind()?;
        match is_it && kind != Kind::Null {
            true => is_found = find(from, rest, style, to)?,
            false => from.skip(kind)?,
        }
        Ok(())
    })?;
    Ok(is_found)
}

fn nth(
    from: &mut Scanner<'_>,
    index: u64,
    rest: &[Step],
    style: Style,
    to: &mut Writer,
) -> Result<bool, Bad> {
    let (mut at, mut is_found) = (0, false);
    from.elements(|from| {
        match at == index {
            true => is_found = find(from, rest, style, to)?,
            false => {
                let kind = from.kind()?;
                from.skip(kind)?;
            }
        }
        at += 1;
        Ok(())
    })?;
    Ok(is_found)
}

fn each(from: &mut Scanner<'_>, rest: &[Step], style: Style, to: &mut Writer) -> Result<bool, Bad> {
    let mut found = 0_usize;
    let mut all = |from: &mut Scanner<'_>, rest: &[Step], style, to: &mut Writer| {
        from.elements(|from| {
            found += usize::from(find(from, rest, style, to)?);
            Ok(())
        })
    };
    if let Some((Step::Each, rest)) = rest.split_first() {
        to.open('[');
        all(from, rest, Style::Flat, to)?;
        to.close(']');
        return Ok(found > 0);
    }
    if style == Style::Quoted {
        to.open('[');
        all(from, rest, Style::Quoted, to)?;
        to.close(']');
        return Ok(found > 0);
    }
    let within = match style {
        Style::Flat => Style::Flat,
        Style::Raw | Style::Quoted => Style::Quoted,
    };
    let mut found_here = Writer::within_array();
    all(from, rest, within, &mut found_here)?;
    let inner = found_here.into_text();
    // one thing is told as it is, and not as an array of one
    match found {
        0 => {}
        1 => to.value(&inner),
        _ => to.value(&format!("[{inner}]")),
    }
    Ok(found > 0)
}
