//! Small C programs that tests need.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A C program, compiled for one test and deleted after it.
pub(crate) struct Helper {
    program: PathBuf,
}

impl Helper {
    /// Compiles `tests/helpers/{name}.c`; `Err` tells why that is not possible here.
    pub(crate) fn compile(name: &str, libraries: &[&str]) -> Result<Self, String> {
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/helpers").join(name).with_extension("c");
        // Tests of one process run side by side; each has a program of its own.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
        let helper = Self { program };
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-o"]).arg(&helper.program).arg(source).args(libraries);
        match cc.output() {
            Err(error) => Err(format!("no C compiler ({error})")),
            Ok(output) if output.status.success() => Ok(helper),
            Ok(output) => Err(format!("cc: {}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// Runs it with `input` on its standard input.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was just compiled");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.program);
    }
}
