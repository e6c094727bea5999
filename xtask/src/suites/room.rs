//! The private environment in which a suite runs.
//!
//! Cgroups of its own and namespaces for everything; /sys/fs/cgroup shows the v1 controllers, /run and /tmp are empty.
//! [`carry_out`] makes the cgroups and starts this program anew as `suites-room`, whose inner side is the first process of the
//! pid namespace: it reaps, and after each job it ends whatever that left behind.

use crate::Outcome;
use crate::bench::room::{Groups, Hierarchies, furnish};
use crate::bench::scenario::View;
use crate::workspace::must;
use clap::{Arg, ArgAction, ArgMatches, Command};
use rustix::fs::Mode;
use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::{Pid, WaitOptions, wait};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Everything that is started for one suite.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Where the jobs are started; made if it is not there.
    pub(crate) directory: PathBuf,
    pub(crate) environment: Vec<(String, String)>,
    /// Executable files to write first.
    pub(crate) scripts: Vec<(PathBuf, String)>,
    /// Commands to run in `directory` before the jobs.
    pub(crate) prepare: Vec<Vec<String>>,
    /// A program that starts each job.
    pub(crate) wrapper: Option<PathBuf>,
    pub(crate) jobs: Vec<Job>,
}

impl Plan {
    /// The same work for `parts` rooms; none of them has nothing to do.
    pub(crate) fn divided(mut self, parts: usize) -> Vec<Self> {
        let jobs = std::mem::take(&mut self.jobs);
        let mut divided: Vec<Self> = (0..parts.min(jobs.len())).map(|_| self.clone()).collect();
        for (number, job) in jobs.into_iter().enumerate() {
            divided[number % parts].jobs.push(job);
        }
        divided
    }
}

/// One file, group or program of a suite.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) name: String,
    /// It is ended after this time.
    pub(crate) seconds: u64,
    pub(crate) argv: Vec<String>,
    /// Whether its standard input stays open, though nothing comes; it is /dev/null otherwise.
    pub(crate) open_input: bool,
    /// Gets both of its output streams.
    pub(crate) log: PathBuf,
}

/// Carries out a plan in a room of its own.
pub(crate) fn carry_out(hierarchies: &Hierarchies, plan: &Plan) -> Result<(), Box<dyn Error>> {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let groups = Groups::make(hierarchies, &format!("suite-{number}"))?;
    let mut child = process::Command::new(std::env::current_exe()?)
        .arg("suites-room")
        .args(groups.0.iter().map(|group| format!("--enter={}", group.display())))
        .stdin(Stdio::piped())
        .spawn()?;
    child.stdin.take().expect("it is piped").write_all(&serde_json::to_vec(plan)?)?;
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("the room ended with {status}").into()) }
}

pub(crate) fn command() -> Command {
    Command::new("suites-room")
        .hide(true)
        .about("The inner side of `suites`")
        .arg(Arg::new("enter").long("enter").action(ArgAction::Append))
}

pub(crate) fn run(arguments: &ArgMatches) -> Outcome {
    if let Some(groups) = arguments.get_many::<String>("enter") {
        for group in groups {
            fs::write(Path::new(group).join("cgroup.procs"), "0")
                .map_err(|error| format!("{group}/cgroup.procs: {error}"))?;
        }
        let error = process::Command::new("unshare")
            .args(["--mount", "--cgroup", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child"])
            .args(["--propagation", "private", "--mount-proc", "--"])
            .arg(std::env::current_exe()?)
            .arg("suites-room")
            .exec();
        return Err(format!("unshare: {error}").into());
    }
    let plan: Plan = serde_json::from_reader(io::stdin().lock())?;
    furnish(View::V1)?;
    fs::create_dir("/run/lock")?;
    mount("tmpfs", "/tmp", "tmpfs", MountFlags::empty(), Some(c"mode=1777,size=3g"))?;
    devices()?;
    must(process::Command::new("ip").args(["link", "set", "lo", "up"]))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    fs::create_dir_all(&plan.directory)?;
    for (file, text) in &plan.scripts {
        fs::write(file, text)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
    }
    for words in &plan.prepare {
        must(process::Command::new(&words[0]).args(&words[1..]).current_dir(&plan.directory))?;
    }
    for job in &plan.jobs {
        perform(&plan, job)?;
        clear()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Nodes of our own in /dev. There is one devtmpfs, and a runtime that gives /dev/null to the container's user gives away the
/// host's.
fn devices() -> Result<(), Box<dyn Error>> {
    let new = Path::new("/tmp/dev");
    fs::create_dir(new)?;
    mount("tmpfs", new, "tmpfs", MountFlags::empty(), Some(c"mode=755"))?;
    must(process::Command::new("cp").args(["-a", "--one-file-system", "/dev/.", "/tmp/dev"]))?;
    for (name, fstype, options) in [
        ("pts", "devpts", c"newinstance,ptmxmode=0666,mode=620,gid=5"),
        ("shm", "tmpfs", c"mode=1777"),
        ("mqueue", "mqueue", c""),
    ] {
        fs::create_dir_all(new.join(name))?;
        mount(fstype, new.join(name), fstype, MountFlags::empty(), Some(options))?;
    }
    fs::remove_file(new.join("ptmx"))?;
    std::os::unix::fs::symlink("pts/ptmx", new.join("ptmx"))?;
    std::os::unix::fs::chown(new.join("null"), Some(0), Some(0))?;
    mount_move(new, "/dev")?;
    Ok(fs::remove_dir(new)?)
}

/// Runs a job to its end, or to the end of its time.
fn perform(plan: &Plan, job: &Job) -> Result<(), Box<dyn Error>> {
    let log = File::create(&job.log)?;
    let words: Vec<String> = plan
        .wrapper
        .iter()
        .map(|wrapper| wrapper.to_string_lossy().into_owned())
        .chain(job.argv.clone())
        .collect();
    let mut child = process::Command::new(&words[0])
        .args(&words[1..])
        .current_dir(&plan.directory)
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .stdin(if job.open_input { Stdio::piped() } else { Stdio::null() })
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()
        .map_err(|error| format!("{}: {error}", words[0]))?;
    let _input = child.stdin.take();
    let began = Instant::now();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, _))) if pid.as_raw_nonzero().get() as u32 == child.id() => return Ok(()),
            Ok(Some(_)) => {}
            Ok(None) if began.elapsed() < Duration::from_secs(job.seconds) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(None) => {
                writeln!(&log, "\nnot ok 0 ended after {} s", job.seconds)?;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends every other process of the pid namespace and removes the cgroups that are left.
fn clear() -> Result<(), Box<dyn Error>> {
    let root = Path::new("/sys/fs/cgroup");
    // A frozen process does not even die on v1.
    each_group(&root.join("freezer"), &mut |group| {
        let _ = fs::write(group.join("freezer.state"), "THAWED");
    });
    for _ in 0..500 {
        let others: Vec<Pid> = fs::read_dir("/proc")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| *pid > 1)
            .filter_map(Pid::from_raw)
            .collect();
        if others.is_empty() {
            break;
        }
        for pid in others {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        std::thread::sleep(Duration::from_millis(10));
    }
    for hierarchy in fs::read_dir(root)? {
        each_group(&hierarchy?.path(), &mut |group| {
            let _ = fs::remove_dir(group);
        });
    }
    Ok(())
}

/// Calls `act` for all groups below `group`, the lowest first.
fn each_group(group: &Path, act: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            each_group(&entry.path(), act);
            act(&entry.path());
        }
    }
}
