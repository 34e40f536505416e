//! Questions that are asked every day, by their names: see `sql/views`.

/// A query that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The name under which a query finds it.
    pub name: String,
    /// The query: one SELECT. It may read views that come before it.
    pub text: String,
}

/// A file of `sql/views`: its name is the view's.
macro_rules! file {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../sql/views/", $name, ".sql")),
        )
    };
}

/// Those that there are, in the order in which they are known.
const FILES: [(&str, &str); 5] = [
    file!("principal_activity"),
    file!("console_logins"),
    file!("denied_calls"),
    file!("iam_changes"),
    file!("root_usage"),
];

/// Those of `sql/views`.
#[must_use]
pub fn views() -> Vec<View> {
    let view = |(name, text): (&str, &str)| View {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    FILES.into_iter().map(view).collect()
}

/// Their names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FILES.into_iter().map(|(name, _)| name)
}

/// Those that a query needs which names what `names` says, by itself or by one that
/// needs it, in their order.
pub(super) fn needed(views: &[View], names: impl Fn(&str) -> bool) -> Vec<&View> {
    let mut needed: Vec<&View> = Vec::new();
    for view in views.iter().rev() {
        let is_named = |other: &&View| other.text.contains(&view.name);
        if names(&view.name) || needed.iter().any(is_named) {
            needed.insert(0, view);
        }
    }
    needed
}
