//! Links that stand for a routing table (`IFLA_VRF_*`).

use netlink::{Attribute, Attributes, Requests};

use super::unknown;
use crate::fail::Fail;
use crate::names::Table;
use crate::session::Session;
use crate::words::{Words, short};

const TABLE: u16 = 1;

pub(super) fn show(session: &mut Session, data: Attributes<'_>) {
    if let Some(table) = data.find(TABLE).and_then(Attribute::u32) {
        session.out.field("table", table, format_args!("table {table} "));
    }
}

pub(super) fn read(session: &mut Session, words: &Words<'_>, requests: &mut Requests) -> Result<(), Fail> {
    while let Some(word) = words.next() {
        if !short(word, "table") {
            return Err(unknown("vrf", word));
        }
        requests.u32(TABLE, session.find(Table::Tables, "table", words.value()?)?);
    }
    Ok(())
}
