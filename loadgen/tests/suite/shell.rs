//! Completions and manual pages, compared with the command line, and given to the programs that
//! read them where those are installed.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use clap::CommandFactory as _;
use loadgen::cli::Cli;

fn authbench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = authbench(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a program makes of a text on its standard input; `None` where it is not installed.
fn given_to(program: &str, flags: &[&str], text: &str) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(flags).env("MANPAGER", "cat").env("MANWIDTH", "80");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        drop(writeln!(std::io::stderr(), "skipped: `{program}` is missing"));
        return None;
    };
    let (mut stdin, text) = (child.stdin.take().unwrap(), text.to_string());
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    Some(output)
}

/// Every verb that is shown, with the words by which it is called.
fn verbs() -> Vec<Vec<String>> {
    fn add(command: &clap::Command, before: &[String], all: &mut Vec<Vec<String>>) {
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let words = [before, &[verb.get_name().to_string()]].concat();
            add(verb, &words, all);
            all.push(words);
        }
    }
    let mut all = Vec::new();
    add(&Cli::command(), &[], &mut all);
    all
}

#[test]
fn completions_parse_and_have_every_verb_and_flag() {
    for (shell, program) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let script = printed(&["completions", shell]);
        for verb in verbs().iter().flatten() {
            assert!(script.contains(verb.as_str()), "{shell}: no `{verb}`");
        }
        for flag in ["connections", "fail-if", "max-transport-errors"] {
            assert!(script.contains(flag), "{shell}: no `--{flag}`");
        }
        // Read and not run.
        if let Some(read) = given_to(program, &["-n"], &script) {
            assert!(read.status.success() && read.stderr.is_empty(), "{shell}: {read:?}");
        }
    }
}

#[test]
fn bash_completes_a_flag_and_an_arm() {
    let script = printed(&["completions", "bash"]);
    let completed = |before: &str, typed: &str| {
        let last = before.split_whitespace().last().unwrap();
        let asks = format!(
            "COMP_WORDS=({before} {typed}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _authbench authbench {typed} {last}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        );
        let found = given_to("bash", &[], &format!("{script}\n{asks}"))?;
        assert!(found.status.success() && found.stderr.is_empty(), "{found:?}");
        Some(String::from_utf8(found.stdout).unwrap())
    };
    let Some(flag) = completed("authbench run", "--fail-") else { return };
    assert_eq!(flag, "--fail-if\n");
    assert_eq!(completed("authbench run --arm", "jwt-hs").unwrap(), "jwt-hs256\n");
    assert_eq!(completed("authbench campaign quick --arms", "bff").unwrap(), "bff@redis\n");
    assert_eq!(completed("authbench serve", "jwe").unwrap(), "jwe-dir\n");
}

#[test]
fn every_verb_has_a_page_that_man_can_show() {
    let mut pages = vec![Vec::new()];
    pages.extend(verbs());
    assert!(pages.len() > 10, "the verbs are no longer found");
    for verb in pages {
        let words: Vec<&str> = ["man"].into_iter().chain(verb.iter().map(String::as_str)).collect();
        let page = printed(&words);
        let name = [&["authbench".to_string()], verb.as_slice()].concat().join("-");
        assert!(page.contains(&format!(".TH {name} 1")), "{words:?}: {page:.300}");
        let Some(shown) = given_to("man", &["--warnings=w", "-l", "-"], &page) else { continue };
        let text = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.status.success() && shown.stderr.is_empty(), "{words:?}: {shown:?}");
        assert!(text.contains("SYNOPSIS") && text.contains(&name), "{words:?}: {text}");
    }
    assert!(printed(&["man", "run"]).contains("fail\\-if"), "the page has no flags");
    for verb in [&["man"][..], &["man", "target"]] {
        assert!(!printed(verb).contains("\\-help(1)"), "a page is named that is not there");
    }
}

#[test]
fn what_is_no_shell_or_verb_is_refused() {
    for (arguments, part) in [
        (&["completions", "tcsh"][..], "bash"),
        (&["completions"], "<SHELL>"),
        (&["man", "runs"], "expected VERB to be a verb of `authbench` (campaign, plan, run"),
        (&["man", "run", "x"], "nothing behind `authbench run`"),
    ] {
        let output = authbench(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}
