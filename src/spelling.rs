//! What a name that nobody knows was meant to be.

/// The longest names that are compared, in bytes: anybody may ask with any name, and what
/// a comparison costs grows with the product of both.
const LONGEST: usize = 100;

/// Finds the name that is spelled most like one that is not known, letter case
/// aside, among those that it is shown.
#[derive(Debug)]
pub(crate) struct Nearest<'a> {
    name: &'a str,
    lower: String,
    /// The most letters that may be wrong.
    bound: usize,
    /// How far off without letter case and with it, and the name.
    best: Option<(usize, usize, String)>,
}

impl<'a> Nearest<'a> {
    pub(crate) fn to(name: &'a str) -> Self {
        let lower = name.to_lowercase();
        Self {
            name,
            // a third of the letters may be wrong, two of them always
            bound: (lower.chars().count() / 3).max(2),
            lower,
            best: None,
        }
    }

    /// Shows it a name that is known.
    pub(crate) fn consider(&mut self, candidate: &str) {
        if self.name.len().max(candidate.len()) > LONGEST {
            return;
        }
        let distance = strsim::osa_distance(&self.lower, &candidate.to_lowercase());
        if distance > self.bound {
            return;
        }
        let exact = strsim::osa_distance(self.name, candidate);
        let found = (distance, exact, candidate.to_owned());
        if self.best.as_ref().is_none_or(|best| found < *best) {
            self.best = Some(found);
        }
    }

    /// The name that is nearest, if any is near enough to be meant.
    pub(crate) fn found(self) -> Option<String> {
        self.best.map(|(_, _, name)| name)
    }

    /// The nearest of these.
    pub(crate) fn of<'c>(
        name: &'a str,
        candidates: impl IntoIterator<Item = &'c str>,
    ) -> Option<String> {
        let mut nearest = Self::to(name);
        for candidate in candidates {
            nearest.consider(candidate);
        }
        nearest.found()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_none_that_is_far() {
        let names = ["region", "regions", "exclude_region", "rate"];
        let of = |name| Nearest::of(name, names);
        assert_eq!(of("regoin").as_deref(), Some("region"));
        assert_eq!(of("REGIONS").as_deref(), Some("regions"));
        assert_eq!(of("exclude-region").as_deref(), Some("exclude_region"));
        assert_eq!(of("colour"), None);
        // of long ones nobody can tell in good time
        let long = "x".repeat(LONGEST);
        let known = [long.as_str()];
        assert_eq!(Nearest::of(&long, known), Some(long.clone()));
        assert_eq!(Nearest::of(&format!("{long}x"), known), None);
        assert_eq!(Nearest::of(&long, [format!("{long}x").as_str()]), None);
    }
}
