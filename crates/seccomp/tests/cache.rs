//! The cache answers as the compiler does, and believes only files that are whole and ours.

use seccomp::{Action, Arch, Cache, CacheError, Filter, Origin, Profile, Rule, compile};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// A directory of one test's own, gone afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Self(path)
    }

    fn cache(&self) -> Result<Cache, CacheError> {
        Cache::new(fs::File::open(&self.0).unwrap().into())
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn only_file(&self) -> PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn profile(name: &'static str) -> Profile {
    let mut profile = Profile::allow_all(vec![Arch::X86]);
    profile.flags.log = true;
    profile.rules.push(Rule { names: vec![name.into()], action: Action::Errno(5), args: vec![] });
    profile
}

fn ask(directory: &Directory, profile: &Profile) -> (Filter, Origin) {
    directory.cache().unwrap().compile(profile, Arch::X86_64).unwrap()
}

#[test]
fn a_filter_is_stored_once_and_found_again() {
    let directory = Directory::new("stored");
    let expected = compile(&profile("read"), Arch::X86_64).unwrap();
    assert_eq!(ask(&directory, &profile("read")), (expected.clone(), Origin::Stored));
    assert_eq!(ask(&directory, &profile("read")), (expected, Origin::Cached));
    assert_eq!(ask(&directory, &profile("write")).1, Origin::Stored);
    assert_eq!(directory.files().len(), 2);
}

#[test]
fn the_interface_and_the_flags_are_part_of_the_question() {
    let directory = Directory::new("question");
    ask(&directory, &profile("read"));
    let mut other = profile("read");
    other.flags.log = false;
    assert_eq!(ask(&directory, &other).1, Origin::Stored);
    let cache = directory.cache().unwrap();
    assert_eq!(cache.compile(&profile("read"), Arch::X86).unwrap().1, Origin::Stored);
}

#[test]
fn every_damaged_byte_and_every_length_is_noticed() {
    let directory = Directory::new("damaged");
    let (expected, _) = ask(&directory, &profile("read"));
    let file = directory.only_file();
    let whole = fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&file, damaged).unwrap();
        assert_eq!(ask(&directory, &profile("read")), (expected.clone(), Origin::Stored), "byte {at}");
    }
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        assert_eq!(ask(&directory, &profile("read")).1, Origin::Stored, "length {length}");
    }
    fs::write(&file, vec![0; 10 << 20]).unwrap();
    assert_eq!(ask(&directory, &profile("read")).1, Origin::Stored);
    assert_eq!(ask(&directory, &profile("read")).1, Origin::Cached);
}

#[test]
fn a_filter_under_the_name_of_another_profile_is_not_believed() {
    let directory = Directory::new("swapped");
    ask(&directory, &profile("read"));
    let one = directory.only_file();
    ask(&directory, &profile("write"));
    let other = directory.files().into_iter().find(|file| *file != one).unwrap();
    fs::copy(&other, &one).unwrap();
    let expected = compile(&profile("read"), Arch::X86_64).unwrap();
    assert_eq!(ask(&directory, &profile("read")), (expected, Origin::Stored));
}

#[test]
fn links_pipes_and_files_that_others_may_write_are_not_believed() {
    let directory = Directory::new("foreign");
    ask(&directory, &profile("read"));
    let file = directory.only_file();

    fs::set_permissions(&file, fs::Permissions::from_mode(0o620)).unwrap();
    assert_eq!(ask(&directory, &profile("read")).1, Origin::Stored);

    let elsewhere = directory.0.join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert_eq!(ask(&directory, &profile("read")).1, Origin::Stored);
    assert!(fs::symlink_metadata(&file).unwrap().is_file());

    fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED links_pipes_and_files_that_others_may_write_are_not_believed: no mkfifo");
        return;
    }
    assert_eq!(ask(&directory, &profile("read")).1, Origin::Stored);
    assert_eq!(ask(&directory, &profile("read")).1, Origin::Cached);
}

#[test]
fn a_file_of_another_user_is_not_believed() {
    let directory = Directory::new("owner");
    ask(&directory, &profile("read"));
    if let Err(error) = std::os::unix::fs::chown(directory.only_file(), Some(12345), None) {
        eprintln!("SKIPPED a_file_of_another_user_is_not_believed: {error}");
        return;
    }
    assert_eq!(ask(&directory, &profile("read")).1, Origin::Stored);
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    let directory = Directory::new("open");
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(directory.cache(), Err(CacheError::NotOurs { .. })));
    let file = fs::File::open("/dev/null").unwrap();
    assert!(matches!(Cache::new(file.into()), Err(CacheError::NotOurs { .. })));
}

#[test]
fn a_cache_that_cannot_be_written_only_costs_time() {
    let directory = Directory::new("gone");
    let cache = directory.cache().unwrap();
    fs::remove_dir(&directory.0).unwrap();
    let (filter, origin) = cache.compile(&profile("read"), Arch::X86_64).unwrap();
    assert_eq!(filter, compile(&profile("read"), Arch::X86_64).unwrap());
    assert_eq!(origin, Origin::NotStored(rustix::io::Errno::NOENT));
}
