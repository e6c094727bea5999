//! Names of numbers: those that are known, and those that the host's administrator gave them.
//!
//! The files are iproute2's, below `/etc/iproute2`, or `/usr/share/iproute2` where a distribution keeps its own there.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::words::number;

/// A table of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Tables,
    Protocols,
    Scopes,
    Groups,
    Realms,
    Services,
}

type Names = BTreeMap<u32, String>;

/// All tables, each read when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct AllNames {
    tables: OnceCell<Names>,
    protocols: OnceCell<Names>,
    scopes: OnceCell<Names>,
    groups: OnceCell<Names>,
    realms: OnceCell<Names>,
    services: OnceCell<Names>,
    /// `-N`: numbers only.
    numeric: bool,
}

const TABLES: &[(u32, &str)] = &[(255, "local"), (254, "main"), (253, "default")];
const PROTOCOLS: &[(u32, &str)] = &[
    (0, "unspec"),
    (1, "redirect"),
    (2, "kernel"),
    (3, "boot"),
    (4, "static"),
    (8, "gated"),
    (9, "ra"),
    (10, "mrt"),
    (11, "zebra"),
    (12, "bird"),
    (13, "dnrouted"),
    (14, "xorp"),
    (15, "ntk"),
    (16, "dhcp"),
    (18, "keepalived"),
    (42, "babel"),
    (186, "bgp"),
    (187, "isis"),
    (188, "ospf"),
    (189, "rip"),
    (192, "eigrp"),
];
const SCOPES: &[(u32, &str)] =
    &[(0, "global"), (255, "nowhere"), (254, "host"), (253, "link"), (200, "site")];

impl AllNames {
    /// Tables that are not read yet.
    pub(crate) fn new(numeric: bool) -> Self {
        Self { numeric, ..Self::default() }
    }

    /// The name of a number, or the number.
    pub(crate) fn show(&self, table: Table, number: u32) -> String {
        if self.numeric {
            return if table == Table::Services { format!("0x{number:02x}") } else { number.to_string() };
        }
        let known = match table {
            Table::Protocols => PROTOCOLS,
            Table::Scopes => SCOPES,
            _ => &[],
        };
        // These cannot be renamed, so that the commonest names cost no file.
        if let Some((_, name)) = known.iter().find(|(known, _)| *known == number) {
            return (*name).to_owned();
        }
        match self.table(table).get(&number) {
            Some(name) => name.clone(),
            None if table == Table::Services => format!("0x{number:02x}"),
            None => number.to_string(),
        }
    }

    /// The number of a name, or a number.
    pub(crate) fn find(&self, table: Table, word: &str) -> Option<u32> {
        let by_name = self.table(table).iter().find(|(_, name)| *name == word).map(|(number, _)| *number);
        let most = match table {
            Table::Protocols | Table::Scopes | Table::Services => 255,
            Table::Realms => 0xffff,
            Table::Tables | Table::Groups => u64::from(u32::MAX),
        };
        // Services are hexadecimal without a prefix.
        let read = if table == Table::Services { u64::from_str_radix(word, 16).ok() } else { None };
        by_name.or_else(|| {
            read.or_else(|| number(word)).filter(|number| *number <= most).map(|number| number as u32)
        })
    }

    fn table(&self, table: Table) -> &Names {
        let (cell, known, file): (_, &[(u32, &str)], _) = match table {
            Table::Tables => (&self.tables, TABLES, "rt_tables"),
            Table::Protocols => (&self.protocols, PROTOCOLS, "rt_protos"),
            Table::Scopes => (&self.scopes, SCOPES, "rt_scopes"),
            Table::Groups => (&self.groups, &[(0, "default")], "group"),
            Table::Realms => (&self.realms, &[(0, "unknown")], "rt_realms"),
            Table::Services => (&self.services, &[(0, "0")], "rt_dsfield"),
        };
        cell.get_or_init(|| {
            let mut names: Names = known.iter().map(|(number, name)| (*number, (*name).to_owned())).collect();
            for directory in ["/usr/share/iproute2", "/etc/iproute2"] {
                names.extend(read(&format!("{directory}/{file}")));
                let Ok(more) = std::fs::read_dir(format!("{directory}/{file}.d")) else { continue };
                for entry in more.flatten() {
                    let path = entry.path().display().to_string();
                    if path.ends_with(".conf") {
                        names.extend(read(&path));
                    }
                }
            }
            names
        })
    }
}

fn read(path: &str) -> Vec<(u32, String)> {
    parse(&std::fs::read_to_string(path).unwrap_or_default())
}

/// Lines of a number and a name; others are left out.
fn parse(text: &str) -> Vec<(u32, String)> {
    let line = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let number = number(words.next()?).and_then(|number| u32::try_from(number).ok())?;
        Some((number, words.next()?.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_number_and_a_name() {
        let found = parse("# reserved\n255\tlocal\n0x10 af11 # note\nx y\n7\n\n254 main more\n");
        assert_eq!(found, [(255, "local".into()), (16, "af11".into()), (254, "main".into())]);
    }

    #[test]
    fn known_names_go_both_ways() {
        let names = AllNames::default();
        assert_eq!(names.show(Table::Protocols, 2), "kernel");
        assert_eq!(names.find(Table::Tables, "main"), Some(254));
        assert_eq!(names.find(Table::Tables, "0x100"), Some(256));
        assert_eq!((names.find(Table::Scopes, "256"), names.find(Table::Scopes, "nope")), (None, None));
        let numeric = AllNames { numeric: true, ..AllNames::default() };
        assert_eq!(numeric.show(Table::Scopes, 253), "253");
    }
}
