//! How long the steps from profile to filter take: `cargo run --release -p holm-seccomp --example measure`.
//!
//! With a directory as argument: how long one question to a cache there takes in a fresh process.

use seccomp::{Arch, Cache, compile, default_filter, default_profile};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

fn main() {
    let caps = 0xa804_25fb;
    if let Some(directory) = std::env::args_os().nth(1) {
        return ask_once(directory.as_ref());
    }
    let profile = default_profile(caps, (6, 18), Arch::X86_64);
    let filter = compile(&profile, Arch::X86_64).expect("the default profile compiles");
    println!("default profile: {} instructions", filter.instructions().len());
    report("default_profile", || drop(black_box(default_profile(black_box(caps), (6, 18), Arch::X86_64))));
    report("compile", || drop(black_box(compile(black_box(&profile), Arch::X86_64))));
    report("both", || {
        drop(black_box(compile(&default_profile(black_box(caps), (6, 18), Arch::X86_64), Arch::X86_64)))
    });
    report("to_bytes", || drop(black_box(black_box(&filter).to_bytes())));
    report("default_filter", || drop(black_box(default_filter(black_box(caps), (6, 18), Arch::X86_64))));

    let directory = std::env::temp_dir().join(format!("measure-{}", std::process::id()));
    std::fs::create_dir(&directory).expect("a directory of our own");
    let open = std::fs::File::open(&directory).map(Into::into).map(Cache::new);
    if let Ok(Ok(cache)) = open {
        report("cache, found", || drop(black_box(cache.compile(black_box(&profile), Arch::X86_64))));
    }
    std::fs::remove_dir_all(&directory).expect("the directory is ours");
}

fn ask_once(directory: &Path) {
    let profile = default_profile(0xa804_25fb, (6, 18), Arch::X86_64);
    let start = Instant::now();
    let cache = std::fs::File::open(directory).map(Into::into).map(Cache::new);
    let answer = cache.map(|cache| cache.map(|cache| cache.compile(&profile, Arch::X86_64)));
    println!("{answer:?} after {:?}", start.elapsed());
}

/// The first run (cold caches, as in a launch), and the median of many.
fn report(name: &str, mut step: impl FnMut()) {
    let mut times: Vec<Duration> = (0..2_000)
        .map(|_| {
            let start = Instant::now();
            step();
            start.elapsed()
        })
        .collect();
    let first = times[0];
    times.sort_unstable();
    println!("{name:16} first {first:>9.1?}  median {:>9.1?}", times[times.len() / 2]);
}
