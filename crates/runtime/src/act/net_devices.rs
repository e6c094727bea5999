//! Moving network devices into a container's network namespace, with the addresses that shall last.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use netlink::route::links::{self, Which};
use netlink::route::{self, AddressHeader, LinkHeader, ifa, ifla};
use netlink::{Error, Index, Protocol, Requests, Socket, flags};
use sys::raw::{self, Fd};
use sys::{Errno, SyscallError};

use super::Cause;
use crate::plan::NetDevice;

/// `IFA_F_PERMANENT`
const PERMANENT: u32 = 0x80;
/// `IFA_F_NOPREFIXROUTE`
const NO_PREFIX_ROUTE: u32 = 0x200;
/// `RT_SCOPE_UNIVERSE`
const UNIVERSE: u8 = 0;

/// Moves the devices from this process's network namespace to `to`, and sets them up there.
pub(crate) fn move_all(devices: &[NetDevice], to: &OwnedFd) -> Result<(), Cause> {
    let failed = |device: &NetDevice| {
        let name = device.name.clone();
        move |error| Cause::Network { device: name.clone(), error }
    };
    let Some(first) = devices.first() else { return Ok(()) };
    let mut here = Socket::open(Protocol::Route).map_err(failed(first))?;
    let mut there = within(to.as_fd(), || Socket::open(Protocol::Route).map_err(failed(first)))?;
    for device in devices {
        move_one(&mut here, &mut there, device, to.as_fd()).map_err(failed(device))?;
    }
    Ok(())
}

fn move_one(
    here: &mut Socket,
    there: &mut Socket,
    device: &NetDevice,
    to: BorrowedFd<'_>,
) -> Result<(), Error> {
    let index = links::index_of(here, &device.name)?;
    if !device.inside.contains('%') && links::index_of(there, &device.inside).is_ok() {
        // The kernel would move it first and then refuse the name.
        let subject = format!("{}, a name that is in use in the container", device.inside);
        return Err(Error::Socket(SyscallError::new("rename", subject, Errno::EXIST)));
    }
    let addresses = lasting_addresses(here, index)?;
    let before = indices(there)?;
    let mut batch = Requests::new();
    links::begin(&mut batch, route::NEWLINK, 0, Which::Index(index), LinkHeader::default())
        .u32(ifla::NET_NS_FD, Fd::from(&to).0.cast_unsigned())
        .text(ifla::IFNAME, &device.inside);
    here.transact(&mut batch)?;
    // Its number may have been taken there.
    let new = indices(there)?.into_iter().find(|index| !before.contains(index));
    let index = new.ok_or(Error::Malformed { expected: "device that was moved" })?;
    let mut batch = Requests::new();
    for (header, attributes) in addresses {
        let header = AddressHeader { index, flags: 0, ..header };
        batch.begin(route::NEWADDR, flags::CREATE | flags::EXCLUSIVE, &header.bytes());
        for (kind, value) in attributes {
            batch.attribute(kind, &value);
        }
    }
    links::set_up(&mut batch, Which::Index(index), true);
    there.transact(&mut batch)
}

/// An address as a new one is asked for.
type Address = (AddressHeader, Vec<(u16, Vec<u8>)>);

/// The permanent addresses of global scope of a device.
fn lasting_addresses(socket: &mut Socket, index: u32) -> Result<Vec<Address>, Error> {
    let mut request = Requests::one(route::GETADDR, 0, &AddressHeader::default().bytes());
    let dump = socket.dump(&mut request)?;
    let mut found = Vec::new();
    for message in dump.messages() {
        let Some((header, attributes)) = AddressHeader::read(&message) else { continue };
        let known: Index<'_, 16> = Index::new(attributes);
        let all = known.get(ifa::FLAGS).and_then(|flags| flags.u32()).unwrap_or(header.flags.into());
        if header.index != index || header.scope != UNIVERSE || all & PERMANENT == 0 {
            continue;
        }
        let mut kept = vec![(ifa::FLAGS, (all & NO_PREFIX_ROUTE).to_ne_bytes().to_vec())];
        for kind in [ifa::ADDRESS, ifa::LOCAL, ifa::BROADCAST] {
            kept.extend(known.get(kind).map(|attribute| (kind, attribute.data.to_vec())));
        }
        found.push((header, kept));
    }
    Ok(found)
}

fn indices(socket: &mut Socket) -> Result<Vec<u32>, Error> {
    let mut request = Requests::one(route::GETLINK, 0, &LinkHeader::default().bytes());
    let dump = socket.dump(&mut request)?;
    let index = |message| LinkHeader::read(&message).map(|(header, _)| header.index.cast_unsigned());
    Ok(dump.messages().filter_map(index).collect())
}

/// Does something in another network namespace: a socket belongs to the one that it was made in.
fn within<T>(namespace: BorrowedFd<'_>, act: impl FnOnce() -> Result<T, Cause>) -> Result<T, Cause> {
    let enter = |fd: BorrowedFd<'_>| {
        raw::setns(Fd::from(&fd), sys::clone::CLONE_NEWNET)
            .map_err(|errno| SyscallError::new("setns", "network namespace", errno))
    };
    let own = super::trees::open_namespace(std::path::Path::new("/proc/self/ns/net"))?;
    enter(namespace)?;
    let outcome = act();
    enter(own.as_fd())?;
    outcome
}
