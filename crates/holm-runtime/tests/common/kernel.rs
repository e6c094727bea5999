//! What a test needs of the kernel.

/// Whether this kernel is older than a version, with a line that says that a test is skipped for it.
pub(crate) fn older_than(version: (u32, u32), test: &str) -> bool {
    let kernel = runtime::HostFacts::read().expect("facts").kernel;
    if kernel < version {
        eprintln!("SKIPPED {test}: it needs Linux {}.{}", version.0, version.1);
    }
    kernel < version
}
