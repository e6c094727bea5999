//! Limits on what goes through a container's link (tc(8)): queueing disciplines, and the way through a link that queues.
//!
//! All of it is on the host's end of the cable, so nothing inside of the container can change it. What the container receives leaves
//! that end, and is shaped there (`tbf`, a token bucket). What it sends arrives there, where nothing can wait; so that is sent on to
//! an `ifb` link, leaves that through a token bucket, and goes on from the host's end as if nothing had been. Start reading at
//! [`limit`].

use std::fmt;
use std::str::FromStr;

use report::{Explain, Hint, Kind};
use sys::Errno;

use crate::error::Error;
use crate::request::{Requests, flags};
use crate::route::links::{self, Which};
use crate::route::{LinkHeader, ifla, info};
use crate::socket::Socket;
use crate::{Attribute, Attributes};

const NEWQDISC: u16 = 36;
const GETQDISC: u16 = 38;
const NEWTFILTER: u16 = 44;

const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const STATS2: u16 = 7;
const STATS_QUEUE: u16 = 3;

const ROOT: u32 = 0xffff_ffff;
const CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const CLSACT_INGRESS: u32 = 0xffff_fff2;
/// `1:`, the handle of our disciplines.
const HANDLE: u32 = 0x0001_0000;

/// How many bits a second may go one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    bits: u64,
}

/// Why some text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRate {
    /// It does not read as one.
    #[error(
        "a rate is a number of bits a second with an optional k, m, g or t for thousands and so on: `20m`, `20mbit`, `1.5g`"
    )]
    Form,
    /// It is too low to let a packet through in any sensible time.
    #[error("a rate has at least {} kbit a second", Rate::LEAST / 1000)]
    TooLow,
    /// It is beyond what any link has.
    #[error("a rate has at most {} Tbit a second", Rate::MOST / 1_000_000_000_000)]
    TooHigh,
}

impl Rate {
    /// The lowest rate, in bits a second: a full packet takes 1.5 s.
    pub const LEAST: u64 = 8_000;
    /// The highest.
    pub const MOST: u64 = 10_000_000_000_000;

    /// A rate in bits a second.
    ///
    /// # Errors
    /// [`BadRate::TooLow`], [`BadRate::TooHigh`]
    pub const fn new(bits: u64) -> Result<Self, BadRate> {
        match bits {
            ..Self::LEAST => Err(BadRate::TooLow),
            Self::LEAST..=Self::MOST => Ok(Self { bits }),
            _ => Err(BadRate::TooHigh),
        }
    }

    /// Bits a second.
    pub const fn bits(self) -> u64 {
        self.bits
    }

    const fn bytes(self) -> u64 {
        self.bits / 8
    }

    /// What may go at once after a pause: 10 ms of the rate, but some whole packets.
    fn burst(self, mtu: u32) -> u32 {
        let packets = u64::from(mtu + 32) * 4;
        u32::try_from((self.bytes() / 100).max(packets)).unwrap_or(u32::MAX)
    }

    /// What may wait: 50 ms of the rate, but enough for a few connections.
    fn queue(self, mtu: u32) -> u32 {
        let least = u64::from(mtu + 32) * 20;
        let queue = (self.bytes() / 20).max(least) + u64::from(self.burst(mtu));
        u32::try_from(queue).unwrap_or(u32::MAX)
    }
}

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let text = text.to_ascii_lowercase();
        let number = text.strip_suffix("bit/s").or_else(|| text.strip_suffix("bit")).unwrap_or(&text);
        let (number, factor) = match number.as_bytes().last() {
            Some(b'k') => (&number[..number.len() - 1], 1_000),
            Some(b'm') => (&number[..number.len() - 1], 1_000_000),
            Some(b'g') => (&number[..number.len() - 1], 1_000_000_000),
            Some(b't') => (&number[..number.len() - 1], 1_000_000_000_000u64),
            _ => (number, 1),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |part: &str| (1..=18).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return Err(BadRate::Form);
        }
        let whole: u64 = whole.parse().map_err(|_| BadRate::Form)?;
        let fraction: u64 = format!("{fraction:0<9}").parse().map_err(|_| BadRate::Form)?;
        let bits = u128::from(whole) * u128::from(factor)
            + u128::from(fraction) * u128::from(factor) / 1_000_000_000;
        Self::new(u64::try_from(bits).map_err(|_| BadRate::TooHigh)?)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, letter) in [(1_000_000_000_000, "t"), (1_000_000_000, "g"), (1_000_000, "m"), (1_000, "k")]
        {
            if self.bits.is_multiple_of(unit) {
                return write!(f, "{}{letter}bit", self.bits / unit);
            }
        }
        write!(f, "{}bit", self.bits)
    }
}

/// The limits of a container's link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// What it may send.
    pub up: Option<Rate>,
    /// What it may receive.
    pub down: Option<Rate>,
}

impl Limits {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.up.is_none() && self.down.is_none()
    }
}

/// A limit could not be set.
#[derive(Debug, thiserror::Error)]
#[error("limit what link {link} {way}")]
pub struct LimitFailed {
    /// The host's end of the cable.
    pub link: String,
    /// `sends` or `receives`, as the container sees it.
    pub way: &'static str,
    /// What this kernel would need, where it lacks something.
    pub missing: Option<&'static str>,
    /// The kernel's answer.
    #[source]
    pub cause: Error,
}

impl Explain for LimitFailed {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.cause)
    }

    fn kind(&self) -> Kind {
        if self.missing.is_some() { Kind::Unsupported } else { self.cause.kind() }
    }

    fn hint(&self) -> Option<Hint> {
        let missing = self.missing?;
        Some(Hint::new(format!(
            "this kernel has no {missing}; load it with modprobe, or leave the limit out"
        )))
    }
}

/// The name of the link that shapes what is sent, next to a host's end called `link`. It fits where `link` fits, and is another one.
pub fn detour(link: &str) -> String {
    let kept: String = link.chars().rev().take(13).collect::<Vec<_>>().into_iter().rev().collect();
    format!("i-{kept}")
}

/// Sets the limits of the link that is the host's end of a container's cable; `mtu` is its longest packet. What was set before is
/// replaced; limits that are not given stay as they are.
///
/// What is sent takes a link of its own, called [`detour`], which [`remove`] takes away.
///
/// # Errors
/// [`LimitFailed`], of kind `Unsupported` when the kernel lacks `tbf`, `ifb`, `clsact` or a filter that takes everything. The detour is
/// gone then; a limit on what is received may be there, until the link goes.
///
/// # Kernel
/// Linux 4.5 (`clsact`), `CAP_NET_ADMIN`.
pub fn limit(
    socket: &mut Socket,
    link: &str,
    index: u32,
    mtu: u32,
    limits: Limits,
) -> Result<(), LimitFailed> {
    let failed = |way: &'static str, missing: Option<&'static str>| {
        move |cause: Error| {
            let lacks = matches!(cause.errno(), Some(Errno::NOENT | Errno::OPNOTSUPP));
            LimitFailed { link: link.to_owned(), way, missing: missing.filter(|_| lacks), cause }
        }
    };
    const TBF: Option<&str> = Some("queueing discipline `tbf` (sch_tbf)");
    if let Some(rate) = limits.down {
        let mut batch = Requests::new();
        shape(&mut batch, index, rate, mtu);
        socket.transact(&mut batch).map_err(failed("receives", TBF))?;
    }
    let Some(rate) = limits.up else { return Ok(()) };
    let name = detour(link);
    let outcome = detour_index(socket, &name, mtu)
        .map_err(failed("sends", Some("links of the kind `ifb` (ifb)")))
        .and_then(|detour| {
            let mut batch = Requests::new();
            shape(&mut batch, detour, rate, mtu);
            socket.transact(&mut batch).map_err(failed("sends", TBF))?;
            batch.clear();
            links::set_up(&mut batch, Which::Index(detour), true);
            attach_classifier(&mut batch, index);
            socket
                .transact(&mut batch)
                .map_err(failed("sends", Some("queueing discipline `clsact` (sch_ingress)")))?;
            divert(socket, index, detour).map_err(failed(
                "sends",
                Some("filter that takes every packet and sends it on (cls_u32, act_mirred)"),
            ))
        });
    if outcome.is_err() {
        // What failed first is what is told.
        let _ = remove(socket, link);
    }
    outcome
}

/// Takes the detour of a link away, and with it the limit on what is sent; nothing happens where there is none. The limit on what is
/// received goes with the link itself.
///
/// # Errors
/// [`Error::Refused`]
pub fn remove(socket: &mut Socket, link: &str) -> Result<(), Error> {
    let mut batch = Requests::new();
    links::delete(&mut batch, Which::Named(&detour(link)));
    match socket.transact(&mut batch) {
        Err(error) if error.errno() == Some(Errno::NODEV) => Ok(()),
        outcome => outcome,
    }
}

/// Makes the detour if it is not there, and returns its number.
fn detour_index(socket: &mut Socket, name: &str, mtu: u32) -> Result<u32, Error> {
    match links::index_of(socket, name) {
        Err(error) if error.errno() == Some(Errno::NODEV) => {}
        outcome => return outcome,
    }
    let mut batch = Requests::new();
    batch.begin(crate::route::NEWLINK, flags::CREATE | flags::EXCLUSIVE, &LinkHeader::default().bytes());
    batch.text(ifla::IFNAME, name).u32(ifla::MTU, mtu);
    batch.nest(ifla::LINKINFO, |link| {
        link.attribute(info::KIND, b"ifb");
    });
    socket.transact(&mut batch)?;
    links::index_of(socket, name)
}

/// `struct tcmsg`
fn header(index: u32, handle: u32, parent: u32, info: u32) -> [u8; 20] {
    let mut bytes = [0; 20];
    for (at, value) in [(4, index), (8, handle), (12, parent), (16, info)] {
        bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

/// Adds a request: everything that leaves a link goes through a token bucket.
fn shape(batch: &mut Requests, index: u32, rate: Rate, mtu: u32) {
    const PARMS: u16 = 1;
    const RATE64: u16 = 4;
    const BURST: u16 = 6;
    const LINKLAYER_ETHERNET: u8 = 1;
    batch.begin(NEWQDISC, flags::CREATE | flags::REPLACE, &header(index, HANDLE, ROOT, 0));
    batch.text(KIND, "tbf");
    let bytes = rate.bytes();
    // `struct tc_tbf_qopt`: two `struct tc_ratespec` of twelve bytes, then limit, buffer and mtu. With a link layer given the kernel
    // computes the times itself (Linux 3.8), and with BURST it needs no buffer in ticks.
    let mut parameters = [0u8; 36];
    parameters[1] = LINKLAYER_ETHERNET;
    parameters[8..12].copy_from_slice(&u32::try_from(bytes).unwrap_or(u32::MAX).to_ne_bytes());
    parameters[24..28].copy_from_slice(&rate.queue(mtu).to_ne_bytes());
    batch.nest(OPTIONS, |options| {
        options.attribute(PARMS, &parameters).u32(BURST, rate.burst(mtu));
        if u32::try_from(bytes).is_err() {
            options.u64(RATE64, bytes);
        }
    });
}

/// Adds a request: filters can look at what arrives at a link.
fn attach_classifier(batch: &mut Requests, index: u32) {
    batch.begin(NEWQDISC, flags::CREATE | flags::REPLACE, &header(index, CLSACT_HANDLE, CLSACT, 0));
    batch.text(KIND, "clsact");
}

/// Sends all that arrives at a link to another one; with whichever filter the kernel has. Where one of the other kind is there already
/// (its module came later), the kernel refuses with `EINVAL`, and that one is replaced.
fn divert(socket: &mut Socket, index: u32, to: u32) -> Result<(), Error> {
    let mut last = Ok(());
    for filter in [Filter::U32, Filter::MatchAll] {
        let mut batch = Requests::new();
        divert_with(&mut batch, filter, index, to);
        last = socket.transact(&mut batch);
        match &last {
            Err(error) if matches!(error.errno(), Some(Errno::NOENT | Errno::INVAL)) => {}
            _ => return last,
        }
    }
    last
}

#[derive(Clone, Copy)]
enum Filter {
    U32,
    MatchAll,
}

fn divert_with(batch: &mut Requests, filter: Filter, index: u32, to: u32) {
    const ETH_P_ALL: u16 = 3;
    const PRIORITY: u32 = 1;
    let info = PRIORITY << 16 | u32::from(ETH_P_ALL.to_be());
    let handle = match filter {
        // The first entry of the table that the kernel makes for the filter: given again, it is replaced.
        Filter::U32 => 0x8000_0800,
        Filter::MatchAll => 1,
    };
    batch.begin(NEWTFILTER, flags::CREATE | flags::REPLACE, &header(index, handle, CLSACT_INGRESS, info));
    match filter {
        Filter::U32 => {
            const SELECTOR: u16 = 5;
            const ACTIONS: u16 = 7;
            const TERMINAL: u8 = 1;
            batch.text(KIND, "u32");
            batch.nest(OPTIONS, |options| {
                // `struct tc_u32_sel` with one key whose mask is nothing, so that every packet matches.
                let mut selector = [0u8; 32];
                selector[0] = TERMINAL;
                selector[2] = 1;
                options.attribute(SELECTOR, &selector);
                options.nest(ACTIONS, |actions| send_on(actions, to));
            });
        }
        Filter::MatchAll => {
            const ACTIONS: u16 = 2;
            batch.text(KIND, "matchall");
            batch.nest(OPTIONS, |options| options.nest(ACTIONS, |actions| send_on(actions, to)));
        }
    }
}

/// The action: a packet leaves through another link instead (`mirred`).
fn send_on(actions: &mut Requests, to: u32) {
    const PARMS: u16 = 2;
    const STOLEN: u32 = 4;
    const EGRESS_REDIRECT: u32 = 1;
    actions.nest(1, |first| {
        first.text(KIND, "mirred");
        first.nest(OPTIONS, |options| {
            // `struct tc_mirred`: index, capab, action, refcnt, bindcnt, eaction, ifindex.
            let fields = [0, 0, STOLEN, 0, 0, EGRESS_REDIRECT, to];
            options.attribute(PARMS, &fields.map(u32::to_ne_bytes).concat());
        });
    });
}

/// How many packets a link's own discipline has dropped, which the link's counters do not tell. The kernel lists the disciplines of all
/// links for that.
///
/// # Errors
/// [`Error::Refused`]
pub fn dropped(socket: &mut Socket, index: u32) -> Result<u64, Error> {
    let dump = socket.dump(&mut Requests::one(GETQDISC, 0, &header(0, 0, 0, 0)))?;
    let drops = dump.messages().filter_map(|message| {
        let (bytes, attributes) = message.parts::<20>()?;
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        (word(4)? == index && word(12)? == ROOT).then(|| queue_drops(attributes)).flatten()
    });
    Ok(drops.sum())
}

/// `struct gnet_stats_queue`: length, backlog, drops, requeues, overlimits.
fn queue_drops(attributes: Attributes<'_>) -> Option<u64> {
    let queue = attributes.find(STATS2)?.nested().find(STATS_QUEUE)?;
    Attribute { kind: 0, data: queue.data.get(8..)? }.u32().map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_in_bits_and_thousands() {
        let bits = |text: &str| text.parse::<Rate>().map(Rate::bits);
        assert_eq!(bits("20m"), Ok(20_000_000));
        assert_eq!(bits("20Mbit"), Ok(20_000_000));
        assert_eq!(bits("1.5gbit/s"), Ok(1_500_000_000));
        assert_eq!(bits("8000"), Ok(8_000));
        assert_eq!(bits("0.1t"), Ok(100_000_000_000));
        assert_eq!(bits("64kbit"), Ok(64_000));
        for form in [
            "",
            "m",
            "1m1",
            "-1m",
            "+1m",
            "1e6",
            "20mb",
            "20mbps",
            "1.m",
            ".5m",
            "1.2.3m",
            " 1m",
            "1 m",
            "0x10",
            "1.0000000001g",
        ] {
            assert_eq!(bits(form), Err(BadRate::Form), "{form}");
        }
        assert_eq!(bits("0"), Err(BadRate::TooLow));
        assert_eq!(bits("7999"), Err(BadRate::TooLow));
        assert_eq!(bits("11t"), Err(BadRate::TooHigh));
        assert_eq!(bits("999999999999999999t"), Err(BadRate::TooHigh));
    }

    #[test]
    fn a_rate_reads_as_it_is_shown() {
        for text in ["20mbit", "8kbit", "1500mbit", "10tbit", "8001bit"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_detour_has_a_name_of_its_own_that_fits() {
        assert_eq!(detour("veth0"), "i-veth0");
        assert_eq!(detour("v23456789012345"), "i-3456789012345");
        assert_eq!(detour("v23456789012345").len(), 15);
    }

    #[test]
    fn bursts_and_queues_are_some_packets_at_least() {
        let rate = |text: &str| text.parse::<Rate>().unwrap();
        assert_eq!((rate("8k").burst(1500), rate("8k").queue(1500)), (6128, 36768));
        assert_eq!(rate("1g").burst(1500), 1_250_000);
        assert_eq!(rate("10t").queue(1500), u32::MAX);
    }
}
