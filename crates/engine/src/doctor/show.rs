//! The findings as a table for people and as JSON for programs.

use std::fmt::Write as _;

use super::{Finding, State};

/// Aligned columns; below what is not all there stands what is lost without it and what to do. The last line counts.
pub fn to_table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.feature.chars().count()).chain([7]).max().unwrap_or(0);
    let mut text = String::new();
    let mut line = |feature: &str, state: &str, rest: &str| {
        let row = format!("{feature:<width$}  {state:<7}  {rest}");
        let _ = writeln!(text, "{}", row.trim_end());
    };
    line("FEATURE", "STATE", "FOUND");
    for finding in findings {
        line(&finding.feature, finding.state.word(), &finding.found);
        if !finding.lost.is_empty() {
            line("", "", &format!("lost: {}", finding.lost));
        }
        if !finding.advice.is_empty() {
            line("", "", &format!("do:   {}", finding.advice));
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (ok, limited, missing) = (count(State::Ok), count(State::Limited), count(State::Missing));
    let _ = writeln!(text, "\n{ok} ok, {limited} limited, {missing} missing");
    text
}

/// A list of objects with the columns as keys.
pub fn to_json(findings: &[Finding]) -> String {
    let object = |finding: &Finding| {
        serde_json::json!({
            "feature": finding.feature,
            "state": finding.state.word(),
            "found": finding.found,
            "lost": finding.lost,
            "advice": finding.advice,
        })
    };
    let list = serde_json::Value::Array(findings.iter().map(object).collect());
    format!("{list:#}\n")
}
