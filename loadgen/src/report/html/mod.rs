//! report.html
use super::analysis::Analysis;
pub fn render(_: &Analysis) -> String {
    String::new()
}
