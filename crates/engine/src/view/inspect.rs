//! Everything about a container, as `docker inspect` names it.

use report::BoxedExplain;
use runtime::state::StateRoot;
use serde_json::{Map, Value, json};
use spec::{Namespace, NamespaceType, Spec};

use super::ports::{self, Connected};
use super::summary::{labels, network};
use crate::containers::home::{Home, LOG, Places};
use crate::containers::{Definition, State, Status, state};
use crate::flags::cpu::CpuSet;
use crate::flags::env::EnvEntry;
use crate::flags::mount::Mount;
use crate::flags::namespace::Source;
use crate::flags::number::PidsLimit;
use crate::flags::size::Limit;
use crate::host::boxed;
use crate::request::Changes;

/// The time that means "never" to programs that read it (Go's zero time).
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The document.
///
/// # Errors
/// When there is no container, or its definition cannot be read.
pub fn inspect(places: &Places, home: &Home) -> Result<Value, BoxedExplain> {
    let definition = home.definition().map_err(boxed)?;
    let records = StateRoot::open(&places.records()).map_err(boxed)?;
    let state = state::of(home, &records);
    let spec = state.container.as_ref().and_then(|container| home.configuration(container).ok());
    let connected =
        ports::of(&home.id, &definition.request.network, &definition.request.places, state.status);
    let request = &definition.request;
    let (path, args) = match request.args.split_first() {
        Some((path, args)) => (path.as_str(), args),
        None => ("", &[][..]),
    };
    Ok(json!({
        "Id": home.id,
        "Created": monitor::time::rfc3339(definition.created_ns),
        "Path": path,
        "Args": args,
        "State": state_of(home, &definition, &state),
        "Image": definition.image(),
        "ResolvConfPath": "",
        "HostnamePath": "",
        "HostsPath": "",
        "LogPath": if definition.log.driver.is_file() { home.directory.join(LOG).display().to_string() } else { String::new() },
        "Name": format!("/{}", definition.name),
        "RestartCount": state.run.as_ref().map_or(0, |run| run.restarts),
        "Driver": driver(&definition),
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": null,
        "HostConfig": host_config(home, &definition),
        "GraphDriver": { "Name": driver(&definition), "Data": root(&definition) },
        "Mounts": mounts(places, &definition),
        "Config": config(home, &definition, spec.as_ref()),
        "NetworkSettings": network_settings(&definition, &connected, &state, spec.as_ref()),
        "Runtime": { "Cgroups": cgroups(&state), "Directory": home.directory, "RunDirectory": home.run_directory },
    }))
}

fn time(ns: Option<u64>) -> String {
    ns.filter(|ns| *ns > 0).map_or_else(|| NEVER.to_owned(), monitor::time::rfc3339)
}

fn state_of(home: &Home, definition: &Definition, state: &State) -> Value {
    let exit = state.exit.as_ref();
    let alive = state.status.is_alive();
    let mut value = json!({
        "Status": state.status.name(),
        "Running": alive,
        "Paused": state.status == Status::Paused,
        "Restarting": state.status == Status::Restarting,
        "OOMKilled": exit.is_some_and(|exit| exit.oom && !alive),
        "Dead": false,
        "Pid": state.pid,
        "ExitCode": if alive { 0 } else { state.exit_status() },
        "Error": exit.filter(|_| !alive).and_then(|exit| exit.error.clone()).unwrap_or_default(),
        "StartedAt": time(state.run.as_ref().map(|run| run.started_ns)),
        "FinishedAt": time(exit.map(|exit| exit.finished_ns)),
        "MonitorRunning": home.has_monitor(),
        "StoppedByUser": home.was_stopped(),
    });
    if definition.health.is_some() {
        let health = state.health(home).unwrap_or_default();
        let log: Vec<Value> = health
            .log
            .iter()
            .map(|answer| {
                json!({
                    "Start": monitor::time::rfc3339(answer.start_ns),
                    "End": monitor::time::rfc3339(answer.end_ns),
                    "ExitCode": answer.status,
                    "Output": answer.output,
                })
            })
            .collect();
        value["Health"] =
            json!({ "Status": health.state.name(), "FailingStreak": health.failing, "Log": log });
    }
    value
}

fn environment(definition: &Definition) -> Vec<String> {
    let set = definition.request.env.iter().filter_map(|entry| match entry {
        EnvEntry::Set { name, value } => Some(format!("{name}={value}")),
        EnvEntry::Inherit { .. } => None,
    });
    set.collect()
}

fn config(home: &Home, definition: &Definition, spec: Option<&Spec>) -> Value {
    let request = &definition.request;
    let hostname = request.hostname.as_ref().map_or(home.short(), |name| name.as_str());
    let env = spec.map_or_else(|| environment(definition), |spec| spec.process.env.clone());
    let volumes: Map<String, Value> = request
        .mounts
        .iter()
        .filter_map(Mount::volume)
        .filter(|volume| volume.anonymous)
        .map(|volume| (volume.destination.as_path().display().to_string(), json!({})))
        .collect();
    let exposed: Map<String, Value> = request
        .places
        .expose
        .iter()
        .flat_map(|one| (one.ports.first..=one.ports.last).map(|port| format!("{port}/{}", one.protocol)))
        .map(|port| (port, json!({})))
        .collect();
    let mut value = json!({
        "Hostname": hostname,
        "Domainname": "",
        "User": request.user.as_ref().map(|user| format!("{user:?}")).unwrap_or_default(),
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "Tty": definition.tty(),
        "OpenStdin": definition.open_stdin,
        "StdinOnce": definition.stdin_once,
        "Env": env,
        "Cmd": request.args,
        "Image": definition.image(),
        "Volumes": volumes,
        "ExposedPorts": exposed,
        "WorkingDir": request.workdir.as_ref().map(|dir| dir.as_path().display().to_string()).unwrap_or_default(),
        "Entrypoint": null,
        "OnBuild": null,
        "Labels": labels(&definition.request.labels),
        "StopSignal": definition.stop_signal().to_string(),
    });
    if let Some(timeout) = definition.stop_timeout {
        value["StopTimeout"] = json!(timeout);
    }
    if let Some(spec) = spec {
        value["User"] = json!(if spec.process.user.uid == 0 && spec.process.user.gid == 0 {
            String::new()
        } else {
            format!("{}:{}", spec.process.user.uid, spec.process.user.gid)
        });
        value["WorkingDir"] = json!(spec.process.cwd);
    } else if let Some(user) = &request.user {
        value["User"] = serde_json::to_value(user).unwrap_or_default();
    }
    if let Some(health) = &definition.health {
        let ns = |ms: u64| ms.saturating_mul(1_000_000);
        let test: Vec<&str> =
            std::iter::once("CMD").chain(health.command.iter().map(String::as_str)).collect();
        value["Healthcheck"] = json!({
            "Test": test,
            "Interval": ns(health.setup.interval_ms),
            "Timeout": ns(health.setup.timeout_ms),
            "StartPeriod": ns(health.setup.start_period_ms),
            "Retries": health.setup.retries,
            "OnFailure": health.setup.on_failure,
        });
    }
    value
}

fn source(source: &Source) -> String {
    match source {
        Source::Private => "private".to_owned(),
        Source::Host => "host".to_owned(),
        Source::Join(path) => format!("ns:{}", path.display()),
    }
}

fn host_config(home: &Home, definition: &Definition) -> Value {
    let request = &definition.request;
    let limits = &request.limits;
    let bytes = |amount: Option<crate::flags::size::Bytes>| amount.map_or(0, |amount| amount.get());
    let (restart, retries) = match definition.restart {
        monitor::Policy::OnFailure { max } => ("on-failure", max.unwrap_or(0)),
        other => (other.name(), 0),
    };
    let binds: Vec<String> = request
        .mounts
        .iter()
        .filter_map(|mount| match mount {
            Mount::Bind(bind) => Some(format!(
                "{}:{}{}",
                bind.source.display(),
                bind.destination.as_path().display(),
                if bind.options.read_only { ":ro" } else { "" }
            )),
            Mount::Volume(volume) => Some(format!(
                "{}:{}{}",
                volume.shown(),
                volume.destination.as_path().display(),
                if volume.options.read_only { ":ro" } else { "" }
            )),
            Mount::Tmpfs(_) => None,
        })
        .collect();
    json!({
        "Binds": binds,
        "VolumesFrom": definition.volumes_from,
        "PublishAllPorts": request.places.publish_all,
        "ContainerIDFile": "",
        "LogConfig": { "Type": definition.log.driver.name(), "Config": {
            "max-size": definition.log.max_bytes.to_string(), "max-file": definition.log.max_files.to_string() } },
        "NetworkMode": network(&definition.request.network),
        "PortBindings": ports::asked(&definition.request.places),
        "RestartPolicy": { "Name": restart, "MaximumRetryCount": retries },
        "AutoRemove": definition.auto_remove,
        "Privileged": request.privileged,
        "ReadonlyRootfs": request.read_only,
        "CapAdd": serde_json::to_value(&request.cap_add).unwrap_or_default(),
        "CapDrop": serde_json::to_value(&request.cap_drop).unwrap_or_default(),
        "PidMode": source(&request.pid),
        "IpcMode": source(&request.ipc.source),
        "UTSMode": source(&request.uts),
        "CgroupnsMode": source(&request.cgroupns),
        "Init": request.init,
        "ShmSize": bytes(request.shm_size),
        "Memory": bytes(limits.memory),
        "MemoryReservation": bytes(limits.memory_reservation),
        "MemorySwap": match limits.memory_swap {
            None => json!(0),
            Some(Limit::Bytes(bytes)) => json!(bytes),
            Some(_) => json!(-1),
        },
        "NanoCpus": limits.cpus.map_or(0, |cpus| cpus.quota_us() * 10_000),
        "CpuShares": limits.cpu_shares.map_or(0, |shares| shares.get()),
        "CpusetCpus": limits.cpuset_cpus.as_ref().map(CpuSet::to_list).unwrap_or_default(),
        "CpusetMems": limits.cpuset_mems.as_ref().map(CpuSet::to_list).unwrap_or_default(),
        "PidsLimit": match limits.pids {
            None => json!(0),
            Some(PidsLimit::Max(most)) => json!(most),
            Some(PidsLimit::Unlimited) => json!(-1),
        },
        "BlkioWeight": limits.blkio_weight.map_or(0, |weight| weight.get()),
        "OomScoreAdj": request.oom_score_adj.map_or(0, |adjustment| adjustment.get()),
        "Runtime": "holm",
        "CgroupParent": "",
        "KeptIn": home.directory,
    })
}

/// How the root comes to be: `copy` is one of an image's layers.
fn driver(definition: &Definition) -> &'static str {
    if definition.request.rootfs.copied { "copy" } else { "overlay" }
}

fn root(definition: &Definition) -> Value {
    let rootfs = &definition.request.rootfs;
    let mut data = Map::new();
    let layers = std::iter::once(&rootfs.directory).chain(&rootfs.below);
    let layers: Vec<String> = layers.map(|layer| layer.display().to_string()).collect();
    let name = if rootfs.changes == Changes::WriteThrough { "Dir" } else { "LowerDir" };
    data.insert(name.to_owned(), json!(layers.join(":")));
    if let Changes::Keep(directory) = &rootfs.changes {
        data.insert("UpperDir".to_owned(), json!(directory.join("upper")));
        data.insert("WorkDir".to_owned(), json!(directory.join("work")));
    }
    Value::Object(data)
}

fn mounts(places: &Places, definition: &Definition) -> Vec<Value> {
    let mounts = definition.request.mounts.iter().map(|mount| match mount {
        Mount::Bind(bind) => json!({
            "Type": "bind",
            "Source": bind.source,
            "Destination": bind.destination.as_path(),
            "Mode": if bind.options.read_only { "ro" } else { "" },
            "RW": !bind.options.read_only,
            "Propagation": bind.options.propagation.name(),
        }),
        Mount::Tmpfs(tmpfs) => json!({
            "Type": "tmpfs",
            "Source": "",
            "Destination": tmpfs.destination.as_path(),
            "Mode": "",
            "RW": true,
            "Propagation": "",
        }),
        Mount::Volume(volume) => {
            let (source, fixed) = crate::volumes::data_path(&places.durable, volume);
            let mut value = json!({
                "Type": "volume",
                "Name": volume.shown(),
                "Source": source,
                "Destination": volume.destination.as_path(),
                "Driver": "local",
                "Mode": if volume.options.read_only { "ro" } else { "" },
                "RW": !volume.options.read_only && !fixed,
                "Propagation": "",
            });
            if let Some(subpath) = &volume.subpath {
                value["Subpath"] = json!(subpath.as_path());
            }
            value
        }
    });
    mounts.collect()
}

fn network_settings(
    definition: &Definition,
    connected: &Connected,
    state: &State,
    spec: Option<&Spec>,
) -> Value {
    let has_own = |namespace: &Namespace| namespace.kind == NamespaceType::Network;
    let sandbox = match (state.pid, spec) {
        (pid @ 1.., Some(spec)) if spec.linux.namespaces.iter().any(has_own) => format!("/proc/{pid}/ns/net"),
        _ => String::new(),
    };
    let text = |value: Option<String>| value.unwrap_or_default();
    let networks: Map<String, Value> = connected
        .places
        .iter()
        .map(|place| {
            let value = json!({
                "NetworkID": place.network_id,
                "IPAddress": text(place.ipv4.map(|(address, _)| address.to_string())),
                "IPPrefixLen": place.ipv4.map_or(0, |(_, prefix)| prefix),
                "Gateway": text(place.gateways.0.map(|address| address.to_string())),
                "GlobalIPv6Address": text(place.ipv6.map(|(address, _)| address.to_string())),
                "GlobalIPv6PrefixLen": place.ipv6.map_or(0, |(_, prefix)| prefix),
                "IPv6Gateway": text(place.gateways.1.map(|address| address.to_string())),
                "MacAddress": place.mac,
                "Aliases": place.aliases,
            });
            (place.network.clone(), value)
        })
        .collect();
    let networks = match networks.is_empty() {
        true => network(&definition.request.network)
            .split(',')
            .map(|name| (name.to_owned(), json!({ "IPAddress": "", "Gateway": "", "MacAddress": "" })))
            .collect(),
        false => networks,
    };
    let first = connected.places.first();
    json!({
        "SandboxKey": sandbox,
        "Ports": ports::bound(&connected.ports),
        "IPAddress": text(first.and_then(|place| place.ipv4).map(|(address, _)| address.to_string())),
        "IPPrefixLen": first.and_then(|place| place.ipv4).map_or(0, |(_, prefix)| prefix),
        "Gateway": text(first.and_then(|place| place.gateways.0).map(|address| address.to_string())),
        "MacAddress": first.map(|place| place.mac.clone()).unwrap_or_default(),
        "Networks": networks,
    })
}

fn cgroups(state: &State) -> Vec<Value> {
    let groups = state.container.iter().flat_map(|container| container.recorded_cgroups());
    groups.map(|group| json!(group.mount.join(&group.path))).collect()
}
