//! README and manual, compared with the program: commands parse and run, files load, links lead
//! somewhere. A block marked `sh` holds commands, one marked `toml` a campaign or a target file.
//! Pages avoid the phrases that CONTRIBUTING.md lists, and so do comments and texts of the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::reference::copy;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use loadgen::cli::Cli;
use loadgen::experiment::EXPERIMENTS;
use loadgen::journey::Script;
use loadgen::report::MARKS;
use loadgen::spec::{PRESETS, parse_target};

/// What a reader takes in before they close the page.
const README_WORDS_MAX: usize = 1500;
/// Commands of the manual that change nothing outside their folder and take a moment.
const HARMLESS: [&str; 4] = ["plan", "schemes", "report", "compare"];

struct Page {
    /// Path from the root of the repository.
    path: String,
    text: String,
}

/// A fenced block.
struct Block<'a> {
    language: &'a str,
    text: String,
}

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn page(path: &str) -> Page {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    Page { path: path.into(), text }
}

/// Pages of the manual, in the order of their names.
fn manual() -> Vec<Page> {
    let names = fs::read_dir(root().join("docs")).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.iter().map(|name| page(&format!("docs/{name}"))).collect()
}

/// README, the manual, and what is written for contributors and about single folders.
fn pages() -> Vec<Page> {
    let others = ["ARCHITECTURE.md", "CONTRIBUTING.md", "loadgen/targets/README.md"];
    let mut pages = vec![page("README.md"), page("results/README.md")];
    pages.extend(others.map(page));
    pages.extend(manual());
    pages
}

impl Page {
    /// The lines outside fenced blocks, and the blocks.
    fn parts(&self) -> (String, Vec<Block<'_>>) {
        let (mut prose, mut blocks) = (String::new(), Vec::new());
        let mut open: Option<Block<'_>> = None;
        for line in self.text.lines() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    open = Some(Block { language, text: String::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.text.extend([line, "\n"]),
                (None, None) => prose.extend([line, "\n"]),
            }
        }
        assert!(open.is_none(), "{}: a block without an end", self.path);
        (prose, blocks)
    }

    /// Blocks in this language.
    fn blocks(&self, language: &str) -> Vec<String> {
        let (_, blocks) = self.parts();
        let blocks = blocks.into_iter().filter(|block| block.language == language);
        blocks.map(|block| block.text).collect()
    }

    /// Every command line of its `sh` blocks, and every one in backticks that is authbench's.
    fn commands(&self) -> Vec<String> {
        let shell = self.blocks("sh").concat().replace("\\\n", " ");
        let mut commands: Vec<String> = shell.lines().map(str::trim).map(String::from).collect();
        commands.extend(self.spans().into_iter().filter(|span| span.starts_with("authbench ")));
        commands
    }

    /// What stands in backticks outside the blocks, its words one space apart.
    fn spans(&self) -> Vec<String> {
        let (prose, _) = self.parts();
        let spans = prose.split('`').skip(1).step_by(2);
        spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// The arguments of every command line that runs authbench.
    fn authbench(&self) -> Vec<Vec<String>> {
        let commands = self.commands();
        let arguments = commands.iter().filter_map(|line| {
            let ours = ["authbench ", "cargo run --release -- "];
            ours.iter().find_map(|prefix| line.strip_prefix(prefix))
        });
        arguments.map(words).collect()
    }

    /// What GitHub makes of its headings.
    fn anchors(&self) -> BTreeSet<String> {
        let (prose, _) = self.parts();
        let headings = prose.lines().filter(|line| line.starts_with('#'));
        let mut anchors = BTreeSet::new();
        for heading in headings {
            let text = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let anchor = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
            assert!(anchors.insert(anchor), "{}: two headings `{heading}`", self.path);
        }
        anchors
    }

    /// Where its links lead.
    fn links(&self) -> Vec<String> {
        let (prose, _) = self.parts();
        let ends = prose.split("](").skip(1);
        ends.filter_map(|rest| rest.split_once(')')).map(|(link, _)| link.into()).collect()
    }
}

/// Words of a command line as a shell sees them, up to a comment or the next command.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '#') if word.is_none() => break,
            (None, '&' | '|' | ';' | '>') => break,
            _ => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote without an end: {line}");
    words.extend(word);
    words
}

#[test]
fn words_are_split_as_a_shell_splits_them() {
    for (line, expected) in [
        ("plan quick   # what", &["plan", "quick"][..]),
        (
            "compare a --fail-if 'x@y > +5%' || exit",
            &["compare", "a", "--fail-if", "x@y > +5%"][..],
        ),
        ("serve a &", &["serve", "a"][..]),
        ("run --header \"A: b\"''", &["run", "--header", "A: b"][..]),
    ] {
        assert_eq!(words(line), expected, "{line}");
    }
}

#[test]
fn every_command_is_one_that_the_command_line_takes() {
    let verbs: BTreeSet<String> =
        Cli::command().get_subcommands().map(|verb| verb.get_name().into()).collect();
    let mut seen = 0;
    for page in pages() {
        for arguments in page.authbench() {
            let whole = arguments.join(" ");
            seen += 1;
            if let [verb] = arguments.as_slice() {
                // A verb by itself, in prose, is the name of the command.
                let is_flag = verb.starts_with('-');
                assert!(is_flag || verbs.contains(verb), "{}: `authbench {whole}`", page.path);
                continue;
            }
            let parsed = Cli::try_parse_from(std::iter::once("authbench".into()).chain(arguments));
            if let Err(error) = parsed {
                let help = error.kind() == ErrorKind::DisplayHelp;
                assert!(help, "{}: `authbench {whole}`: {error}", page.path);
            }
        }
    }
    assert!(seen > 50, "the commands are no longer found");
}

#[test]
fn every_benchmark_that_is_named_is_there() {
    for page in pages() {
        for command in page.commands() {
            let words = words(&command);
            let named = words.windows(2).filter(|pair| pair[0] == "--bench").map(|pair| &pair[1]);
            for name in named {
                let file = root().join("benches/benches").join(name).with_extension("rs");
                assert!(file.exists(), "{}: no benchmark `{name}`", page.path);
            }
        }
    }
}

/// Runs authbench in a folder, and expects one of these exit codes.
fn run(folder: &Path, arguments: &[String], codes: &[i32], whence: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(codes.contains(&code), "{whence}: authbench {arguments:?} exits with {code}: {error}");
}

#[test]
fn commands_that_are_quick_and_harmless_work() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["quick", "before", "after"] {
        copy(&root().join("results/reference/quick"), &dir.path().join("results").join(name));
    }
    fs::copy(root().join("README.md"), dir.path().join("README.md")).unwrap();
    let campaign = page("docs/campaigns.md").blocks("toml").remove(0);
    fs::write(dir.path().join("mine.toml"), campaign).unwrap();
    let mut seen = BTreeSet::new();
    for page in std::iter::once(page("README.md")).chain(manual()) {
        for arguments in page.authbench() {
            let verb = arguments[0].as_str();
            let a_name_only = arguments.len() == 1 && verb != "schemes";
            let with_help = arguments.iter().any(|word| word == "--help");
            if (a_name_only || !HARMLESS.contains(&verb)) && !with_help {
                continue;
            }
            let bound = arguments.iter().any(|word| word == "--fail-if");
            run(dir.path(), &arguments, if bound { &[0, 6] } else { &[0] }, &page.path);
            seen.insert(verb.to_string());
        }
    }
    assert!(HARMLESS.iter().all(|verb| seen.contains(*verb)), "ran {seen:?} only");
    let mut bounds = page("docs/reading-a-report.md").spans();
    let signs = [" > ", " >= ", " < ", " <= "];
    bounds.retain(|span| !span.starts_with("--") && signs.iter().any(|sign| span.contains(sign)));
    assert!(bounds.len() > 2, "the bounds are no longer found: {bounds:?}");
    for bound in bounds {
        let compare = ["compare", "results/before", "results/after", "--fail-if", &bound];
        run(dir.path(), &compare.map(String::from), &[0, 6], "docs/reading-a-report.md");
    }
}

#[test]
fn every_file_that_is_shown_loads() {
    let dir = tempfile::tempdir().unwrap();
    let (mut campaigns, mut targets) = (0, 0);
    for page in pages() {
        // The file of users that a target file of the page names.
        fs::write(dir.path().join("users.csv"), page.blocks("csv").concat()).unwrap();
        // The keys that one names.
        for key in ["server.pem", "private.pem"] {
            fs::write(dir.path().join(key), "").unwrap();
        }
        for text in page.blocks("toml") {
            if !text.contains("base_url") {
                fs::write(dir.path().join("shown.toml"), text).unwrap();
                run(dir.path(), &["plan".into(), "shown.toml".into()], &[0], &page.path);
                campaigns += 1;
                continue;
            }
            let target = parse_target(Path::new(&page.path), &text, dir.path()).unwrap();
            for (name, journey) in &target.journeys {
                let script = Script::new(&target, name)
                    .unwrap_or_else(|e| panic!("{}, {name}: {e}", page.path));
                let has_none = journey.anonymous || target.auth.is_some();
                assert_eq!(script.login.is_none(), has_none, "{}, {name}", page.path);
            }
            targets += 1;
        }
    }
    assert!(campaigns > 0 && targets > 1, "{campaigns} campaigns and {targets} targets are shown");
}

#[test]
fn links_and_anchors_lead_somewhere() {
    let mut seen = 0;
    for page in pages() {
        let folder = root().join(&page.path).parent().unwrap().to_path_buf();
        for link in page.links() {
            if link.starts_with("http://") || link.starts_with("https://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { root().join(&page.path) } else { folder.join(path) };
            assert!(target.exists(), "{}: the link `{link}` leads nowhere", page.path);
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let linked = Page { path: path.into(), text };
                let found = linked.anchors().contains(anchor);
                assert!(found, "{}: the link `{link}` leads to no heading", page.path);
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "the links are no longer found");
}

#[test]
fn the_readme_is_short_and_leads_to_the_manual() {
    let readme = page("README.md");
    let words = readme.text.split_whitespace().count();
    assert!(words <= README_WORDS_MAX, "README.md has {words} words");
    let links = readme.links();
    for page in manual() {
        assert!(links.contains(&page.path), "README.md does not link to {}", page.path);
    }
}

#[test]
fn a_page_of_the_manual_begins_with_what_it_is_for() {
    for page in manual() {
        let mut lines = page.text.lines();
        let (title, empty) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        assert!(title.starts_with("# ") && empty.is_empty(), "{}: no title", page.path);
        let purpose: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
        let purpose = purpose.join(" ");
        let sentence = purpose.ends_with('.') && !purpose.contains(". ");
        assert!(sentence, "{}: begins with `{purpose}`, not with one sentence", page.path);
    }
}

#[test]
fn the_manual_has_every_experiment_preset_and_arm() {
    let campaigns = page("docs/campaigns.md").text;
    for experiment in EXPERIMENTS {
        let row = format!("\n| `[{}]` |", experiment.name());
        assert!(campaigns.contains(&row), "no row for the experiment `{}`", experiment.name());
    }
    for (preset, _) in PRESETS {
        assert!(campaigns.contains(&format!("\n| `{preset}` |")), "no row for `{preset}`");
    }
    let arms = page("docs/arms.md");
    let (prose, _) = arms.parts();
    let rows: Vec<&str> = prose.lines().filter(|line| line.starts_with("| `")).collect();
    for info in servers::arms() {
        let (scheme, store) = info.arm.split_once('@').unwrap_or((info.arm, ""));
        let named = |row: &&str| {
            let whole = row.contains(&format!("`{}`", info.arm));
            let among = [format!("`{scheme}@"), format!("`@{store}`")];
            let listed = among.iter().all(|part| row.contains(part));
            whole || (!store.is_empty() && listed)
        };
        assert!(rows.iter().any(named), "docs/arms.md has no row for `{}`", info.arm);
    }
}

/// The phrases in the first column of the table in CONTRIBUTING.md, and that page without it.
fn unused_phrases() -> (Vec<String>, String) {
    let text = page("CONTRIBUTING.md").text;
    let heading = "## Words that we do not use";
    let (before, section) = text.split_once(heading).expect("a section of unused words");
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with('|')).collect();
    let cells = rows.iter().filter_map(|row| row.split('|').nth(1));
    let spans = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let phrases = spans.map(str::to_lowercase).collect();
    let rest = section.lines().filter(|line| !line.starts_with('|')).collect::<Vec<_>>();
    (phrases, format!("{before}{}", rest.join("\n")))
}

/// Text on one line, in lower case, every word and mark of punctuation between spaces.
fn plain(text: &str) -> String {
    let mut spaced = String::new();
    for c in text.to_lowercase().chars().filter(|c| *c != '*') {
        match c {
            '.' | ',' | ';' | ':' | '(' | ')' | '"' | '|' => spaced.extend([' ', c, ' ']),
            _ => spaced.push(c),
        }
    }
    format!(" {} ", spaced.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn no_page_has_a_phrase_that_we_do_not_use() {
    let (phrases, contributing) = unused_phrases();
    assert!(phrases.len() > 20, "the phrases are no longer found");
    let mut found = Vec::new();
    for mut page in pages() {
        if page.path.starts_with("results/") {
            continue;
        }
        if page.path == "CONTRIBUTING.md" {
            page.text.clone_from(&contributing);
        }
        // What stands between the marks is a report's.
        if let Some((before, rest)) = page.text.split_once(MARKS[0]) {
            page.text = format!("{before}{}", rest.split_once(MARKS[1]).unwrap().1);
        }
        let text = plain(&page.text);
        for phrase in &phrases {
            if let Some((before, _)) = text.split_once(&format!(" {phrase} ")) {
                let words: Vec<&str> = before.split(' ').rev().take(6).collect();
                let context: Vec<&str> = words.into_iter().rev().collect();
                found.push(format!("{}: ... {} {phrase} ...", page.path, context.join(" ")));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Blocks of comments of a file, each with the number of its first line.
fn comments(text: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    for (number, line) in text.lines().enumerate() {
        let Some(comment) = line.trim_start().strip_prefix("//") else {
            is_open = false;
            continue;
        };
        if !is_open {
            blocks.push((number + 1, String::new()));
        }
        is_open = true;
        let block = &mut blocks.last_mut().expect("an open block").1;
        block.extend([comment.trim_start_matches(['/', '!']), " "]);
    }
    blocks
}

#[test]
fn no_comment_has_a_phrase_that_we_do_not_use() {
    let (phrases, _) = unused_phrases();
    let (mut found, mut seen) = (Vec::new(), 0);
    for (path, text) in super::tidy::sources() {
        for (line, block) in comments(&text) {
            let block = plain(&block);
            let has = |phrase: &&String| block.contains(&format!(" {phrase} "));
            found.extend(phrases.iter().filter(has).map(|p| format!("{path}:{line}: {p}")));
            seen += 1;
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(seen > 1000, "only {seen} comments are found");
}

/// Texts between quotation marks in a file of Rust, each with the number of its first line. Escapes
/// stay as they are written, but a line that is continued is one line.
fn texts(code: &str) -> Vec<(usize, String)> {
    let mut texts = Vec::new();
    let (mut rest, mut line) = (code, 1);
    while let Some(start) = rest.find(['"', '/', '\'']) {
        let (before, found) = rest.split_at(start);
        line += before.matches('\n').count();
        let hashes = before.len() - before.trim_end_matches('#').len();
        let is_raw = before[..start - hashes].ends_with('r');
        rest = if found.starts_with("//") {
            found.find('\n').map_or("", |end| &found[end..])
        } else if let Some(escape) = found.strip_prefix(r"'\") {
            escape.find('\'').map_or("", |end| &escape[end + 1..])
        } else if let Some(behind) = found.strip_prefix("'\"'") {
            behind
        } else if found.starts_with('"') && is_raw {
            let end = format!("\"{}", "#".repeat(hashes));
            let (text, behind) = found[1..].split_once(&end).expect("the end of a text");
            texts.push((line, text.to_string()));
            behind
        } else if let Some(text) = found.strip_prefix('"') {
            let mut escaped = false;
            let is_end = |c: char| {
                let is_end = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                is_end
            };
            let end = text.find(is_end).expect("the end of a text");
            let joined = text[..end].split("\\\n").map(str::trim_start);
            texts.push((line, joined.collect()));
            &text[end + 1..]
        } else {
            &found[1..]
        };
        line += found[..found.len() - rest.len()].matches('\n').count();
    }
    texts
}

#[test]
fn texts_are_found_as_rust_has_them() {
    let code = r##"
        let a = '"'; // "no text"
        let b = ("one \"two\"", '\'', r#"three "four""#, 'x', "five \
                 six");
    "##;
    let found: Vec<_> = texts(code).into_iter().collect();
    let lines: Vec<_> = found.iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(lines, [(3, r#"one \"two\""#), (3, r#"three "four""#), (3, "five six")]);
}

/// What the program prints, its reports included, is text in its sources and presets.
#[test]
fn no_text_of_the_program_has_a_phrase_that_we_do_not_use() {
    let (phrases, _) = unused_phrases();
    let (mut found, mut seen) = (Vec::new(), 0);
    let sources = super::tidy::sources();
    let code = sources.iter().flat_map(|(path, code)| {
        texts(code).into_iter().map(move |(line, text)| (path, line, text))
    });
    let data: Vec<_> = ["toml", "html", "js"]
        .iter()
        .flat_map(|kind| super::tidy::files("loadgen", kind))
        .collect();
    let data = data.iter().map(|(path, text)| (path, 1, text.clone()));
    for (path, line, text) in code.chain(data) {
        let text = plain(&text);
        let has = |phrase: &&String| text.contains(&format!(" {phrase} "));
        found.extend(phrases.iter().filter(has).map(|p| format!("{path}:{line}: {p}")));
        seen += 1;
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(seen > 10_000, "only {seen} texts are found");
}
