//! Where a bus listens: addresses of the D-Bus specification, of unix sockets only.

use rustix::net::SocketAddrUnix;

/// The places in a list such as `unix:path=/run/dbus/system_bus_socket;unix:abstract=/tmp/x,guid=…`; others are left out.
pub(crate) fn parse(list: &str) -> Vec<SocketAddrUnix> {
    list.split(';').take(16).filter_map(one).collect()
}

fn one(address: &str) -> Option<SocketAddrUnix> {
    let keys = address.strip_prefix("unix:")?;
    keys.split(',').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = unescape(value)?;
        match key {
            "path" => SocketAddrUnix::new(value).ok(),
            "abstract" => SocketAddrUnix::new_abstract_name(&value).ok(),
            _ => None,
        }
    })
}

/// `%2f` and its like become bytes.
fn unescape(value: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, expected: &[&str]) {
        let found: Vec<String> = parse(list)
            .iter()
            .map(|it| match (it.path_bytes(), it.abstract_name()) {
                (Some(path), _) => String::from_utf8_lossy(path).into_owned(),
                (_, Some(name)) => format!("@{}", String::from_utf8_lossy(name)),
                _ => "?".to_owned(),
            })
            .collect();
        assert_eq!(found, expected, "{list}");
    }

    #[test]
    fn addresses_of_unix_sockets_are_found_and_others_left_out() {
        check("unix:path=/run/user/7/bus", &["/run/user/7/bus"]);
        check("tcp:host=x,port=1;unix:guid=1,path=/a%20b", &["/a b"]);
        check("unix:abstract=/tmp/dbus-x,guid=0", &["@/tmp/dbus-x"]);
        check("unix:path=/a%2;unix:path;unixexec:path=/bin/sh", &[]);
    }
}
