//! The outcome of an attack for programs: every case, and what it is about.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::attack::{Weakness, weakness};
use crate::error::{Error, Result};
use crate::record::{Attacked, CaseOutcome, CaseRecord};

pub(super) fn json(attacked: &Attacked) -> Result<String> {
    #[derive(Serialize)]
    struct Page<'a> {
        target: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        spared: Option<&'a str>,
        cases: Vec<Case<'a>>,
        run: usize,
        counts: BTreeMap<&'static str, usize>,
    }
    #[derive(Serialize)]
    struct Case<'a> {
        #[serde(flatten)]
        case: &'a CaseRecord,
        #[serde(flatten)]
        about: Option<About>,
    }
    #[derive(Serialize)]
    struct About {
        severity: &'static str,
        name: &'static str,
        cwe: u16,
        remedy: &'static str,
        see: String,
    }
    let key = |outcome: CaseOutcome| match outcome {
        CaseOutcome::Accepted => "accepted",
        CaseOutcome::Failed => "failed",
        CaseOutcome::Refused => "refused",
        CaseOutcome::Allowed => "allowed",
        CaseOutcome::Property => "property",
        CaseOutcome::NotApplicable => "not_applicable",
    };
    let about = |weakness: Weakness| {
        let Weakness { severity, name, cwe, remedy, source } = weakness;
        About { severity: severity.word(), name, cwe, remedy, see: source.url() }
    };
    let case = |case| Case { case, about: weakness(&case.id).map(about) };
    let page = Page {
        target: &attacked.target,
        spared: attacked.spared.as_deref(),
        cases: attacked.cases.iter().map(case).collect(),
        run: attacked.run(),
        counts: CaseOutcome::ALL.map(|outcome| (key(outcome), attacked.count(outcome))).into(),
    };
    serde_json::to_string_pretty(&page)
        .map_err(|e| Error::Bug(format!("the cases cannot be written: {e}")))
}
