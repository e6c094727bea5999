//! One boot: qemu, what its second serial line says, and the end.

use super::kernel::Kernel;
use super::lane::Lane;
use crate::test::tally::Tally;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Instant;

/// What is booted.
pub(super) struct Machine<'a> {
    pub(super) lane: &'a Lane,
    pub(super) kernel: &'a Kernel,
    pub(super) initramfs: &'a Path,
    /// The root disk, and the one with the tests. What the guest writes to them is forgotten.
    pub(super) disks: [&'a Path; 2],
    /// Where the kernel's own messages go, as `LANE.log`.
    pub(super) log: &'a Path,
}

/// Boots, shows what the tests print, and counts it.
pub(super) fn boot(machine: &Machine<'_>) -> Result<Tally, Box<dyn Error>> {
    let log = machine.log.join(format!("{}.log", machine.lane.name));
    let mut qemu =
        Qemu(command(machine, &log).spawn().map_err(|error| format!("qemu-system-x86_64: {error}"))?);
    let output = qemu.0.stdout.take().expect("it was asked for");
    let (sender, lines) = channel();
    // Ends with the pipe, which ends with qemu.
    std::thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    let deadline = Instant::now() + machine.lane.deadline;
    let mut seen = Seen::default();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                println!("{line}");
                std::io::stdout().flush()?;
                seen.line(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let seconds = machine.lane.deadline.as_secs();
                seen.tally.broke(format!("the machine was stopped after {seconds} s"));
                break;
            }
        }
    }
    drop(qemu);
    if !seen.ended {
        seen.tally.broke(format!(
            "the guest did not come to its end; its kernel's messages are in {}",
            log.display()
        ));
        let text = std::fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].iter().for_each(|line| eprintln!("guest: {line}"));
    }
    Ok(seen.tally)
}

fn command(machine: &Machine<'_>, log: &Path) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none"])
        .args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536"])
        .arg("-serial")
        .arg(format!("file:{}", log.display()))
        .args(["-serial", "stdio"])
        .arg("-kernel")
        .arg(&machine.kernel.image)
        .arg("-initrd")
        .arg(machine.initramfs)
        .args(["-append", &format!("console=ttyS0 loglevel=4 panic=-1 {}", machine.lane.parameters)]);
    for disk in machine.disks {
        command.arg("-drive").arg(format!("file={},format=raw,if=virtio,snapshot=on", disk.display()));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Does not outlive its lane.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the guest's lines came to.
#[derive(Default)]
struct Seen {
    tally: Tally,
    /// Failures that were counted before the running program began.
    before: u64,
    ended: bool,
}

impl Seen {
    /// A line of a test program, or one of the marks of `guest/run.sh`.
    fn line(&mut self, line: &str) {
        let Some(mark) = line.strip_prefix("@guest ") else { return self.tally.line(line) };
        let words: Vec<&str> = mark.split(' ').collect();
        match words[..] {
            ["begin", _] => self.before = self.tally.failed(),
            ["end", name, status] if status != "0" && self.tally.failed() == self.before => {
                self.tally
                    .broke(format!("{name} ended with status {status} before its tests could be counted"));
            }
            ["finished"] => self.ended = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_dies_is_one_failure_and_one_with_failed_tests_is_not_counted_twice() {
        let mut seen = Seen::default();
        for line in [
            "@guest begin a",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            "@guest end a 101",
            "@guest begin b",
            "@guest end b 137",
            "@guest finished",
        ] {
            seen.line(line);
        }
        assert!(seen.ended);
        assert_eq!(seen.tally.counts(), "1 passed, 3 failed, 0 skipped");
    }
}
