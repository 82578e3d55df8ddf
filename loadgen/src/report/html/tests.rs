//! The page as a reader's browser would take it: well formed, harmless, complete, and always the
//! same.

use super::*;
use crate::record::{ActionRecord, TrialOutcome, TrialRecord};
use crate::report::tests::sample;

/// Elements that have no end tag.
const VOID: [&str; 2] = ["meta", "input"];

/// What stands between two tags of a page.
fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = page.split_once(start).unwrap_or_else(|| panic!("no {start}"));
    rest.split_once(end).unwrap().0
}

/// The page without the text of its style, its data and its script.
fn markup(page: &str) -> String {
    let mut text = page.replacen(STYLE, "", 1).replacen(SCRIPT, "", 1);
    let data = between(page, "id=\"data\">", "</script>");
    text = text.replacen(data, "", 1);
    text
}

/// The data that the script reads.
fn embedded(page: &str) -> serde_json::Value {
    serde_json::from_str(between(page, "id=\"data\">", "</script>")).unwrap()
}

/// Reads the page as XML would: panics where a tag is not closed by its own end tag.
fn assert_balanced(page: &str) {
    let page = markup(page);
    let body = page.strip_prefix("<!DOCTYPE html>").unwrap();
    let mut open: Vec<String> = Vec::new();
    for part in body.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap_or_else(|| panic!("no end: {part}"));
        let name: String = tag.chars().take_while(|c| !c.is_whitespace()).collect();
        if let Some(closed) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed), "before {part}");
        } else if !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn hostile() -> Analysis {
    let arm = "<script>alert(1)</script>";
    let mut plan = sample::plan(&["none", "a", "b"], 2);
    plan.name = "\"><img src=x onerror=alert(2)>".into();
    plan.arms[2] = arm.into();
    for trial in plan.trials.iter_mut().filter(|trial| trial.arm == "b") {
        trial.arm = arm.into();
    }
    sample::analysis_of(&plan, |record| {
        if let Some(server) = &mut record.server {
            server.notes = vec!["</li><iframe src=//x>".into()];
        }
    })
}

fn wrong(record: &mut TrialRecord) {
    for action in &mut record.actions {
        if let ActionRecord::Load(load) = action {
            load.counts.errors.insert("wrong_user".into(), 3);
        }
    }
}

fn only_concurrency() -> crate::plan::Plan {
    let mut plan = sample::plan(&["none", "a", "b"], 2);
    plan.trials.retain(|trial| trial.experiment == "concurrency");
    plan.experiments.retain(|name| name == "concurrency");
    plan
}

#[test]
fn it_asks_nothing_of_a_network() {
    let page = markup(&render(&sample::analysis()));
    for request in ["http://", "https://", "src=", "@import", "url(", "<link", "<img", "style=\""] {
        assert!(!page.contains(request), "{request}");
    }
    let links: Vec<&str> = page.split("href=\"").skip(1).collect();
    assert!(links.len() >= 6);
    for link in links {
        let anchor = link.strip_prefix('#').unwrap().split('"').next().unwrap();
        assert!(page.contains(&format!(" id=\"{anchor}\"")), "no place is called {anchor}");
    }
}

#[test]
fn the_policy_names_what_stands_between_the_tags() {
    let page = render(&sample::analysis());
    let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
    for text in [between(&page, "<style>", "</style>"), between(&page, "<script>", "</script>")] {
        assert!(page.contains(&format!("'sha256-{}'", hash(text))));
    }
}

#[test]
fn a_hostile_name_stays_text() {
    let page = render(&hostile());
    let text = markup(&page);
    assert_eq!(text.matches("<script").count(), 2, "the data and the script of the page");
    for element in ["<img", "<iframe"] {
        assert!(!text.contains(element), "{element}");
    }
    assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(text.contains("&quot;&gt;&lt;img"));
    assert_balanced(&page);
    let names = embedded(&page)["arms"].clone();
    assert_eq!(names[2]["name"], "<script>alert(1)</script>");
}

#[test]
fn it_is_well_formed_and_the_same_each_time() {
    let page = render(&sample::analysis());
    assert_balanced(&page);
    assert_eq!(page, render(&sample::analysis()));
    let text = markup(&page);
    let mut ids: Vec<&str> =
        text.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id stands twice");
}

#[test]
fn the_order_is_that_of_a_readers_questions() {
    let page = render(&sample::analysis());
    let ids = [
        "answer",
        "system-section",
        "users",
        "claims",
        "certainty",
        "figures-section",
        "method",
        "again",
        "glossary",
    ];
    let place = |id: &&str| page.find(&format!(" id=\"{id}\"")).unwrap_or_else(|| panic!("{id}"));
    let places: Vec<usize> = ids.iter().map(place).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn every_figure_is_embedded_as_report_json_has_it() {
    let analysis = sample::analysis();
    let data = embedded(&render(&analysis));
    let report: serde_json::Value =
        serde_json::from_str(&crate::report::json::render(&analysis)).unwrap();
    let (rows, known) = (data["figures"].as_array().unwrap(), &report["measurements"]);
    assert_eq!(rows.len(), known.as_array().unwrap().len());
    for (row, known) in rows.iter().zip(known.as_array().unwrap()) {
        let named = |list: &str, i: usize| &data[list][row[i].as_u64().unwrap() as usize];
        assert_eq!(*named("experiments", 0), known["experiment"]);
        assert_eq!(named("metrics", 1)["name"], known["metric"]);
        assert_eq!(named("arms", 2)["name"], known["arm"]);
        assert_eq!(row[7], known["estimate"]["point"]);
        assert_eq!(row[8], known["estimate"]["interval"][0]);
        assert_eq!(row[9], known["estimate"]["interval"][1]);
    }
    assert!(rows.iter().any(|row| row[12] == 1), "a primary endpoint rests on some");
}

#[test]
fn the_calculator_has_the_arms_that_can_be_ranked() {
    let data = embedded(&render(&sample::analysis()));
    let arms = data["system"]["arms"].as_array().unwrap();
    let names: Vec<_> = arms
        .iter()
        .map(|arm| &data["arms"][arm["arm"].as_u64().unwrap() as usize]["name"])
        .collect();
    assert_eq!(names, ["session@memory", "jwt-hs256"]);
    // The sample's second arm keeps 280 bytes.
    let memory = arms[0]["memory"][0]["server"].as_f64().unwrap();
    assert!((memory - 280.0).abs() < 10.0, "{memory}");
    assert_eq!(arms[0]["needs"]["logout"]["holds"], serde_json::Value::Null);
}

#[test]
fn every_sentence_and_doubt_is_there() {
    let analysis = sample::analysis();
    let page = render(&analysis);
    assert!(analysis.answer.len() >= 5 && !analysis.doubts.is_empty());
    for sentence in &analysis.answer {
        assert!(page.contains(&sentence.text), "{}", sentence.text);
    }
    for summary in &analysis.doubts {
        assert!(page.contains(&summary.doubt.what[1..]) && page.contains(&summary.doubt.remedy));
    }
}

#[test]
fn a_clean_campaign_has_no_banner() {
    let page = render(&sample::analysis());
    assert!(!markup(&page).contains("role=\"alert\"") && page.contains("class=\"matrix\""));
}

#[test]
fn a_column_without_a_valid_figure_was_measured_all_the_same() {
    // Nothing of the baseline may be used, so no cost over it is known.
    let analysis = sample::analysis_of(&only_concurrency(), |record| {
        if record.trial.arm == "none" {
            wrong(record);
        }
    });
    let page = render(&analysis);
    let said = "Measured, but without a valid figure: CPU added per request";
    assert!(page.contains(said), "{}", between(&page, "class=\"matrix\"", "id=\"system"));
    let unmeasured = page.split("Not measured by this campaign:").nth(1).unwrap();
    assert!(!unmeasured.split("</p>").next().unwrap().contains("CPU added"));
}

#[test]
fn a_wide_chart_is_there_for_narrow_screens_too_and_shown_once() {
    let page = markup(&render(&sample::analysis()));
    let count = |class: &str| page.matches(&format!("<div class=\"plot {class}\">")).count();
    assert!(count("broad") > 0 && count("broad") == count("narrow"), "{}", count("broad"));
    assert!(STYLE.contains(".plot.narrow { display: none; }"));
}

#[test]
fn the_noise_floor_names_its_users() {
    let page = render(&sample::analysis());
    assert!(page.contains("noise floor of throughput with 1,000 users: "));
}

#[test]
fn nothing_valid_means_a_banner_and_no_answer() {
    let failed = |record: &mut TrialRecord| {
        record.outcome = TrialOutcome::Failed { cause: "the server <died>".into() };
    };
    for analysis in [
        sample::analysis_of(&only_concurrency(), wrong),
        sample::analysis_of(&only_concurrency(), failed),
    ] {
        let page = render(&analysis);
        assert!(page.contains("role=\"alert\"") && page.contains("No answer: nothing"));
        assert!(!page.contains("class=\"matrix\"") && !page.contains("id=\"claims\""));
        assert_balanced(&page);
    }
}

#[test]
fn a_debug_build_has_no_answer_however_good_its_figures() {
    let plan = sample::plan(&["none", "session@memory", "jwt-hs256"], 2);
    let page = |profile: &str| {
        let host = crate::record::Host { profile: profile.into(), ..sample::host() };
        render(&crate::report::analyse(&plan, host, &sample::records(&plan)))
    };
    assert!(page("release").contains("class=\"matrix\""));
    let debug = page("debug");
    assert!(!debug.contains("class=\"matrix\""));
    let (_, banner) = debug.split_once("role=\"alert\"").unwrap();
    assert!(banner.split("</div>").next().unwrap().contains("this is a debug build"));
}

#[test]
fn one_invalid_arm_is_named_and_the_rest_answers() {
    let analysis = sample::analysis_of(&only_concurrency(), |record| {
        if record.trial.arm == "b" {
            wrong(record);
        }
    });
    let page = render(&analysis);
    assert!(page.contains("role=\"alert\"") && page.contains("class=\"matrix\""));
    assert!(page.contains("did not name the user who asked"));
    let (invalid, all) = (analysis.trials_invalid, analysis.trials_complete);
    assert!(invalid > 1 && page.contains(&format!("{invalid} of {all} trials are invalid")));
    assert!(page.contains("no valid figure"));
    assert!(analysis.answer.iter().all(|sentence| !sentence.text.contains(" b ")));
}
