//! Huge pages: the `hugetlb` controller.

use crate::error::Refused;
use crate::layout::Version;
use crate::limits::HugepageLimit;
use crate::write::Write;

/// What to write. The limit on faults and the one on reservations (Linux 5.7) get the same value, as in
/// runc: a program that reserves first is otherwise killed by SIGBUS later.
///
/// # Errors
/// A page size that the kernel would not spell so.
pub fn writes(limits: &[HugepageLimit], version: Version) -> Result<Vec<Write>, Refused> {
    let mut writes = Vec::new();
    for HugepageLimit { page_size, max_bytes } in limits {
        if !is_page_size(page_size) {
            return Err(Refused::value(
                "hugepageLimits.pageSize",
                format!("`{}` is not a size such as `2MB`", page_size.escape_debug()),
            ));
        }
        let file = match version {
            Version::V1 => "limit_in_bytes",
            Version::V2 => "max",
        };
        writes.push(Write::new(format!("hugetlb.{page_size}.{file}"), max_bytes));
        writes.push(Write::new(format!("hugetlb.{page_size}.rsvd.{file}"), max_bytes).or_skip());
    }
    Ok(writes)
}

/// `64KB`, `2MB`, `1GB`.
pub(crate) fn is_page_size(text: &str) -> bool {
    let number =
        text.strip_suffix("KB").or_else(|| text.strip_suffix("MB")).or_else(|| text.strip_suffix("GB"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Huge pages of one size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HugetlbStats {
    /// The size as the kernel spells it.
    pub page_size: String,
    /// Bytes in use.
    pub used_bytes: u64,
    /// The most there were; v1 only.
    pub peak_bytes: Option<u64>,
    /// The limit; `None` if there is none.
    pub max_bytes: Option<u64>,
    /// How often the limit was hit.
    pub limit_hits: u64,
}

/// The page size in the name of a usage file, without those of reservations: `hugetlb.2MB.current` of v2 and
/// `hugetlb.2MB.usage_in_bytes` of v1.
pub fn page_size_in(file: &str) -> Option<&str> {
    let name = file.strip_prefix("hugetlb.")?;
    let size = name.strip_suffix(".current").or_else(|| name.strip_suffix(".usage_in_bytes"))?;
    is_page_size(size).then_some(size)
}
