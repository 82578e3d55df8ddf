//! Names that lead elsewhere: every file that a user can name, and those of a campaign's folder.
//! What is no regular file is refused at once, and what a planted link leads to stays as it is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs it, expects this exit code, and gives what stands on stderr.
fn refused(arguments: &[&str], code: i32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A small campaign that was run: a copy of a committed one.
fn campaign(within: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let to = within.join("campaign");
    let from = from.join("results/reference/quick");
    assert!(Command::new("cp").arg("-r").arg(from).arg(&to).status().unwrap().success());
    to
}

#[test]
fn a_pipe_in_the_place_of_any_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe.toml");
    pipe(&path);
    let pipe = path.to_str().unwrap();
    let url = "https://127.0.0.1:1/";
    for arguments in [
        &["plan", pipe][..],
        &["campaign", pipe, "--allow-debug"],
        &["run", "--target", pipe, "--allow-debug"],
        &["run", url, "--ca", pipe, "--allow-debug"],
        &["run", "--arm", "none", "--hdr-log", pipe, "--allow-debug"],
        &["attack", "--target", pipe],
        &["serve", "jwt-hs256", "--key-file", pipe],
        &["serve", "jwt-hs256", "--previous-key-file", pipe],
        &["serve", "session@redis", "--store-url-file", pipe],
    ] {
        let text = refused(arguments, 5);
        assert!(text.contains("found a pipe") && text.contains(pipe), "{arguments:?}: {text}");
    }
}

/// Fault 22: a file without an end.
#[test]
fn a_file_without_an_end_is_refused_and_a_missing_one_is_a_slip() {
    for path in ["/dev/zero", "/proc/self/mem"] {
        refused(&["serve", "jwt-hs256", "--key-file", path], 5);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.toml");
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let text = refused(&["plan", path.to_str().unwrap()], 5);
    assert!(text.contains("at most 1048576 bytes"), "{text}");
    let missing = dir.path().join("missing");
    let text = refused(&["serve", "jwt-hs256", "--key-file", missing.to_str().unwrap()], 2);
    assert!(text.contains("missing"), "{text}");
}

#[test]
fn no_link_in_a_campaigns_folder_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let root = campaign(dir.path());
    let folder = root.to_str().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "old").unwrap();
    for name in ["report.md", "report.html", "campaign.lock", "charts.svg"] {
        let path = root.join(name);
        let before = fs::read(&path).ok();
        let _ = fs::remove_file(&path);
        symlink(&victim, &path).unwrap();
        let text = match name {
            "campaign.lock" => {
                refused(&["campaign", "quick", "--resume", "--allow-debug", "--out", folder], 5)
            }
            _ => refused(&["report", folder, "--format", "html,md,svg"], 5),
        };
        assert!(text.contains("found a symbolic link") && text.contains(name), "{text}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "old", "{name}");
        fs::remove_file(&path).unwrap();
        before.into_iter().for_each(|bytes| fs::write(&path, bytes).unwrap());
    }
    let page = dir.path().join("page.md");
    let text = "<!-- authbench: summary -->\n<!-- authbench: end -->\n";
    fs::write(&page, text).unwrap();
    let link = dir.path().join("link.md");
    symlink(&page, &link).unwrap();
    let into = ["report", folder, "--format", "md", "--into"];
    let said = refused(&[&into[..], &[link.to_str().unwrap()]].concat(), 5);
    assert!(said.contains("found a symbolic link"), "{said}");
    assert_eq!(fs::read_to_string(&page).unwrap(), text);
    refused(&[&into[..], &[page.to_str().unwrap()]].concat(), 0);
    assert!(fs::read_to_string(&page).unwrap().len() > text.len());
}

#[test]
fn a_pipe_in_a_campaigns_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = campaign(dir.path());
    let folder = root.to_str().unwrap();
    for name in ["host.json", "plan.json"] {
        fs::remove_file(root.join(name)).unwrap();
        pipe(&root.join(name));
        for arguments in [&["report", folder][..], &["compare", folder, folder]] {
            let text = refused(arguments, 5);
            assert!(text.contains("found a pipe") && text.contains(name), "{text}");
        }
    }
}
