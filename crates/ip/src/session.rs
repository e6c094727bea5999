//! What a command works with: the socket, the output, and what is known of links and namespaces so far.

use std::collections::BTreeMap;

use netlink::route::{self, LinkHeader, ifla, info};
use netlink::{Attribute, Dump, Message, Protocol, Requests, Socket};
use sys::Errno;

use crate::fail::{Fail, REFUSED};
use crate::names::{AllNames, Table};
use crate::netns;
use crate::options::Options;
use crate::out::Out;

/// What is remembered of a link.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) flags: u32,
    /// `ARPHRD_*`
    pub(crate) kind: u16,
}

/// One command at work.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) options: Options,
    pub(crate) socket: Socket,
    pub(crate) out: Out,
    names: AllNames,
    links: BTreeMap<u32, Known>,
    namespaces: Option<BTreeMap<i32, String>>,
}

impl Session {
    pub(crate) fn open(options: Options) -> Result<Self, Fail> {
        let socket =
            Socket::open(Protocol::Route).map_err(|error| Fail::kernel("open a netlink socket", error))?;
        let out = Out::new(&options);
        let names = AllNames::new(options.numeric);
        Ok(Self { options, socket, out, names, links: BTreeMap::new(), namespaces: None })
    }

    /// The name that the administrator gave a number.
    pub(crate) fn show(&self, table: Table, number: u32) -> String {
        self.names.show(table, number)
    }

    /// The number of a name.
    pub(crate) fn find(&self, table: Table, keyword: &str, word: &str) -> Result<u32, Fail> {
        self.names.find(table, word).ok_or_else(|| {
            let (what, file) = match table {
                Table::Tables => ("a routing table", "rt_tables"),
                Table::Protocols => ("a routing protocol", "rt_protos"),
                Table::Scopes => ("a scope", "rt_scopes"),
                Table::Groups => ("a group of links", "group"),
                Table::Realms => ("a realm", "rt_realms"),
                Table::Services => ("a type of service", "rt_dsfield"),
            };
            Fail::wrong(format!("`{keyword}` takes {what}, not `{word}`"))
                .hint(format!("a number, or a name; /etc/iproute2/{file} can give names"))
        })
    }

    /// The number for a name in a table, or None.
    pub(crate) fn lookup(&self, table: Table, word: &str) -> Option<u32> {
        self.names.find(table, word)
    }

    /// Makes the requests; `doing` says what for.
    pub(crate) fn transact(
        &mut self,
        requests: &mut Requests,
        doing: impl Fn() -> String,
    ) -> Result<(), Fail> {
        self.socket.transact(requests).map_err(|error| Fail::kernel(format!("cannot {}", doing()), error))
    }

    /// Lists objects; `what` names them.
    pub(crate) fn dump(&mut self, request: &mut Requests, what: &str) -> Result<Dump, Fail> {
        let dump =
            self.socket.dump(request).map_err(|error| Fail::kernel(format!("cannot list {what}"), error))?;
        if !dump.consistent() {
            eprintln!("warning: the {what} changed while they were listed; the list may be inconsistent");
        }
        Ok(dump)
    }

    /// Remembers a link from a message about it.
    pub(crate) fn remember(&mut self, message: &Message<'_>) {
        let Some((header, attributes)) = LinkHeader::read(message) else { return };
        let Some(name) = attributes.find(ifla::IFNAME).map(Attribute::text) else { return };
        let known = Known { name: name.to_owned(), flags: header.flags, kind: header.kind };
        self.links.insert(header.index.cast_unsigned(), known);
    }

    /// Remembers every link, for lists that name many of them.
    pub(crate) fn remember_all(&mut self) -> Result<(), Fail> {
        let mut request = Requests::one(route::GETLINK, 0, &LinkHeader::default().bytes());
        request.u32(ifla::EXT_MASK, route::EXT_FILTER_SKIP_STATS);
        let dump = self.dump(&mut request, "links")?;
        for message in dump.messages() {
            self.remember(&message);
        }
        Ok(())
    }

    /// What is known of a link; the kernel is asked once.
    pub(crate) fn known(&mut self, index: u32) -> Option<&Known> {
        if !self.links.contains_key(&index) {
            let header = LinkHeader { index: index.cast_signed(), ..LinkHeader::default() };
            let mut request = Requests::one(route::GETLINK, 0, &header.bytes());
            request.u32(ifla::EXT_MASK, route::EXT_FILTER_SKIP_STATS);
            let answer = self.socket.ask(&mut request, |message| {
                let (header, attributes) = LinkHeader::read(message)?;
                let name = attributes.find(ifla::IFNAME)?.text().to_owned();
                Some(Known { name, flags: header.flags, kind: header.kind })
            });
            if let Ok(Some(known)) = answer {
                self.links.insert(index, known);
            }
        }
        self.links.get(&index)
    }

    /// How many packets wait for a link at most.
    pub(crate) fn queue_length(&mut self, index: i32) -> Option<i32> {
        let header = LinkHeader { index, ..LinkHeader::default() };
        let mut request = Requests::one(route::GETLINK, 0, &header.bytes());
        request.u32(ifla::EXT_MASK, route::EXT_FILTER_SKIP_STATS);
        let answer = self.socket.ask(&mut request, |message| {
            LinkHeader::read(message)?.1.find(ifla::TXQLEN).and_then(Attribute::i32)
        });
        answer.ok().flatten()
    }

    /// The routing table that a link of type vrf stands for.
    pub(crate) fn vrf_table(&mut self, name: &str) -> Result<u32, Fail> {
        const VRF_TABLE: u16 = 1;
        let header =
            LinkHeader { index: self.link_value("vrf", name)?.cast_signed(), ..LinkHeader::default() };
        let mut request = Requests::one(route::GETLINK, 0, &header.bytes());
        let answer = self.socket.ask(&mut request, |message| {
            let link_info = LinkHeader::read(message)?.1.find(ifla::LINKINFO)?.nested();
            link_info.find(info::KIND).filter(|kind| kind.text() == "vrf")?;
            link_info.find(info::DATA)?.nested().find(VRF_TABLE)?.u32()
        });
        let table = answer.map_err(|error| Fail::kernel(format!("cannot look at link `{name}`"), error))?;
        table.ok_or_else(|| Fail::wrong(format!("`vrf` takes a link of type vrf; `{name}` is none")))
    }

    /// The kind of a link that is remembered already.
    pub(crate) fn kind_if_known(&self, index: u32) -> Option<u16> {
        self.links.get(&index).map(|known| known.kind)
    }

    /// A link's name; `if7` when there is no link 7.
    pub(crate) fn link_name(&mut self, index: u32) -> String {
        if index == 0 {
            return "*".to_owned();
        }
        self.known(index).map_or_else(|| format!("if{index}"), |known| known.name.clone())
    }

    /// A link's number by its name, by an alternative name, or by `if7`.
    pub(crate) fn link_index(&mut self, name: &str) -> Result<Option<u32>, Fail> {
        if let Some((index, _)) = self.links.iter().find(|(_, known)| known.name == name) {
            return Ok(Some(*index));
        }
        match route::links::index_of(&mut self.socket, name) {
            Ok(index) => Ok(Some(index)),
            Err(error) if error.errno() == Some(Errno::NODEV) => {
                Ok(name.strip_prefix("if").and_then(|number| number.parse().ok()).filter(|index| *index != 0))
            }
            // A name that the kernel cannot take is the name of nothing.
            Err(error) if matches!(error.errno(), Some(Errno::INVAL | Errno::RANGE)) => Ok(None),
            Err(error) => Err(Fail::kernel(format!("cannot look up link `{name}`"), error).status(REFUSED)),
        }
    }

    /// A link's number; that it is missing is an error with status 1.
    pub(crate) fn link(&mut self, name: &str) -> Result<u32, Fail> {
        self.link_index(name)?.ok_or_else(|| Fail::impossible(format!("there is no link `{name}` here")))
    }

    /// A link's number as the value of a keyword; that it is missing is an error with status 255.
    pub(crate) fn link_value(&mut self, keyword: &str, name: &str) -> Result<u32, Fail> {
        self.link_index(name)?
            .ok_or_else(|| Fail::wrong(format!("`{keyword}` takes a link; there is no `{name}` here")))
    }

    /// The name below /run/netns of the namespace that has an id here.
    pub(crate) fn namespace_name(&mut self, id: i32) -> Option<String> {
        if self.namespaces.is_none() {
            self.namespaces = Some(netns::ids(&mut self.socket));
        }
        self.namespaces.as_ref()?.get(&id).cloned()
    }
}
