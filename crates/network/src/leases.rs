//! Who has which address and which port: one table of lines of one length, for all networks.
//!
//! [`Table`] reads and changes the bytes and is pure; the file is locked by [`crate::ledger`]. A line says what it is, of what, and whose:
//!
//! ```text
//! a 0123456789ab 10.224.0.2                              00112233445566aa
//! p tcp    08080 *                                       00112233445566aa
//! r 0123456789ab 10.224.0.2                              ----------------
//! ```
//!
//! `a` is an address of a network, `p` a port of the host, `r` the address that a network gave out last. One that begins with a dash is free.
//! As all are of one length, a change is one short write, and looking for one is a comparison of bytes.

use std::net::IpAddr;

use crate::ports::{PortMapping, Protocol};

/// The length of a line with its end.
pub(crate) const LINE: usize = 72;
/// The length of what a line is about, with the space behind it.
const KEY: usize = 55;
const TOKEN: usize = 16;
const NOBODY: &str = "----------------";

/// The table's bytes, and which lines were changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    bytes: Vec<u8>,
    changed: Vec<usize>,
    /// The first line that may be free.
    free_from: usize,
}

fn address_key(network: &str, address: IpAddr) -> [u8; KEY] {
    key(&format!("a {:<12.12} {address}", network))
}

fn port_key(protocol: Protocol, port: u16, address: Option<IpAddr>) -> [u8; KEY] {
    match address {
        Some(address) => key(&format!("p {:<6} {port:05} {address}", protocol.name())),
        None => key(&format!("p {:<6} {port:05} *", protocol.name())),
    }
}

fn key(text: &str) -> [u8; KEY] {
    let mut key = [b' '; KEY];
    let len = text.len().min(KEY - 1);
    key[..len].copy_from_slice(&text.as_bytes()[..len]);
    key
}

impl Table {
    /// The table as it was read; what a crash cut off at its end is left out.
    pub(crate) fn new(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(bytes.len() / LINE * LINE);
        Self { bytes, changed: Vec::new(), free_from: 0 }
    }

    fn lines(&self) -> impl Iterator<Item = &[u8; LINE]> {
        self.bytes.as_chunks::<LINE>().0.iter()
    }

    /// How many addresses are somebody's.
    pub(crate) fn addresses(&self) -> usize {
        self.lines().filter(|line| line[0] == b'a').count()
    }

    /// Whose address it is.
    pub(crate) fn owner_of_address(&self, network: &str, address: IpAddr) -> Option<&str> {
        let key = address_key(network, address);
        self.lines().find(|line| line[..KEY] == key).map(owner)
    }

    /// Who has a port that wants the same packets.
    pub(crate) fn owner_of_port(&self, port: &PortMapping) -> Option<&str> {
        let prefix = &port_key(port.protocol, port.host_port, None)[..15];
        let clashes = |line: &&[u8; LINE]| {
            let text = std::str::from_utf8(&line[15..KEY]).unwrap_or_default().trim_end();
            let host_ip = text.parse().ok();
            port.clashes_with(&PortMapping { host_ip, ..*port })
        };
        self.lines().filter(|line| line.starts_with(prefix)).find(clashes).map(owner)
    }

    /// The address that a network gave out last, of a family.
    pub(crate) fn last_given(&self, network: &str, ipv4: bool) -> Option<IpAddr> {
        let prefix = &key(&format!("r {network:<12.12}"))[..15];
        self.lines()
            .filter(|line| line.starts_with(prefix))
            .filter_map(|line| std::str::from_utf8(&line[15..KEY]).ok()?.trim_end().parse::<IpAddr>().ok())
            .find(|address| address.is_ipv4() == ipv4)
    }

    /// Gives an address to the owner of `token`. `chosen`: it was the network's turn to choose, and goes on behind it.
    pub(crate) fn take_address(&mut self, network: &str, address: IpAddr, token: &str, chosen: bool) {
        self.put(&address_key(network, address), token);
        if !chosen {
            return;
        }
        let mut mark = address_key(network, address);
        mark[0] = b'r';
        let ipv4 = address.is_ipv4();
        let place = self.lines().position(|line| {
            line[..15] == mark[..15] && {
                let text = std::str::from_utf8(&line[15..KEY]).unwrap_or_default();
                text.trim_end().parse::<IpAddr>().is_ok_and(|other| other.is_ipv4() == ipv4)
            }
        });
        match place {
            Some(place) => self.write(place, &mark, NOBODY),
            None => self.put(&mark, NOBODY),
        }
    }

    /// Gives a port to the owner of `token`.
    pub(crate) fn take_port(&mut self, port: &PortMapping, token: &str) {
        self.put(&port_key(port.protocol, port.host_port, port.host_ip), token);
    }

    /// Takes an address back from the owner of `token`.
    pub(crate) fn free_address(&mut self, network: &str, address: IpAddr, token: &str) {
        let key = address_key(network, address);
        self.free_where(|line| line[..KEY] == key && owner(line) == token);
    }

    /// Takes everything back from the owner of `token`.
    pub(crate) fn free_all(&mut self, token: &str) {
        self.free_where(|line| owner(line) == token);
    }

    /// Forgets what a network gave out last, and its addresses.
    pub(crate) fn forget_network(&mut self, network: &str) {
        let prefix = key(&format!("a {network:<12.12}"));
        self.free_where(|line| matches!(line[0], b'a' | b'r') && line[1..15] == prefix[1..15]);
    }

    /// The tokens of all owners, each once.
    pub(crate) fn owners(&self) -> Vec<&str> {
        let mut owners: Vec<_> =
            self.lines().filter(|line| matches!(line[0], b'a' | b'p')).map(owner).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    fn free_where(&mut self, is: impl Fn(&[u8; LINE]) -> bool) {
        let free: Vec<_> = self
            .lines()
            .enumerate()
            .filter(|(_, line)| line[0] != b'-' && is(line))
            .map(|(place, _)| place)
            .collect();
        for place in free {
            self.write(place, &key("-"), NOBODY);
            self.free_from = self.free_from.min(place);
        }
    }

    fn put(&mut self, key: &[u8; KEY], token: &str) {
        let free = self.lines().skip(self.free_from).position(|line| line[0] == b'-');
        let place = free.map_or(self.bytes.len() / LINE, |place| place + self.free_from);
        self.write(place, key, token);
        self.free_from = place + 1;
    }

    fn write(&mut self, place: usize, key: &[u8; KEY], token: &str) {
        let start = place * LINE;
        if self.bytes.len() < start + LINE {
            self.bytes.resize(start + LINE, b' ');
        }
        let line = &mut self.bytes[start..start + LINE];
        line[..KEY].copy_from_slice(key);
        line[KEY..KEY + TOKEN].copy_from_slice(format!("{token:<TOKEN$.TOKEN$}").as_bytes());
        line[LINE - 1] = b'\n';
        self.changed.push(place);
    }

    /// What to write, with the offset: neighbouring lines together.
    pub(crate) fn writes(&self) -> Vec<(u64, &[u8])> {
        let mut places = self.changed.clone();
        places.sort_unstable();
        places.dedup();
        let mut writes = Vec::new();
        let mut rest = &places[..];
        while let Some(first) = rest.first() {
            let run = rest.iter().zip(*first..).take_while(|(place, next)| **place == *next).count();
            writes.push(((first * LINE) as u64, &self.bytes[first * LINE..(first + run) * LINE]));
            rest = &rest[run..];
        }
        writes
    }
}

fn owner(line: &[u8; LINE]) -> &str {
    std::str::from_utf8(&line[KEY..KEY + TOKEN]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const ONE: &str = "00112233445566aa";
    const TWO: &str = "00112233445566bb";
    const NET: &str = "0123456789abcdef";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn port(address: Option<&str>, port: u16) -> PortMapping {
        PortMapping { host_ip: address.map(ip), host_port: port, container_port: 80, protocol: Protocol::Tcp }
    }

    fn written(table: &Table) -> Table {
        let mut bytes = table.bytes.clone();
        for (offset, part) in table.writes() {
            bytes[offset as usize..offset as usize + part.len()].copy_from_slice(part);
        }
        Table::new(bytes)
    }

    #[test]
    fn a_lease_is_a_line_and_belongs_to_one() {
        let mut table = Table::default();
        table.take_address(NET, ip("10.224.0.2"), ONE, true);
        table.take_address(NET, ip("fd12:3456:789a:bcde:1234:5678:9abc:def0"), ONE, true);
        table.take_port(&port(None, 8080), ONE);
        table.take_port(&port(Some("127.0.0.1"), 9090), TWO);
        expect![[r#"
            a 0123456789ab 10.224.0.2                              00112233445566aa
            r 0123456789ab 10.224.0.2                              ----------------
            a 0123456789ab fd12:3456:789a:bcde:1234:5678:9abc:def0 00112233445566aa
            r 0123456789ab fd12:3456:789a:bcde:1234:5678:9abc:def0 ----------------
            p tcp    08080 *                                       00112233445566aa
            p tcp    09090 127.0.0.1                               00112233445566bb
        "#]]
        .assert_eq(std::str::from_utf8(&table.bytes).unwrap());
        let table = written(&table);
        assert_eq!(table.owner_of_address(NET, ip("10.224.0.2")), Some(ONE));
        assert_eq!(table.owner_of_address("ffff23456789", ip("10.224.0.2")), None);
        assert_eq!(table.last_given(NET, true), Some(ip("10.224.0.2")));
        assert_eq!(table.owner_of_port(&port(Some("10.0.0.1"), 8080)), Some(ONE));
        assert_eq!(table.owner_of_port(&port(None, 9090)), Some(TWO));
        assert_eq!(table.owner_of_port(&port(Some("10.0.0.1"), 9090)), None);
        assert_eq!(table.owners(), [ONE, TWO]);
    }

    #[test]
    fn what_is_freed_is_used_again_and_nothing_else_is_written() {
        let mut table = Table::default();
        for host in 2..10 {
            table.take_address(
                NET,
                ip(&format!("10.224.0.{host}")),
                if host % 2 == 0 { ONE } else { TWO },
                false,
            );
        }
        let mut table = Table::new(table.bytes.clone());
        table.free_address(NET, ip("10.224.0.5"), ONE);
        assert!(table.writes().is_empty(), "it is somebody else's");
        table.free_all(TWO);
        assert_eq!(table.writes().len(), 4, "one for each line, as they are no neighbours");
        assert_eq!(table.owners(), [ONE]);
        let len = table.bytes.len();
        table.take_port(&port(None, 1), ONE);
        assert_eq!(table.bytes.len(), len);
        table.forget_network(NET);
        assert_eq!(table.owner_of_address(NET, ip("10.224.0.2")), None);
        assert_eq!(table.owner_of_port(&port(None, 1)), Some(ONE));
    }

    #[test]
    fn a_table_that_a_crash_cut_off_is_read_to_where_it_is_whole() {
        let mut table = Table::default();
        table.take_address(NET, ip("10.224.0.2"), ONE, true);
        for len in 0..table.bytes.len() {
            let mut cut = Table::new(table.bytes[..len].to_vec());
            assert_eq!(cut.owner_of_address(NET, ip("10.224.0.2")).is_some(), len >= LINE);
            cut.take_address(NET, ip("10.224.0.3"), TWO, true);
            assert_eq!(written(&cut).owner_of_address(NET, ip("10.224.0.3")), Some(TWO));
        }
    }
}
