//! `holm network`.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::ArgMatches;
use engine::connection::{self, Joined};
use engine::containers::{Places, events};
use engine::flags::label::Label;
use engine::flags::{Value, parse_all, parse_flag};
use engine::host::Caller;
use network::{
    Driver, EndpointRequest, Ledger, MacAddress, Network, NetworkName, NetworkRequest, Networks, Prefix,
};
use report::{BoxedExplain, Explain, Hint, Kind};
use serde_json::{Value as Json, json};

use super::failure::Failure;
use super::table::{self, Align, table};
use crate::cli::USAGE_STATUS;

/// A command line that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{flag} `{given}`: {problem}")]
struct Bad {
    flag: &'static str,
    given: String,
    problem: String,
    advice: &'static str,
}

impl Explain for Bad {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        (!self.advice.is_empty()).then(|| Hint::new(self.advice))
    }
}

fn bad(flag: &'static str, given: &str, problem: impl ToString, advice: &'static str) -> Failure {
    Failure(Box::new(Bad {
        flag,
        given: given.escape_debug().to_string(),
        problem: problem.to_string(),
        advice,
    }))
}

/// Runs the subcommand that was named.
///
/// # Errors
/// What is wrong with the request, or what the kernel refuses.
pub fn run(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let networks = connection::networks(&Caller::read())?;
    // Whatever is asked for: rules that somebody took away are there again. Who may not look is told by what he asked for.
    if matches.subcommand_name() != Some("prune") {
        let _ = networks.reassert(&mut say);
    }
    let outcome = match matches.subcommand() {
        Some(("create", flags)) => create(&networks, flags),
        Some(("list", flags)) => list(&networks, flags),
        Some(("inspect", flags)) => inspect(&networks, flags),
        Some(("remove", flags)) => remove(&networks, flags),
        Some(("connect", flags)) => connect(&networks, flags),
        Some(("disconnect", flags)) => disconnect(&networks, flags),
        Some(("prune", flags)) => prune(&networks, flags),
        other => unreachable!("clap knows no {other:?}"),
    };
    outcome.map_err(|failure| failure.0)
}

/// `holm network-keeper`: writes the networks' rules again when somebody takes them away; started by whoever attaches a container and by nobody
/// else.
pub fn keep(args: &[OsString]) -> ExitCode {
    match network::keeper::main(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("{}", report::render(&error));
            ExitCode::from(USAGE_STATUS)
        }
    }
}

fn say(line: &str) {
    eprintln!("holm: {line}");
}

fn print(text: &str) -> Result<(), Failure> {
    Ok(engine::run::print(text)?)
}

fn texts(matches: &ArgMatches, id: &str) -> Vec<String> {
    matches.get_many::<String>(id).map_or_else(Vec::new, |values| values.cloned().collect())
}

fn text<'a>(matches: &'a ArgMatches, id: &str) -> Option<&'a str> {
    matches.get_one::<String>(id).map(String::as_str)
}

fn optional<T: Value>(matches: &ArgMatches, id: &str, flag: &'static str) -> Result<Option<T>, Failure> {
    text(matches, id)
        .map(|value| parse_flag(flag, value))
        .transpose()
        .map_err(|error| Failure(Box::new(error)))
}

fn several<T: Value>(matches: &ArgMatches, id: &str, flag: &'static str) -> Result<Vec<T>, Failure> {
    parse_all(flag, &texts(matches, id)).map_err(|error| Failure(Box::new(error)))
}

fn prefixes(matches: &ArgMatches, id: &str, flag: &'static str) -> Result<Vec<Prefix>, Failure> {
    let prefix = |text: &String| {
        text.parse().map_err(|why: network::prefix::BadPrefix| {
            bad(flag, text, why, "10.9.0.0/24 and fd00:9::/64 are such")
        })
    };
    texts(matches, id).iter().map(prefix).collect()
}

fn route() -> Result<netlink::Socket, Failure> {
    netlink::Socket::open(netlink::Protocol::Route).map_err(|error| Failure(Box::new(error)))
}

fn create(networks: &Networks, matches: &ArgMatches) -> Result<u8, Failure> {
    let given = text(matches, "name").unwrap_or_default();
    let name: NetworkName = given
        .parse()
        .map_err(|why| bad("network", given, why, "blue, web-1 and db.internal are such names"))?;
    let driver = match text(matches, "driver") {
        None => Driver::Bridge,
        Some(word) => Driver::ALL.into_iter().find(|driver| driver.name() == word).ok_or_else(|| {
            bad("--driver", word, "there is no such driver", "there are bridge and macvlan")
        })?,
    };
    let mut request = NetworkRequest { driver, ..NetworkRequest::bridge(name) };
    request.subnets = prefixes(matches, "subnet", "--subnet")?;
    request.ip_ranges = prefixes(matches, "ip-range", "--ip-range")?;
    request.gateways = several(matches, "gateway", "--gateway")?;
    request.ipv6 = matches.get_flag("ipv6");
    request.internal = matches.get_flag("internal");
    request.dns = driver == Driver::Bridge && !matches.get_flag("disable-dns");
    request.dns_servers = several(matches, "dns", "--dns")?;
    request.mtu = match text(matches, "mtu") {
        None => None,
        Some(text) => {
            Some(text.parse().map_err(|_| bad("--mtu", text, "it is no number of bytes", "1500 is usual"))?)
        }
    };
    request.interface = text(matches, "interface-name").map(str::to_owned);
    let labels: Vec<Label> = several(matches, "label", "--label")?;
    request.labels = labels.into_iter().map(|label| (label.key, label.value)).collect();
    for option in texts(matches, "opt") {
        let (key, value) = option
            .split_once('=')
            .ok_or_else(|| bad("--opt", &option, "its value is missing", "-o mode=bridge"))?;
        match key {
            // As docker has them.
            "mtu" | "com.docker.network.driver.mtu" => {
                request.mtu =
                    Some(value.parse().map_err(|_| bad("--opt", &option, "it is no number of bytes", ""))?);
            }
            "parent" => request.interface = Some(value.to_owned()),
            _ => _ = request.options.insert(key.to_owned(), value.to_owned()),
        }
    }
    if request.dns && !request.dns_servers.is_empty() && request.internal {
        return Err(bad(
            "--dns",
            &texts(matches, "dns").join(","),
            "an internal network asks nobody outside",
            "",
        ));
    }
    match networks.create(&request, &mut route()?) {
        Ok(network) => {
            tell(&network, "create", None);
            print(&format!("{}\n", network.name))?;
        }
        Err(error) if error.kind() == Kind::AlreadyExists && matches.get_flag("ignore") => {
            if networks.get(request.name.as_str()).is_err() {
                return Err(error.into());
            }
            print(&format!("{}\n", request.name))?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(0)
}

fn places() -> Places {
    Places::of(&Caller::read())
}

/// The id of a container that was called so.
fn id_of(container: &str) -> String {
    engine::containers::find(&places(), container).map_or_else(|_| container.to_owned(), |home| home.id)
}

/// Notes what happened to a network.
fn tell(network: &Network, action: &str, container: Option<&str>) {
    let (name, driver) = (network.name.to_string(), network.driver.to_string());
    let network = Joined { name, id: network.id.clone(), driver };
    events::network(&places(), &network, action, container);
}

fn shown(networks: &Networks, network: &Network, ledger: &Ledger) -> Result<Json, Failure> {
    let mut document = serde_json::to_value(network).unwrap_or_default();
    let records = ledger.records()?;
    let mut socket = route()?;
    let mut containers = serde_json::Map::new();
    for record in &records {
        for place in record.endpoints.iter().filter(|place| place.network == network.name) {
            let addresses: Vec<String> = place.addresses().map(|address| address.to_string()).collect();
            let ports: Vec<String> = record.ports.iter().map(ToString::to_string).collect();
            let kept = ledger.is_kept(&record.header.id)?;
            // A container that ends meanwhile has no counters any more.
            let traffic = networks.traffic(&mut socket, record, place).ok().flatten();
            let way = |counters: network::Counters| {
                json!({
                    "bytes": counters.bytes,
                    "packets": counters.packets,
                    "dropped": counters.dropped,
                    "errors": counters.errors,
                })
            };
            let traffic = traffic.map(|seen| json!({"received": way(seen.received), "sent": way(seen.sent)}));
            containers.insert(
                record.header.id.clone(),
                json!({
                    "name": record.header.name,
                    "interface": place.interface,
                    "host_interface": place.host_link,
                    "mac_address": place.mac,
                    "addresses": addresses,
                    "aliases": place.aliases,
                    "ports": ports,
                    "running": kept,
                    "limited": record.limited.is_some(),
                    "rates": record.limited,
                    "traffic": traffic,
                }),
            );
        }
    }
    document["containers"] = Json::Object(containers);
    document["ipv6_enabled"] = network.subnet(false).is_some().into();
    Ok(document)
}

fn wanted(network: &Network, filters: &[String]) -> Result<bool, Failure> {
    for filter in filters {
        let (key, value) = filter.split_once('=').ok_or_else(|| {
            bad(
                "--filter",
                filter,
                "its value is missing",
                "name=blue, driver=bridge and label=KEY=VALUE are such",
            )
        })?;
        let fits = match key {
            "name" => network.name.as_str().contains(value),
            "driver" => network.driver.name() == value,
            "label" => match value.split_once('=') {
                Some((key, value)) => network.labels.get(key).is_some_and(|own| own == value),
                None => network.labels.contains_key(value),
            },
            _ => {
                return Err(bad(
                    "--filter",
                    filter,
                    "there is no such key",
                    "there are name, driver and label",
                ));
            }
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

fn list(networks: &Networks, matches: &ArgMatches) -> Result<u8, Failure> {
    let filters = texts(matches, "filter");
    let mut all = Vec::new();
    for network in networks.list()? {
        if wanted(&network, &filters)? {
            all.push(network);
        }
    }
    if matches.get_flag("quiet") {
        print(&all.iter().map(|network| format!("{}\n", network.name)).collect::<String>())?;
        return Ok(0);
    }
    if matches.get_flag("json") {
        print(&table::json(&serde_json::to_value(&all).unwrap_or_default()))?;
        return Ok(0);
    }
    let ledger = Ledger::open(networks.places())?;
    let records = ledger.records()?;
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|network| {
            let inside = records
                .iter()
                .filter(|record| record.endpoints.iter().any(|place| place.network == network.name))
                .count();
            let subnets: Vec<_> = network.subnets.iter().map(|subnet| subnet.subnet.to_string()).collect();
            let mut remarks = Vec::new();
            if network.internal {
                remarks.push("internal");
            }
            if network.dns_enabled {
                remarks.push("dns");
            }
            vec![
                network.name.to_string(),
                network.short_id().to_owned(),
                network.driver.to_string(),
                network.interface.clone(),
                inside.to_string(),
                subnets.join(","),
                remarks.join(","),
            ]
        })
        .collect();
    let columns = [
        ("NAME", Align::Left),
        ("ID", Align::Left),
        ("DRIVER", Align::Left),
        ("INTERFACE", Align::Left),
        ("CONTAINERS", Align::Right),
        ("SUBNETS", Align::Left),
        ("", Align::Left),
    ];
    print(&table(&columns, &rows))?;
    Ok(0)
}

fn inspect(networks: &Networks, matches: &ArgMatches) -> Result<u8, Failure> {
    let ledger = Ledger::open(networks.places())?;
    let mut list = Vec::new();
    for name in texts(matches, "name") {
        list.push(shown(networks, &networks.get(&name)?, &ledger)?);
    }
    print(&table::json(&Json::Array(list)))?;
    Ok(0)
}

/// Goes on after a failure, and returns the first.
fn each(names: Vec<String>, mut act: impl FnMut(&str) -> Result<(), Failure>) -> Result<u8, Failure> {
    let mut first = None;
    for name in names {
        if let Err(failure) = act(&name) {
            match &first {
                None => first = Some(failure),
                Some(_) => eprint!("{}", report::render(&*failure.0)),
            }
        }
    }
    first.map_or(Ok(0), Err)
}

fn remove(networks: &Networks, matches: &ArgMatches) -> Result<u8, Failure> {
    each(texts(matches, "name"), |name| {
        let known = networks.get(name);
        let removed = networks.remove(name, matches.get_flag("force"), &mut say)?;
        if let Ok(network) = known {
            tell(&network, "destroy", None);
        }
        print(&format!("{removed}\n"))
    })
}

fn connect(networks: &Networks, matches: &ArgMatches) -> Result<u8, Failure> {
    let aliases: Vec<engine::flags::network::Alias> = several(matches, "alias", "--alias")?;
    let request = EndpointRequest {
        network: text(matches, "name").unwrap_or_default().to_owned(),
        ipv4: optional(matches, "ip", "--ip")?,
        ipv6: optional(matches, "ip6", "--ip6")?,
        mac: optional::<MacAddress>(matches, "mac-address", "--mac-address")?,
        aliases: aliases.iter().map(|alias| alias.as_str().to_owned()).collect(),
        interface: text(matches, "interface-name").map(str::to_owned),
    };
    let container = text(matches, "container").unwrap_or_default();
    let place = networks.connect(container, &request, &mut say)?;
    events::network(&places(), &Joined::from(&place), "connect", Some(&id_of(container)));
    let addresses: Vec<String> = place.addresses().map(|address| address.to_string()).collect();
    print(&format!("{} {}\n", place.interface, addresses.join(" ")))?;
    Ok(0)
}

fn disconnect(networks: &Networks, matches: &ArgMatches) -> Result<u8, Failure> {
    let container = text(matches, "container").unwrap_or_default();
    let network = networks.get(text(matches, "name").unwrap_or_default())?;
    networks.disconnect(container, network.name.as_str())?;
    tell(&network, "disconnect", Some(&id_of(container)));
    Ok(0)
}

fn prune(networks: &Networks, matches: &ArgMatches) -> Result<u8, Failure> {
    let (check, mend) = (matches.get_flag("check"), matches.get_flag("mend"));
    if mend && !check {
        return Err(bad("--mend", "", "it goes with --check", "holm network prune --check --mend"));
    }
    if check {
        let found = networks.leftovers(mend, &mut say)?;
        print(&found.iter().map(|line| format!("{line}\n")).collect::<String>())?;
        return Ok(u8::from(!found.is_empty() && !mend));
    }
    networks.leftovers(true, &mut say)?;
    let known = networks.list()?;
    let removed = networks.prune(&mut say)?;
    known.iter().filter(|one| removed.contains(&one.name)).for_each(|one| tell(one, "destroy", None));
    print(&removed.iter().map(|name| format!("{name}\n")).collect::<String>())?;
    Ok(0)
}
