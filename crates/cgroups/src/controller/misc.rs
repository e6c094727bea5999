//! Scalar resources such as encrypted address spaces: the `misc` controller (Linux 5.13).

use crate::error::Refused;
use crate::limits::Limit;
use crate::write::Write;

/// What to write; the file is called the same in both versions.
///
/// # Errors
/// A resource's name that is none.
pub fn writes(limits: &[(String, Limit)]) -> Result<Vec<Write>, Refused> {
    limits
        .iter()
        .map(|(name, max)| {
            if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err(Refused::value("misc", format!("`{}` is not a resource", name.escape_debug())));
            }
            Ok(Write::new("misc.max", format!("{name} {}", max.v2())))
        })
        .collect()
}

/// Parses `misc.current`: one resource and its use a line.
pub fn parse(text: &str) -> Vec<(String, u64)> {
    crate::parse::flat(text).map(|(name, used)| (name.to_owned(), used)).collect()
}
