//! Whether the rules are as holm wrote them.
//!
//! When they are written, the kernel is asked to list them, and the list is kept beside the leases: a rule that somebody put in the place of
//! another shows in that as well as one that is gone. The list is asked for again only when anything of nftables has changed since, which the
//! kernel counts; what holm changes itself it takes note of. So where nobody else changes rules, an attachment asks for a number.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use netlink::netfilter::{Family, Transaction, chains, generation, image};

use crate::error::Error;
use crate::host::{GATE, Host};
use crate::rules::{self, TABLE, World};

const FILE: &str = "rules";
const MAGIC: [u8; 4] = *b"hlm1";
/// Where the count of changes is, and where the list begins.
const GENERATION: usize = 8;
const LIST: usize = 16;

/// What lies in front of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Note {
    /// The count of changes at a moment when the rules were as in the list.
    generation: u32,
    /// Whether there is a table of IPv6.
    six: bool,
}

impl Note {
    fn bytes(self) -> [u8; LIST] {
        let mut bytes = [0; LIST];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..GENERATION].copy_from_slice(&rules::VERSION.to_ne_bytes());
        bytes[GENERATION..12].copy_from_slice(&self.generation.to_ne_bytes());
        bytes[12] = self.six.into();
        bytes
    }

    /// None of what another version of holm wrote.
    fn parse(bytes: [u8; LIST]) -> Option<Self> {
        let [.., a, b, c, d, six, _, _, _] = bytes;
        let note = Self { generation: u32::from_ne_bytes([a, b, c, d]), six: six == 1 };
        (note.bytes() == bytes).then_some(note)
    }

    fn read(run: &Path) -> Option<(File, Self)> {
        let file = File::open(run.join(FILE)).ok()?;
        let mut bytes = [0; LIST];
        file.read_exact_at(&mut bytes, 0).ok()?;
        Some((file, Self::parse(bytes)?))
    }
}

/// Takes note of the count of changes. Where that fails the list is compared next time.
fn note(run: &Path, generation: u32) {
    if let Ok(file) = fs::OpenOptions::new().write(true).open(run.join(FILE)) {
        let _ = file.write_all_at(&generation.to_ne_bytes(), GENERATION as u64);
    }
}

/// Forgets how the rules were: until they are written again they are not as they should be.
pub(crate) fn forget(run: &Path) -> Result<(), Error> {
    match fs::remove_file(run.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file(&run.join(FILE), "unlink", error))
        }
        _ => Ok(()),
    }
}

const fn families(six: bool) -> &'static [Family] {
    if six { &[Family::Ipv4, Family::Ipv6] } else { &[Family::Ipv4] }
}

impl Host {
    fn generation(&mut self) -> Result<u32, Error> {
        generation(self.nft()?).map_err(|cause| Error::kernel("ask for the generation of the rules", cause))
    }

    fn image(&mut self, six: bool) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        for family in families(six) {
            match image(self.nft()?, *family, TABLE) {
                Ok(one) => all.extend(one),
                // There is no such table.
                Err(cause) if cause.errno() == Some(sys::Errno::NOENT) => {}
                Err(cause) => return Err(Error::kernel("list the rules", cause)),
            }
        }
        Ok(all)
    }

    /// Whether the tables of the families that the networks have are as holm wrote them, and the gate is there. `run` is where leases and records are.
    pub(crate) fn rules_are_whole(&mut self, run: &Path, ipv6: bool) -> Result<bool, Error> {
        self.whole_at = None;
        // The rules name it by its number. One end does not go without the other.
        if !self.link(GATE.1)?.is_some_and(|gate| gate.up) {
            return Ok(false);
        }
        let Some((file, noted)) = Note::read(run) else { return Ok(false) };
        if ipv6 && !noted.six {
            return Ok(false);
        }
        let now = self.generation()?;
        if noted.generation != now {
            let len = file.metadata().map_or(0, |found| found.len() as usize);
            let mut kept = vec![0; len.saturating_sub(LIST)];
            if file.read_exact_at(&mut kept, LIST as u64).is_err() || self.image(noted.six)? != kept {
                return Ok(false);
            }
            if self.generation()? != now {
                return Ok(true);
            }
            note(run, now);
        }
        self.whole_at = Some(now);
        Ok(true)
    }

    /// Whether the rules are known to be as holm wrote them, without a look at them.
    pub(crate) fn expect_whole(&mut self, run: &Path) {
        let noted = Note::read(run).map(|(_, noted)| noted.generation);
        self.whole_at = self.generation().ok().filter(|now| noted == Some(*now));
    }

    /// Changes what sets hold, and takes note of that: rules that were whole before are whole after it.
    pub(crate) fn change_sets(
        &mut self,
        run: &Path,
        changes: &mut Transaction,
    ) -> Result<(), netlink::Error> {
        let before = self.whole_at.take();
        let socket = match self.nft() {
            Ok(socket) => socket,
            Err(Error::Kernel { cause, .. }) => return Err(cause),
            Err(_) => return Ok(()),
        };
        changes.commit(socket)?;
        if let Some(before) = before
            && let Ok(now) = self.generation()
            && now == before.wrapping_add(1)
        {
            note(run, now);
            self.whole_at = Some(now);
        }
        Ok(())
    }

    /// Writes the tables whole and takes note of how the kernel lists them. With the lock held.
    pub(crate) fn write_rules(&mut self, run: &Path, world: &World, six: bool) -> Result<(), Error> {
        // Somebody who changes rules at the same moment may have changed these: then it is done again, but not for ever.
        for _ in 0..4 {
            let before = self.generation()?;
            let mut changes = Transaction::new();
            for family in families(six) {
                rules::whole(&mut changes, *family, world);
            }
            changes
                .commit(self.nft()?)
                .map_err(|cause| Error::kernel("write the rules of nftables", cause))?;
            let list = self.image(six)?;
            let as_written = self.chains_are_as_written(six)?;
            let now = self.generation()?;
            if now == before.wrapping_add(1) && as_written {
                keep(run, Note { generation: now, six }, &list)?;
                self.whole_at = Some(now);
                break;
            }
        }
        Ok(())
    }

    /// Whether all chains have as many rules as holm writes: whatever the kernel makes of what it is told, it makes it of all.
    fn chains_are_as_written(&mut self, six: bool) -> Result<bool, Error> {
        for family in families(six) {
            let listed = chains(self.nft()?, *family, Some(TABLE))
                .map_err(|cause| Error::kernel("list the rules", cause))?;
            let is_there = |(name, uses): &(&str, u32)| {
                listed.iter().any(|chain| chain.name == *name && chain.uses == *uses)
            };
            if !rules::expected(*family).iter().all(is_there) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn keep(run: &Path, note: Note, list: &[u8]) -> Result<(), Error> {
    let path = run.join(FILE);
    let fresh = path.with_extension("new");
    let written = (|| {
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all_at(&[&note.bytes()[..], list].concat(), 0)?;
        fs::rename(&fresh, &path)
    })();
    written.map_err(|error| Error::file(&path, "write", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_no_other_is() {
        let note = Note { generation: 77, six: true };
        assert_eq!(Note::parse(note.bytes()), Some(note));
        for place in (0..GENERATION).chain(12..LIST) {
            let mut bytes = note.bytes();
            bytes[place] ^= 2;
            assert_eq!(Note::parse(bytes), None, "{place}");
        }
    }

    #[test]
    fn a_list_that_a_crash_cut_off_is_none() {
        let run = std::env::temp_dir().join(format!("holm-rules-{}", std::process::id()));
        fs::create_dir_all(&run).unwrap();
        keep(&run, Note { generation: 7, six: false }, b"list").unwrap();
        note(&run, 8);
        let (_, whole) = Note::read(&run).unwrap();
        fs::write(run.join(FILE), &whole.bytes()[..LIST - 1]).unwrap();
        let cut = Note::read(&run).is_none();
        forget(&run).unwrap();
        forget(&run).unwrap();
        fs::remove_dir(&run).unwrap();
        assert_eq!((whole, cut), (Note { generation: 8, six: false }, true));
    }
}
