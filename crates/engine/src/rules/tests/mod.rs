//! Golden configurations: what a handful of requests become.

use expect_test::{Expect, expect};
use spec::IdMapping;

use super::*;
use crate::request::RunFlags;
use crate::request::tests::{flags, value};

mod whole;

/// A host where root has its own range of ids.
fn facts() -> Facts {
    let ids = vec![IdMapping { container_id: 0, host_id: 100_000, size: 65_536 }];
    Facts {
        ids: Ids::Maps(Maps { uids: ids.clone(), gids: ids, single: false }),
        id: "0123456789abcdef".to_owned(),
        identity: Identity { home: "/root".to_owned(), name: "root".to_owned(), ..Identity::default() },
        hostname: "host".to_owned(),
        hosts: "127.0.0.1 localhost host\n".to_owned(),
        resolv_conf: "# by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n".to_owned(),
        kernel: (6, 18),
        device_rules: true,
        ipc_mounts: vec!["/dev/mqueue", "/dev/shm"],
        caller_capabilities: CapabilitySet::ALL,
        ..Facts::default()
    }
}

fn configured(facts: &Facts, change: impl FnOnce(&mut RunFlags)) -> Result<Configured, Refused> {
    configure(&flags(change).check().unwrap(), facts)
}

/// What differs from the configuration without flags, line by line.
fn check(facts: &Facts, change: impl FnOnce(&mut RunFlags), expected: &Expect) {
    let text = match configured(facts, change) {
        Err(error) => format!("refused: {error}\n"),
        Ok(changed) => difference(&show(&configured(facts, |_| {}).unwrap()), &show(&changed)),
    };
    expected.assert_eq(&text);
}

fn show(configured: &Configured) -> String {
    let mut spec = configured.spec.clone();
    let filter = spec.linux.seccomp.take().map(|filter| filter.syscalls.len());
    let mut text = serde_json::to_string_pretty(&spec).unwrap();
    text.push_str(&format!("\nroot {:?}, idmapped {}\n", configured.root, configured.root_is_idmapped));
    for file in &configured.files {
        text.push_str(&format!(
            "{}: {:?}\n",
            file.destination.display(),
            String::from_utf8_lossy(&file.content)
        ));
    }
    text.push_str(&format!("filter with {filter:?} rules\nremarks {:?}\n", configured.remarks));
    text
}

/// Lines only before with `-`, lines only after with `+`, in order (the longest common subsequence stays).
fn difference(before: &str, after: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut common = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = match a[i] == b[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            text.push_str(&format!("-{}\n", a[i]));
            i += 1;
        } else {
            text.push_str(&format!("+{}\n", b[j]));
            j += 1;
        }
    }
    text
}

#[test]
fn limits_become_resources() {
    let facts = Facts { block_devices: [("/dev/vda".into(), (254, 0))].into(), ..facts() };
    let change = |f: &mut RunFlags| {
        f.limits.memory = Some(value("64m"));
        f.limits.cpus = Some(value("1.5"));
        f.limits.cpu_weight = Some(value("50"));
        f.limits.cpuset_cpus = Some(value("0-1"));
        f.limits.pids = Some(value("20"));
        f.limits.device_read_bps = vec![value("/dev/vda:1m")];
        f.limits.device_write_iops = vec![value("/dev/vda:100")];
        f.ulimits = vec![value("nofile=64"), value("nofile=32"), value("core=0")];
        f.oom_score_adj = Some(value("-500"));
    };
    check(
        &facts,
        change,
        &expect![[r#"
        -    }
        +    },
        +    "rlimits": [
        +      {
        +        "type": "RLIMIT_NOFILE",
        +        "hard": 32,
        +        "soft": 32
        +      },
        +      {
        +        "type": "RLIMIT_CORE",
        +        "hard": 0,
        +        "soft": 0
        +      }
        +    ],
        +    "oomScoreAdj": -500
        -      ]
        +      ],
        +      "memory": {
        +        "limit": 67108864,
        +        "swap": 134217728
        +      },
        +      "cpu": {
        +        "shares": 512,
        +        "quota": 150000,
        +        "period": 100000,
        +        "cpus": "0-1"
        +      },
        +      "pids": {
        +        "limit": 20
        +      },
        +      "blockIO": {
        +        "throttleReadBpsDevice": [
        +          {
        +            "major": 254,
        +            "minor": 0,
        +            "rate": 1048576
        +          }
        +        ],
        +        "throttleWriteIOPSDevice": [
        +          {
        +            "major": 254,
        +            "minor": 0,
        +            "rate": 100
        +          }
        +        ]
        +      }
    "#]],
    );
    check(
        &Facts { cpu_on_v2: true, caller_capabilities: CapabilitySet::EMPTY, ..facts.clone() },
        |f| {
            f.limits.cpu_weight = Some(value("50"));
            f.limits.memory_swap = Some(value("-1"));
            f.limits.memory_reservation = Some(value("1m"));
            f.limits.pids = Some(value("-1"));
            f.oom_score_adj = Some(value("-500"));
        },
        &expect![[r#"
            -    }
            +    },
            +    "oomScoreAdj": 0
            -      ]
            +      ],
            +      "memory": {
            +        "reservation": 1048576,
            +        "swap": -1
            +      },
            +      "pids": {
            +        "limit": -1
            +      },
            +      "unified": {
            +        "cpu.weight": "50"
            +      }
            -remarks []
            +remarks ["--oom-score-adj -500 takes CAP_SYS_RESOURCE; 0 is used instead"]
        "#]],
    );
    check(
        &facts,
        |f| f.limits.device_read_bps = vec![value("/dev/vdb:1m")],
        &expect![[r#"
        refused: --device-read-bps /dev/vdb: there is no such block device
    "#]],
    );
    let low = Facts { hard_limits: [(7, 1024)].into(), caller_capabilities: CapabilitySet::EMPTY, ..facts };
    check(
        &low,
        |f| f.ulimits = vec![value("nofile=2048")],
        &expect![[r#"
        refused: --ulimit nofile: above the caller's own hard limit of 1024, which only CAP_SYS_RESOURCE can exceed
    "#]],
    );
}

#[test]
fn mounts_asked_for_come_after_the_usual_ones_and_replace_them() {
    let facts = Facts {
        sources: vec![
            Source { path: "/srv/data".into(), ..Source::default() },
            Source {
                path: "/mnt/nfs".into(),
                no_idmap: Some("nfs cannot do it".to_owned()),
                ..Source::default()
            },
        ],
        ..facts()
    };
    check(
        &facts,
        |f| {
            f.mounts = vec![
                value("type=bind,src=/srv/data,dst=/a/b/c,readonly"),
                value("type=bind,src=/mnt/nfs,dst=/etc,bind-propagation=rslave,nosuid=true"),
                value("type=tmpfs,dst=/tmp,tmpfs-size=1m"),
            ];
            f.read_only = true;
            f.shm_size = Some(value("1m"));
        },
        &expect![[r##"
            -    "path": "/"
            +    "path": "/",
            +    "readonly": true
            -        "size=67108864"
            +        "size=1048576"
            +      "destination": "/etc",
            +      "type": "bind",
            +      "source": "/mnt/nfs",
            +      "options": [
            +        "rbind",
            +        "rslave",
            +        "rw",
            +        "nosuid"
            +      ]
            +    },
            +    {
            -        "mode=1777"
            +        "noexec",
            +        "size=1048576"
            +    },
            +    {
            +      "destination": "/a/b/c",
            +      "type": "bind",
            +      "source": "/srv/data",
            +      "options": [
            +        "rbind",
            +        "rprivate",
            +        "ro",
            +        "idmap"
            +      ],
            +      "uidMappings": [
            +        {
            +          "containerID": 0,
            +          "hostID": 100000,
            +          "size": 65536
            +        }
            +      ],
            +      "gidMappings": [
            +        {
            +          "containerID": 0,
            +          "hostID": 100000,
            +          "size": 65536
            +        }
            +      ]
            +    "rootfsPropagation": "rslave",
            -/etc/hosts: "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n127.0.1.1\t0123456789ab\n"
            -/etc/hostname: "0123456789ab\n"
            -/etc/resolv.conf: "# by hand\nnameserver 192.0.2.1\n"
        "##]],
    );
    let required = |f: &mut RunFlags| {
        f.mounts = vec![value("type=bind,src=/s,dst=/s"), value("type=bind,src=/mnt/nfs,dst=/n,idmap")];
    };
    check(
        &facts,
        required,
        &expect![[r#"
        refused: --volume /mnt/nfs: the owners cannot be mapped: nfs cannot do it
    "#]],
    );
}

#[test]
fn what_the_host_shares_is_bound_in_a_user_namespace() {
    check(
        &facts(),
        |f| {
            f.pid = value("host");
            f.network = value("host");
            f.ipc = value("host");
            f.uts = value("host");
            f.cgroupns = value("host");
        },
        &expect![[r##"
            -      "HOSTNAME=0123456789ab",
            +      "HOSTNAME=host",
            -  "hostname": "0123456789ab",
            -      "type": "proc",
            -      "source": "proc",
            +      "type": "bind",
            +      "source": "/proc",
            +        "rbind",
            -      "type": "sysfs",
            -      "source": "sysfs",
            +      "type": "bind",
            +      "source": "/sys",
            +        "rbind",
            -        "ro"
            +        "ro",
            +        "rslave"
            -      "type": "cgroup",
            -      "source": "cgroup",
            +      "type": "bind",
            +      "source": "/sys/fs/cgroup",
            +        "rbind",
            -        "relatime",
            -        "ro"
            +        "ro",
            +        "rslave"
            -      "type": "mqueue",
            -      "source": "mqueue",
            +      "type": "bind",
            +      "source": "/dev/mqueue",
            +        "bind",
            -      "type": "tmpfs",
            -      "source": "shm",
            +      "type": "bind",
            +      "source": "/dev/shm",
            +        "bind",
            -        "nodev",
            -        "mode=1777",
            -        "size=67108864"
            +        "nodev"
            -      },
            -      {
            -        "type": "pid"
            -      },
            -      {
            -        "type": "network"
            -      },
            -      {
            -        "type": "ipc"
            -      },
            -      {
            -        "type": "uts"
            -      },
            -      {
            -        "type": "cgroup"
            -/etc/hosts: "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n127.0.1.1\t0123456789ab\n"
            -/etc/hostname: "0123456789ab\n"
            -/etc/resolv.conf: "# by hand\nnameserver 192.0.2.1\n"
            +/etc/hosts: "127.0.0.1 localhost host\n"
            +/etc/hostname: "host\n"
            +/etc/resolv.conf: "# by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n"
        "##]],
    );
}

#[test]
fn namespaces_are_joined_by_path() {
    check(
        &Facts { ids: Ids::Host, ..facts() },
        |f| {
            f.network = value("ns:/run/netns/blue");
            f.ipc = value("none");
            f.time_offsets = vec![value("1d"), value("boottime=-1.5")];
            f.sysctls = vec![value("net.core.somaxconn=100")];
            f.hostname = Some(value("db.example.org"));
        },
        &expect![[r##"
            -      "HOSTNAME=0123456789ab",
            +      "HOSTNAME=db.example.org",
            -  "hostname": "0123456789ab",
            +  "hostname": "db.example.org",
            -      "destination": "/dev/shm",
            -      "type": "tmpfs",
            -      "source": "shm",
            -      "options": [
            -        "nosuid",
            -        "noexec",
            -        "nodev",
            -        "mode=1777",
            -        "size=67108864"
            -      ]
            -    },
            -    {
            +    "sysctl": {
            +      "net.core.somaxconn": "100"
            +    },
            -        "type": "network"
            +        "type": "network",
            +        "path": "/run/netns/blue"
            +      },
            +      {
            +        "type": "time"
            -    ]
            +    ],
            +    "timeOffsets": {
            +      "monotonic": {
            +        "secs": 86400
            +      },
            +      "boottime": {
            +        "secs": -2,
            +        "nanosecs": 500000000
            +      }
            +    }
            -/etc/hosts: "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n127.0.1.1\t0123456789ab\n"
            -/etc/hostname: "0123456789ab\n"
            -/etc/resolv.conf: "# by hand\nnameserver 192.0.2.1\n"
            +/etc/hosts: "127.0.0.1 localhost host\n"
            +/etc/hostname: "db.example.org\n"
            +/etc/resolv.conf: "# by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n"
        "##]],
    );
}

#[test]
fn users_without_an_id_inside_are_refused() {
    let with = |identity| Facts { identity, ..facts() };
    check(
        &with(Identity { uid: 70_000, ..Identity::default() }),
        |f| f.user = Some(value("70000")),
        &expect![[r#"
        refused: --user 70000: the container's user namespace has no user id 70000
    "#]],
    );
    let single = Maps {
        uids: vec![IdMapping { container_id: 0, host_id: 1000, size: 1 }],
        gids: vec![IdMapping { container_id: 0, host_id: 1000, size: 1 }],
        single: true,
    };
    let alone = Facts { ids: Ids::Maps(single), ..facts() };
    check(
        &alone,
        |f| f.group_add = vec![value("44")],
        &expect![[r#"
        refused: --group-add: a caller with a single id cannot have further groups
    "#]],
    );
    let configured = configured(&alone, |_| {}).unwrap();
    assert!(configured.spec.process.user.additional_gids.is_empty());
    let devpts = configured.spec.mounts.iter().find(|mount| mount.fstype == "devpts").unwrap();
    assert!(!devpts.options.iter().any(|option| option.starts_with("gid=")), "{:?}", devpts.options);
}

#[test]
fn capabilities_are_added_and_dropped() {
    let set = |add: &[&str], drop: &[&str], facts: &Facts| {
        let request = flags(|f| {
            f.cap_add = add.iter().map(|text| value(text)).collect();
            f.cap_drop = drop.iter().map(|text| value(text)).collect();
        });
        match capabilities::bounding(&request.check().unwrap(), facts) {
            Ok(set) => set.to_string(),
            Err(error) => format!("refused: {error}"),
        }
    };
    let poor = Facts {
        ids: Ids::Host,
        caller_capabilities: [spec::Capability::Chown, spec::Capability::Kill].into_iter().collect(),
        ..facts()
    };
    let lines = [
        set(&[], &[], &facts()),
        set(&["NET_ADMIN"], &["CHOWN", "KILL"], &facts()),
        set(&["CHOWN"], &["ALL"], &facts()),
        set(&["ALL"], &["SYS_ADMIN"], &facts()).split(' ').count().to_string(),
        set(&[], &[], &poor),
        set(&["ALL"], &[], &poor),
        set(&["NET_ADMIN"], &[], &poor),
    ];
    expect![[r#"
        CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_NET_RAW CAP_SYS_CHROOT CAP_MKNOD CAP_AUDIT_WRITE CAP_SETFCAP
        CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_CHROOT CAP_MKNOD CAP_AUDIT_WRITE CAP_SETFCAP
        CAP_CHOWN
        40
        CAP_CHOWN CAP_KILL
        CAP_CHOWN CAP_KILL
        refused: --cap-add CAP_NET_ADMIN: the caller does not have this capability
    "#]].assert_eq(&(lines.join("\n") + "\n"));
}

#[test]
fn security_options_change_what_is_hidden() {
    check(
        &Facts { apparmor: true, selinux: true, ..facts() },
        |f| {
            f.security_opt = vec![
                value("unmask=/proc/acpi:/proc/sys"),
                value("mask=/proc/cmdline"),
                value("no-new-privileges"),
                value("apparmor=mine"),
                value("label=type:svirt_t"),
                value("seccomp=unconfined"),
            ];
        },
        &expect![[r#"
            -    }
            +    },
            +    "noNewPrivileges": true,
            +    "apparmorProfile": "mine",
            +    "selinuxLabel": "system_u:system_r:svirt_t:s0"
            -      "/proc/acpi",
            -      "/sys/firmware"
            +      "/sys/firmware",
            +      "/proc/cmdline"
            -      "/proc/sys",
            -    ]
            +    ],
            +    "mountLabel": "system_u:object_r:container_file_t:s0"
            -filter with Some(25) rules
            +filter with None rules
        "#]],
    );
    check(
        &facts(),
        |f| f.security_opt = vec![value("apparmor=mine")],
        &expect![[r#"
        refused: --security-opt apparmor=mine: AppArmor is not active on this host
    "#]],
    );
    check(
        &facts(),
        |f| f.security_opt = vec![value("label=type:x")],
        &expect![[r#"
        refused: --security-opt label: SELinux is not active on this host
    "#]],
    );
}

#[test]
fn the_environment_has_defaults_and_a_later_entry_wins() {
    let facts = Facts { environment: [("LANG".to_owned(), "de".to_owned())].into(), ..facts() };
    check(
        &facts,
        |f| {
            f.env = ["A=1", "A=2", "LANG", "MISSING", "PATH=/bin", "HOME=/x"].map(value).to_vec();
            f.streams.tty = true;
            f.labels = vec![value("team=storage")];
            f.stop_signal = Some(value("INT"));
        },
        &expect![[r#"
            +    "terminal": true,
            -      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            +      "PATH=/bin",
            -      "HOME=/root",
            -      "container=holm"
            +      "TERM=xterm",
            +      "HOME=/x",
            +      "container=holm",
            +      "A=2",
            +      "LANG=de"
            +  "annotations": {
            +    "org.opencontainers.image.stopSignal": "SIGINT",
            +    "team": "storage"
            +  },
        "#]],
    );
}

#[test]
fn every_configuration_is_valid() {
    for privileged in [false, true] {
        let configured = configured(&facts(), |f| f.privileged = privileged).unwrap();
        let valid = spec::validate(configured.spec).unwrap();
        assert!(valid.warnings().is_empty(), "{:?}", valid.warnings());
    }
}
