//! A bundle with busybox, which the built runtime runs.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// A bundle in a temporary directory that goes when this does.
pub(crate) struct Bundle {
    /// The container's id.
    pub(crate) id: String,
    /// The directory.
    pub(crate) dir: PathBuf,
    /// What config.json will say.
    pub(crate) config: Value,
}

impl Bundle {
    /// The configuration that runc starts from; `None`, with a line that says why, where this host cannot run it.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED {test}: it needs root");
            return None;
        }
        let dir = std::env::temp_dir().join(format!("holm-{}-{test}", std::process::id()));
        let bin = dir.join("rootfs/bin");
        DirBuilder::new().recursive(true).mode(0o755).create(&bin).expect("the rootfs");
        // By another process: a test beside this one that forks meanwhile would hold the file open for writing (ETXTBSY).
        let copied = Command::new("cp").arg("/bin/busybox").arg(bin.join("busybox")).output().expect("cp");
        if !copied.status.success() {
            let error = String::from_utf8_lossy(&copied.stderr).into_owned();
            eprintln!("SKIPPED {test}: it needs /bin/busybox, linked statically: {error}");
            let _ = std::fs::remove_dir_all(&dir);
            return None;
        }
        for name in
            "cat echo env grep head hostname id kill ls mkdir pwd readlink sh sleep stat touch true wc"
                .split(' ')
        {
            symlink("busybox", bin.join(name)).expect("a link");
        }
        let text = spec::to_pretty_json(&spec::default_spec(false)).expect("the first configuration");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        config["process"]["terminal"] = json!(false);
        Some(Self { id: format!("holm-{}-{test}", std::process::id()), dir, config })
    }

    /// Where a path of the container is.
    pub(crate) fn rootfs(&self, path: &str) -> PathBuf {
        self.dir.join("rootfs").join(path)
    }

    /// Makes a script of busybox's shell the program.
    pub(crate) fn script(&mut self, script: &str) -> &mut Self {
        self.config["process"]["args"] = json!(["/bin/sh", "-c", script]);
        self
    }

    /// The command that runs it, without standard input.
    pub(crate) fn command(&self) -> Command {
        self.write();
        self.runtime(&["run", "--bundle", &self.dir.display().to_string(), &self.id])
    }

    /// The runtime with these arguments, in the bundle's directory, without standard input.
    pub(crate) fn runtime(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holm-runtime"));
        command.arg("--root").arg(self.dir.join("state")).args(arguments).current_dir(&self.dir);
        command
            .stdin(File::open("/dev/null").expect("/dev/null"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Writes config.json.
    pub(crate) fn write(&self) {
        let text = serde_json::to_vec_pretty(&self.config).expect("JSON");
        std::fs::write(self.dir.join("config.json"), text).expect("config.json");
    }

    /// Runs it to its end, after which nothing of it may be left.
    pub(crate) fn run(&self) -> Ran {
        let ran = Ran::of(&self.command().output().expect("holm-runtime"));
        assert_eq!(self.left(), Vec::<PathBuf>::new(), "left behind; {ran:?}");
        ran
    }

    /// What there is of it on the host: its record and its cgroups.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.dir.join("state")).into_iter().flatten().flatten() {
            // Compiled filters serve the next container as well.
            if entry.file_name() != "@filters" {
                found.push(entry.path());
            }
        }
        directories_named(Path::new("/sys/fs/cgroup"), &self.id, &mut found);
        found
    }
}

impl Drop for Bundle {
    /// Containers and groups are there still when a test failed half-way.
    fn drop(&mut self) {
        if !self.left().is_empty() {
            let list = self.runtime(&["list", "--quiet"]).output().map(|output| output.stdout);
            for id in String::from_utf8_lossy(&list.unwrap_or_default()).lines().chain([self.id.as_str()]) {
                let _ = self.runtime(&["delete", "--force", id]).output();
            }
            let mut groups = Vec::new();
            directories_named(Path::new("/sys/fs/cgroup"), &self.id, &mut groups);
            groups.iter().for_each(|group| drop(std::fs::remove_dir(group)));
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn directories_named(dir: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name().to_string_lossy() == name {
                found.push(entry.path());
            }
            directories_named(&entry.path(), name, found);
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    /// The exit status; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Ran {
    /// In text.
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
