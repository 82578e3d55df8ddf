//! The report page of the `quick` reference in a real browser: `tests/browser/page.mjs` compares
//! its marks with report.json, uses every control, and looks at it at two widths, in light and
//! dark, on paper and without script. What is missing is told by name; CI requires all of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::reference::copy;
use super::targets::{brief, install, is_unreachable, required, skipped, there};

/// Files of the test itself; what it installs stays outside the repository.
const FILES: [&str; 3] = ["package.json", "package-lock.json", "page.mjs"];

fn chromium() -> PathBuf {
    std::env::var_os("AUTHBENCH_CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from)
}

/// A folder with the test and the packages that it needs, if they can be had.
fn prepared() -> Option<tempfile::TempDir> {
    let tools = there("node", 18) && there("npm", 7);
    let missing = match (tools, chromium().is_file()) {
        (false, _) => Some("node 18 and npm 7 or newer".to_string()),
        (true, false) => Some(chromium().display().to_string()),
        (true, true) => None,
    };
    if let Some(missing) = missing {
        assert!(!required("NODE"), "{missing} is not installed");
        skipped(&format!("the report in a browser: {missing} is not installed"));
        return None;
    }
    let place = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    for file in FILES {
        fs::copy(from.join(file), place.path().join(file)).unwrap();
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"])
        .args(["--fetch-timeout=30000", "--fetch-retries=1"])
        .current_dir(place.path());
    match install(&mut npm, &place.path().join("npm.log")) {
        Ok(()) => Some(place),
        Err(found) => {
            assert!(!required("NODE") || is_unreachable(&found), "{found}");
            skipped(&format!("the report in a browser: npm: {}", brief(&found)));
            None
        }
    }
}

#[test]
fn the_page_of_the_reference_works_in_a_browser() {
    let Some(place) = prepared() else { return };
    let campaign = place.path().join("quick");
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference/quick");
    copy(&reference, &campaign);
    let rendered = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["report", campaign.to_str().unwrap(), "--format", "html,json"])
        .output()
        .unwrap();
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    // Screenshots stay, so that a person can look at them.
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    fs::create_dir_all(&out).unwrap();
    let tested = Command::new("node")
        .arg(place.path().join("page.mjs"))
        .args([campaign.join("report.html"), campaign.join("report.json"), out.clone()])
        .env("AUTHBENCH_CHROMIUM", chromium())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tested.stdout);
    let error = String::from_utf8_lossy(&tested.stderr);
    assert!(tested.status.success(), "{said}{error}");
    assert!(said.ends_with("all passed\n"), "{said}{error}");
    for file in ["report-400-dark.png", "report-1280-light.png", "print.pdf"] {
        assert!(fs::metadata(out.join(file)).unwrap().len() > 1000, "{file}");
    }
}
