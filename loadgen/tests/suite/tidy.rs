//! What `ARCHITECTURE.md` and `CONTRIBUTING.md` say of the tree, compared with the tree: imports,
//! headers, lengths of lines and functions, and the README's map.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules of `servers`, from left to right.
const SERVERS: &[&str] = &[
    "contract",
    "error",
    "clock",
    "json",
    "allocator",
    "users",
    "cart",
    "stores",
    "schemes",
    "app",
    "serve",
    "deployment",
];

/// Modules of the engine's crate and what each may import, itself apart. Its other files are the
/// engine itself, which may import all of them.
const ENGINE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("limits", &[]),
    ("load", &["random"]),
    ("files", &["error"]),
    ("journey", &["error"]),
    ("plan", &["load"]),
    ("record", &["limits"]),
    ("transport", &["error", "files", "journey", "limits"]),
];

/// Modules of `loadgen` and what each may import, itself apart. It has the modules of the engine's
/// crate under their own names.
const LOADGEN: &[(&str, &[&str])] = &[
    ("sanitise", &[]),
    ("units", &["record"]),
    ("spec", &["units", "error", "files"]),
    ("plan", &["random", "load"]),
    ("record", &["plan", "error", "files", "limits", "sanitise"]),
    ("proc", &["units", "error", "sanitise", "plan", "record"]),
    (
        "agents",
        &["error", "files", "sanitise", "journey", "limits", "plan", "record", "engine", "proc"],
    ),
    ("attack", &["error", "sanitise", "journey", "limits", "transport", "record", "proc"]),
    ("client", &["error", "journey", "limits"]),
    ("experiment", &["units", "error", "random", "load", "spec", "plan", "record", "stats"]),
    (
        "campaign",
        &[
            "error",
            "load",
            "plan",
            "journey",
            "record",
            "engine",
            "proc",
            "attack",
            "client",
            "experiment",
        ],
    ),
    ("soak", &["units", "error", "random", "proc", "client", "stats"]),
    ("report", &["units", "sanitise", "plan", "record", "stats", "experiment"]),
    ("ui", &["error", "sanitise", "campaign", "report"]),
    (
        "cli",
        &[
            "units",
            "error",
            "sanitise",
            "files",
            "spec",
            "load",
            "plan",
            "journey",
            "limits",
            "record",
            "engine",
            "proc",
            "agents",
            "attack",
            "client",
            "experiment",
            "campaign",
            "soak",
            "report",
            "ui",
        ],
    ),
    ("main", &["cli"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_path_buf()
}

/// Every file below `folder` with this extension: its path from the root, and its text.
pub(super) fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, extension, found);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), extension, &mut found);
    found.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_string();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

pub(super) fn sources() -> Vec<(String, String)> {
    let members = ["servers", "loadgen", "benches"];
    let all: Vec<_> = members.iter().flat_map(|member| files(member, "rs")).collect();
    assert!(all.len() > 50, "the sources are no longer found");
    all
}

/// First module of a path such as `loadgen/src/campaign/trial.rs`; `engine` for the engine itself.
fn module_of(path: &str) -> &str {
    let inside = path.split("/src/").nth(1).unwrap_or_default();
    let module = inside.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    let of_engine = path.starts_with("loadgen/engine/");
    let is_engine = of_engine && !ENGINE.iter().any(|(name, _)| *name == module);
    if is_engine { "engine" } else { module }
}

/// The sources of the generator: the command's crate and the engine's.
fn generator() -> Vec<(String, String)> {
    [files("loadgen/src", "rs"), files("loadgen/engine/src", "rs")].concat()
}

/// The code of a file without its tests and comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Names behind `prefix` in a piece of code.
fn imports(code: &str, prefix: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let parts: Vec<&str> = code.split(prefix).collect();
    // Behind a module such as `jwt_crate` stands no import.
    let behind = parts.windows(2).filter(|pair| !pair[0].ends_with(word)).map(|pair| pair[1]);
    let names = behind.map(|rest| rest.chars().take_while(|c| word(*c)).collect());
    names.filter(|name: &String| !name.is_empty()).collect()
}

pub(super) fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("/mock.rs")
}

#[test]
fn modules_import_leftwards_only() {
    let mut seen = 0;
    for (path, text) in files("servers/src", "rs") {
        let module = module_of(&path);
        let Some(own) = SERVERS.iter().position(|m| *m == module) else {
            assert_eq!(module, "lib", "{path} is in no module of the table");
            continue;
        };
        for import in imports(&code(&text), "crate::") {
            let other = SERVERS.iter().position(|m| *m == import);
            assert!(other.is_some_and(|other| other <= own), "{path} may not import {import}");
            seen += 1;
        }
    }
    for (path, text) in generator().into_iter().filter(|(path, _)| !is_test(path)) {
        let module = module_of(&path);
        let table = if path.starts_with("loadgen/engine/") { ENGINE } else { LOADGEN };
        let Some((_, allowed)) = table.iter().find(|(name, _)| *name == module) else {
            assert!(["lib", "engine"].contains(&module), "{path} is in no module of the table");
            continue;
        };
        let prefix = if module == "main" { "loadgen::" } else { "crate::" };
        for import in imports(&code(&text), prefix) {
            let fine = import == module || allowed.contains(&import.as_str());
            assert!(fine, "{path} may not import {import}");
            seen += 1;
        }
    }
    assert!(seen > 80, "the imports are no longer found");
}

#[test]
fn only_the_command_that_serves_knows_the_servers() {
    for (path, text) in generator() {
        let beyond = imports(&code(&text), "servers::").into_iter().find(|name| name != "contract");
        let exempt = path.starts_with("loadgen/src/cli/serve/");
        assert!(exempt || beyond.is_none(), "{path} knows servers::{}", beyond.unwrap_or_default());
    }
}

#[test]
fn what_must_be_pure_reads_no_clock_and_no_file() {
    for (path, text) in [generator(), files("loadgen/stats/src", "rs")].concat() {
        let pure = ["plan", "load", "journey", "report", "experiment"];
        if path.starts_with("loadgen/stats/") || pure.contains(&module_of(&path)) {
            for word in ["Instant", "SystemTime", "std::fs", "std::net", "std::thread", "getrandom"]
            {
                assert!(!code(&text).contains(word), "{path} uses {word}");
            }
        }
    }
}

/// Fault 20: no latency depends on the wall clock; the log of intervals only says when it began.
#[test]
fn the_engine_measures_with_the_monotonic_clock() {
    for (path, text) in files("loadgen/engine/src", "rs") {
        let exempt = path == "loadgen/engine/src/record/hdr_log.rs";
        assert!(exempt || !code(&text).contains("SystemTime"), "{path} reads the wall clock");
    }
}

/// What `proc` and `engine` open is the kernel's.
#[test]
fn files_are_opened_in_one_place() {
    for (path, text) in generator().into_iter().filter(|(path, _)| !is_test(path)) {
        let (module, code) = (module_of(&path), code(&text));
        for call in ["fs::write", "File::open", "File::create", "OpenOptions", "tempfile"] {
            assert!(module == "files" || !code.contains(call), "{path} uses {call}, not `files`");
        }
        let exempt = ["files", "proc", "engine"].contains(&module);
        assert!(exempt || !code.contains("fs::read"), "{path} reads by itself, not by `files`");
    }
}

#[test]
fn one_file_writes_to_a_terminal() {
    // What it writes has been made fit for one; a bar on a terminal is drawn by its own library.
    let all = [generator(), files("servers/src", "rs")].concat();
    for (path, text) in all.into_iter().filter(|(path, _)| path != "loadgen/src/cli/output.rs") {
        for stream in ["stdout().", "stdout(),", "stderr().", "stderr(),"] {
            assert!(!code(&text).contains(stream), "{path} writes to {stream}");
        }
    }
}

#[test]
fn every_file_opens_with_a_header() {
    for (path, text) in sources() {
        let header = text.lines().take_while(|line| line.starts_with("//!")).count();
        assert!((1..=3).contains(&header), "{path}: a header of {header} lines");
    }
}

#[test]
fn two_ways_are_an_if() {
    for (path, text) in sources() {
        for word in ["match \u{28}) ", "tr\u{75}e =>"] {
            assert!(!text.contains(word), "{path} has `{word}`: write an `if`");
        }
    }
}

/// Whether `other` is the file that would declare the module at `path`.
fn is_parent(other: &str, path: &str) -> bool {
    let folder = |path: &str| path.rsplit_once('/').map_or("", |(folder, _)| folder).to_string();
    let own = match path.strip_suffix("/mod.rs") {
        Some(module) => folder(module),
        None => folder(path),
    };
    let is_root = ["/mod.rs", "/lib.rs", "/main.rs"].iter().any(|end| other.ends_with(end));
    if is_root { folder(other) == own } else { other.trim_end_matches(".rs") == own }
}

#[test]
fn every_file_is_part_of_its_crate() {
    let all = sources();
    for (path, _) in &all {
        let module = path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        let name = module.rsplit('/').next().unwrap();
        let target = ["/tests/", "/benches/", "/examples/"]
            .iter()
            .any(|folder| path.contains(folder) && !path.contains("/src/"));
        if target || ["lib", "main", "build"].contains(&name) {
            continue;
        }
        let declaration = format!("mod {name};");
        let declared = all.iter().any(|(other, text)| {
            is_parent(other, path) && text.lines().any(|line| line.ends_with(&declaration))
        });
        assert!(declared, "{path} is in no crate");
    }
}

#[test]
fn lines_fit_a_page() {
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let long = line.chars().count() > 100 && !line.contains("http");
            assert!(!long, "{path}:{}: more than 100 columns", number + 1);
        }
    }
}

#[test]
fn no_mark_of_unfinished_work_is_left() {
    for (path, text) in sources() {
        for mark in ["FIX\u{4d}E", "X\u{58}X", "TO\u{44}O", "unimplemented\u{21}"] {
            assert!(!text.contains(mark), "{path} has {mark}");
        }
    }
}

#[test]
fn the_map_in_the_readme_is_the_tree() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let map = readme.split("## The tree").nth(1).expect("a section `The tree`");
    let map = map.split("```").nth(1).expect("a block with the map");
    let named: BTreeSet<&str> = map
        .lines()
        .filter(|line| !line.starts_with(' ') && *line != "text")
        .filter_map(|line| line.split_whitespace().next())
        .map(|name| name.trim_end_matches('/'))
        .collect();
    let there: BTreeSet<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| (!name.starts_with('.') || name == ".ci") && name != "target")
        .collect();
    assert_eq!(named, there.iter().map(String::as_str).collect());
}

/// With it every call of a store costs 525 instructions more: it turns on the clock of tokio that
/// tests can stop.
#[test]
fn the_program_has_no_feature_that_slows_its_servers() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let line = manifest.lines().find(|line| line.starts_with("async-nats = ")).unwrap();
    assert!(!line.contains("jetstream") && line.contains("default-features = false"), "{line}");
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert!(!lock.contains("name = \"tryhard\""), "tryhard turns it on too");
}

/// A dependency of the tests alone has this feature, too, so no test of the program would miss it:
/// without it floats are read a last bit off, and a report of the same records is another one.
#[test]
fn the_program_reads_floats_as_they_were_written() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let line = manifest.lines().find(|line| line.starts_with("serde_json = ")).unwrap();
    assert!(line.contains("\"float_roundtrip\""), "{line}");
}
