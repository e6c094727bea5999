//! The flags of `holm run`, and what they are as a request.
//!
//! [`command`] lists them by subject; [`request`] reads them. A flag's help is one line here, what its value
//! may be is in `engine::flags`.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use engine::containers::create::Extras;
use engine::flags::env::{EnvEntry, parse_env_file};
use engine::flags::mount::Mount;
use engine::flags::network::{Network, Places};
use engine::flags::size::Bytes;
use engine::flags::storage_opt::StorageOpt;
use engine::flags::tmpfs::Tmpfs;
use engine::flags::volume::Volume;
use engine::flags::{Problem, Value, parse_all, parse_bool, parse_flag};
use engine::prepare::BundleRequest;
use engine::request::{Changes, Conflict, Limits, Rootfs, RunFlags, RunRequest, Streams};
use report::{BoxedExplain, Explain, Hint, Kind};

use super::flags::{many, one, signed, switch};

/// What `holm run` was asked for.
#[derive(Debug)]
pub enum Request {
    /// `--rootfs DIR`, and what becomes of the container
    Rootfs(Box<RunRequest>, Box<Extras>),
    /// `--bundle DIR`
    Bundle(BundleRequest),
    /// An image, whose configuration completes the flags.
    Image(Box<ImageRequest>, Box<Extras>),
}

/// `holm run IMAGE`: the flags as far as the image does not complete them.
#[derive(Debug)]
pub struct ImageRequest {
    /// What was written for the image.
    pub name: String,
    /// The flags; the root directory is not known yet.
    pub flags: RunFlags,
    /// `--entrypoint`
    pub entrypoint: Option<String>,
    /// `--pull`
    pub pull: PullPolicy,
}

/// `--pull`: when the registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Always.
    Always,
    /// When the image is not here.
    #[default]
    Missing,
    /// Never.
    Never,
    /// Always; an image that is here serves if the registry cannot be asked.
    Newer,
}

const EXAMPLES: &str = "\
Examples:
  holm run --rootfs / -it -- bash
      a shell of this machine in a container; what it changes is gone afterwards
  holm run --rootfs / --memory 256m --cpus 0.5 --pids-limit 100 -- make -j4
      with limits
  holm run --rootfs / -v .:/src -w /src --network none -- cargo test
      in the current directory, without a network
  holm run --rootfs /srv/debian --keep-changes /srv/changes -u www-data -- ./serve
      another root directory, as one of its users, with the changes kept
  holm run -it debian:bookworm bash
      an image, which is fetched if it is not here yet
  holm run --rootfs / --show-plan -- true
      every step of the launch with its reason
  holm run --bundle /srv/bundle
      an OCI bundle

Exit status: that of the program; 128+N when signal N ended it; 127 when the program is not there, 126 when it
cannot be executed, 125 when anything else went wrong before.";

/// The definition.
pub fn command() -> Command {
    flags_of("run", "Run a program in a container of its own")
        .override_usage(
            "holm run [FLAGS] [--] IMAGE [PROGRAM] [ARG]...\n       holm run --rootfs DIR [FLAGS] [--] PROGRAM [ARG]...\n       holm run --bundle DIR [FLAGS]",
        )
        .after_help(EXAMPLES)
        .next_help_heading("Life")
        .arg(switch("detach", "Leave it running in the background, and print its id").short('d'))
        .arg(one("sig-proxy", "BOOL", "Pass signals on to it [default: true]"))
}

/// The definition of `holm create`.
pub fn create() -> Command {
    flags_of("create", "Make a container, to be started later")
        .override_usage(
            "holm create [FLAGS] [--] IMAGE [PROGRAM] [ARG]...\n       holm create --rootfs DIR [FLAGS] [--] PROGRAM [ARG]...",
        )
}

fn flags_of(name: &'static str, about: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .args_override_self(true)
        .term_width(0)
        .next_help_heading("Root")
        .args([
            one(
                "rootfs",
                "DIR",
                "Use this directory as root; changes go to a layer in memory and are gone at the end",
            ),
            one("bundle", "DIR", "Run the OCI bundle in this directory"),
            one("keep-changes", "DIR", "Keep the changes to the root in this directory"),
            switch("rootfs-write", "Let the container change the root directory itself"),
            many("storage-opt", "size=SIZE", "Let changes to the root take so much at most"),
            switch("read-only", "Make the root read-only; /tmp, /run and /dev stay writable"),
        ])
        .next_help_heading("Image")
        .args([
            one("platform", "OS/ARCH[/VARIANT]", "The machine that the image is for [default: this one]"),
            one(
                "pull",
                "WHEN",
                "Ask the registry always, missing (default: if the image is not here), never, or newer",
            )
            .value_parser(["always", "missing", "never", "newer"]),
            one(
                "entrypoint",
                "PROGRAM",
                "Run this in place of the image's entry point; an empty one takes it away",
            ),
        ])
        .args(super::registry::connection())
        .args(super::registry::progress())
        .next_help_heading("Program")
        .args([
            many("env", "NAME[=VALUE]", "Set a variable; without a value take the caller's").short('e'),
            many("env-file", "FILE", "Set the variables in a file of NAME=VALUE lines"),
            one("workdir", "DIR", "Start the program in this directory of the container").short('w'),
            one("user", "USER[:GROUP]", "Run as this user, by name or number").short('u'),
            many("group-add", "GROUP", "Add a supplementary group"),
            switch("tty", "Give the program a terminal of its own").short('t'),
            switch("interactive", "Connect the standard input").short('i'),
            one("detach-keys", "KEYS", "The keys that leave the terminal [default: ctrl-p,ctrl-q]"),
            switch("init", "Run the program under an init that reaps processes and passes signals on"),
            one("stop-signal", "SIGNAL", "The signal that asks the program to end [default: TERM]"),
            many("ulimit", "NAME=SOFT[:HARD]", "Limit a resource of each process"),
            signed(
                "oom-score-adj",
                "NUMBER",
                "Be killed earlier (up to 1000) or later (down to -1000) when memory is short",
            ),
        ])
        .next_help_heading("Identity")
        .args([
            one("name", "NAME", "Name the container"),
            one("hostname", "NAME", "Set the host name inside").short('h'),
            many("label", "KEY=VALUE", "Attach a label").short('l'),
            many("annotation", "KEY=VALUE", "Attach an annotation of the OCI configuration"),
        ])
        .next_help_heading("Life")
        .args(super::keeping::flags())
        .next_help_heading("Files")
        .args([
            many(
                "volume",
                "[SRC:]DST[:OPTIONS]",
                "Show a directory of the host (a path) or a volume (a name; a new one without SRC) in the container",
            )
            .short('v'),
            many("mount", "FIELDS", "The same in long form: type=volume|bind|tmpfs,source=…,target=…,…"),
            many("volumes-from", "CONTAINER[:ro]", "Show the volumes and directories of another container as well"),
            many("tmpfs", "DST[:OPTIONS]", "Mount a file system in memory"),
            one("shm-size", "SIZE", "The size of /dev/shm [default: 64m]"),
            many("device", "HOST[:DST][:rwm]", "Let the container use a device"),
        ])
        .next_help_heading("Network")
        .args([
            many(
                "network",
                "NETWORK",
                "A network by name, with NAME:ip=…,mac=…,alias=…; none, host, pasta, ns:PATH or container:NAME [default: bridge for root, pasta for others]",
            )
            .visible_alias("net"),
            many("publish", "[[IP:]HOST:]PORT", "Publish a port or range of the container on the host").short('p'),
            switch("publish-all", "Publish every exposed port on a free port of the host").short('P'),
            many("expose", "PORT[/PROTOCOL]", "Name a port that --publish-all publishes"),
            many("network-alias", "NAME", "Let other containers find this one by another name"),
            one("ip", "ADDRESS", "The address of IPv4"),
            one("ip6", "ADDRESS", "The address of IPv6"),
            one("mac-address", "ADDRESS", "The hardware address"),
            one("net-rate-up", "BITS", "What the container may send a second, such as 20m, on each of its networks"),
            one("net-rate-down", "BITS", "What the container may receive a second"),
            many("dns", "ADDRESS", "Ask this name server"),
            many("dns-search", "DOMAIN", "Look for names in this domain; `.` for none"),
            many("dns-option", "OPTION", "Set an option of resolv.conf").alias("dns-opt"),
            many("add-host", "NAME:ADDRESS", "Add a line to /etc/hosts; host-gateway is the host's address"),
        ])
        .next_help_heading("Namespaces")
        .args([
            one(
                "userns",
                "MODE",
                "auto (default: ids of its own), host, keep-id, ns:PATH or CONTAINER:HOST:SIZE[,…]",
            ),
            one("pid", "MODE", "private (default), host or ns:PATH"),
            one("ipc", "MODE", "private (default), host, none or ns:PATH"),
            one("uts", "MODE", "private (default), host or ns:PATH"),
            one("cgroupns", "MODE", "private (default), host or ns:PATH"),
            many("time-offset", "[CLOCK=]TIME", "Shift the monotonic and boot-time clocks")
                .allow_hyphen_values(true),
            many("sysctl", "KEY=VALUE", "Set a kernel parameter of the container's namespaces"),
        ])
        .next_help_heading("Security")
        .args([
            many("cap-add", "CAP", "Add a capability, or ALL"),
            many("cap-drop", "CAP", "Drop a capability, or ALL"),
            switch("privileged", "Give the container all of the host's powers and devices"),
            many(
                "security-opt",
                "OPTION",
                "seccomp=…, no-new-privileges, label=…, apparmor=…, systempaths=unconfined, mask=…, unmask=…",
            ),
        ])
        .next_help_heading("Limits")
        .args(limit_flags())
        .next_help_heading("Other")
        .args([
            switch("show-plan", "Print every step of the launch with its reason instead of running it"),
            Arg::new("help").long("help").action(clap::ArgAction::Help).help("Print this help"),
        ])
        .disable_help_flag(true)
        .arg(
            Arg::new("command")
                .value_name("PROGRAM")
                .num_args(0..)
                .trailing_var_arg(true)
                .help("The image, unless --rootfs or --bundle is given; the program and its arguments"),
        )
}

/// The flags for the limits of a container's cgroup.
pub(super) fn limit_flags() -> Vec<Arg> {
    vec![
        one("memory", "SIZE", "The most memory").short('m'),
        signed("memory-swap", "SIZE", "The most memory and swap together; -1 for no limit on swap"),
        one("memory-reservation", "SIZE", "Memory that is taken back last"),
        one("cpus", "NUMBER", "Processor time, in processors: 1.5"),
        one("cpu-shares", "NUMBER", "The share of processor time when it is short; 1024 is usual").short('c'),
        one("cpu-weight", "NUMBER", "The same on the scale of cgroup v2; 100 is usual"),
        one("cpuset-cpus", "LIST", "The processors to run on: 0-3,8"),
        one("cpuset-mems", "LIST", "The memory nodes to use"),
        signed("pids-limit", "NUMBER", "The most processes; -1 for no limit"),
        one("blkio-weight", "NUMBER", "The share of disk time, 10 to 1000"),
        many("blkio-weight-device", "DEVICE:WEIGHT", "The same for one device"),
        many("device-read-bps", "DEVICE:RATE", "The most bytes read in a second"),
        many("device-write-bps", "DEVICE:RATE", "The most bytes written in a second"),
        many("device-read-iops", "DEVICE:RATE", "The most reads in a second"),
        many("device-write-iops", "DEVICE:RATE", "The most writes in a second"),
    ]
}

/// Whether `--show-plan` was given.
///
/// # Errors
/// A value that is neither true nor false.
pub fn show_plan(matches: &ArgMatches) -> Result<bool, BoxedExplain> {
    on(matches, "show-plan", "--show-plan")
}

/// Reads the flags.
///
/// # Errors
/// The first flag that is wrong, or does not fit the others.
pub fn request(matches: &ArgMatches) -> Result<Request, BoxedExplain> {
    let directory = |name| matches.get_one::<String>(name).map(PathBuf::from);
    match (directory("rootfs"), directory("bundle")) {
        (Some(_), Some(_)) => refuse("`--rootfs` and `--bundle` contradict each other", "give one of them"),
        (None, None) => image(matches),
        (None, Some(directory)) => bundle(matches, directory).map(Request::Bundle),
        (Some(directory), None) => {
            let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
            if let Some(flag) = ["platform", "pull", "entrypoint"].into_iter().find(|id| given(id)) {
                return refuse(
                    format!("`--rootfs` and `--{flag}` contradict each other"),
                    "there is no image: the program stands behind the flags",
                );
            }
            let request = rootfs(matches, directory)?.check().map_err(boxed)?;
            // Without a name and in the foreground there is nobody to come back for it.
            let keeps = detach(matches)?;
            let extras = super::keeping::extras(matches, keeps)?;
            Ok(Request::Rootfs(Box::new(request), Box::new(extras)))
        }
    }
}

/// Whether the container is to run in the background, or not at all yet.
///
/// # Errors
/// A value that is neither true nor false.
pub fn detach(matches: &ArgMatches) -> Result<bool, BoxedExplain> {
    match matches.try_contains_id("detach") {
        Ok(_) => on(matches, "detach", "--detach"),
        Err(_) => Ok(true),
    }
}

fn image(matches: &ArgMatches) -> Result<Request, BoxedExplain> {
    let mut flags = rootfs(matches, PathBuf::new())?;
    if flags.args.is_empty() {
        return refuse(
            "nothing to run: no image, no `--rootfs` and no `--bundle` is given",
            "holm run IMAGE runs an image, holm run --rootfs / -- PROGRAM a program of this machine",
        );
    }
    if flags.rootfs.changes == Changes::WriteThrough {
        return refuse(
            "`--rootfs-write` and an image contradict each other",
            "an image stays as it is: --keep-changes DIR keeps what changes",
        );
    }
    let name = flags.args.remove(0);
    let pull = match matches.get_one::<String>("pull").map(String::as_str) {
        Some("always") => PullPolicy::Always,
        Some("never") => PullPolicy::Never,
        Some("newer") => PullPolicy::Newer,
        _ => PullPolicy::Missing,
    };
    let entrypoint = matches.get_one::<String>("entrypoint").cloned();
    let mut extras = super::keeping::extras(matches, detach(matches)?)?;
    extras.image = Some(name.clone());
    Ok(Request::Image(Box::new(ImageRequest { name, flags, entrypoint, pull }), Box::new(extras)))
}

/// A bundle's configuration decides everything but these flags.
fn bundle(matches: &ArgMatches, directory: PathBuf) -> Result<BundleRequest, BoxedExplain> {
    const ALLOWED: [&str; 7] = ["bundle", "name", "interactive", "detach-keys", "rm", "init", "show-plan"];
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    if given("command") {
        return refuse(
            "`--bundle` and a program contradict each other",
            "the bundle's config.json names the program",
        );
    }
    if let Some(other) = matches.ids().find(|id| given(id.as_str()) && !ALLOWED.contains(&id.as_str())) {
        return refuse(
            format!("`--bundle` and `--{other}` contradict each other"),
            "the bundle's config.json decides that",
        );
    }
    Ok(BundleRequest {
        directory,
        name: optional(matches, "name", "--name")?,
        streams: streams(matches)?,
        init: on(matches, "init", "--init")?,
    })
}

fn rootfs(matches: &ArgMatches, directory: PathBuf) -> Result<RunFlags, BoxedExplain> {
    let changes =
        match (matches.get_one::<String>("keep-changes"), on(matches, "rootfs-write", "--rootfs-write")?) {
            (Some(_), true) => {
                return refuse(
                    "`--keep-changes` and `--rootfs-write` contradict each other",
                    "give one of them",
                );
            }
            (Some(kept), false) => Changes::Keep(kept.into()),
            (None, true) => Changes::WriteThrough,
            (None, false) => Changes::Discard,
        };
    Ok(RunFlags {
        name: optional(matches, "name", "--name")?,
        rootfs: Rootfs { size: storage_size(matches, &changes)?, directory, changes, ..Rootfs::default() },
        args: texts(matches, "command"),
        streams: streams(matches)?,
        env: env(matches)?,
        workdir: optional(matches, "workdir", "--workdir")?,
        user: optional(matches, "user", "--user")?,
        group_add: several(matches, "group-add", "--group-add")?,
        hostname: optional(matches, "hostname", "--hostname")?,
        init: on(matches, "init", "--init")?,
        stop_signal: optional(matches, "stop-signal", "--stop-signal")?,
        mounts: mounts(matches)?,
        read_only: on(matches, "read-only", "--read-only")?,
        shm_size: optional(matches, "shm-size", "--shm-size")?,
        cap_add: several(matches, "cap-add", "--cap-add")?,
        cap_drop: several(matches, "cap-drop", "--cap-drop")?,
        privileged: on(matches, "privileged", "--privileged")?,
        security_opt: several(matches, "security-opt", "--security-opt")?,
        devices: several(matches, "device", "--device")?,
        ulimits: several(matches, "ulimit", "--ulimit")?,
        sysctls: several(matches, "sysctl", "--sysctl")?,
        oom_score_adj: optional(matches, "oom-score-adj", "--oom-score-adj")?,
        limits: limits(matches)?,
        pid: optional(matches, "pid", "--pid")?.unwrap_or_default(),
        ipc: optional(matches, "ipc", "--ipc")?.unwrap_or_default(),
        uts: optional(matches, "uts", "--uts")?.unwrap_or_default(),
        cgroupns: optional(matches, "cgroupns", "--cgroupns")?.unwrap_or_default(),
        network: network(matches)?,
        places: places(matches)?,
        userns: optional(matches, "userns", "--userns")?.unwrap_or_default(),
        time_offsets: several(matches, "time-offset", "--time-offset")?,
        labels: several(matches, "label", "--label")?,
        annotations: several(matches, "annotation", "--annotation")?,
    })
}

/// The last of several counts, as everywhere.
fn storage_size(matches: &ArgMatches, changes: &Changes) -> Result<Option<Bytes>, BoxedExplain> {
    let options: Vec<StorageOpt> = several(matches, "storage-opt", "--storage-opt")?;
    let Some(last) = options.last() else { return Ok(None) };
    match changes {
        Changes::Discard => Ok(Some(last.size)),
        Changes::Keep(_) => refuse(
            "`--storage-opt size=` and `--keep-changes` contradict each other",
            "that directory is yours: limit its file system",
        ),
        Changes::WriteThrough => refuse(
            "`--storage-opt size=` and `--rootfs-write` contradict each other",
            "that directory is yours: limit its file system",
        ),
    }
}

fn network(matches: &ArgMatches) -> Result<Network, BoxedExplain> {
    let values = several(matches, "network", "--network")?;
    Network::together(values).or_else(|(one, two)| {
        refuse(
            format!("`--network {one}` and `--network {two}` contradict each other"),
            "several networks of holm's making can be given; none, host, ns: and container: stand alone",
        )
    })
}

fn places(matches: &ArgMatches) -> Result<Places, BoxedExplain> {
    Ok(Places {
        publish: several(matches, "publish", "--publish")?,
        publish_all: on(matches, "publish-all", "--publish-all")?,
        expose: several(matches, "expose", "--expose")?,
        ip: optional(matches, "ip", "--ip")?,
        ip6: optional(matches, "ip6", "--ip6")?,
        mac_address: optional(matches, "mac-address", "--mac-address")?,
        net_rate_up: optional(matches, "net-rate-up", "--net-rate-up")?,
        net_rate_down: optional(matches, "net-rate-down", "--net-rate-down")?,
        aliases: several(matches, "network-alias", "--network-alias")?,
        dns: several(matches, "dns", "--dns")?,
        dns_search: several(matches, "dns-search", "--dns-search")?,
        dns_option: several(matches, "dns-option", "--dns-option")?,
        add_host: several(matches, "add-host", "--add-host")?,
    })
}

pub(crate) fn limits(matches: &ArgMatches) -> Result<Limits, BoxedExplain> {
    Ok(Limits {
        memory: optional(matches, "memory", "--memory")?,
        memory_swap: optional(matches, "memory-swap", "--memory-swap")?,
        memory_reservation: optional(matches, "memory-reservation", "--memory-reservation")?,
        cpus: optional(matches, "cpus", "--cpus")?,
        cpu_shares: optional(matches, "cpu-shares", "--cpu-shares")?,
        cpu_weight: optional(matches, "cpu-weight", "--cpu-weight")?,
        cpuset_cpus: optional(matches, "cpuset-cpus", "--cpuset-cpus")?,
        cpuset_mems: optional(matches, "cpuset-mems", "--cpuset-mems")?,
        pids: optional(matches, "pids-limit", "--pids-limit")?,
        blkio_weight: optional(matches, "blkio-weight", "--blkio-weight")?,
        blkio_weight_device: several(matches, "blkio-weight-device", "--blkio-weight-device")?,
        device_read_bps: several(matches, "device-read-bps", "--device-read-bps")?,
        device_write_bps: several(matches, "device-write-bps", "--device-write-bps")?,
        device_read_iops: several(matches, "device-read-iops", "--device-read-iops")?,
        device_write_iops: several(matches, "device-write-iops", "--device-write-iops")?,
    })
}

fn streams(matches: &ArgMatches) -> Result<Streams, BoxedExplain> {
    Ok(Streams {
        tty: on(matches, "tty", "--tty")?,
        interactive: on(matches, "interactive", "--interactive")?,
        detach_keys: optional(matches, "detach-keys", "--detach-keys")?.unwrap_or_default(),
    })
}

/// The files first: a variable given by itself is the more deliberate one.
pub(crate) fn env(matches: &ArgMatches) -> Result<Vec<EnvEntry>, BoxedExplain> {
    let mut entries = Vec::new();
    for file in texts(matches, "env-file") {
        let wrong = |line, problem| boxed(BadEnvFile { file: file.clone(), line, problem });
        let text = engine::host::read_limited(file.as_ref(), 16 << 20)
            .map_err(|error| wrong(0, Problem::from(sys_words(&error))))?;
        entries.extend(parse_env_file(&text).map_err(|(line, problem)| wrong(line, problem))?);
    }
    entries.extend(several(matches, "env", "--env")?);
    Ok(entries)
}

fn sys_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::InvalidData => "the file is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}

/// An `--env-file` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--env-file {file}{}: {problem}", if *line > 0 { format!(", line {line}") } else { String::new() })]
struct BadEnvFile {
    file: String,
    line: usize,
    problem: Problem,
}

impl Explain for BadEnvFile {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new("expected lines of the form NAME=VALUE; those that begin with # are skipped"))
    }
}

/// `--volume`, `--mount` and `--tmpfs`, in the order they were given.
pub(crate) fn mounts(matches: &ArgMatches) -> Result<Vec<Mount>, BoxedExplain> {
    let mut list: Vec<(usize, Mount)> = Vec::new();
    let places = |id| matches.indices_of(id).into_iter().flatten();
    let volumes: Vec<Volume> = several(matches, "volume", "--volume")?;
    list.extend(places("volume").zip(volumes.into_iter().map(|volume| volume.0)));
    let mounts: Vec<Mount> = several(matches, "mount", "--mount")?;
    list.extend(places("mount").zip(mounts));
    let tmpfs: Vec<Tmpfs> = several(matches, "tmpfs", "--tmpfs")?;
    list.extend(places("tmpfs").zip(tmpfs.into_iter().map(Mount::Tmpfs)));
    list.sort_by_key(|(place, _)| *place);
    Ok(list.into_iter().map(|(_, mount)| mount).collect())
}

pub(crate) fn texts(matches: &ArgMatches, id: &str) -> Vec<String> {
    matches.get_many::<String>(id).into_iter().flatten().cloned().collect()
}

pub(crate) fn optional<T: Value>(
    matches: &ArgMatches,
    id: &str,
    flag: &'static str,
) -> Result<Option<T>, BoxedExplain> {
    matches.get_one::<String>(id).map(|text| parse_flag(flag, text)).transpose().map_err(boxed)
}

pub(crate) fn several<T: Value>(
    matches: &ArgMatches,
    id: &str,
    flag: &'static str,
) -> Result<Vec<T>, BoxedExplain> {
    parse_all(flag, &texts(matches, id)).map_err(boxed)
}

pub(crate) fn on(matches: &ArgMatches, id: &str, flag: &'static str) -> Result<bool, BoxedExplain> {
    let Some(text) = matches.get_one::<String>(id) else { return Ok(false) };
    match parse_bool(text) {
        Ok(on) => Ok(on),
        Err(problem) => {
            refuse(format!("{flag} `{text}`: {problem}"), "leave the value out, or give true or false")
        }
    }
}

pub(crate) fn refuse<T>(problem: impl Into<String>, advice: &'static str) -> Result<T, BoxedExplain> {
    Err(boxed(Conflict { problem: problem.into(), advice }))
}

pub(crate) fn boxed(error: impl Explain + Send + Sync + 'static) -> BoxedExplain {
    Box::new(error)
}
