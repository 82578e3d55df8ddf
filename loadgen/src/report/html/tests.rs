//! The page as a reader's browser would take it: well formed, harmless, complete, and always the
//! same.

use super::*;
use crate::record::{ActionRecord, TrialOutcome, TrialRecord};
use crate::report::tests::sample;

/// Elements that have no end tag.
const VOID: [&str; 1] = ["meta"];

/// Reads the page as XML would: panics where a tag is not closed by its own end tag.
fn assert_balanced(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>").unwrap();
    let (before, style) = body.split_once("<style>").unwrap();
    let (_, after) = style.split_once("</style>").unwrap();
    let mut open: Vec<String> = Vec::new();
    for part in [before, after].concat().split('<').skip(1) {
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
    let page = render(&sample::analysis());
    for request in ["http://", "https://", "src=", "<script", "@import", "url(", "<link", "<img"] {
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
fn a_hostile_name_stays_text() {
    let page = render(&hostile());
    for markup in ["<script", "<img", "<iframe"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("&quot;&gt;&lt;img"));
    assert_balanced(&page);
}

#[test]
fn it_is_well_formed_and_the_same_each_time() {
    let page = render(&sample::analysis());
    assert_balanced(&page);
    assert_eq!(page, render(&sample::analysis()));
    let mut ids: Vec<&str> =
        page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id stands twice");
}

#[test]
fn the_order_is_that_of_a_readers_questions() {
    let page = render(&sample::analysis());
    let places: Vec<usize> = [
        "id=\"answer\"",
        "id=\"charts\"",
        "id=\"figures\"",
        "id=\"doubts\"",
        "id=\"setting\"",
        "id=\"again\"",
        "id=\"glossary\"",
    ]
    .iter()
    .map(|place| page.find(place).unwrap_or_else(|| panic!("{place}")))
    .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn every_sentence_doubt_and_measurement_is_there() {
    let analysis = sample::analysis();
    let page = render(&analysis);
    assert!(analysis.answer.len() >= 5 && !analysis.doubts.is_empty());
    for sentence in &analysis.answer {
        assert!(page.contains(&sentence.text), "{}", sentence.text);
    }
    for summary in &analysis.doubts {
        assert!(page.contains(&summary.doubt.what[1..]) && page.contains(&summary.doubt.remedy));
    }
    let rows = |table: &str| table.split("<tr").count() - 2;
    let tables: Vec<&str> = page.split("<details><summary>Every measurement").skip(1).collect();
    let shown: usize =
        tables.iter().map(|table| rows(table.split("</table>").next().unwrap())).sum();
    assert_eq!(shown, analysis.measurements.len());
}

#[test]
fn a_clean_campaign_has_no_banner() {
    assert!(!render(&sample::analysis()).contains("role=\"alert\""));
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
        assert!(page.contains("role=\"alert\""));
        assert!(!page.contains("id=\"answer\""));
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
    assert!(page("release").contains("id=\"answer\""));
    let debug = page("debug");
    assert!(!debug.contains("id=\"answer\""));
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
    assert!(page.contains("role=\"alert\"") && page.contains("id=\"answer\""));
    assert!(page.contains("did not name the user who asked"));
    assert!(page.contains("refused") && page.contains("INVALID"));
    assert!(analysis.answer.iter().all(|sentence| !sentence.text.contains(" b ")));
}
