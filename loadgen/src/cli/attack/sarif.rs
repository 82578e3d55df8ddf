//! The findings of an attack as SARIF 2.1.0, with the fields that GitHub's code scanning asks for:
//! a rule per row of the suite that found something, and the target file as the place.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::attack::{self, Severity, Weakness, weakness};
use crate::error::{Error, Result};
use crate::record::{Attacked, CaseOutcome, CaseRecord};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
const VERSION: &str = "2.1.0";

#[derive(Serialize)]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    invocations: [Invocation; 1],
    automation_details: Named,
    results: Vec<Finding>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    /// What could not be tried.
    tool_execution_notifications: Vec<Notification>,
}

#[derive(Serialize)]
struct Notification {
    level: &'static str,
    message: Text,
}

#[derive(Serialize)]
struct Named {
    id: String,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    name: &'static str,
    short_description: Text,
    full_description: Text,
    help: Text,
    help_uri: String,
    default_configuration: Configuration,
    properties: Properties,
}

#[derive(Serialize)]
struct Configuration {
    level: Level,
}

/// How loud a result is, the quietest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Note,
    Warning,
    Error,
}

impl Level {
    /// That of a weakness which an attack got through by.
    const fn of_severity(severity: Severity) -> Self {
        match severity {
            Severity::Critical | Severity::High => Self::Error,
            Severity::Medium => Self::Warning,
            Severity::Low => Self::Note,
        }
    }
}

#[derive(Serialize)]
struct Properties {
    tags: Vec<String>,
    /// What code scanning makes `critical`, `high`, `medium` or `low` of.
    #[serde(rename = "security-severity")]
    security_severity: &'static str,
    precision: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    rule_id: String,
    rule_index: usize,
    level: Level,
    message: Text,
    locations: [Location; 1],
    partial_fingerprints: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Place,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
    start_column: u32,
    end_line: u32,
    end_column: u32,
}

/// The first line: a finding is about a server and no line of its target file.
const FIRST_LINE: Region = Region { start_line: 1, start_column: 1, end_line: 1, end_column: 1 };

/// Sets the findings; `file` is the target file, where there is one.
pub(super) fn sarif(attacked: &Attacked, file: Option<&Path>, strict: bool) -> Result<String> {
    let (untried, bad): (Vec<_>, Vec<_>) = attacked
        .cases
        .iter()
        .filter(|case| attack::is_finding(case, strict))
        .partition(|case| attack::was_untried(case));
    let bad: Vec<(&CaseRecord, Weakness)> =
        bad.into_iter().filter_map(|case| Some((case, weakness(&case.id)?))).collect();
    let rules: Vec<Rule> = bad.iter().map(|(case, about)| rule(case, *about)).collect();
    let uri = file.map_or_else(|| format!("arms/{}", attacked.target), relative);
    let results = bad
        .iter()
        .enumerate()
        .map(|(index, (case, about))| finding(attacked, (case, about.severity), index, &uri));
    let notification = |case: &&CaseRecord| Notification {
        level: "warning",
        message: Text { text: format!("{} {}: {}", case.id, case.what, case.found) },
    };
    let invocation = Invocation {
        execution_successful: untried.is_empty(),
        tool_execution_notifications: untried.iter().map(notification).collect(),
    };
    let driver = Driver { name: "authbench", semantic_version: env!("CARGO_PKG_VERSION"), rules };
    let log = Log {
        schema: SCHEMA,
        version: VERSION,
        runs: [Run {
            tool: Tool { driver },
            invocations: [invocation],
            automation_details: Named { id: format!("authbench-attack/{}/", attacked.target) },
            results: results.collect(),
        }],
    };
    serde_json::to_string_pretty(&log)
        .map_err(|e| Error::Bug(format!("the findings cannot be written: {e}")))
}

/// A path as code scanning looks for it: from the root of a repository, with `/`.
fn relative(path: &Path) -> String {
    let parts = path.components().filter_map(|part| match part {
        std::path::Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn rule(case: &CaseRecord, about: Weakness) -> Rule {
    let Weakness { severity, name, cwe, remedy, source } = about;
    let help = format!(
        "{remedy}. See CWE-{cwe} ({}) and {} ({}). Severity: {}, as {}.",
        about.url(),
        source.name(),
        source.url(),
        severity.word(),
        severity.vector(),
    );
    Rule {
        id: case.id.clone(),
        name,
        short_description: Text { text: format!("{name}: {}", case.what) },
        full_description: Text {
            text: format!("{}. A sound server: {}.", case.what, case.expected),
        },
        help: Text { text: help },
        help_uri: source.url(),
        default_configuration: Configuration { level: Level::of_severity(severity) },
        properties: Properties {
            tags: vec!["security".into(), format!("external/cwe/cwe-{cwe:03}")],
            security_severity: severity.score(),
            // An attack was carried out, not guessed at.
            precision: "very-high",
        },
    }
}

fn finding(
    attacked: &Attacked,
    (case, severity): (&CaseRecord, Severity),
    index: usize,
    uri: &str,
) -> Finding {
    // An attack that only made the server fail, or met a choice of its owner, is quieter.
    let loudest = match case.outcome {
        CaseOutcome::Accepted => Level::Error,
        CaseOutcome::Failed => Level::Warning,
        _ => Level::Note,
    };
    let level = Level::of_severity(severity).min(loudest);
    let text = format!(
        "{}: {}; expected {}, found {}",
        case.outcome.word(),
        case.what,
        case.expected,
        case.found
    );
    Finding {
        rule_id: case.id.clone(),
        rule_index: index,
        level,
        message: Text { text },
        locations: [Location {
            physical_location: Place {
                artifact_location: Artifact { uri: uri.into() },
                region: FIRST_LINE,
            },
        }],
        // Each row has its own line in the scan, though all have the same place.
        partial_fingerprints: [(
            "primaryLocationLineHash",
            format!("{}:{}", attacked.target, case.id),
        )]
        .into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::tests::attacked;
    use super::*;

    fn log(strict: bool) -> Value {
        let text = sarif(&attacked(), Some(Path::new("./zoo/a.toml")), strict).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// What GitHub's documentation calls required ("SARIF support for code scanning").
    #[test]
    fn it_has_the_fields_that_code_scanning_asks_for() {
        let log = log(true);
        assert_eq!((&log["version"], &log["$schema"]), (&"2.1.0".into(), &SCHEMA.into()));
        let run = &log["runs"][0];
        let driver = &run["tool"]["driver"];
        assert_eq!(driver["name"], "authbench");
        let texts = ["/shortDescription/text", "/fullDescription/text", "/help/text", "/id"];
        for rule in driver["rules"].as_array().unwrap() {
            for place in texts {
                let text = rule.pointer(place).and_then(Value::as_str).unwrap();
                assert!(!text.is_empty() && text.len() <= 1024, "{place}: {rule}");
            }
            assert!(rule["name"].as_str().unwrap().len() <= 255, "{rule}");
            let properties = &rule["properties"];
            let tags = properties["tags"].as_array().unwrap();
            assert!(tags.len() <= 20 && tags[0] == "security", "{rule}");
            let score: f64 = properties["security-severity"].as_str().unwrap().parse().unwrap();
            assert!(score > 0.0 && score <= 10.0, "{rule}");
            let precisions = ["very-high", "high", "medium", "low"];
            assert!(precisions.contains(&properties["precision"].as_str().unwrap()), "{rule}");
            let level = &rule["defaultConfiguration"]["level"];
            assert!(["note", "warning", "error"].contains(&level.as_str().unwrap()), "{rule}");
        }
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 2);
        for result in results {
            let at = result["ruleIndex"].as_u64().unwrap() as usize;
            assert_eq!(driver["rules"][at]["id"], result["ruleId"], "{result}");
            assert!(!result["message"]["text"].as_str().unwrap().is_empty(), "{result}");
            let place = &result["locations"][0]["physicalLocation"];
            assert_eq!(place["artifactLocation"]["uri"], "zoo/a.toml");
            for bound in ["startLine", "startColumn", "endLine", "endColumn"] {
                assert!(place["region"][bound].as_u64().unwrap() >= 1, "{bound}: {result}");
            }
            let print = &result["partialFingerprints"]["primaryLocationLineHash"];
            assert!(print.as_str().unwrap().ends_with(result["ruleId"].as_str().unwrap()));
        }
    }

    /// The level and the score of the one row that an attack has.
    fn severity(id: &str, outcome: CaseOutcome) -> (Value, Value, Value) {
        let mut attacked = attacked();
        attacked.cases.truncate(2);
        (attacked.cases[1].id, attacked.cases[1].outcome) = (id.into(), outcome);
        let log: Value = serde_json::from_str(&sarif(&attacked, None, true).unwrap()).unwrap();
        let run = &log["runs"][0];
        let rule = &run["tool"]["driver"]["rules"][0];
        assert_eq!(rule["id"], id);
        (
            rule["properties"]["security-severity"].clone(),
            rule["defaultConfiguration"]["level"].clone(),
            run["results"][0]["level"].clone(),
        )
    }

    #[test]
    fn a_finding_is_as_severe_as_its_weakness_and_no_louder_than_its_outcome() {
        use CaseOutcome::{Accepted, Failed, Property};
        for (id, outcome, score, of_rule, of_result) in [
            ("4a", Accepted, "9.1", "error", "error"),
            ("38a", Accepted, "7.4", "error", "error"),
            ("41a", Accepted, "5.4", "warning", "warning"),
            ("50a", Accepted, "3.1", "note", "note"),
            ("4a", Failed, "9.1", "error", "warning"),
            ("50a", Failed, "3.1", "note", "note"),
            ("4a", Property, "9.1", "error", "note"),
        ] {
            let expected = (score.into(), of_rule.into(), of_result.into());
            assert_eq!(severity(id, outcome), expected, "{id} {outcome:?}");
        }
    }

    #[test]
    fn what_was_not_tried_is_no_finding() {
        let mut attacked = attacked();
        for case in &mut attacked.cases {
            case.outcome = CaseOutcome::Failed;
            case.found = "no connection: refused".into();
        }
        let text = sarif(&attacked, None, false).unwrap();
        let log: Value = serde_json::from_str(&text).unwrap();
        let run = &log["runs"][0];
        assert_eq!(run["results"].as_array().unwrap().len(), 0);
        let invocation = &run["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false);
        assert_eq!(invocation["toolExecutionNotifications"].as_array().unwrap().len(), 63);
    }
}
