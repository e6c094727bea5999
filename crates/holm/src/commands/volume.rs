//! `holm volume`.

use std::collections::{BTreeMap, BTreeSet};

use clap::ArgMatches;
use engine::engine::{Engine as _, Local};
use engine::flags::label::Label;
use engine::flags::named::VolumeName;
use engine::flags::{Value as _, parse_bool};
use engine::host::Caller;
use engine::run::print;
use engine::view::template::Template;
use engine::view::units::decimal;
use engine::volumes::{NewVolume, Users, Volume, VolumeFailure};
use report::{BoxedExplain, Kind};
use serde_json::{Value, json};

use super::container::output;
use super::system::upkeep::{Condition, conditions};
use crate::cli::run::{boxed, on, optional, refuse, several, texts};

/// Runs the subcommand that was named.
///
/// # Errors
/// What is wrong with the request, or what the disk says.
pub fn run(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let engine = Local::of(&Caller::read());
    match matches.subcommand() {
        Some(("create", matches)) => create(&engine, matches),
        Some(("list", matches)) => list(&engine, matches),
        Some(("inspect", matches)) => inspect(&engine, matches),
        Some(("remove", matches)) => remove(&engine, matches),
        Some((_, matches)) => prune(&engine, matches),
        None => Ok(0),
    }
}

fn create(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    if let Some(driver) = matches.get_one::<String>("driver").filter(|driver| *driver != "local") {
        return refuse(
            format!("--driver `{}`: there is no such driver", driver.escape_debug()),
            "local is the only one; mount a network's file system on the host and give its directory",
        );
    }
    let map = |list: Vec<Label>| -> BTreeMap<String, String> {
        list.into_iter().map(|one| (one.key, one.value)).collect()
    };
    let name: Option<VolumeName> = optional(matches, "name", "volume")?;
    let wanted = NewVolume {
        anonymous: name.is_none(),
        name,
        labels: map(several(matches, "label", "--label")?),
        options: map(several(matches, "opt", "--opt")?),
        brief: false,
    };
    let (volume, _) = engine.create_volume(&wanted)?;
    print(&format!("{}\n", volume.name()))?;
    Ok(0)
}

/// The fields of a row, as docker names them.
fn row(volume: &Volume, users: &Users, with_size: bool) -> Value {
    let labels: Vec<String> =
        volume.record.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    json!({
        "Name": volume.name(),
        "Driver": "local",
        "Scope": "local",
        "Mountpoint": volume.data(),
        "Labels": labels.join(","),
        "Links": users.of(volume.name()).len().to_string(),
        "Size": if with_size { decimal(volume.usage()) } else { "N/A".to_owned() },
        "CreatedAt": monitor::time::rfc3339(volume.record.created_ns),
    })
}

const HEADINGS: [(&str, &str); 8] = [
    ("Name", "VOLUME NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Size", "SIZE"),
    ("CreatedAt", "CREATED AT"),
];

fn list(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let users = engine.volume_users();
    let filters = filters(&texts(matches, "filter"))?;
    let mut shown = Vec::new();
    for found in engine.volumes() {
        match found {
            Ok(volume) if fits(&volume, &users, &filters) => shown.push(volume),
            Ok(_) => {}
            Err(error) => eprint!("{}", report::render(&error)),
        }
    }
    if on(matches, "quiet", "--quiet")? {
        print(&shown.iter().map(|volume| format!("{}\n", volume.name())).collect::<String>())?;
        return Ok(0);
    }
    let size = on(matches, "size", "--size")?;
    let format = matches.get_one::<String>("format").map(String::as_str);
    let with_size = size || format.is_some_and(|text| text.contains(".Size"));
    let rows: Vec<Value> = shown.iter().map(|volume| row(volume, &users, with_size)).collect();
    let usual = if size { "{{.Driver}}\t{{.Name}}\t{{.Links}}\t{{.Size}}" } else { "{{.Driver}}\t{{.Name}}" };
    print(&output::rows(format, &rows, usual, &HEADINGS)?)?;
    Ok(0)
}

/// `--filter` of the list: values of one key are alternatives, but labels all count.
fn filters(texts: &[String]) -> Result<Vec<(String, String)>, BoxedExplain> {
    let mut filters = Vec::new();
    for text in texts {
        let Some((key, value)) = text.split_once('=') else {
            return refuse(format!("--filter `{}`: there is no `=`", text.escape_debug()), EXPECTED);
        };
        match key {
            "driver" | "label" | "label!" | "name" => {}
            "dangling" => {
                if let Err(problem) = parse_bool(value) {
                    return refuse(format!("--filter `{}`: {problem}", text.escape_debug()), EXPECTED);
                }
            }
            _ => {
                return refuse(
                    format!(
                        "--filter `{}`: there is no filter `{}`",
                        text.escape_debug(),
                        key.escape_debug()
                    ),
                    EXPECTED,
                );
            }
        }
        filters.push((key.to_owned(), value.to_owned()));
    }
    Ok(filters)
}

const EXPECTED: &str = "dangling=true, driver=local, label=KEY[=VALUE], label!=KEY[=VALUE] or name=PART";

fn fits(volume: &Volume, users: &Users, filters: &[(String, String)]) -> bool {
    let one = |key: &str, value: &str| match key {
        "dangling" => users.of(volume.name()).is_empty() == parse_bool(value).unwrap_or(true),
        "driver" => value == "local",
        "name" => volume.name().as_str().contains(value),
        "label" => has_label(volume, value),
        _ => !has_label(volume, value),
    };
    let keys: BTreeSet<&str> = filters.iter().map(|(key, _)| key.as_str()).collect();
    keys.into_iter().all(|key| {
        let mut values = filters.iter().filter(|(known, _)| known == key);
        match key.starts_with("label") {
            true => values.all(|(_, value)| one(key, value)),
            false => values.any(|(_, value)| one(key, value)),
        }
    })
}

fn has_label(volume: &Volume, text: &str) -> bool {
    match text.split_once('=') {
        Some((key, value)) => volume.record.labels.get(key).is_some_and(|own| own == value),
        None => volume.record.labels.contains_key(text),
    }
}

fn inspect(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let template = match matches.get_one::<String>("format").map(String::as_str) {
        None | Some("json" | "") => None,
        Some(text) => Some(Template::parse(text).map_err(boxed)?),
    };
    let users = engine.volume_users();
    let (mut documents, mut lines, mut failures) = (Vec::new(), String::new(), Vec::new());
    for text in texts(matches, "name") {
        match named(&text).and_then(|name| engine.volume(&name)) {
            Ok(volume) => {
                let document = json!({
                    "CreatedAt": monitor::time::rfc3339(volume.record.created_ns),
                    "Driver": "local",
                    "Labels": volume.record.labels,
                    "Mountpoint": volume.data(),
                    "Name": volume.name(),
                    "Options": volume.record.options,
                    "Scope": "local",
                    "Anonymous": volume.record.anonymous,
                    "Limit": volume.record.limit,
                    "UsedBy": users.of(volume.name()),
                });
                match &template {
                    Some(template) => lines += &(template.render(&document).map_err(boxed)? + "\n"),
                    None => documents.push(document),
                }
            }
            Err(error) => failures.push(error),
        }
    }
    match template {
        Some(_) => print(&lines)?,
        None if !documents.is_empty() || failures.len() != 1 => {
            print(&format!("{:#}\n", Value::Array(documents)))?;
        }
        None => {}
    }
    tell(failures, texts(matches, "name").len())
}

/// A volume's name as it was typed. What can be none is not there.
fn named(text: &str) -> Result<VolumeName, BoxedExplain> {
    VolumeName::parse(text).map_err(|_| boxed(VolumeFailure::NotFound(text.to_owned())))
}

/// One failure of one is the command's; of several they are told as they are, and the status is 1.
fn tell(mut failures: Vec<BoxedExplain>, asked: usize) -> Result<u8, BoxedExplain> {
    if asked == 1
        && let Some(error) = failures.pop()
    {
        return Err(error);
    }
    for error in &failures {
        eprint!("{}", report::render(&**error));
    }
    Ok(u8::from(!failures.is_empty()))
}

fn remove(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let force = on(matches, "force", "--force")?;
    let mut failures = Vec::new();
    for text in texts(matches, "name") {
        match named(&text).and_then(|name| engine.remove_volume(&name)) {
            Ok(()) => print(&format!("{text}\n"))?,
            Err(error) if force && error.kind() == Kind::NotFound => {}
            Err(error) => failures.push(error),
        }
    }
    tell(failures, texts(matches, "name").len())
}

fn prune(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    on(matches, "force", "--force")?;
    let conditions = conditions(matches)?;
    let all = on(matches, "all", "--all")?;
    let (text, failures) = pruned(engine, all, &conditions)?;
    print(&text)?;
    for error in &failures {
        eprint!("{}", report::render(&**error));
    }
    Ok(u8::from(!failures.is_empty()))
}

/// Removes what is not used, and says what that was.
pub(super) fn pruned(
    engine: &Local,
    all: bool,
    conditions: &[Condition],
) -> Result<(String, Vec<BoxedExplain>), BoxedExplain> {
    let keep = |volume: &Volume| {
        !conditions.iter().all(|condition| condition.fits(volume.record.created_ns, &volume.record.labels))
    };
    let (pruned, failures) = engine.prune_volumes(all, &keep)?;
    let mut text: String = pruned.names.iter().map(|name| format!("{name}\n")).collect();
    text += &format!("reclaimed {}\n", decimal(pruned.bytes));
    Ok((text, failures))
}
