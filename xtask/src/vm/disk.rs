//! What the guest boots from: an initramfs that mounts two disks, and the root disk.

use super::apt::output;
use super::cpio::Archive;
use super::kernel::Kernel;
use super::lane::{First, Lane};
use crate::workspace::{root as workspace, which};
use std::error::Error;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first program of the plain lanes.
pub(super) const BUSYBOX: &str = "/bin/busybox";
/// What the kernel needs to see a disk of qemu's; nothing of it where it is built in.
const DISK_MODULES: &[&str] = &["virtio_pci", "virtio_blk", "ext4"];
/// What the lanes with systemd have installed.
const PACKAGES: &str = "systemd-sysv,kmod,dbus,dbus-user-session,libpam-systemd,busybox-static,uidmap,util-linux,procps,iproute2,jq,runc,crun";

/// Both disks mounted, and on to the root disk's `/sbin/init`.
pub(super) fn initramfs(kernel: &Kernel) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut archive = Archive::default();
    for directory in ["bin", "dev", "m", "root"] {
        archive.directory(directory);
    }
    archive.program("bin/busybox", &fs::read(BUSYBOX)?);
    let mut load = String::new();
    let table = fs::read_to_string(kernel.modules.join("modules.dep"))?;
    for (index, file) in in_order(&table, DISK_MODULES).iter().enumerate() {
        archive.program(&format!("m/{index}.ko"), &module(&kernel.modules.join(file))?);
        load.push_str(&format!("busybox insmod /m/{index}.ko\n"));
    }
    let script = include_str!("../../guest/initramfs.sh")
        .replace("@LOAD@", &load)
        .replace("@WORKSPACE@", &workspace().display().to_string());
    archive.program("init", script.as_bytes());
    Ok(archive.finish())
}

/// The files of the modules `names` and of all that they depend on, in an order in which they can be loaded, from the lines of
/// modules.dep(5).
fn in_order<'a>(table: &'a str, names: &[&str]) -> Vec<&'a str> {
    fn add<'a>(table: &[(&'a str, &'a str)], file: &'a str, found: &mut Vec<&'a str>, depth: usize) {
        if found.contains(&file) || depth > 16 {
            return;
        }
        let depends = table.iter().find(|(it, _)| *it == file).map_or("", |(_, depends)| depends);
        depends.split_whitespace().for_each(|it| add(table, it, found, depth + 1));
        found.push(file);
    }
    let table: Vec<(&str, &str)> = table.lines().filter_map(|line| line.split_once(':')).collect();
    let called = |file: &str, name: &str| {
        let last = file.rsplit('/').next().unwrap_or_default();
        last.split_once(".ko").is_some_and(|(stem, _)| stem.replace('-', "_") == name)
    };
    let mut found = Vec::new();
    for name in names {
        for (file, _) in table.iter().filter(|(file, _)| called(file, name)) {
            add(&table, file, &mut found, 0);
        }
    }
    found
}

/// A module's content; newer kernels' are compressed.
fn module(file: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    if file.extension().is_some_and(|it| it == "xz") {
        let output = Command::new(BUSYBOX).args(["xz", "-dc"]).arg(file).output()?;
        return Ok(output.stdout);
    }
    Ok(fs::read(file)?)
}

/// The image of the root disk, made unless it is there.
pub(super) fn root(directory: &Path, lane: &Lane) -> Result<PathBuf, Box<dyn Error>> {
    match lane.first {
        First::Script => plain(directory),
        First::Systemd => with_systemd(directory),
    }
}

fn plain(directory: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let tree = directory.join("plain");
    let _ = fs::remove_dir_all(&tree);
    for part in [
        "bin", "sbin", "usr/bin", "usr/sbin", "dev", "proc", "sys", "tmp", "run", "var", "root", "etc", "lib",
    ] {
        fs::create_dir_all(tree.join(part))?;
    }
    fs::set_permissions(tree.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::copy(BUSYBOX, tree.join("bin/busybox"))?;
    let applets = output(Command::new(BUSYBOX).arg("--list-full"))?;
    for applet in applets.lines().filter(|it| !it.ends_with("/busybox")) {
        let up = "../".repeat(applet.matches('/').count());
        let _ = symlink(format!("{up}bin/busybox"), tree.join(applet));
    }
    for (file, text) in [
        (
            "passwd",
            "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n",
        ),
        ("group", "root:x:0:\ndaemon:x:1:\nadm:x:4:\ntty:x:5:\nnogroup:x:65534:\n"),
        ("hosts", "127.0.0.1 localhost\n"),
        ("protocols", "icmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\nsctp 132 SCTP\n"),
        ("resolv.conf", ""),
        ("hostname", "guest\n"),
        ("os-release", "ID=holm-guest\n"),
    ] {
        fs::write(tree.join("etc").join(file), text)?;
    }
    program(&tree.join("sbin/init"), include_str!("../../guest/plain-init.sh"))?;
    super::tools::copy(&tree)?;
    image(&tree, &directory.join("plain.ext4"), 512)
}

fn with_systemd(directory: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let found = directory.join("systemd.ext4");
    let tree = directory.join("systemd");
    if !found.exists() {
        if which("mmdebstrap").is_none() {
            return Err("no mmdebstrap here (Debian: `apt-get install mmdebstrap`)".into());
        }
        let _ = fs::remove_dir_all(&tree);
        println!("making a root with systemd");
        output(
            Command::new("mmdebstrap")
                .args(["--variant=minbase", "--include", PACKAGES])
                .args(["--customize-hook=rm -rf $1/usr/share/doc $1/usr/share/locale $1/var/lib/apt/lists/*"])
                .args(["--customize-hook=chroot $1 passwd -d root"])
                .args(["--customize-hook=chroot $1 useradd -m -u 1000 -s /bin/sh ordinary"])
                .arg(format!("--customize-hook={}", quiet_units()))
                .arg("bookworm")
                .arg(&tree)
                .arg(super::apt::mirror()?),
        )?;
        let unit_inside = "/etc/systemd/system/holm-test.service";
        fs::write(tree.join(&unit_inside[1..]), include_str!("../../guest/holm-test.service"))?;
        let wants = tree.join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants)?;
        symlink(unit_inside, wants.join("holm-test.service"))?;
        image(&tree, &found, 2048)?;
        fs::remove_dir_all(&tree)?;
    }
    Ok(found)
}

/// Emulation is slow: whatever no test looks at is not started.
fn quiet_units() -> String {
    let units = [
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "dpkg-db-backup.timer",
        "e2scrub_all.timer",
        "fstrim.timer",
        "getty@tty1.service",
        "serial-getty@ttyS0.service",
        "systemd-udevd.service",
        "systemd-udev-trigger.service",
        "systemd-timesyncd.service",
        "systemd-update-utmp.service",
        "systemd-hwdb-update.service",
        "systemd-journal-flush.service",
        "systemd-pstore.service",
        "ldconfig.service",
    ];
    format!("chroot $1 systemctl mask -q {}", units.join(" "))
}

/// An ext4 image of `tree` with `mebibytes` in all; sparse.
pub(super) fn image(tree: &Path, file: &Path, mebibytes: u32) -> Result<PathBuf, Box<dyn Error>> {
    let part = file.with_extension("part");
    let _ = fs::remove_file(&part);
    output(
        Command::new("mke2fs")
            .args(["-q", "-F", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-m", "0", "-d"])
            .arg(tree)
            .arg(&part)
            .arg(format!("{mebibytes}M")),
    )?;
    fs::rename(&part, file)?;
    Ok(file.to_path_buf())
}

fn program(file: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let _ = fs::remove_file(file);
    fs::write(file, text)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::in_order;

    #[test]
    fn modules_are_loaded_after_those_they_depend_on() {
        let table = "kernel/a/disk-virtio.ko.xz: kernel/a/bus.ko.xz\n\
                     kernel/a/bus.ko.xz: kernel/a/ring.ko.xz\n\
                     kernel/a/ring.ko.xz:\n\
                     kernel/a/other.ko.xz:\n";
        let order = in_order(table, &["disk_virtio", "built_in"]);
        assert_eq!(order, ["kernel/a/ring.ko.xz", "kernel/a/bus.ko.xz", "kernel/a/disk-virtio.ko.xz"]);
    }
}
