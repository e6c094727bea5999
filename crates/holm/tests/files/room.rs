//! A place for the containers of one test, with an image of busybox; it takes everything away again.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::said;

pub(crate) struct Room {
    pub(crate) base: PathBuf,
    /// Whether roots are plain copies, as where there is no overlay.
    pub(crate) copies: Cell<bool>,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Room {
    /// A room with the image `box`, unless what it takes is missing.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let reason = match rustix::process::geteuid().is_root() {
            false => Some("needs root"),
            true => (!PathBuf::from("/bin/busybox").exists()).then_some("there is no /bin/busybox"),
        };
        if let Some(reason) = reason {
            eprintln!("SKIPPED {test}: {reason}");
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let base = std::env::temp_dir().join(format!("holm-files-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&base).unwrap();
        let room = Self { base, copies: Cell::new(false) };
        room.sh("mkdir -p rootfs/bin rootfs/etc rootfs/tmp rootfs/srv/old/deep rootfs/usr; chmod 1777 rootfs/tmp
            cp /bin/busybox rootfs/bin; for it in sh cat id ls ln echo mv rm mkdir mkfifo sleep stat chown chmod touch true; do ln -s busybox rootfs/bin/$it; done
            echo root:x:0:0::/:/bin/sh >rootfs/etc/passwd; echo one >rootfs/srv/one; echo two >rootfs/srv/old/two; echo three >rootfs/srv/old/deep/three");
        room.prints(&["import", &room.path("rootfs"), "box:1", "-c", "CMD [\"/bin/sleep\", \"1000\"]"]);
        Some(room)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.base.join(name).display().to_string()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.base.join(name)).unwrap()
    }

    /// A script of the host's, in this room.
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = Command::new("sh").args(["-ec", script]).current_dir(&self.base).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
        match args.split_first() {
            Some((verb @ (&"run" | &"create"), rest)) => command.args([verb, "--network", "none"]).args(rest),
            _ => command.args(args),
        };
        command.stdin(Stdio::null()).current_dir(&self.base);
        if self.copies.get() {
            command.env("HOLM_STORAGE", "copy");
        }
        command.env("HOLM_IMAGES", self.base.join("store"));
        command.env("HOLM_ROOT", self.base.join("root")).env("HOLM_RUNROOT", self.base.join("run"));
        command
    }

    pub(crate) fn holm(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What it prints; it has to succeed.
    pub(crate) fn prints(&self, args: &[&str]) -> String {
        said::prints(self.command(args)).trim_end().to_owned()
    }

    /// What it says; it has to fail.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let errors = said::fails(self.command(args), None);
        assert!(errors.starts_with("error: "), "{args:?}: {errors}");
        errors
    }

    /// A script in a container that runs.
    pub(crate) fn inside(&self, name: &str, script: &str) -> String {
        self.prints(&["exec", name, "sh", "-ec", script])
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.holm(&["rm", "--force", "--all"]);
        let _ = self.holm(&["image", "prune", "--all"]);
        let _ = std::fs::remove_dir_all(&self.base);
    }
}
