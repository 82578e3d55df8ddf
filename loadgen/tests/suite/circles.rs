//! No two files of a crate need each other, directly or through others. Re-exports are not counted:
//! what a file needs is the file that defines a name, whichever module it imports the name from.

use std::collections::{BTreeMap, BTreeSet};

use super::tidy::{files, is_test};

/// A path as written, such as `super::record::Doubt`.
type Path = Vec<String>;

/// A name that a `use` brings into a file.
struct Import {
    /// Whether it is a re-export.
    public: bool,
    path: Path,
    name: String,
}

/// A source file, as far as it tells what it needs.
struct Source {
    file: String,
    module: Path,
    imports: Vec<Import>,
    /// Paths outside of imports; names that stand alone are paths too.
    paths: Vec<Path>,
    children: BTreeSet<String>,
}

/// The tokens of a file without its tests, comments and strings: names, `::`, and single marks.
fn tokens(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '/' && rest.peek() == Some(&'/') {
            rest.by_ref().find(|c| *c == '\n');
        } else if c == '"' {
            while let Some(c) = rest.next().filter(|c| *c != '"') {
                if c == '\\' {
                    rest.next();
                }
            }
        } else if c == '\'' {
            // A quote mark as a character would begin a string.
            let escaped = rest.next_if_eq(&'\\').is_some();
            let quoted = rest.next().unwrap_or_default();
            if escaped || quoted == '"' {
                rest.by_ref().find(|c| *c == '\'');
            }
        } else if c.is_alphanumeric() || c == '_' {
            let mut name = String::from(c);
            while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
                name.push(c);
            }
            tokens.push(name);
        } else if c == ':' && rest.next_if_eq(&':').is_some() {
            tokens.push("::".into());
        } else if !c.is_whitespace() {
            tokens.push(c.into());
        }
    }
    tokens
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads the tree of a `use` behind `prefix`; how many tokens it takes.
fn read_tree(tokens: &[String], prefix: &[String], found: &mut Vec<(Path, String)>) -> usize {
    let (mut path, mut at) = (prefix.to_vec(), 0);
    loop {
        match tokens[at].as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens[at] != "}" {
                    at += read_tree(&tokens[at..], &path, found);
                    at += usize::from(tokens[at] == ",");
                }
                return at + 1;
            }
            "as" => {
                found.push((path, tokens[at + 1].clone()));
                return at + 2;
            }
            name if is_name(name) || name == "*" => {
                path.push(name.into());
                at += 1;
            }
            _ => break,
        }
    }
    if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
        path.pop();
    }
    let name = path.last().cloned().unwrap_or_default();
    found.push((path, name));
    at
}

impl Source {
    fn new(file: &str, module: Path, text: &str) -> Self {
        let tokens = tokens(text);
        let mut source = Self {
            file: file.into(),
            module,
            imports: Vec::new(),
            paths: Vec::new(),
            children: BTreeSet::new(),
        };
        let mut at = 0;
        while at < tokens.len() {
            let before = |back: usize| at.checked_sub(back).map_or("", |at| tokens[at].as_str());
            let after = tokens.get(at + 1).map_or("", String::as_str);
            match tokens[at].as_str() {
                "use" => {
                    let mut found = Vec::new();
                    let public = ["pub", ")"].contains(&before(1));
                    at += 1 + read_tree(&tokens[at + 1..], &[], &mut found);
                    let imports = found.into_iter();
                    let imports = imports.map(|(path, name)| Import { public, path, name });
                    source.imports.extend(imports);
                }
                "mod" if tokens.get(at + 2).is_some_and(|token| token == ";") => {
                    source.children.insert(after.into());
                    at += 3;
                }
                // The place in `pub(in place)` says who sees an item, not what the item needs.
                "in" if before(1) == "(" && before(2) == "pub" => {
                    at += tokens[at..].iter().position(|token| token == ")").unwrap_or(1);
                }
                name if is_name(name) => {
                    let mut path = vec![name.to_string()];
                    // A variant of this name is another thing than what is imported.
                    let variant = ["{", ",", "]"].contains(&before(1)) && after == ",";
                    at += 1;
                    while tokens.get(at).is_some_and(|token| token == "::")
                        && tokens.get(at + 1).is_some_and(|token| is_name(token))
                    {
                        path.push(tokens[at + 1].clone());
                        at += 2;
                    }
                    if !variant {
                        source.paths.push(path);
                    }
                }
                _ => at += 1,
            }
        }
        source
    }

    /// The path from the root of the crate; `None` if it begins elsewhere.
    fn absolute(&self, path: &[String]) -> Option<Path> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([&self.module, rest].concat()),
            "super" => {
                let up = path.iter().take_while(|name| *name == "super").count();
                let above = &self.module[..self.module.len().checked_sub(up)?];
                Some([above, &path[up..]].concat())
            }
            child if self.children.contains(child) => Some([&self.module, path].concat()),
            _ => None,
        }
    }
}

/// The files of one crate by their modules.
struct Crate(BTreeMap<Path, Source>);

impl Crate {
    fn new(folder: &str) -> Self {
        let sources = files(folder, "rs").into_iter().filter(|(file, _)| !is_test(file));
        let modules = sources.map(|(file, text)| {
            let inside = file[folder.len()..].trim_start_matches('/').trim_end_matches(".rs");
            let mut module: Path = inside.split('/').map(String::from).collect();
            module.pop_if(|name| ["mod", "lib", "main"].contains(&name.as_str()));
            (module.clone(), Source::new(&file, module, &text))
        });
        Self(modules.filter(|(_, source)| !source.file.ends_with("/main.rs")).collect())
    }

    /// The file that defines what this path names, and whether it names a whole module.
    fn resolve(&self, path: &[String], depth: usize) -> Option<(&Source, bool)> {
        if let Some(source) = self.0.get(path) {
            return Some((source, true));
        }
        let ends = (0..path.len()).rev();
        let (end, source) = ends.filter_map(|end| Some((end, self.0.get(&path[..end])?))).next()?;
        let (name, rest) = (&path[end], &path[end + 1..]);
        let Some(import) = source.imports.iter().find(|import| import.name == *name) else {
            return Some((source, false));
        };
        assert!(depth < 10, "{}: `{name}` is re-exported in a circle", source.file);
        let whole = [source.absolute(&import.path)?, rest.to_vec()].concat();
        self.resolve(&whole, depth + 1)
    }

    /// Files that this one needs.
    fn needs(&self, source: &Source) -> BTreeSet<&str> {
        let mut needs = BTreeSet::new();
        let mut need = |path: &[String]| {
            needs.extend(self.resolve(path, 0).map(|(other, _)| other.file.as_str()));
        };
        let mut modules: BTreeMap<&str, Path> = BTreeMap::new();
        for child in &source.children {
            modules.insert(child, [&source.module[..], std::slice::from_ref(child)].concat());
        }
        for import in &source.imports {
            let Some(path) = source.absolute(&import.path) else { continue };
            match self.resolve(&path, 0) {
                Some((other, true)) => {
                    modules.insert(&import.name, other.module.clone());
                }
                Some((other, false)) => {
                    let passed_on = import.public && other.module.starts_with(&source.module);
                    let used = || source.paths.iter().any(|path| path[0] == import.name);
                    if !passed_on || used() {
                        need(&path);
                    }
                }
                None => {}
            }
        }
        for path in source.paths.iter().filter(|path| path.len() > 1) {
            if let Some(module) = modules.get(path[0].as_str()) {
                need(&[module, &path[1..]].concat());
            } else if let Some(path) = source.absolute(path) {
                need(&path);
            }
        }
        needs.remove(source.file.as_str());
        needs
    }

    /// What each file in a circle needs of the others in it.
    fn circles(&self) -> Vec<String> {
        let mut left: BTreeMap<&str, BTreeSet<&str>> =
            self.0.values().map(|source| (source.file.as_str(), self.needs(source))).collect();
        // What needs nothing that is left, or is needed by nothing that is left, is in no circle.
        loop {
            let needed: BTreeSet<&str> = left.values().flatten().copied().collect();
            let before = left.len();
            let there: BTreeSet<&str> = left.keys().copied().collect();
            left.retain(|file, needs| {
                needs.retain(|other| there.contains(other));
                !needs.is_empty() && needed.contains(file)
            });
            if left.len() == before {
                break;
            }
        }
        left.iter().map(|(file, needs)| format!("{file} needs {needs:?}")).collect()
    }
}

#[test]
fn no_files_need_each_other() {
    let (mut found, mut seen) = (Vec::new(), 0);
    for folder in [
        "servers/src",
        "servers/contract/src",
        "loadgen/src",
        "loadgen/engine/src",
        "loadgen/stats/src",
    ] {
        let all = Crate::new(folder);
        seen += all.0.values().map(|source| all.needs(source).len()).sum::<usize>();
        found.extend(all.circles());
    }
    assert!(found.is_empty(), "files in a circle:\n{}", found.join("\n"));
    assert!(seen > 500, "only {seen} needs of files are found");
}

#[test]
fn a_circle_is_found_through_re_exports_and_module_names() {
    let given = |files: &[(&str, &str)]| {
        let sources = files.iter().map(|(module, text)| {
            let path: Path =
                module.split('/').filter(|name| !name.is_empty()).map(Into::into).collect();
            (path.clone(), Source::new(module, path, text))
        });
        Crate(sources.collect()).circles().len()
    };
    let facade = ("", "mod a; mod b; pub use a::A; pub use b::B;");
    assert_eq!(given(&[facade, ("a", "use super::B; struct A;"), ("b", "struct B;")]), 0);
    let (one, two) = (("a", "use super::B; struct A;"), ("b", "fn b() { crate::A::new() }"));
    assert_eq!(given(&[facade, one, two]), 2, "through the names that the module passes on");
    let two = ("b", "use crate::a; struct B; fn b() { a::A }");
    assert_eq!(given(&[facade, one, two]), 2, "through the name of a module");
    let ground = ("", "mod a; pub use a::A; struct B; fn b() -> A {}");
    assert_eq!(given(&[ground, ("a", "use super::B; struct A;")]), 2, "a module and its child");
    let quoted =
        ("", "mod a; pub use a::A; struct B; // A\nconst T: &str = \"A\"; enum E { A, C }");
    assert_eq!(given(&[quoted, ("a", "use super::B; struct A;")]), 0, "names that are no uses");
}
