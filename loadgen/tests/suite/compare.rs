//! `authbench compare` on committed records, and on the same records with one arm made slower.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn compare(a: &Path, b: &Path, flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .arg("compare")
        .args([a, b])
        .args(flags)
        .output()
        .unwrap()
}

fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference/quick")
}

/// A copy of the reference in which the servers of one arm need half as much CPU time again.
fn slower(arm: &str, folder: &Path) {
    fs::create_dir_all(folder.join("trials")).unwrap();
    for name in ["plan.json", "host.json"] {
        fs::copy(reference().join(name), folder.join(name)).unwrap();
    }
    for entry in fs::read_dir(reference().join("trials")).unwrap() {
        let path = entry.unwrap().path();
        let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        // Records of the first schema have no checksum, so this is what their reader takes.
        record["schema"] = 1.into();
        for key in ["checksum", "origin"] {
            record.as_object_mut().unwrap().remove(key);
        }
        if record["trial"]["arm"] == arm {
            for action in record["actions"].as_array_mut().unwrap() {
                if let Some(cpu_ns) = action["server"]["cpu_ns"].as_u64() {
                    action["server"]["cpu_ns"] = (cpu_ns * 3 / 2).into();
                }
            }
        }
        let text = serde_json::to_string(&record).unwrap();
        fs::write(folder.join("trials").join(path.file_name().unwrap()), text).unwrap();
    }
}

#[test]
fn bounds_decide_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (reference(), dir.path().join("slower"));
    slower("jwt-hs256", &b);
    let code = |flags: &[&str]| {
        let output = compare(&a, &b, flags);
        let text = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text, complaint)
    };
    let (found, text, _) = code(&[]);
    assert_eq!(found, 0);
    // Three levels of concurrency, one of the curve, and two of users who are logged in.
    let (_, rows) = text.split_once("server_cpu_us_per_request, jwt-hs256\n").unwrap();
    let rows: Vec<&str> = rows.lines().take_while(|line| !line.is_empty()).collect();
    assert!(rows.len() == 6 && rows.iter().all(|row| row.contains("▲ worse")), "{text}");
    assert!(!text.contains("Not changed") && text.contains(" identical"), "{text}");
    let widest = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest(&text) <= 100, "{text}");
    let (_, whole, _) = code(&["--all"]);
    assert!(whole.contains("Not changed") && widest(&whole) <= 100, "{whole}");
    let (_, text, _) = code(&["--arm", "jwt-hs256", "--metric", "server_cpu_us_per_request"]);
    assert!(text.contains("6 of 6 figures changed: 6 worse"), "{text}");
    for wrong in [["--arm", "jwt"], ["--metric", "lost_after_death_share"], ["--metric", "p99"]] {
        let (found, text, complaint) = code(&wrong);
        assert_eq!((found, text.as_str()), (2, ""), "{complaint}");
        assert!(complaint.contains("expected"), "{complaint}");
    }

    let (found, text, complaint) = code(&["--fail-if", "server_cpu_us_per_request > +20%"]);
    assert_eq!(found, 6, "{complaint}");
    assert!(text.contains("FAILED") && complaint.contains("6 of 24 figures"), "{text}{complaint}");
    let kept = ["--fail-if", "server_cpu_us_per_request@none > +20%"];
    assert_eq!(code(&kept).0, 0);
    let several = [&kept[..], &["--fail-if", "server_cpu_us_per_request@jwt-hs256/64 > +1us"]];
    assert_eq!(code(&several.concat()).0, 6);
    // The true change is the limit: these data cannot settle that.
    let open = ["--fail-if", "server_cpu_us_per_request@jwt-hs256 > +50%"];
    let (found, text, complaint) = code(&open);
    assert_eq!(found, 0, "{complaint}");
    assert!(
        text.contains("inconclusive  concurrency") && complaint.contains("do not settle"),
        "{text}"
    );
    assert_eq!(code(&[&open[..], &["--strict"]].concat()).0, 6);

    for (bound, part) in [
        ("p99 > +5%", "found `p99`"),
        ("response_p99_us = 5", "expected METRIC"),
        ("response_p99_us@jwt > +5%", "arms jwt-hs256, none, session@memory"),
    ] {
        let (found, text, complaint) = code(&["--fail-if", bound]);
        assert_eq!((found, text.as_str()), (2, ""), "{bound}: {complaint}");
        assert!(complaint.contains(part), "{bound}: {complaint}");
    }

    let (found, text, _) = code(&["--format", "json", "--fail-if", "error_rate > +1%"]);
    assert_eq!(found, 0);
    let page: Value = serde_json::from_str(&text).unwrap();
    let changes = page["changes"].as_array().unwrap();
    assert!(changes.len() > 100);
    for change in changes {
        let flat = |value: &Value| !value.is_object() && !value.is_array();
        assert!(change.as_object().unwrap().values().all(flat), "{change}");
    }
    let bounds = page["bounds"].as_array().unwrap();
    assert!(!bounds.is_empty());
    for outcome in bounds {
        assert_eq!(outcome["metric"], "error_rate", "{outcome}");
        assert_eq!(outcome["bound"], "error_rate > +1%", "{outcome}");
    }
    let (found, text, _) = code(&["--format", "junit", "--fail-if", "cpu_us_per_request > +20%"]);
    assert_eq!((found, text.matches("<failure").count()), (6, 6), "{text}");
    for format in ["md", "html"] {
        let (found, text, _) = code(&["--format", format]);
        assert!(found == 0 && text.contains("+50.0 %"), "{text}");
    }
}

#[test]
fn a_campaign_and_its_copy_are_one_line() {
    let quick = reference();
    let output = compare(&quick, &quick, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), text.lines().count()), (Some(0), 1), "{text}");
    assert!(text.starts_with("identical: "), "{text}");
    let strict = ["--fail-if", "response_p99_us > +5%", "--strict"];
    assert_eq!(compare(&quick, &quick, &strict).status.code(), Some(0));
}

#[test]
fn several_campaigns_make_one_page() {
    let dir = tempfile::tempdir().unwrap();
    let (other, page) = (dir.path().join("slower"), dir.path().join("many.html"));
    slower("jwt-hs256", &other);
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["report", "--many"])
        .args([&reference(), &other])
        .arg("--out")
        .arg(&page)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&page).unwrap();
    assert_eq!(text.matches("<svg").count(), 9, "one picture per endpoint");
    assert!(text.contains("They differ by more than their noise."), "{text:.2000}");
    assert!(!text.contains("<script") && text.len() < 100_000, "{}", text.len());
}

#[test]
fn figures_that_may_not_be_used_settle_no_bound() {
    let dir = tempfile::tempdir().unwrap();
    let b = dir.path().join("debug");
    slower("none", &b);
    let host = fs::read_to_string(b.join("host.json")).unwrap();
    let mut host: Value = serde_json::from_str(&host).unwrap();
    host["schema"] = 1.into();
    host["profile"] = "debug".into();
    host.as_object_mut().unwrap().remove("checksum");
    fs::write(b.join("host.json"), serde_json::to_string(&host).unwrap()).unwrap();
    let output = compare(&reference(), &b, &["--fail-if", "server_cpu_us_per_request > +1%"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("B has no figure that may be used"), "{text}");
    assert!(text.contains("differs: program"), "{text}");
    let missing = compare(&reference(), dir.path(), &[]);
    assert_eq!(missing.status.code(), Some(2));
}
