//! Every parser of `holm ns`, and the words of `holm cgroup`, on every text.

#![no_main]

use cgroups::words::Wish;
use cgroups::{Layout, Refused, units};
use libfuzzer_sys::fuzz_target;
use namespaces::hold::Name;
use namespaces::maps::{self, IdRange};
use namespaces::reference::Reference;
use namespaces::{Id, text};

fuzz_target!(|input: &str| {
    let _ = (Id::parse(input), Name::parse(input), Reference::parse(input));
    let _ = (text::namespace_mounts(input.as_bytes()), text::container(input));
    assert!(!text::command(input.as_bytes(), input).contains('\u{1b}'));
    let ranges: Vec<_> = input.lines().filter_map(|line| IdRange::parse(line).ok()).collect();
    if let Some((single, rest)) = ranges.split_first() {
        let _ = maps::check(&maps::punch(rest, *single));
    }
    let _ = (maps::parse_file(input), units::parse_time_us(input));
    let mut wish = Wish::default();
    let no_devices = |device: &str| Err(Refused::value(device, "there are no devices here"));
    for word in input.split_whitespace() {
        let _ = wish.add(word, &no_devices);
    }
    let _ = wish.limits(&Layout::default(), None);
});
