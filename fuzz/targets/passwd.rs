//! A container's `/etc/passwd` and `/etc/group` and a question about them, with zero bytes between.

#![no_main]

use engine::flags::Value;
use engine::flags::user::{Group, User};
use engine::users::{Database, MAX_GROUPS, resolve};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(4, '\0');
    let mut part = || parts.next().unwrap_or_default();
    let (user, added) = (User::parse(part()).ok(), Group::parse(part()).ok());
    let database = Database { passwd: part().to_owned(), group: part().to_owned() };
    if let Ok(identity) = resolve(user.as_ref(), added.as_slice(), &database) {
        assert!(identity.home.starts_with('/'));
        assert!(identity.groups.is_sorted() && identity.groups.len() <= MAX_GROUPS);
    }
});
