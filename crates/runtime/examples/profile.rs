//! Launches a bundle once and prints when what of it happened: one line a step, with its side and nanoseconds since the start.
//!
//! `profile BEGIN-NS STATE-DIRECTORY BUNDLE ID`, where BEGIN-NS is the monotonic clock before this program was executed.
//! `cargo xtask bench profile` runs it often and shows the medians.

use std::path::{Path, PathBuf};

use cgroups::Place;
use cgroups::plan::CgroupPath;
use runtime::state::StateRoot;
use runtime::{ContainerId, HostFacts, Launch, Root, Stdio};
use sys::raw::monotonic_ns;

fn main() {
    let main_at = monotonic_ns();
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("profile BEGIN-NS STATE BUNDLE ID");
    let (begin, state, bundle, id) = (next(), next(), next(), next());
    let begin: u64 = begin.parse().expect("a number");
    let mut early = vec![("start the program", main_at)];
    let mut done = |what| early.push((what, monotonic_ns()));

    let bundle = PathBuf::from(bundle);
    let bytes = std::fs::read(bundle.join("config.json")).expect("config.json");
    let spec = spec::load(&bytes).expect("a configuration");
    done("read the configuration");
    let spec = spec::validate(spec).expect("a valid configuration");
    done("validate it");
    let launch = Launch {
        root: Root::Directory { path: bundle.join(&spec.root.path) },
        cgroup: Place::Own(CgroupPath::parse(&id).expect("a path")),
        id: ContainerId::parse(&id).expect("an id"),
        spec,
        bundle,
        idmap_root: false,
        files: Vec::new(),
        parts: Vec::new(),
        make_cwd: false,
        stdio: Stdio::Inherit,
        init: false,
        die_with_parent: false,
        delegate_v1: false,
        keep_keyring: false,
        preserve_fds: 0,
        unit: None,
        life: runtime::Life::Attended,
    };
    let facts = HostFacts::read().expect("facts");
    done("look at the host");
    let plan = runtime::plan(&launch, &facts).expect("a plan").stamped();
    done("plan");
    let state = StateRoot::open(Path::new(&state)).expect("the state directory");
    done("open the state directory");
    let running = runtime::launch(&launch, &plan, &state).expect("a container");
    let stamps = running.stamps().to_vec();
    running.wait().expect("its end");
    let end = monotonic_ns();

    let since = |at_ns: u64| at_ns.saturating_sub(begin);
    for (what, at_ns) in early {
        println!("before\t{what}\t{}", since(at_ns));
    }
    for stamp in &stamps {
        println!("{}\t{}\t{}", stamp.actor, stamp.what, since(stamp.at_ns));
    }
    println!("after\treaped and undone\t{}", since(end));
}
