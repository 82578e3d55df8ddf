//! The import table of the crate's documentation, held.
//!
//! A module may import from those to its left only. `lib.rs` and test modules are exempt.

use std::fs;
use std::path::{Path, PathBuf};

/// From left to right; modules of one entry may not import each other unless listed in order.
const ORDER: [&str; 10] =
    ["contract", "error", "clock", "json", "users", "cart", "stores", "schemes", "app", "serve"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn modules_import_leftwards_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&root, &mut all);
    let place = |module: &str| ORDER.iter().position(|other| *other == module);
    let mut imports = 0;
    for path in all {
        let inside = path.strip_prefix(&root).expect("a file of ours").with_extension("");
        let first = inside.iter().next().and_then(|name| name.to_str()).expect("a name");
        if first == "lib" {
            continue;
        }
        let own = place(first).unwrap_or_else(|| panic!("`{first}` is not in the table"));
        let text = fs::read_to_string(&path).expect("a file");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        // A link in a comment is no import.
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for piece in code.flat_map(|line| line.split("crate::").skip(1)) {
            let name: String = piece.chars().take_while(|c| c.is_alphanumeric()).collect();
            let other = place(&name).unwrap_or_else(|| panic!("{path:?}: crate::{name}"));
            assert!(other <= own, "{path:?}: `{first}` may not import `{name}`");
            imports += 1;
        }
    }
    assert!(imports > 30, "the test no longer finds the imports");
}
