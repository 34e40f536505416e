//! Who may know whom, as ARCHITECTURE.md has it.

#![expect(
    clippy::string_slice,
    reason = "indices come from searches in the same text"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Modules that may know all others.
const COMPOSITION: [&str; 5] = ["app", "cli", "config", "fuzzing", "telemetry"];

/// Libraries that stay where they belong. Generated code in `proto` is tonic's.
const LIBRARIES: [(&str, &[&str]); 27] = [
    ("tonic", &["grpc", "client", "cli", "proto"]),
    // the exporter of traces calls a part of its own so
    ("tonic_types", &["grpc", "client", "cli", "telemetry"]),
    (
        "prost_reflect",
        &["grpc", "client", "cli", "console", "proto"],
    ),
    ("hyper", &["grpc", "http"]),
    ("hyper_util", &["grpc", "http"]),
    ("moka", &["coverage", "sql"]),
    ("jsonwebtoken", &["bearer"]),
    ("ring", &["bearer", "tls"]),
    ("tokio_rustls", &["tls"]),
    ("webpki", &["tls"]),
    ("axum", &["http", "console", "simulator"]),
    ("maud", &["chart", "console"]),
    ("opentelemetry", &["trace", "telemetry"]),
    ("opentelemetry_", &["trace", "telemetry"]),
    ("tracing_opentelemetry", &["trace", "telemetry"]),
    ("prometheus_client", &["telemetry"]),
    ("procfs", &["telemetry"]),
    ("clap", &["cli", "config"]),
    ("aws_config", &["upstream", "collect", "app"]),
    ("aws_sdk_", &["upstream", "collect", "app"]),
    ("aws_smithy_", &["upstream", "collect", "app"]),
    ("object_store", &["app", "archive", "collect", "sql"]),
    // arrow_flight beside what the archive has
    ("arrow_", &["archive", "sql", "grpc", "client", "cli"]),
    ("parquet", &["archive", "sql", "cli"]),
    ("datafusion", &["sql", "grpc", "cli"]),
    ("maxminddb", &["sql"]),
    ("rustyline", &["cli"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The table of ARCHITECTURE.md: a module, and whom it may name.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, modules) = text.split_once("\n## Modules\n").unwrap();
    let (modules, _) = modules.split_once("\n## ").unwrap();
    let names = |cell: &str| -> BTreeSet<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let mut table = BTreeMap::new();
    for row in modules.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').collect();
        for module in names(cells[1]) {
            table.insert(module, names(cells[3]));
        }
    }
    table
}

/// Whom a module may know: those named, and what they know.
fn may_know(table: &BTreeMap<String, BTreeSet<String>>, module: &str) -> BTreeSet<String> {
    let mut known = BTreeSet::from([module.to_owned()]);
    let mut open = vec![module.to_owned()];
    while let Some(next) = open.pop() {
        for name in &table[&next] {
            if known.insert(name.clone()) {
                open.push(name.clone());
            }
        }
    }
    known
}

/// The sources of each module, without their tests.
fn sources() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                into.push(path);
            }
        }
    }
    let src = root().join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let mut modules: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let parts: Vec<_> = relative.iter().map(|part| part.to_str().unwrap()).collect();
        let module = parts[0].trim_end_matches(".rs").to_owned();
        if matches!(module.as_str(), "lib" | "main") || is_test(&parts) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
        let code: Vec<&str> = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        modules
            .entry(module)
            .or_default()
            .push((file.clone(), code.join("\n")));
    }
    modules
}

fn is_test(parts: &[&str]) -> bool {
    parts
        .iter()
        .any(|part| matches!(*part, "tests.rs" | "tests" | "oracle.rs" | "property.rs"))
}

/// The modules of this crate that `code` names.
fn named(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word = |text: &str| -> String {
            text.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        };
        match rest.strip_prefix('{') {
            None => {
                found.insert(word(rest));
            }
            Some(group) => {
                let mut depth = 0_i32;
                let mut start = true;
                for (i, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && !c.is_whitespace() => {
                            found.insert(word(&group[i..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

#[test]
fn modules_know_only_whom_they_may() {
    let table = table();
    let mut wrong = Vec::new();
    for (module, files) in sources() {
        assert!(
            table.contains_key(&module),
            "ARCHITECTURE.md does not know {module}"
        );
        if COMPOSITION.contains(&module.as_str()) {
            continue;
        }
        let may_know = may_know(&table, &module);
        for (file, code) in files {
            for name in named(&code) {
                // names that start a path to an item of the crate's root are modules all
                if !may_know.contains(&name) {
                    wrong.push(format!("{} knows {name}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn libraries_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for (module, files) in sources() {
        for (file, code) in files {
            for (library, homes) in LIBRARIES {
                let is_used = code.match_indices(library).any(|(at, _)| {
                    let before = code[..at].chars().next_back();
                    let after = code[at + library.len()..].chars().next();
                    let starts =
                        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '.');
                    let goes_on = library.ends_with('_') || after == Some(':');
                    starts && goes_on && !code[..at].ends_with("crate::")
                });
                if is_used && !homes.contains(&module.as_str()) {
                    wrong.push(format!("{} uses {library}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_simulator_stays_an_independent_oracle() {
    let may_know = may_know(&table(), "simulator");
    for name in ["filter", "coverage", "lookup"] {
        assert!(!may_know.contains(name), "{name}");
    }
}

#[test]
fn names_are_found_in_every_form() {
    let code = "use crate::{\n    a::{b, c},\n    d,\n};\nuse crate::e::f;\ncrate::g::h();";
    assert_eq!(named(code), ["a", "d", "e", "g"].map(str::to_owned).into());
}
