//! Reads a picture as XML, strictly, and holds what it finds to the picture's box.

use std::collections::BTreeMap;

/// What was in a picture.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What can be seen of it: elements that are drawn.
    pub(super) marks: usize,
    pub(super) titles: Vec<String>,
    pub(super) descriptions: Vec<String>,
    pub(super) texts: Vec<String>,
    /// How many there are of an element, but for texts.
    pub(super) shapes: BTreeMap<String, usize>,
    /// By class: where they are, and how large.
    pub(super) rects: Vec<(String, (u64, u64, u64, u64))>,
    pub(super) hatched: usize,
}

/// Elements that are known, and whether they are drawn.
const KNOWN: [(&str, bool); 11] = [
    ("svg", false),
    ("title", false),
    ("desc", false),
    ("defs", false),
    ("pattern", false),
    ("g", false),
    ("rect", true),
    ("line", true),
    ("circle", true),
    ("path", true),
    ("text", true),
];

type Attributes = BTreeMap<String, String>;

/// Walks over a picture; panics where it is no XML, or where a mark is not within it.
pub(super) fn walk(xml: &str) -> Seen {
    let mut seen = Seen::default();
    let mut open: Vec<(String, Attributes, String)> = Vec::new();
    let mut view = None;
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        match open.last_mut() {
            Some((_, _, said)) => said.push_str(&plain(text)),
            None => assert_eq!(text, "", "outside of everything"),
        }
        let (tag, after) = tag
            .strip_prefix('<')
            .unwrap()
            .split_once('>')
            .expect("a tag has no end");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let (of, attributes, said) = open.pop().expect("nothing is open");
            assert_eq!(of, name);
            ended(&mut seen, &of, &attributes, said, view.unwrap_or_default());
            continue;
        }
        let (name, attributes) = begun(tag);
        assert!(KNOWN.iter().any(|(known, _)| *known == name), "{name}");
        if name == "svg" {
            assert!(view.is_none() && open.is_empty());
            let numbers: Vec<u64> = attributes["viewBox"].split(' ').map(number).collect();
            let [0, 0, wide, high] = numbers[..] else {
                panic!("{attributes:?}")
            };
            assert_eq!(
                (number(&attributes["width"]), number(&attributes["height"])),
                (wide, high)
            );
            assert_eq!(attributes["role"], "img");
            view = Some((wide, high));
        }
        open.push((name, attributes, String::new()));
    }
    assert!(
        rest.is_empty() && open.is_empty() && view.is_some(),
        "{rest:?} {open:?}"
    );
    seen
}

fn begun(tag: &str) -> (String, Attributes) {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    let mut attributes = Attributes::new();
    while !rest.trim().is_empty() {
        let (name, after) = rest.trim_start().split_once("=\"").expect("no attribute");
        let (value, after) = after.split_once('"').expect("a value has no end");
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        assert!(
            is_name && !name.starts_with("on") && !value.contains('<'),
            "{name}"
        );
        assert!(
            attributes.insert(name.to_owned(), plain(value)).is_none(),
            "{name} twice"
        );
        rest = after;
    }
    (name.to_owned(), attributes)
}

/// A text without entities; each must be one that XML has.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut pieces = text.split('&');
    plain.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (entity, after) = piece.split_once(';').expect("a bare ampersand");
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            other => panic!("&{other};"),
        });
        plain.push_str(after);
    }
    // what XML has no characters for, or what turns the text around
    let is_odd = |c: char| {
        c < ' '
            || matches!(c, '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
    };
    assert!(!plain.contains(is_odd), "{plain:?}");
    plain
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?}"))
}

fn ended(
    seen: &mut Seen,
    name: &str,
    attributes: &Attributes,
    said: String,
    (wide, high): (u64, u64),
) {
    let is_drawn = KNOWN
        .iter()
        .any(|(known, is_drawn)| *known == name && *is_drawn);
    if is_drawn && attributes.get("class").is_none_or(|class| class != "hatch") {
        seen.marks += 1;
    }
    let of = |name: &str| number(&attributes[name]);
    match name {
        // those of marks and of lanes as well
        "title" => seen.titles.push(said),
        "desc" => seen.descriptions.push(said),
        "text" => {
            let takes = super::super::text::width(super::super::text::places(&said));
            let (x, y) = (of("x"), of("y"));
            let (from, to) = match attributes.get("text-anchor").map(String::as_str) {
                Some("end") => (x.checked_sub(takes), x),
                Some("middle") => (x.checked_sub(takes / 2), x + takes / 2),
                None => (Some(x), x + takes),
                Some(other) => panic!("{other}"),
            };
            assert!(
                from.is_some() && to <= wide,
                "{said:?} from {from:?} to {to}"
            );
            assert!((12..=high).contains(&y), "{said:?} at {y} of {high}");
            seen.texts.push(said);
        }
        "rect" => {
            let at = (of("x"), of("y"), of("width"), of("height"));
            assert!(
                at.0 + at.2 <= wide && at.1 + at.3 <= high && at.2 > 0 && at.3 > 0,
                "{at:?}"
            );
            match attributes.get("class") {
                Some(class) => seen.rects.push((class.clone(), at)),
                None => {
                    assert_eq!(attributes["fill"], "url(#chart-hatch)");
                    seen.hatched += 1;
                }
            }
        }
        "line" => {
            assert!(
                of("x1").max(of("x2")) <= wide && of("y1").max(of("y2")) <= high,
                "{attributes:?}"
            );
        }
        "circle" => {
            let (x, y, r) = (of("cx"), of("cy"), of("r"));
            assert!(
                x >= r && y >= r && x + r <= wide && y + r <= high,
                "{attributes:?}"
            );
            *seen.shapes.entry(name.to_owned()).or_default() += 1;
        }
        "path" if attributes["class"] == "cross" => {
            let numbers = attributes["d"]
                .split([' ', 'M', 'L'])
                .filter(|it| !it.is_empty());
            for (place, text) in numbers.enumerate() {
                assert!(
                    number(text) <= if place % 2 == 0 { wide } else { high },
                    "{attributes:?}"
                );
            }
            *seen.shapes.entry(name.to_owned()).or_default() += 1;
        }
        _ => {}
    }
}
