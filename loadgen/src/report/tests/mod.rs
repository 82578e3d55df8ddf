//! What holds for every format, and the campaign on which the formats are tested.

pub(super) mod sample;

use super::FORMATS;

#[test]
fn a_rebuilt_report_is_the_same_byte_for_byte() {
    let (first, second) = (sample::analysis(), sample::analysis());
    let mut files = Vec::new();
    for format in FORMATS {
        let (file, one, other) = (format.file, (format.render)(&first), (format.render)(&second));
        assert!(one.len() > 1000 && one.ends_with('\n'), "{file}");
        assert!(one == other, "{file} differs");
        assert!(!files.contains(&file), "{file} twice");
        files.push(file);
    }
    assert_eq!(files.len(), FORMATS.len());
}
