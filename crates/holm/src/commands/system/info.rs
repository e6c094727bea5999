//! `holm info` and `holm system df`.

use clap::ArgMatches;
use engine::containers::{Places, Status, usage};
use engine::run::print;
use engine::view::summary;
use engine::view::template::Template;
use engine::view::units::{binary, decimal};
use engine::volumes::{self, Store, Volume};
use report::BoxedExplain;
use serde_json::{Value, json};

use super::boxed;
use crate::cli::run::on;
use crate::commands::table::{Align, table};

pub(super) fn run(places: &Places, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let list = summary::list(places);
    let count = |status: Status| list.iter().filter(|one| one.status == status).count();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let release = read("/etc/os-release");
    let os = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("\"Linux\"");
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let memory =
        memory.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024;
    let v2 = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let value = json!({
        "Containers": list.len(),
        "ContainersRunning": count(Status::Running),
        "ContainersPaused": count(Status::Paused),
        "ContainersStopped": list.len() - count(Status::Running) - count(Status::Paused),
        "Driver": if sys::overlay::is_there() { "overlay" } else { "copy" },
        "LoggingDriver": "json-file",
        "CgroupVersion": if v2 { "2" } else { "1" },
        "KernelVersion": read("/proc/sys/kernel/osrelease").trim(),
        "OperatingSystem": os.trim_matches('"'),
        "OSType": "linux",
        "Architecture": std::env::consts::ARCH,
        "NCPU": std::thread::available_parallelism().map_or(1, usize::from),
        "MemTotal": memory,
        "Name": read("/proc/sys/kernel/hostname").trim(),
        "HolmRootDir": places.durable,
        "HolmRunDir": places.run,
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "Rootless": !sys_is_root(),
    });
    let text = match matches.get_one::<String>("format").map(String::as_str) {
        Some("json") => format!("{value}\n"),
        Some(text) => Template::parse(text).map_err(boxed)?.render(&value).map_err(boxed)? + "\n",
        None => plain(&value, memory),
    };
    print(&text)?;
    Ok(0)
}

fn sys_is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn plain(value: &Value, memory: u64) -> String {
    let text = |name: &str| match &value[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!(
        "containers:  {} ({} running, {} paused, {} stopped)\n\
         system:      {}, Linux {}, {}\n\
         hardware:    {} processors, {}\n\
         cgroups:     v{}\n\
         kept in:     {} (what lives as long as the machine runs: {})\n\
         holm:        {}\n",
        text("Containers"),
        text("ContainersRunning"),
        text("ContainersPaused"),
        text("ContainersStopped"),
        text("OperatingSystem"),
        text("KernelVersion"),
        text("Architecture"),
        text("NCPU"),
        binary(memory),
        text("CgroupVersion"),
        text("HolmRootDir"),
        text("HolmRunDir"),
        text("ServerVersion"),
    )
}

pub(super) fn room(places: &Places, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let list = summary::list(places);
    let sizes: Vec<(u64, bool)> =
        list.iter().map(|one| (usage(&one.home.directory), one.status.is_alive())).collect();
    let total: u64 = sizes.iter().map(|(size, _)| size).sum();
    let idle: u64 = sizes.iter().filter(|(_, alive)| !alive).map(|(size, _)| size).sum();
    let active = sizes.iter().filter(|(_, alive)| *alive).count();
    let percent = (idle * 100).checked_div(total).unwrap_or(0);
    let mut values = vec![json!({
        "Type": "Containers", "TotalCount": list.len(), "Active": active,
        "Size": decimal(total), "Reclaimable": format!("{} ({percent}%)", decimal(idle)),
    })];
    let users = volumes::users(places, None);
    let kept: Vec<(Volume, u64, usize)> = Store::of(places)
        .list()
        .into_iter()
        .flatten()
        .map(|volume| {
            let (size, links) = (volume.usage(), users.of(volume.name()).len());
            (volume, size, links)
        })
        .collect();
    let total: u64 = kept.iter().map(|(_, size, _)| size).sum();
    let idle: u64 = kept.iter().filter(|(_, _, links)| *links == 0).map(|(_, size, _)| size).sum();
    let percent = (idle * 100).checked_div(total).unwrap_or(0);
    values.push(json!({
        "Type": "Local Volumes", "TotalCount": kept.len(),
        "Active": kept.iter().filter(|(_, _, links)| *links > 0).count(),
        "Size": decimal(total), "Reclaimable": format!("{} ({percent}%)", decimal(idle)),
    }));
    if on(matches, "verbose", "--verbose")? {
        let columns = [
            ("CONTAINER ID", Align::Left),
            ("NAME", Align::Left),
            ("STATE", Align::Left),
            ("SIZE", Align::Right),
        ];
        let rows: Vec<Vec<String>> = list
            .iter()
            .zip(&sizes)
            .map(|(one, (size, _))| {
                let state = one.status.name().to_owned();
                vec![one.home.short().to_owned(), one.definition.name.clone(), state, decimal(*size)]
            })
            .collect();
        let mut text = table(&columns, &rows);
        let columns = [("VOLUME NAME", Align::Left), ("LINKS", Align::Right), ("SIZE", Align::Right)];
        let rows: Vec<Vec<String>> = kept
            .iter()
            .map(|(volume, size, links)| vec![volume.name().to_string(), links.to_string(), decimal(*size)])
            .collect();
        text += "\n";
        text += &table(&columns, &rows);
        print(&text)?;
        return Ok(0);
    }
    let text = match matches.get_one::<String>("format").map(String::as_str) {
        Some("json") => values.iter().map(|value| format!("{value}\n")).collect(),
        Some(text) => {
            let template = Template::parse(text).map_err(boxed)?;
            let mut lines = String::new();
            for value in &values {
                lines += &(template.render(value).map_err(boxed)? + "\n");
            }
            lines
        }
        None => {
            let columns = [
                ("TYPE", Align::Left),
                ("TOTAL", Align::Right),
                ("ACTIVE", Align::Right),
                ("SIZE", Align::Right),
                ("RECLAIMABLE", Align::Left),
            ];
            let row = |value: &Value| -> Vec<String> {
                let cell = |name: &str| match &value[name] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                ["Type", "TotalCount", "Active", "Size", "Reclaimable"].map(cell).to_vec()
            };
            table(&columns, &values.iter().map(row).collect::<Vec<_>>())
        }
    };
    print(&text)?;
    Ok(0)
}
