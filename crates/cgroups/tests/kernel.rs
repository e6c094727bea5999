//! What a real kernel does with our groups. Every group is our own, below `holm-test-<pid>-…`, and removed also
//! when a test fails.

use std::time::{Duration, Instant};

use cgroups::{Cgroup, CgroupPath, Layout, Limits, Place, Wanted, Which, plan};

/// A group of our own that is gone when this is dropped.
struct Own(Cgroup);

impl Drop for Own {
    fn drop(&mut self) {
        if let Err(errors) = self.0.remove(Duration::from_secs(5)) {
            eprintln!("left behind: {errors:?}");
        }
        self.0.remove_made_parents();
    }
}

fn path(name: &str) -> CgroupPath {
    CgroupPath::parse(&format!("holm-test-{}-{name}/leaf", std::process::id())).unwrap()
}

#[test]
fn a_group_is_made_and_removed_in_every_hierarchy() {
    let layout = Layout::read().unwrap();
    let limits = Limits::default();
    let place = Place::Mount(path("made"));
    let plan = plan(&layout, &Wanted { place: &place, limits: &limits, which: Which::All }).unwrap();
    eprintln!("{plan}");
    let started = Instant::now();
    let cgroup = Own(Cgroup::create(&plan).unwrap());
    eprintln!("created in {:?}", started.elapsed());
    let started = Instant::now();
    let joining = cgroup.0.joining().unwrap();
    eprintln!("joining files in {:?}", started.elapsed());
    assert_eq!(joining.files.len(), layout.v1.len());
    for _ in 0..5 {
        let started = Instant::now();
        Layout::read().unwrap();
        eprintln!("layout read in {:?}", started.elapsed());
    }
    assert!(cgroup.0.recorded().iter().all(|it| it.mount.join(&it.path).is_dir()));
}
