//! Debian's kernels for virtual machines: which there are, and how one gets here.

use super::apt::{Apt, output};
use super::disk::BUSYBOX;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Versions by the suite that has them.
const KERNELS: &[(&str, &str)] =
    &[("5.10", "bullseye"), ("6.1", "bookworm"), ("6.12", "trixie"), ("newest", "sid")];

/// A kernel, unpacked.
#[derive(Debug)]
pub(super) struct Kernel {
    /// As uname(2) says it.
    pub(super) release: String,
    /// What qemu loads.
    pub(super) image: PathBuf,
    /// `lib/modules/RELEASE`.
    pub(super) modules: PathBuf,
}

/// The suite with a kernel of this version; a suite's own name will do.
pub(super) fn suite(version: &str) -> Result<&'static str, String> {
    let found = KERNELS.iter().find(|(known, suite)| *known == version || *suite == version);
    found.map(|(_, suite)| *suite).ok_or_else(|| format!("no such kernel; there are {}", known()))
}

/// The versions that [`suite`] takes.
pub(super) fn known() -> String {
    KERNELS.iter().map(|(version, _)| *version).collect::<Vec<_>>().join(", ")
}

/// Downloads and unpacks the newest kernel of `suite`, unless it is there.
pub(super) fn get(directory: &Path, suite: &str) -> Result<Kernel, Box<dyn Error>> {
    let apt = Apt::of(directory, suite)?;
    let depends = apt.depends("linux-image-cloud-amd64")?;
    let package =
        depends.iter().find(|name| name.starts_with("linux-image-")).ok_or("no kernel in this suite")?;
    let release = package.strip_prefix("linux-image-").unwrap_or_default().to_owned();
    let unpacked = directory.join("kernels").join(&release);
    if !unpacked.join("done").exists() {
        let _ = fs::remove_dir_all(&unpacked);
        fs::create_dir_all(&unpacked)?;
        // Newer kernels come in parts.
        let parts = apt.depends(package)?;
        let parts =
            parts.iter().filter(|it| it.starts_with("linux-binary-") || it.starts_with("linux-modules-"));
        for part in parts.chain([package]) {
            output(Command::new("dpkg").arg("-x").arg(apt.download(part)?).arg(&unpacked))?;
        }
        merge_usr(&unpacked)?;
        prune(&unpacked.join("lib/modules").join(&release))?;
        output(Command::new(BUSYBOX).arg("depmod").arg("-b").arg(&unpacked).arg(&release))?;
        fs::write(unpacked.join("done"), "")?;
    }
    let modules = unpacked.join("lib/modules").join(&release);
    // Newer packages have the kernel beside its modules.
    let images = [unpacked.join(format!("boot/vmlinuz-{release}")), modules.join("vmlinuz")];
    let image = images.into_iter().find(|it| it.exists()).unwrap_or_default();
    match (image.exists(), modules.exists()) {
        (true, true) => Ok(Kernel { release, image, modules }),
        _ => Err(format!("{package} has not the files that were expected").into()),
    }
}

/// Newer packages have their modules below `/usr`.
fn merge_usr(unpacked: &Path) -> Result<(), Box<dyn Error>> {
    let newer = unpacked.join("usr/lib/modules");
    if newer.exists() {
        fs::create_dir_all(unpacked.join("lib"))?;
        fs::rename(newer, unpacked.join("lib/modules"))?;
    }
    Ok(())
}

/// Drivers for machines that this one is not.
fn prune(modules: &Path) -> Result<(), Box<dyn Error>> {
    const KEPT: &[&str] = &["block", "net", "virtio", "dax", "md"];
    for entry in fs::read_dir(modules.join("kernel/drivers"))?.flatten() {
        if !KEPT.iter().any(|kept| entry.file_name() == *kept) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    for rest in ["kernel/drivers/net/ethernet", "kernel/drivers/net/wireless", "kernel/sound", "kernel/arch"]
    {
        let _ = fs::remove_dir_all(modules.join(rest));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_known_by_version_or_by_suite() {
        assert_eq!(suite("5.10"), Ok("bullseye"));
        assert_eq!(suite("sid"), Ok("sid"));
        assert!(suite("2.6").unwrap_err().contains("6.12"));
    }
}
