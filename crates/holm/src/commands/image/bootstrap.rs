//! `holm image bootstrap`: a base image from a distribution's packages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ArgMatches;
use images::config::Execution;
use images::platform::Platform;
use images::store::{Image, Store};
use images::transfer::import::{self, About};
use report::BoxedExplain;
use sys::SyscallError;

use super::transfer::timestamp;
use super::{boxed, print, references, refuse, store, text, texts, unsupported};

/// A distribution that is known.
struct Distribution {
    name: &'static str,
    mirror: &'static str,
    keyring: &'static str,
}

const DISTRIBUTIONS: [Distribution; 2] = [
    Distribution {
        name: "debian",
        mirror: "http://deb.debian.org/debian",
        keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
    },
    Distribution {
        name: "ubuntu",
        mirror: "http://archive.ubuntu.com/ubuntu",
        keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
    },
];

pub(super) fn run(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let asked = text(matches, "suite").unwrap_or_default();
    let (name, suite) = asked.split_once(':').unwrap_or((asked, "stable"));
    let known = DISTRIBUTIONS.iter().find(|known| known.name == name);
    let Some(distribution) = known else {
        return Err(refuse(
            format!("the distribution `{}` is not known", name.escape_debug()),
            "debian and ubuntu are; `holm image import` takes any other root filesystem",
        ));
    };
    let word = |text: &str, more: &[u8]| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    if !word(suite, b"-._") {
        return Err(refuse(format!("`{}` is no suite", suite.escape_debug()), "for example bookworm"));
    }
    let variant = text(matches, "variant").unwrap_or("minbase");
    if !word(variant, b"-_") {
        return Err(refuse(format!("`{}` is no variant", variant.escape_debug()), "for example minbase"));
    }
    let include = texts(matches, "include").join(",");
    if !include.is_empty() && !word(&include, b"-.+,:~") {
        return Err(refuse(
            "--include takes names of packages, parted by commas",
            "for example ca-certificates,curl",
        ));
    }
    let program = program(text(matches, "with"))?;
    let epoch = timestamp(matches)?;
    let mirror = text(matches, "mirror")
        .map(str::to_owned)
        .or_else(|| host_mirror(distribution.name, suite))
        .unwrap_or_else(|| distribution.mirror.to_owned());
    let names = match texts(matches, "tag") {
        tags if tags.is_empty() => references(&[&format!("{name}:{suite}")])?,
        tags => references(&tags)?,
    };
    let tool = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut execution = Execution {
        cmd: vec!["/bin/bash".to_owned()],
        env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
        ..Execution::default()
    };
    let labels = [
        ("org.opencontainers.image.title", format!("{name} {suite} ({variant})")),
        ("org.opencontainers.image.source", mirror.clone()),
        ("org.opencontainers.image.created", import::rfc3339(epoch)),
        ("holm.bootstrap.tool", tool.clone()),
        ("holm.bootstrap.suite", suite.to_owned()),
        ("holm.bootstrap.variant", variant.to_owned()),
        ("holm.bootstrap.include", include.clone()),
        ("holm.bootstrap.source-date-epoch", epoch.to_string()),
    ];
    execution.labels.extend(labels.into_iter().map(|(key, value)| (key.to_owned(), value)));
    let about = About {
        names,
        platform: Platform::host(),
        execution,
        created: epoch,
        created_by: format!("holm image bootstrap {name}:{suite} --variant {variant}"),
        comment: format!("made by {tool}"),
        action: "bootstrap",
    };
    let keyring = Some(distribution.keyring).filter(|path| Path::new(path).exists());
    let store = store()?;
    let image = match tool.as_str() {
        "mmdebstrap" => by_mmdebstrap(&store, &program, suite, variant, &include, &mirror, keyring, &about)?,
        _ => by_debootstrap(&store, &program, suite, variant, &include, &mirror, keyring, &about)?,
    };
    print(&format!("{}\n", image.config))?;
    Ok(0)
}

fn program(wanted: Option<&str>) -> Result<PathBuf, BoxedExplain> {
    let names = wanted.map_or(vec!["mmdebstrap", "debootstrap"], |name| vec![name]);
    let places = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    let all = names.iter().flat_map(|name| places.iter().map(move |place| Path::new(place).join(name)));
    all.into_iter().find(|path| path.exists()).ok_or_else(|| {
        unsupported(
            format!("neither of {} is installed", names.join(" and ")),
            "install mmdebstrap; without one, `holm image import` takes a root filesystem that was made elsewhere",
        )
    })
}

/// The mirror that the host itself uses for this suite, if it is of the same distribution.
fn host_mirror(distribution: &str, suite: &str) -> Option<String> {
    let release = std::fs::read_to_string("/etc/os-release").ok()?;
    release.lines().any(|line| line == format!("ID={distribution}")).then_some(())?;
    let lists = std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let files =
        std::iter::once(PathBuf::from("/etc/apt/sources.list")).chain(lists.map(|entry| entry.path()));
    let texts = files.filter_map(|path| std::fs::read_to_string(path).ok());
    texts.filter_map(|text| mirror_in(&text, suite)).next()
}

/// The address in a list of sources, of either format (sources.list(5)), that has the suite's main packages. Others may be of anybody, for
/// anything.
fn mirror_in(text: &str, suite: &str) -> Option<String> {
    let is_address = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let of_lines = lines.filter_map(|line| {
        let mut words = line.strip_prefix("deb ")?.split_whitespace().skip_while(|word| !is_address(word));
        let address = words.next()?;
        (words.next() == Some(suite) && words.any(|word| word == "main")).then_some(address)
    });
    let of_fields = text.split("\n\n").filter_map(|stanza| {
        let field = |name: &str| -> Vec<&str> {
            let line = stanza.lines().find_map(|line| line.strip_prefix(name));
            line.map(|line| line.split_whitespace().collect()).unwrap_or_default()
        };
        let whole = field("Types:").contains(&"deb")
            && field("Suites:").contains(&suite)
            && field("Components:").contains(&"main")
            && !field("Enabled:").contains(&"no");
        if whole { field("URIs:").into_iter().find(is_address) } else { None }
    });
    of_lines.chain(of_fields).next().map(|address| address.trim_end_matches('/').to_owned())
}

#[allow(clippy::too_many_arguments, reason = "what a command line has")]
fn by_mmdebstrap(
    store: &Store,
    program: &Path,
    suite: &str,
    variant: &str,
    include: &str,
    mirror: &str,
    keyring: Option<&str>,
    about: &About,
) -> Result<Image, BoxedExplain> {
    let mut command = Command::new(program);
    command.args(["--quiet", "--format=tar", &format!("--variant={variant}")]);
    if !include.is_empty() {
        command.arg(format!("--include={include}"));
    }
    command.args(keyring.map(|keyring| format!("--keyring={keyring}")));
    command.args([suite, "-", mirror]);
    let mut child = command
        .env("SOURCE_DATE_EPOCH", about.created.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| boxed(SyscallError::new("execve", program.display().to_string(), error)))?;
    let Some(mut output) = child.stdout.take() else { return Err(refuse("no output", "try again")) };
    let mut ended = Ended { output: &mut output, child: &mut child, failed: None };
    let made = import::archive(store, &mut ended, about);
    match ended.failed {
        Some(status) => Err(failed("mmdebstrap", status)),
        None => made.map_err(boxed),
    }
}

fn failed(tool: &str, status: std::process::ExitStatus) -> BoxedExplain {
    boxed(images::Error::refused(
        report::Kind::Io,
        format!("{tool} failed ({status})"),
        "its own words stand above",
    ))
}

/// The output of a program, which is whole only if the program says so.
struct Ended<'c> {
    output: &'c mut std::process::ChildStdout,
    child: &'c mut std::process::Child,
    failed: Option<std::process::ExitStatus>,
}

impl std::io::Read for Ended<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.output.read(buffer)?;
        if count == 0 {
            let status = self.child.wait()?;
            if !status.success() {
                self.failed = Some(status);
                return Err(std::io::Error::from_raw_os_error(sys::Errno::CANCELED.raw()));
            }
        }
        Ok(count)
    }
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(clippy::too_many_arguments, reason = "what a command line has")]
fn by_debootstrap(
    store: &Store,
    program: &Path,
    suite: &str,
    variant: &str,
    include: &str,
    mirror: &str,
    keyring: Option<&str>,
    about: &About,
) -> Result<Image, BoxedExplain> {
    if !rustix::process::geteuid().is_root() {
        return Err(unsupported("debootstrap takes root", "install mmdebstrap, which does not"));
    }
    let target = store.layout().tmp().join(format!("bootstrap-{}", std::process::id()));
    let _away = Away(target.clone());
    let mut command = Command::new(program);
    command.arg(format!("--variant={variant}"));
    if !include.is_empty() {
        command.arg(format!("--include={include}"));
    }
    command.args(keyring.map(|keyring| format!("--keyring={keyring}")));
    let status = command
        .arg(suite)
        .arg(&target)
        .arg(mirror)
        .env("SOURCE_DATE_EPOCH", about.created.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()))
        .status()
        .map_err(|error| boxed(SyscallError::new("execve", program.display().to_string(), error)))?;
    if !status.success() {
        return Err(failed("debootstrap", status));
    }
    // What differs from one time to the next, and nobody needs.
    for path in [
        "var/log/bootstrap.log",
        "var/log/dpkg.log",
        "var/log/alternatives.log",
        "var/cache/ldconfig/aux-cache",
    ] {
        let _ = std::fs::remove_file(target.join(path));
    }
    for directory in ["var/log/apt", "var/cache/apt/archives", "var/lib/apt/lists"] {
        for entry in std::fs::read_dir(target.join(directory)).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    import::directory(store, &target, about).map_err(boxed)
}

struct Away(PathBuf);

impl Drop for Away {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_mirror_is_found_in_both_formats() {
        let lines = "# deb http://no/debian x main\ndeb https://other/apt cloud-x main\ndeb [signed-by=/x] http://a/debian/ x contrib main\n";
        assert_eq!(mirror_in(lines, "x").as_deref(), Some("http://a/debian"));
        let fields = "Types: deb\nURIs: http://deb/node\nSuites: nodistro\nComponents: main\n\nTypes: deb\n# comment\nURIs: https://b/debian\nSuites: x x-updates\nComponents: main\n";
        assert_eq!(mirror_in(fields, "x").as_deref(), Some("https://b/debian"));
        assert_eq!(mirror_in(fields, "y"), None);
        assert_eq!(mirror_in("deb file:/x y z", "y"), None);
    }
}
