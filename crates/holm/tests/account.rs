//! What a group is told to have used against what its process is told (getrusage(2)). A program of its own, because the
//! kernel adds up all children of a process.

use std::process::{Command, Output, Stdio};

fn holm(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holm")).arg("cgroup").args(args).output().unwrap()
}

/// A group that is gone at the end.
struct Group(String);

impl Drop for Group {
    fn drop(&mut self) {
        holm(&["delete", "--kill", &self.0]);
    }
}

#[test]
fn processor_time_and_peak_memory_agree_with_getrusage() {
    let group = Group(format!("nscg-{}-account", std::process::id()));
    let made = holm(&["create", &group.0, "memory.max=1G"]);
    if !made.status.success() {
        return eprintln!("SKIPPED account: {}", String::from_utf8_lossy(&made.stderr));
    }
    // A buffer of 256 MiB is the memory, and filling it with zeros the time: two seconds, beside which that of `holm`
    // itself, which is not in the group yet, is nothing.
    let once = std::time::Instant::now();
    let fill = ["if=/dev/zero", "of=/dev/null", "bs=256M"];
    assert!(Command::new("dd").args(fill).arg("count=1").stderr(Stdio::null()).status().unwrap().success());
    let count = format!("count={}", (2000 / (once.elapsed().as_millis() + 1)).clamp(3, 40));
    let before = sys::raw::children_usage().unwrap();
    let load = ["exec", &group.0, "--", "dd", fill[0], fill[1], fill[2], &count];
    let status =
        Command::new(env!("CARGO_BIN_EXE_holm")).arg("cgroup").args(load).stderr(Stdio::null()).status();
    assert!(status.unwrap().success());
    let after = sys::raw::children_usage().unwrap();

    let output = holm(&["stat", "-j", &group.0]);
    let stats: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let told_ns = (after.user_ns + after.system_ns - before.user_ns - before.system_ns) as f64;
    let ratio = stats["cpu"]["used_ns"].as_f64().unwrap() / told_ns;
    assert!((0.98..=1.02).contains(&ratio), "processor time: counted / told = {ratio:.4}");
    let ratio = stats["memory"]["peak_bytes"].as_f64().unwrap() / after.peak_memory_bytes as f64;
    assert!((0.98..=1.02).contains(&ratio), "peak memory: counted / told = {ratio:.4}");
}
