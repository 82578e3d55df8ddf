//! The committed reference campaigns: their reports are what this program makes of their records,
//! and the noise of the presets is theirs. After a change that alters a report, render them again
//! (`authbench report DIR`; noise: `--format noise`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use loadgen::experiment::Metric;

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn committed_reports_are_those_of_their_records() {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference");
    let mut seen = 0;
    for entry in fs::read_dir(&reference).unwrap() {
        let campaign = entry.unwrap().path();
        let dir = tempfile::tempdir().unwrap();
        copy(&campaign, dir.path());
        let formats = ["report.html", "report.md", "report.json", "measurements.csv", "charts.svg"];
        let there: Vec<_> = formats.iter().filter(|file| campaign.join(file).exists()).collect();
        there.iter().for_each(|file| fs::remove_file(dir.path().join(file)).unwrap());
        let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
            .args(["report", dir.path().to_str().unwrap()])
            .args(["--format", "html,md,json,csv,svg,noise"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for file in there {
            let same =
                fs::read(campaign.join(file)).unwrap() == fs::read(dir.path().join(file)).unwrap();
            assert!(same, "{}/{file} is not what its records say", campaign.display());
        }
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("presets/noise-{}.json", campaign.file_name().unwrap().display()));
        let same = fs::read(&shipped).unwrap() == fs::read(dir.path().join("noise.json")).unwrap();
        assert!(same, "{} is not the noise of its records", shipped.display());
        seen += 1;
    }
    assert!(seen > 0, "no reference campaign is committed");
}

#[test]
fn an_experiment_measures_only_what_it_says_it_measures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference");
    let mut seen = 0;
    for campaign in ["quick", "standard"] {
        let text = fs::read_to_string(root.join(campaign).join("measurements.csv")).unwrap();
        let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let head = lines.next().unwrap();
        let [of_experiment, of_metric] =
            ["experiment", "metric"].map(|name| head.iter().position(|n| *n == name).unwrap());
        for line in lines {
            let experiment = loadgen::experiment::find(line[of_experiment]).unwrap();
            let metric = Metric::named(line[of_metric]).unwrap();
            assert!(experiment.measures(metric), "{}: {metric}", experiment.name());
            seen += 1;
        }
    }
    assert!(seen > 1000, "{seen}");
}

#[test]
fn every_chart_is_a_file_of_its_own() {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference/quick");
    let dir = tempfile::tempdir().unwrap();
    let (campaign, charts) = (dir.path().join("quick"), dir.path().join("charts"));
    copy(&reference, &campaign);
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["report", campaign.to_str().unwrap(), "--format", "json"])
        .args(["--charts", charts.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let report = fs::read_to_string(campaign.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let values: Vec<f64> = report["measurements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["estimate"]["point"].as_f64().unwrap())
        .collect();
    let mut marks = 0;
    for entry in fs::read_dir(&charts).unwrap() {
        let path = entry.unwrap().path();
        assert!(told.contains(path.to_str().unwrap()), "{} is not told", path.display());
        let svg = fs::read_to_string(&path).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{}", path.display());
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("concurrency-") {
            continue;
        }
        for mark in svg.split(" data-y=\"").skip(1) {
            let value: f64 = mark.split('"').next().unwrap().parse().unwrap();
            assert!(values.contains(&value), "{name}: {value} is not in report.json");
            marks += 1;
        }
    }
    assert_eq!(marks, 4 * 3 * 3, "four charts of three arms at three levels");
}

#[test]
fn the_readme_says_what_the_reference_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let dir = tempfile::tempdir().unwrap();
    let (campaign, page) = (dir.path().join("standard"), dir.path().join("README.md"));
    copy(&root.join("results/reference/standard"), &campaign);
    fs::copy(root.join("README.md"), &page).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["report", campaign.to_str().unwrap(), "--into", page.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let same = fs::read(root.join("README.md")).unwrap() == fs::read(&page).unwrap();
    assert!(same, "`authbench report results/reference/standard --into README.md` changes it");
}

/// Cells of measurements.csv: by arm, the figure of a metric at a load of `curve`, and its rate.
fn curve(csv: &str, level: &str, metric: &str) -> BTreeMap<String, (f64, f64)> {
    let rows = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let wanted = rows.filter(|row| row[0] == "curve" && row[7] == level && row[8] == metric);
    let cells = wanted.filter(|row| !row[1].contains("(again)"));
    cells.map(|row| (row[1].into(), (row[10].parse().unwrap(), row[6].parse().unwrap()))).collect()
}

#[test]
fn the_page_says_who_was_overloaded_and_what_costs_more_at_less_load() {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference/standard");
    let csv = fs::read_to_string(reference.join("measurements.csv")).unwrap();
    let page = fs::read_to_string(reference.join("report.html")).unwrap();
    let (_, matrix) = page.split_once("class=\"matrix\"").unwrap();
    let (matrix, _) = matrix.split_once("</table>").unwrap();
    let mut overloaded = 0;
    for (arm, (answered, rate)) in curve(&csv, "50", "throughput_rps") {
        let start = format!("<tr role=\"row\" data-arm=\"{arm}\">");
        let Some((_, row)) = matrix.split_once(&start) else { continue };
        let (row, _) = row.split_once("</tr>").unwrap();
        assert_eq!(
            row.contains("; does not keep up with this load"),
            answered < 0.97 * rate,
            "{arm}: {answered} of {rate}"
        );
        overloaded += u32::from(answered < 0.97 * rate);
    }
    assert!(overloaded > 0, "an arm of this campaign cannot hold half of the baseline's load");
    let (_, said) = page.split_once("a request adds more: ").unwrap();
    let (said, _) = said.split_once(". ").unwrap();
    let costs = curve(&csv, "10", "cpu_us_per_request");
    for part in said.split(", ") {
        let (figure, arm) = part.split_once(" µs with ").unwrap();
        let (added, figure) = (costs[arm].0 - costs["none"].0, figure.parse::<f64>().unwrap());
        // Intervals are of paired differences, so the two are not the same to the last digit.
        assert!((figure / added - 1.0).abs() < 0.2, "{arm}: {figure} and {added}");
    }
    assert!(said.contains("session@redis"), "{said}");
}
