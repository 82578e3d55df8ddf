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
    let row = |line: &&str| {
        line.starts_with("  server_cpu_us_per_request ") && line.contains("jwt-hs256")
    };
    // Three levels of concurrency, one of the curve, and two of users who are logged in.
    assert_eq!(text.lines().filter(row).count(), 6, "{text}");
    assert!(text.lines().filter(row).all(|line| line.ends_with("higher, worse")), "{text}");
    assert_eq!(
        text.matches("▲ higher, worse: server_cpu_us_per_request, concurrency, jwt").count(),
        3
    );

    let (found, text, complaint) = code(&["--fail-if", "server_cpu_us_per_request > +20%"]);
    assert_eq!(found, 6, "{complaint}");
    assert!(text.contains("FAILED") && complaint.contains("6 of 24 figures"), "{text}{complaint}");
    let kept = ["--fail-if", "server_cpu_us_per_request@none > +20%"];
    assert_eq!(code(&kept).0, 0);
    let several = [&kept[..], &["--fail-if", "server_cpu_us_per_request@jwt-hs256/64 > +1us"]];
    assert_eq!(code(&several.concat()).0, 6);
    // The true change is 0, and so is the limit: these data cannot settle that.
    let open = ["--fail-if", "throughput_rps < +0%"];
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
    let outcomes = page["bounds"][0]["outcomes"].as_array().unwrap();
    assert!(!outcomes.is_empty());
    for outcome in outcomes {
        let change = &changes[outcome[0].as_u64().unwrap() as usize];
        assert_eq!(change["metric"], "error_rate");
    }
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
