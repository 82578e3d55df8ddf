//! The command as its users meet it: exit codes, messages, files, signals. It is the debug build
//! with the hidden `--allow-debug`, so no figure is tested here.

mod campaigns;
mod runs;
pub(super) mod servers;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn authbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs it, expects this exit code, and gives what stands on stderr.
fn refused(arguments: &[&str], code: i32) -> String {
    let output = authbench(arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

/// A campaign that takes a second or two.
const TINY: &str = "name = 'tiny'\narms = ['none', 'session@memory', 'jwt-hs256']\n\
                    [concurrency]\nusers = [2, 4]\nblocks = 2\nwarmup = '20ms'\nmeasure = '100ms'\n\
                    [memory]\nsessions = [0, 20, 40, 60, 80]\nblocks = 2\nconnections = 4\n\
                    settle = '10ms'\n";

fn tiny(folder: &Path) -> String {
    let path = folder.join("tiny.toml");
    fs::write(&path, TINY).unwrap();
    path.to_str().unwrap().into()
}

/// Every file below a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if path.is_dir() {
            let inner = contents(&path);
            found.extend(inner.into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

/// Fault 28: a full stdout is an error.
#[test]
fn figures_that_cannot_be_printed_are_an_error_and_a_reader_that_left_is_none() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    let status = command.arg("schemes").stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(5));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    assert!(command.arg("schemes").stdout(writer).status().unwrap().success());
}
