//! Which suites there are, and how each is started.

use super::room::{Job, Plan};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Whose command line and habits a runtime has: some suites ask, one uses options of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Holm,
    Runc,
    Crun,
    Youki,
}

impl Kind {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "runc" => Self::Runc,
            "crun" => Self::Crun,
            "youki" => Self::Youki,
            _ => Self::Holm,
        }
    }
}

/// A suite of other people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Suite {
    /// runc's integration tests, in bats.
    Runc,
    /// youki's `contest`.
    Contest,
    /// crun's tests in Python.
    Crun,
    /// The validation programs of opencontainers/runtime-tools.
    Validation,
    /// Our own checks of engines (`cargo xtask engines`); not one of those that `suites` runs.
    Engines,
}

impl Suite {
    /// Those that `suites` runs.
    pub(super) const ALL: [Self; 4] = [Self::Runc, Self::Contest, Self::Crun, Self::Validation];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Contest => "contest",
            Self::Crun => "crun",
            Self::Validation => "validation",
            Self::Engines => "engines",
        }
    }

    /// What is started for this suite, one job a file; the outputs go to `logs`.
    pub(super) fn plan(
        self,
        sources: &Path,
        runtime: &Path,
        kind: Kind,
        logs: &Path,
    ) -> Result<Plan, Box<dyn Error>> {
        let job = |name: &str, seconds: u64, argv: Vec<String>| Job {
            name: name.to_owned(),
            seconds,
            argv,
            // script(1) turns the end of its input into a character that the first program of a file gets.
            open_input: self == Self::Runc,
            log: logs.join(format!("{name}.log")),
        };
        Ok(match self {
            Self::Runc => runc(&sources.join("runc"), runtime, job)?,
            Self::Contest => contest(&sources.join("youki"), runtime, kind, job)?,
            Self::Crun => crun(&sources.join("crun"), runtime, kind, job)?,
            Self::Validation => validation(&sources.join("runtime-tools"), runtime, job)?,
            Self::Engines => return Err("`cargo xtask engines` runs them".into()),
        })
    }
}

/// bats wants a terminal, which script(1) makes. Its own time limit breaks the tests of `events`, so it has none.
fn runc(
    source: &Path,
    runtime: &Path,
    job: impl Fn(&str, u64, Vec<String>) -> Job,
) -> Result<Plan, Box<dyn Error>> {
    let helper = source.join("tests/cmd/_bin/recvtty");
    present(&helper)?;
    let mut jobs = Vec::new();
    for name in files(&source.join("tests/integration"), ".bats")? {
        let command = format!("exec bats -t tests/integration/{name}.bats");
        let argv = ["script", "-qefc", &command, "/dev/null"].map(str::to_owned).to_vec();
        jobs.push(job(&name, 420, argv));
    }
    Ok(Plan {
        directory: source.to_owned(),
        environment: vec![("RUNC".to_owned(), text(runtime))],
        jobs,
        ..Plan::default()
    })
}

/// One process a group, because a group that hangs or leaves something behind is not to spoil the others.
fn contest(
    source: &Path,
    runtime: &Path,
    kind: Kind,
    job: impl Fn(&str, u64, Vec<String>) -> Job,
) -> Result<Plan, Box<dyn Error>> {
    let (program, inner) = (source.join("contest"), source.join("runtimetest"));
    present(&inner)?;
    let bundle = source.join("tests/contest/contest/bundle.tar.gz");
    // Even to list it wants its bundle, at the top of a git work tree or, if it is in none, here.
    let listed = std::process::Command::new(&program)
        .arg("list")
        .current_dir(bundle.parent().expect("it is below the sources"))
        .env("GIT_CEILING_DIRECTORIES", source.join("tests/contest"))
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let groups = String::from_utf8_lossy(&listed.stdout).into_owned();
    let jobs = groups
        .lines()
        .map(|group| {
            let argv = [&text(&program), "run", "--runtime", &text(runtime), "--runtimetest", &text(&inner)];
            let argv = argv.into_iter().chain(["-t", group]).map(str::to_owned).collect();
            job(group, 120, argv)
        })
        .collect();
    // Where it knows that runc differs from the specification it does not ask the same of others.
    let habits = match kind {
        Kind::Holm => "holm",
        Kind::Runc => "runc",
        Kind::Crun => "crun",
        Kind::Youki => "youki",
    };
    Ok(Plan {
        prepare: vec![
            vec!["git".to_owned(), "init".to_owned(), "-q".to_owned(), ".".to_owned()],
            vec!["cp".to_owned(), text(&bundle), ".".to_owned()],
            // It knows the processor's controllers by the one name that they have where they are mounted together.
            ["sh", "-c", "test -e $0 || ln -s cpu $0", "/sys/fs/cgroup/cpu,cpuacct"]
                .map(str::to_owned)
                .to_vec(),
        ],
        directory: PathBuf::from("/tmp/work"),
        environment: vec![("RUNTIME_KIND".to_owned(), habits.to_owned())],
        jobs,
        ..Plan::default()
    })
}

/// crun's tests use two options that are crun's own; a script takes them away for others.
fn crun(
    source: &Path,
    runtime: &Path,
    kind: Kind,
    job: impl Fn(&str, u64, Vec<String>) -> Job,
) -> Result<Plan, Box<dyn Error>> {
    let tests = source.join("tests");
    let inner = tests.join("init");
    present(&inner)?;
    let jobs = files(&tests, ".py")?
        .into_iter()
        .filter(|name| name.starts_with("test_"))
        .map(|name| {
            let file = text(&tests.join(format!("{name}.py")));
            job(&name, 300, vec!["/usr/bin/python3".to_owned(), file])
        })
        .collect();
    let mut environment =
        vec![("INIT".to_owned(), text(&inner)), ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())];
    let mut scripts = Vec::new();
    if kind == Kind::Crun {
        environment.push(("OCI_RUNTIME".to_owned(), text(runtime)));
    } else {
        let script = PathBuf::from("/tmp/without-options");
        environment.push(("OCI_RUNTIME".to_owned(), text(&script)));
        scripts.push((script, without_options(runtime)));
    }
    Ok(Plan { directory: PathBuf::from("/tmp/work"), environment, scripts, jobs, ..Plan::default() })
}

fn without_options(runtime: &Path) -> String {
    format!(
        "#!/bin/bash\n\
         words=()\n\
         while [ $# -gt 0 ]; do\n\
         case \"$1\" in\n\
         --cgroup-manager) shift 2 ;;\n\
         --config) [ \"$2\" = config.json ] || cp \"$2\" config.json; shift 2 ;;\n\
         *) words+=(\"$1\"); shift ;;\n\
         esac\n\
         done\n\
         exec '{}' \"${{words[@]}}\"\n",
        runtime.display()
    )
}

/// The programs look for their root and for `runtimetest` in the working directory.
fn validation(
    source: &Path,
    runtime: &Path,
    job: impl Fn(&str, u64, Vec<String>) -> Job,
) -> Result<Plan, Box<dyn Error>> {
    let (inner, root) = (source.join("runtimetest"), source.join("rootfs-amd64.tar.gz"));
    present(&inner)?;
    let mut jobs = Vec::new();
    for name in files(&source.join("validation"), "")? {
        let program = source.join("validation").join(&name).join(format!("{name}.t"));
        if program.exists() {
            jobs.push(job(&name, 60, vec![text(&program)]));
        }
    }
    let copy = |file: &Path| vec!["cp".to_owned(), text(file), ".".to_owned()];
    Ok(Plan {
        prepare: vec![copy(&inner), copy(&root)],
        directory: PathBuf::from("/tmp/work"),
        environment: vec![("RUNTIME".to_owned(), text(runtime))],
        jobs,
        ..Plan::default()
    })
}

/// The names in a directory that end in `ending`, without it, in order.
fn files(directory: &Path, ending: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        if let Some(name) = entry?.file_name().to_str().and_then(|name| name.strip_suffix(ending)) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn present(file: &Path) -> Result<(), String> {
    if file.exists() { Ok(()) } else { Err(format!("{} is missing", file.display())) }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
