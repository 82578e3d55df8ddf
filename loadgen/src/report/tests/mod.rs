//! What holds for every format, and the campaign on which the formats are tested.

pub(super) mod sample;

use proptest::prelude::*;

use super::{Analysis, FORMATS};
use crate::sanitise::document;

#[test]
fn a_rebuilt_report_is_the_same_byte_for_byte() {
    let (first, second) = (sample::analysis(), sample::analysis());
    let mut files = Vec::new();
    for format in FORMATS {
        let (file, one, other) = (format.file, format.render(&first), format.render(&second));
        assert!(one.len() > 1000 && one.ends_with('\n'), "{file}");
        assert!(one == other, "{file} differs");
        assert!(!files.contains(&file), "{file} twice");
        files.push(file);
    }
    assert_eq!(files.len(), FORMATS.len());
}

/// The sample with two blocks, in which an arm has this name.
fn analysis_with(name: &str) -> Analysis {
    let mut plan = sample::plan_at(&[10], &["none", "a", "b"], 2);
    plan.arms[1] = name.into();
    plan.reference = name.into();
    for trial in plan.trials.iter_mut().filter(|trial| trial.arm == "a") {
        trial.arm = name.into();
    }
    for endpoint in &mut plan.primary {
        for arm in [&mut endpoint.arm, &mut endpoint.against] {
            if arm == "a" {
                *arm = name.into();
            }
        }
    }
    sample::analysis_of(&plan, |_| {})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn no_name_brings_in_a_row_or_a_character_that_is_not_seen(
        name in "\\PC{0,9}[\u{1b}\u{7}\r\n\u{85}\u{9b}\u{202e}\u{2066}\u{200b}]{1,9}\\PC{0,9}",
    ) {
        let (hostile, ordinary) = (analysis_with(&name), analysis_with("a"));
        for format in FORMATS {
            let file = format.render(&hostile);
            let guarded = document(&file);
            prop_assert_eq!(guarded.as_ref(), &file, "{}", format.file);
            // Line feeds mean nothing in HTML.
            if ["md", "csv"].contains(&format.name) {
                let lines = file.lines().count();
                prop_assert_eq!(lines, format.render(&ordinary).lines().count(), "{}", format.file);
            }
        }
    }
}
