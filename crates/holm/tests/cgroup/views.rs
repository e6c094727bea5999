//! The same commands on a host that shows v1 only, v2 only, or both, which a mount namespace is made to look like.

use std::process::Command;

use crate::room::*;

/// The mount points of a type of file system, those made last first.
fn mounts(kind: &str) -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of_kind = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        (right.split(' ').next() == Some(kind)).then(|| left.split(' ').nth(4).unwrap_or_default().to_owned())
    };
    let mut found: Vec<String> = text.lines().filter_map(of_kind).collect();
    found.reverse();
    found
}

/// From the first command to the last; prints in which groups the process is.
const SESSION: &str = r#"
    set -e
    trap 'kill -KILL $busy 2>/dev/null || true' EXIT
    "$HOLM" cgroup create $G
    "$HOLM" cgroup create $G/one
    "$HOLM" cgroup create $G/two
    "$HOLM" cgroup exec $G/one -- sh -c 'while :; do :; done' >/dev/null 2>&1 &
    busy=$!
    until grep -q "/$G/one\$" /proc/$busy/cgroup; do sleep 0.05; done
    used() { cut -d ' ' -f 14 /proc/$busy/stat; }
    until [ "$(used)" -gt 2 ]; do sleep 0.05; done
    "$HOLM" cgroup list $G | grep -q one || echo 'not listed'
    "$HOLM" cgroup stat $G/one >/dev/null
    "$HOLM" cgroup freeze $G
    before=$(used)
    sleep 0.3
    [ "$(used)" = "$before" ] || echo 'not frozen'
    "$HOLM" cgroup thaw $G
    until [ "$(used)" -gt "$before" ]; do sleep 0.05; done
    grep "/$G/one\$" /proc/$busy/cgroup
    "$HOLM" cgroup move $G/two $busy
    grep -q "/$G/two\$" /proc/$busy/cgroup || echo 'not moved'
    # Its parent waits for it meanwhile: a dead child is in its group until then.
    "$HOLM" cgroup kill $G/two &
    killer=$!
    wait $busy || true
    wait $killer
    "$HOLM" cgroup delete -r $G
    "$HOLM" cgroup stat $G 2>&1 | grep -q 'there is no cgroup' || echo 'not deleted'
"#;

/// What the session prints below a shell that `prepare` was typed into first.
fn session(view: &str, prepare: &[String]) -> String {
    let name = format!("nscg-{}-view-{view}", std::process::id());
    let script = format!("{}\n{SESSION}", prepare.join("\n"));
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .env("HOLM", env!("CARGO_BIN_EXE_holm"))
        .env("G", &name)
        .output()
        .unwrap();
    // What a failed session leaves is in some hierarchies only, so it is looked for in all.
    let _ = holm(&["delete", "-r", "--kill", &name]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{view}: {}{errors}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_same_commands_work_on_v1_on_v2_and_on_both() {
    if Group::new("views", &[]).is_none() {
        return;
    }
    let (v1, v2) = (mounts("cgroup"), mounts("cgroup2"));
    let without = |mounts: &[String]| -> Vec<String> {
        mounts.iter().map(|mount| format!("umount -l '{mount}'")).collect()
    };
    let is_v2 = |line: &&str| line.starts_with("0::");
    if v1.is_empty() || v2.is_empty() {
        let groups = session("only", &[]);
        assert_eq!(groups.lines().all(|line| is_v2(&line)), v1.is_empty(), "{groups}");
        return;
    }
    let groups = session("both", &[]);
    assert!(groups.lines().any(|line| is_v2(&line)) && !groups.lines().all(|line| is_v2(&line)), "{groups}");
    let groups = session("v1", &without(&v2));
    assert!(!groups.is_empty() && !groups.lines().any(|line| is_v2(&line)), "{groups}");
    let groups = session("v2", &without(&v1));
    assert!(groups.lines().count() == 1 && groups.lines().all(|line| is_v2(&line)), "{groups}");
}
