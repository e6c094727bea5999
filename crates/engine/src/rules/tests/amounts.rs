//! Golden configurations of limits, mounts and what the host shares.

use super::*;

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
            Source { path: "/srv/data".into(), no_idmap: None },
            Source { path: "/mnt/nfs".into(), no_idmap: Some("nfs cannot do it".to_owned()) },
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
