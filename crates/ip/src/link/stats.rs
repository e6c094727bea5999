//! The counters of a link: two tables, as wide as their numbers.

use netlink::route::{IFLA_COUNT, ifla};
use netlink::{Attribute, Index};

use crate::out::Out;
use crate::session::Session;

/// `struct rtnl_link_stats64` in its order; fields that an older kernel lacks are zero.
#[derive(Debug, Default, Clone, Copy)]
struct Counters {
    values: [u64; 25],
}

const RX_PACKETS: usize = 0;
const TX_PACKETS: usize = 1;
const RX_BYTES: usize = 2;
const TX_BYTES: usize = 3;
const RX_ERRORS: usize = 4;
const TX_ERRORS: usize = 5;
const RX_DROPPED: usize = 6;
const TX_DROPPED: usize = 7;
const MULTICAST: usize = 8;
const COLLISIONS: usize = 9;
const RX_LENGTH_ERRORS: usize = 10;
const RX_OVER_ERRORS: usize = 11;
const RX_CRC_ERRORS: usize = 12;
const RX_FRAME_ERRORS: usize = 13;
const RX_FIFO_ERRORS: usize = 14;
const RX_MISSED_ERRORS: usize = 15;
const TX_ABORTED_ERRORS: usize = 16;
const TX_CARRIER_ERRORS: usize = 17;
const TX_FIFO_ERRORS: usize = 18;
const TX_HEARTBEAT_ERRORS: usize = 19;
const TX_WINDOW_ERRORS: usize = 20;
const RX_COMPRESSED: usize = 21;
const TX_COMPRESSED: usize = 22;
const RX_NOHANDLER: usize = 23;
const RX_OTHERHOST_DROPPED: usize = 24;

impl Counters {
    /// The counters in a message, and their name in JSON.
    fn read(attributes: &Index<'_, IFLA_COUNT>) -> Option<(Self, &'static str)> {
        let mut values = [0; 25];
        if let Some(stats) = attributes.get(ifla::STATS64) {
            for (value, bytes) in values.iter_mut().zip(stats.data.chunks_exact(8)) {
                *value = bytes.try_into().map_or(0, u64::from_ne_bytes);
            }
            return Some((Self { values }, "stats64"));
        }
        let Some(stats) = attributes.get(ifla::STATS) else { return Self::of_inet6(attributes) };
        for (value, bytes) in values.iter_mut().zip(stats.data.chunks_exact(4)) {
            *value = bytes.try_into().map_or(0, u32::from_ne_bytes).into();
        }
        Some((Self { values }, "stats"))
    }

    /// What the list of IPv6 has in place of counters (linux/snmp.h).
    fn of_inet6(attributes: &Index<'_, IFLA_COUNT>) -> Option<(Self, &'static str)> {
        const STATS: u16 = 3;
        const PLACES: [(usize, usize); 8] = [
            (RX_PACKETS, 1),
            (RX_BYTES, 2),
            (TX_PACKETS, 5),
            (TX_BYTES, 6),
            (RX_ERRORS, 13),
            (TX_ERRORS, 14),
            (MULTICAST, 23),
            (RX_FRAME_ERRORS, 31),
        ];
        let mib = attributes.get(ifla::PROTINFO)?.nested().find(STATS);
        let mut values = [0; 25];
        for (place, source) in PLACES {
            let data = mib.and_then(|mib| mib.data.get(source * 8..));
            values[place] = data.and_then(|data| Attribute { kind: 0, data }.u64()).unwrap_or(0);
        }
        Some((Self { values }, "stats64"))
    }

    const fn at(&self, place: usize) -> u64 {
        self.values[place]
    }
}

/// Shows the counters of a link.
pub(super) fn show(session: &mut Session, attributes: &Index<'_, IFLA_COUNT>) {
    let Some((counters, key)) = Counters::read(attributes) else { return };
    let changes = attributes.get(ifla::CARRIER_CHANGES).and_then(Attribute::u32);
    if session.out.is_json() {
        json(&mut session.out, &counters, changes, key, session.options.statistics > 1);
    } else {
        let style = Style { human: session.options.human, iec: session.options.iec };
        text(&mut session.out, &counters, changes, style, session.options.statistics > 1);
    }
}

fn json(out: &mut Out, counters: &Counters, changes: Option<u32>, key: &str, errors: bool) {
    let optional = |place: usize, key: &'static str| {
        if counters.at(place) == 0 { vec![] } else { vec![(key, place)] }
    };
    let mut receive = vec![
        ("bytes", RX_BYTES),
        ("packets", RX_PACKETS),
        ("errors", RX_ERRORS),
        ("dropped", RX_DROPPED),
        ("over_errors", RX_OVER_ERRORS),
        ("multicast", MULTICAST),
    ];
    receive.extend(optional(RX_COMPRESSED, "compressed"));
    let mut transmit = vec![
        ("bytes", TX_BYTES),
        ("packets", TX_PACKETS),
        ("errors", TX_ERRORS),
        ("dropped", TX_DROPPED),
        ("carrier_errors", TX_CARRIER_ERRORS),
        ("collisions", COLLISIONS),
    ];
    transmit.extend(optional(TX_COMPRESSED, "compressed"));
    if errors {
        receive.extend([
            ("length_errors", RX_LENGTH_ERRORS),
            ("crc_errors", RX_CRC_ERRORS),
            ("frame_errors", RX_FRAME_ERRORS),
            ("fifo_errors", RX_FIFO_ERRORS),
            ("missed_errors", RX_MISSED_ERRORS),
        ]);
        receive.extend(optional(RX_NOHANDLER, "nohandler"));
        receive.extend(optional(RX_OTHERHOST_DROPPED, "otherhost"));
        transmit.extend([
            ("aborted_errors", TX_ABORTED_ERRORS),
            ("fifo_errors", TX_FIFO_ERRORS),
            ("window_errors", TX_WINDOW_ERRORS),
            ("heartbeat_errors", TX_HEARTBEAT_ERRORS),
        ]);
    }
    out.object(Some(key));
    out.object(Some("rx"));
    for (key, place) in receive {
        out.json(key, counters.at(place));
    }
    out.object_end();
    out.object(Some("tx"));
    for (key, place) in transmit {
        out.json(key, counters.at(place));
    }
    if let Some(changes) = changes.filter(|_| errors) {
        out.json("carrier_changes", changes);
    }
    out.object_end();
    out.object_end();
}

/// How numbers are written.
#[derive(Debug, Clone, Copy)]
struct Style {
    human: bool,
    iec: bool,
}

impl Style {
    /// A number in its column; with `-h` at most four digits and a letter.
    fn number(self, out: &mut Out, width: usize, count: u64) {
        let base: u64 = if self.iec { 1024 } else { 1000 };
        if !self.human || count < base {
            out.text(format_args!("{count:>width$} "));
            return;
        }
        let mut letters = "kMGTPE".chars();
        let mut letter = letters.next().unwrap_or('k');
        let mut power = base;
        while count / base >= power {
            let Some(next) = letters.next() else { break };
            letter = next;
            power *= base;
        }
        let mut precision = 2;
        let mut bound = 10;
        while precision > 0 && count / power >= bound {
            bound *= 10;
            precision -= 1;
        }
        let unit = if self.iec { "i" } else { "" };
        let value = count as f64 / power as f64;
        let text = format!("{value:.precision$}{letter}{unit}");
        out.text(format_args!("{text:>width$} "));
    }

    fn row(self, out: &mut Out, cells: &[(usize, u64)]) {
        for (width, value) in cells {
            self.number(out, *width, *value);
        }
    }
}

/// Widens columns to the numbers in them.
fn widen(widths: &mut [usize; 8], style: Style, values: [u64; 8]) {
    if !style.human {
        for (width, value) in widths.iter_mut().zip(values) {
            *width = (*width).max(value.checked_ilog10().unwrap_or(0) as usize + 1);
        }
    }
}

fn text(out: &mut Out, counters: &Counters, changes: Option<u32>, style: Style, errors: bool) {
    let at = |place: usize| counters.at(place);
    let mut wide = [10, 7, 6, 7, 7, 7, 10, 9];
    let receive = [RX_BYTES, RX_PACKETS, RX_ERRORS, RX_DROPPED, RX_MISSED_ERRORS, MULTICAST, RX_COMPRESSED];
    let transmit =
        [TX_BYTES, TX_PACKETS, TX_ERRORS, TX_DROPPED, TX_CARRIER_ERRORS, COLLISIONS, TX_COMPRESSED];
    let seven = |places: [usize; 7]| {
        let [a, b, c, d, e, f, g] = places.map(at);
        [a, b, c, d, e, f, g, 0]
    };
    widen(&mut wide, style, seven(receive));
    widen(&mut wide, style, seven(transmit));
    if errors {
        let row =
            [RX_LENGTH_ERRORS, RX_CRC_ERRORS, RX_FRAME_ERRORS, RX_FIFO_ERRORS, RX_OVER_ERRORS, RX_NOHANDLER];
        let [a, b, c, d, e, f] = row.map(at);
        widen(&mut wide, style, [0, a, b, c, d, e, f, at(RX_OTHERHOST_DROPPED)]);
        let row = [TX_ABORTED_ERRORS, TX_FIFO_ERRORS, TX_WINDOW_ERRORS, TX_HEARTBEAT_ERRORS];
        let [a, b, c, d] = row.map(at);
        widen(&mut wide, style, [0, 0, a, b, c, d, changes.unwrap_or(0).into(), 0]);
    }
    let w = wide;
    let head = |out: &mut Out, name: &str, last: [&str; 2], compressed: bool| {
        let compressed = if compressed { "compressed" } else { "" };
        out.text(format_args!(
            "    {name}: {:>a$} {:>b$} {:>c$} {:>d$} {:>e$} {:>f$} {compressed:>g$}",
            "bytes",
            "packets",
            "errors",
            "dropped",
            last[0],
            last[1],
            a = w[0] - 4,
            b = w[1],
            c = w[2],
            d = w[3],
            e = w[4],
            f = w[5],
            g = w[6],
        ));
        out.line();
        out.text(format_args!("    "));
    };
    head(out, "RX", ["missed", "mcast"], at(RX_COMPRESSED) != 0);
    let shown = |places: [usize; 7]| {
        let count = if at(places[6]) == 0 { 6 } else { 7 };
        places
            .into_iter()
            .take(count)
            .enumerate()
            .map(|(column, place)| (w[column], at(place)))
            .collect::<Vec<_>>()
    };
    style.row(out, &shown(receive));
    if errors {
        let (nohandler, otherhost) = (at(RX_NOHANDLER) != 0, at(RX_OTHERHOST_DROPPED) != 0);
        out.line();
        out.text(format_args!(
            "    RX errors:{:>a$} {:>b$} {:>c$} {:>d$} {:>e$} {:>f$}",
            "",
            "length",
            "crc",
            "frame",
            "fifo",
            "overrun",
            a = w[0] - 10,
            b = w[1],
            c = w[2],
            d = w[3],
            e = w[4],
            f = w[5],
        ));
        if nohandler {
            out.text(format_args!("{:>g$}", " nohandler", g = w[6] + 1));
        }
        if otherhost {
            out.text(format_args!("{:>g$}", " otherhost", g = w[7] + 1));
        }
        out.line();
        out.text(format_args!("{:a$}", "", a = w[0] + 5));
        let row = [RX_LENGTH_ERRORS, RX_CRC_ERRORS, RX_FRAME_ERRORS, RX_FIFO_ERRORS, RX_OVER_ERRORS];
        let mut cells: Vec<_> =
            row.into_iter().zip(&w[1..]).map(|(place, width)| (*width, at(place))).collect();
        cells.extend(nohandler.then_some((w[6], at(RX_NOHANDLER))));
        cells.extend(otherhost.then_some((w[7], at(RX_OTHERHOST_DROPPED))));
        style.row(out, &cells);
    }
    out.line();
    head(out, "TX", ["carrier", "collsns"], at(TX_COMPRESSED) != 0);
    style.row(out, &shown(transmit));
    if errors {
        out.line();
        out.text(format_args!(
            "    TX errors:{:>a$} {:>b$} {:>c$} {:>d$} {:>e$} {:>f$}",
            "",
            "aborted",
            "fifo",
            "window",
            "heartbt",
            if changes.is_some() { "transns" } else { "" },
            a = w[0] - 10,
            b = w[1],
            c = w[2],
            d = w[3],
            e = w[4],
            f = w[5],
        ));
        out.line();
        out.text(format_args!("{:a$}", "", a = w[0] + 5));
        let row = [TX_ABORTED_ERRORS, TX_FIFO_ERRORS, TX_WINDOW_ERRORS, TX_HEARTBEAT_ERRORS];
        let mut cells: Vec<_> =
            row.into_iter().zip(&w[1..]).map(|(place, width)| (*width, at(place))).collect();
        cells.extend(changes.map(|changes| (w[5], changes.into())));
        style.row(out, &cells);
    }
}
