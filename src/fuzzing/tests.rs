//! Every seed, and so every input that once broke something, in every run of the
//! tests.

use std::{collections::BTreeMap, fs, path::Path};

use super::*;

type Target = fn(&[u8]);

/// Each with its name.
const TARGETS: [(&str, Target); 12] = [
    ("aws_json", aws_json),
    ("bearer_tokens", bearer_tokens),
    ("digests", digests),
    ("envelopes", envelopes),
    ("filter", filter),
    ("log_files", log_files),
    ("page_tokens", page_tokens),
    ("policies", policies),
    ("records", records),
    ("redaction", redaction),
    ("requests", requests),
    ("resume_tokens", resume_tokens),
];

/// The seeds of each target.
fn seeds() -> BTreeMap<String, Vec<Vec<u8>>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut seeds = BTreeMap::new();
    for target in fs::read_dir(dir).unwrap() {
        let target = target.unwrap();
        let files = fs::read_dir(target.path()).unwrap();
        let bytes = files.map(|file| fs::read(file.unwrap().path()).unwrap());
        seeds.insert(target.file_name().into_string().unwrap(), bytes.collect());
    }
    seeds
}

#[test]
fn what_must_be_true_is_true_of_every_seed() {
    let seeds = seeds();
    let names: Vec<&str> = seeds.keys().map(String::as_str).collect();
    assert_eq!(names, TARGETS.map(|(name, _)| name));
    for (name, target) in TARGETS {
        assert!(!seeds[name].is_empty(), "{name}");
        target(b"");
        for seed in &seeds[name] {
            target(seed);
            // cut short
            target(seed.get(..seed.len() / 2).unwrap_or_default());
        }
    }
}

#[test]
fn every_target_is_built() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
        let target = fs::read_to_string(root.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("fuzzing::{name}(data)")), "{name}");
    }
}

/// With other features, everything would be built once more for the targets.
#[test]
fn targets_have_the_features_that_tests_have() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path| fs::read_to_string(root.join(path)).unwrap();
    let (ours, theirs) = (read("Cargo.toml"), read("fuzz/Cargo.toml"));
    let section = |text: &str, name: &str| {
        let (_, section) = text.split_once(&format!("\n[{name}]\n")).unwrap();
        let section = section.split("\n[").next().unwrap();
        let lines = section.lines().filter(|line| line.contains(" = "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let ours = section(&ours, "dev-dependencies");
    let theirs = section(&theirs, "dependencies");
    let shared: Vec<_> = theirs.iter().filter(|line| ours.contains(line)).collect();
    // all but libFuzzer and trailgate
    assert_eq!(shared.len(), theirs.len() - 2, "{theirs:?}");
    for line in ours.iter().filter(|line| line.contains("features = ")) {
        let is_own = line.starts_with("libdeflater");
        assert!(is_own || theirs.contains(line), "{line}");
    }
}
