//! Memory file systems in a container: `--tmpfs`.

use super::destination::Destination;
use super::size::parse_bytes;
use super::{Problem, Value, parse_count};

/// `--tmpfs DESTINATION[:OPTIONS]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tmpfs {
    /// Where.
    pub destination: Destination,
    /// Its options.
    pub options: TmpfsOptions,
}

/// What a tmpfs may hold and do (tmpfs(5)). Without options it is writable, and neither set-uid programs nor
/// device nodes nor any programs work on it, as in docker.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct TmpfsOptions {
    /// Nothing can be written.
    pub read_only: bool,
    /// Set-uid bits count.
    pub suid: bool,
    /// Device nodes work.
    pub dev: bool,
    /// Programs can be executed.
    pub exec: bool,
    /// The most it holds; without it the kernel's default, half of the memory.
    pub size: Option<TmpfsSize>,
    /// The most files it holds.
    pub inodes: Option<u64>,
    /// The permission bits of its root directory.
    pub mode: Option<u32>,
    /// The owner of its root directory, an id inside the container.
    pub uid: Option<u32>,
    /// The group of its root directory, an id inside the container.
    pub gid: Option<u32>,
}

/// How much a tmpfs holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum TmpfsSize {
    /// Bytes.
    Bytes(u64),
    /// A part of the memory, in percent.
    Percent(u64),
}

impl TmpfsOptions {
    /// Takes one option, `NAME` or `NAME=VALUE`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take(&mut self, option: &str) -> Result<(), Problem> {
        let (name, value) = super::key_value(option);
        let number = |text: Option<&str>| match text {
            Some(text) => parse_count(text),
            None => Err(format!("`{name}` needs a value").into()),
        };
        let id = |text| u32::try_from(number(text)?).map_err(|_| Problem::from("the id is too large"));
        match (name, value) {
            ("ro", None) => self.read_only = true,
            ("rw", None) => self.read_only = false,
            ("suid", None) => self.suid = true,
            ("nosuid", None) => self.suid = false,
            ("dev", None) => self.dev = true,
            ("nodev", None) => self.dev = false,
            ("exec", None) => self.exec = true,
            ("noexec", None) => self.exec = false,
            // Accepted because people write them: they are what a tmpfs does anyway, or change nothing on it.
            ("rprivate" | "private" | "relatime" | "noatime" | "nodiratime" | "async" | "defaults", None) => {
            }
            ("size", Some(text)) => self.size = Some(parse_size(text)?),
            ("nr_inodes", value) => self.inodes = Some(number(value)?),
            ("mode", Some(text)) => self.mode = Some(parse_mode(text)?),
            ("uid", value) => self.uid = Some(id(value)?),
            ("gid", value) => self.gid = Some(id(value)?),
            _ => return Err(format!("`{option}` is not an option of a tmpfs").into()),
        }
        Ok(())
    }

    /// The options as the mount section of an OCI configuration lists them.
    pub fn to_oci(&self) -> Vec<String> {
        let mut options = vec![
            if self.suid { "suid" } else { "nosuid" }.to_owned(),
            if self.dev { "dev" } else { "nodev" }.to_owned(),
            if self.exec { "exec" } else { "noexec" }.to_owned(),
        ];
        if self.read_only {
            options.push("ro".to_owned());
        }
        match self.size {
            Some(TmpfsSize::Bytes(bytes)) => options.push(format!("size={bytes}")),
            Some(TmpfsSize::Percent(percent)) => options.push(format!("size={percent}%")),
            None => {}
        }
        options.extend(self.inodes.map(|inodes| format!("nr_inodes={inodes}")));
        options.extend(self.mode.map(|mode| format!("mode={mode:o}")));
        options.extend(self.uid.map(|uid| format!("uid={uid}")));
        options.extend(self.gid.map(|gid| format!("gid={gid}")));
        options
    }
}

/// The size of a tmpfs: bytes, or percent of the memory.
///
/// # Errors
/// What is wrong with `text`.
pub(crate) fn parse_size(text: &str) -> Result<TmpfsSize, Problem> {
    match text.strip_suffix('%') {
        Some(percent) => match parse_count(percent)? {
            percent @ 1..=100 => Ok(TmpfsSize::Percent(percent)),
            _ => Err("a size in percent is from 1% to 100%".into()),
        },
        None => match parse_bytes(text)? {
            0 => Err("the size is zero".into()),
            bytes => Ok(TmpfsSize::Bytes(bytes)),
        },
    }
}

/// Permission bits in octal digits: `1777`.
///
/// # Errors
/// What is wrong with `text`.
pub(crate) fn parse_mode(text: &str) -> Result<u32, Problem> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 && !text.starts_with('+') => Ok(mode),
        _ => Err(format!("`{text}` is not a mode of up to four octal digits").into()),
    }
}

impl Value for Tmpfs {
    const FORM: &'static str = "DESTINATION[:OPTIONS]";
    const EXAMPLE: &'static str = "/run/work:size=64m,mode=1777";

    fn parse(text: &str) -> Result<Self, Problem> {
        let (destination, list) = text.split_once(':').unwrap_or((text, ""));
        let mut options = TmpfsOptions::default();
        for option in list.split(',').filter(|option| !option.is_empty()) {
            options.take(option)?;
        }
        Ok(Self { destination: Destination::read_below_root(destination)?, options })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_tmpfs_has_a_place_and_options() {
        expect![[r#"
            /a => Tmpfs { destination: Destination("/a"), options: TmpfsOptions { read_only: false, suid: false, dev: false, exec: false, size: None, inodes: None, mode: None, uid: None, gid: None } }
            /a:rw,exec,nosuid => Tmpfs { destination: Destination("/a"), options: TmpfsOptions { read_only: false, suid: false, dev: false, exec: true, size: None, inodes: None, mode: None, uid: None, gid: None } }
            /a:size=50%,nr_inodes=100,uid=5,gid=6,ro => Tmpfs { destination: Destination("/a"), options: TmpfsOptions { read_only: true, suid: false, dev: false, exec: false, size: Some(Percent(50)), inodes: Some(100), mode: None, uid: Some(5), gid: Some(6) } }
            a !! `a` is not an absolute path inside the container
            / !! `/` is the container's root itself
             !! the path inside the container is missing
            /a:size=0 !! the size is zero
            /a:size=101% !! a size in percent is from 1% to 100%
            /a:mode=8 !! `8` is not a mode of up to four octal digits
            /a:mode=17777 !! `17777` is not a mode of up to four octal digits
            /a:uid=-1 !! `-1` is not a number
            /a:uid=4294967296 !! the id is too large
            /a:foo !! `foo` is not an option of a tmpfs
            /a:size !! `size` is not an option of a tmpfs
            /run/work:size=64m,mode=1777 => Tmpfs { destination: Destination("/run/work"), options: TmpfsOptions { read_only: false, suid: false, dev: false, exec: false, size: Some(Bytes(67108864)), inodes: None, mode: Some(1023), uid: None, gid: None } }
        "#]].assert_eq(&table::<Tmpfs>(&[
            "/a", "/a:rw,exec,nosuid", "/a:size=50%,nr_inodes=100,uid=5,gid=6,ro", "a", "/", "", "/a:size=0",
            "/a:size=101%", "/a:mode=8", "/a:mode=17777", "/a:uid=-1", "/a:uid=4294967296", "/a:foo", "/a:size",
        ]));
    }

    #[test]
    fn options_are_written_as_mount_reads_them() {
        let tmpfs = Tmpfs::parse("/a:size=1m,mode=700,exec,uid=1").unwrap();
        assert_eq!(tmpfs.options.to_oci().join(","), "nosuid,nodev,exec,size=1048576,mode=700,uid=1");
    }
}
