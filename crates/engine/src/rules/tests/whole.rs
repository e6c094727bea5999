//! Whole configurations: the usual one, one without a user namespace, a privileged one.

use expect_test::expect;

use super::*;

#[test]
fn a_request_without_flags_is_a_whole_container() {
    expect![[r##"
        {
          "ociVersion": "1.3.0",
          "process": {
            "user": {
              "uid": 0,
              "gid": 0
            },
            "args": [
              "true"
            ],
            "env": [
              "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
              "HOSTNAME=0123456789ab",
              "HOME=/root",
              "container=holm"
            ],
            "cwd": "/",
            "capabilities": {
              "bounding": [
                "CAP_CHOWN",
                "CAP_DAC_OVERRIDE",
                "CAP_FOWNER",
                "CAP_FSETID",
                "CAP_KILL",
                "CAP_SETGID",
                "CAP_SETUID",
                "CAP_SETPCAP",
                "CAP_NET_BIND_SERVICE",
                "CAP_NET_RAW",
                "CAP_SYS_CHROOT",
                "CAP_MKNOD",
                "CAP_AUDIT_WRITE",
                "CAP_SETFCAP"
              ],
              "effective": [
                "CAP_CHOWN",
                "CAP_DAC_OVERRIDE",
                "CAP_FOWNER",
                "CAP_FSETID",
                "CAP_KILL",
                "CAP_SETGID",
                "CAP_SETUID",
                "CAP_SETPCAP",
                "CAP_NET_BIND_SERVICE",
                "CAP_NET_RAW",
                "CAP_SYS_CHROOT",
                "CAP_MKNOD",
                "CAP_AUDIT_WRITE",
                "CAP_SETFCAP"
              ],
              "permitted": [
                "CAP_CHOWN",
                "CAP_DAC_OVERRIDE",
                "CAP_FOWNER",
                "CAP_FSETID",
                "CAP_KILL",
                "CAP_SETGID",
                "CAP_SETUID",
                "CAP_SETPCAP",
                "CAP_NET_BIND_SERVICE",
                "CAP_NET_RAW",
                "CAP_SYS_CHROOT",
                "CAP_MKNOD",
                "CAP_AUDIT_WRITE",
                "CAP_SETFCAP"
              ]
            }
          },
          "root": {
            "path": "/"
          },
          "hostname": "0123456789ab",
          "mounts": [
            {
              "destination": "/proc",
              "type": "proc",
              "source": "proc",
              "options": [
                "nosuid",
                "noexec",
                "nodev"
              ]
            },
            {
              "destination": "/dev",
              "type": "tmpfs",
              "source": "tmpfs",
              "options": [
                "nosuid",
                "strictatime",
                "mode=755",
                "size=65536k"
              ]
            },
            {
              "destination": "/dev/pts",
              "type": "devpts",
              "source": "devpts",
              "options": [
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5"
              ]
            },
            {
              "destination": "/sys",
              "type": "sysfs",
              "source": "sysfs",
              "options": [
                "nosuid",
                "noexec",
                "nodev",
                "ro"
              ]
            },
            {
              "destination": "/sys/fs/cgroup",
              "type": "cgroup",
              "source": "cgroup",
              "options": [
                "nosuid",
                "noexec",
                "nodev",
                "relatime",
                "ro"
              ]
            },
            {
              "destination": "/dev/mqueue",
              "type": "mqueue",
              "source": "mqueue",
              "options": [
                "nosuid",
                "noexec",
                "nodev"
              ]
            },
            {
              "destination": "/dev/shm",
              "type": "tmpfs",
              "source": "shm",
              "options": [
                "nosuid",
                "noexec",
                "nodev",
                "mode=1777",
                "size=67108864"
              ]
            },
            {
              "destination": "/run",
              "type": "tmpfs",
              "source": "tmpfs",
              "options": [
                "nosuid",
                "nodev",
                "mode=755"
              ]
            },
            {
              "destination": "/tmp",
              "type": "tmpfs",
              "source": "tmpfs",
              "options": [
                "nosuid",
                "nodev",
                "mode=1777"
              ]
            }
          ],
          "linux": {
            "uidMappings": [
              {
                "containerID": 0,
                "hostID": 100000,
                "size": 65536
              }
            ],
            "gidMappings": [
              {
                "containerID": 0,
                "hostID": 100000,
                "size": 65536
              }
            ],
            "resources": {
              "devices": [
                {
                  "allow": false,
                  "access": "rwm"
                },
                {
                  "allow": true,
                  "type": "c",
                  "access": "m"
                },
                {
                  "allow": true,
                  "type": "b",
                  "access": "m"
                },
                {
                  "allow": true,
                  "type": "c",
                  "major": 1,
                  "minor": 3,
                  "access": "rwm"
                },
                {
                  "allow": true,
                  "type": "c",
                  "major": 1,
                  "minor": 5,
                  "access": "rwm"
                },
                {
                  "allow": true,
                  "type": "c",
                  "major": 1,
                  "minor": 7,
                  "access": "rwm"
                },
                {
                  "allow": true,
                  "type": "c",
                  "major": 1,
                  "minor": 8,
                  "access": "rwm"
                },
                {
                  "allow": true,
                  "type": "c",
                  "major": 1,
                  "minor": 9,
                  "access": "rwm"
                },
                {
                  "allow": true,
                  "type": "c",
                  "major": 5,
                  "minor": 0,
                  "access": "rwm"
                },
                {
                  "allow": true,
                  "type": "c",
                  "major": 5,
                  "minor": 1,
                  "access": "rwm"
                },
                {
                  "allow": true,
                  "type": "c",
                  "major": 5,
                  "minor": 2,
                  "access": "rwm"
                },
                {
                  "allow": true,
                  "type": "c",
                  "major": 136,
                  "access": "rwm"
                }
              ]
            },
            "namespaces": [
              {
                "type": "user"
              },
              {
                "type": "mount"
              },
              {
                "type": "pid"
              },
              {
                "type": "network"
              },
              {
                "type": "ipc"
              },
              {
                "type": "uts"
              },
              {
                "type": "cgroup"
              }
            ],
            "maskedPaths": [
              "/proc/acpi",
              "/proc/asound",
              "/proc/interrupts",
              "/proc/kcore",
              "/proc/keys",
              "/proc/latency_stats",
              "/proc/sched_debug",
              "/proc/scsi",
              "/proc/timer_list",
              "/proc/timer_stats",
              "/sys/devices/virtual/powercap",
              "/sys/firmware"
            ],
            "readonlyPaths": [
              "/proc/bus",
              "/proc/fs",
              "/proc/irq",
              "/proc/sys",
              "/proc/sysrq-trigger"
            ]
          }
        }
        root Overlay { lower: "/", upper: Tmpfs { size_bytes: None } }, idmapped true
        /etc/hosts: "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n127.0.1.1\t0123456789ab\n"
        /etc/hostname: "0123456789ab\n"
        /etc/resolv.conf: "# by hand\nnameserver 192.0.2.1\n"
        filter with Some(25) rules
        remarks []
    "##]].assert_eq(&show(&configured(&facts(), |_| {}).unwrap()));
}

#[test]
fn without_a_user_namespace_ids_are_not_mapped() {
    check(&Facts { ids: Ids::Host, ..facts() }, |_| {}, &expect![[r#""#]]);
    let changed = configured(&Facts { ids: Ids::Host, ..facts() }, |_| {}).unwrap();
    expect![[r#"
        -    "uidMappings": [
        -      {
        -        "containerID": 0,
        -        "hostID": 100000,
        -        "size": 65536
        -      }
        -    ],
        -    "gidMappings": [
        -      {
        -        "containerID": 0,
        -        "hostID": 100000,
        -        "size": 65536
        -      }
        -    ],
        -        "type": "user"
        -      },
        -      {
        -root Overlay { lower: "/", upper: Tmpfs { size_bytes: None } }, idmapped true
        +root Overlay { lower: "/", upper: Tmpfs { size_bytes: None } }, idmapped false
    "#]]
    .assert_eq(&difference(&show(&configured(&facts(), |_| {}).unwrap()), &show(&changed)));
}

#[test]
fn a_privileged_container_is_hardly_kept_in() {
    check(
        &Facts { ids: Ids::Host, ..facts() },
        |f| f.privileged = true,
        &expect![[r#"
            +        "CAP_DAC_READ_SEARCH",
            +        "CAP_LINUX_IMMUTABLE",
            +        "CAP_NET_BROADCAST",
            +        "CAP_NET_ADMIN",
            +        "CAP_IPC_LOCK",
            +        "CAP_IPC_OWNER",
            +        "CAP_SYS_MODULE",
            +        "CAP_SYS_RAWIO",
            +        "CAP_SYS_PTRACE",
            +        "CAP_SYS_PACCT",
            +        "CAP_SYS_ADMIN",
            +        "CAP_SYS_BOOT",
            +        "CAP_SYS_NICE",
            +        "CAP_SYS_RESOURCE",
            +        "CAP_SYS_TIME",
            +        "CAP_SYS_TTY_CONFIG",
            +        "CAP_LEASE",
            -        "CAP_SETFCAP"
            +        "CAP_AUDIT_CONTROL",
            +        "CAP_SETFCAP",
            +        "CAP_MAC_OVERRIDE",
            +        "CAP_MAC_ADMIN",
            +        "CAP_SYSLOG",
            +        "CAP_WAKE_ALARM",
            +        "CAP_BLOCK_SUSPEND",
            +        "CAP_AUDIT_READ",
            +        "CAP_PERFMON",
            +        "CAP_BPF",
            +        "CAP_CHECKPOINT_RESTORE"
            +        "CAP_DAC_READ_SEARCH",
            +        "CAP_LINUX_IMMUTABLE",
            +        "CAP_NET_BROADCAST",
            +        "CAP_NET_ADMIN",
            +        "CAP_IPC_LOCK",
            +        "CAP_IPC_OWNER",
            +        "CAP_SYS_MODULE",
            +        "CAP_SYS_RAWIO",
            +        "CAP_SYS_PTRACE",
            +        "CAP_SYS_PACCT",
            +        "CAP_SYS_ADMIN",
            +        "CAP_SYS_BOOT",
            +        "CAP_SYS_NICE",
            +        "CAP_SYS_RESOURCE",
            +        "CAP_SYS_TIME",
            +        "CAP_SYS_TTY_CONFIG",
            +        "CAP_LEASE",
            -        "CAP_SETFCAP"
            +        "CAP_AUDIT_CONTROL",
            +        "CAP_SETFCAP",
            +        "CAP_MAC_OVERRIDE",
            +        "CAP_MAC_ADMIN",
            +        "CAP_SYSLOG",
            +        "CAP_WAKE_ALARM",
            +        "CAP_BLOCK_SUSPEND",
            +        "CAP_AUDIT_READ",
            +        "CAP_PERFMON",
            +        "CAP_BPF",
            +        "CAP_CHECKPOINT_RESTORE"
            +        "CAP_DAC_READ_SEARCH",
            +        "CAP_LINUX_IMMUTABLE",
            +        "CAP_NET_BROADCAST",
            +        "CAP_NET_ADMIN",
            +        "CAP_IPC_LOCK",
            +        "CAP_IPC_OWNER",
            +        "CAP_SYS_MODULE",
            +        "CAP_SYS_RAWIO",
            +        "CAP_SYS_PTRACE",
            +        "CAP_SYS_PACCT",
            +        "CAP_SYS_ADMIN",
            +        "CAP_SYS_BOOT",
            +        "CAP_SYS_NICE",
            +        "CAP_SYS_RESOURCE",
            +        "CAP_SYS_TIME",
            +        "CAP_SYS_TTY_CONFIG",
            +        "CAP_LEASE",
            -        "CAP_SETFCAP"
            +        "CAP_AUDIT_CONTROL",
            +        "CAP_SETFCAP",
            +        "CAP_MAC_OVERRIDE",
            +        "CAP_MAC_ADMIN",
            +        "CAP_SYSLOG",
            +        "CAP_WAKE_ALARM",
            +        "CAP_BLOCK_SUSPEND",
            +        "CAP_AUDIT_READ",
            +        "CAP_PERFMON",
            +        "CAP_BPF",
            +        "CAP_CHECKPOINT_RESTORE"
            -        "ro"
            +        "rw"
            -        "ro"
            +        "rw"
            -          "allow": false,
            -          "access": "rwm"
            -        },
            -        {
            -          "type": "c",
            -          "access": "m"
            -        },
            -        {
            -          "allow": true,
            -          "type": "b",
            -          "access": "m"
            -        },
            -        {
            -          "allow": true,
            -          "type": "c",
            -          "major": 1,
            -          "minor": 3,
            -        },
            -        {
            -          "allow": true,
            -          "type": "c",
            -          "major": 1,
            -          "minor": 5,
            -          "access": "rwm"
            -        },
            -        {
            -          "allow": true,
            -          "type": "c",
            -          "major": 1,
            -          "minor": 7,
            -          "access": "rwm"
            -        },
            -        {
            -          "allow": true,
            -          "type": "c",
            -          "major": 1,
            -          "minor": 8,
            -          "access": "rwm"
            -        },
            -        {
            -          "allow": true,
            -          "type": "c",
            -          "major": 1,
            -          "minor": 9,
            -          "access": "rwm"
            -        },
            -        {
            -          "allow": true,
            -          "type": "c",
            -          "major": 5,
            -          "minor": 0,
            -          "access": "rwm"
            -        },
            -        {
            -          "allow": true,
            -          "type": "c",
            -          "major": 5,
            -          "minor": 1,
            -          "access": "rwm"
            -        },
            -        {
            -          "allow": true,
            -          "type": "c",
            -          "major": 5,
            -          "minor": 2,
            -          "access": "rwm"
            -        },
            -        {
            -          "allow": true,
            -          "type": "c",
            -          "major": 136,
            -          "access": "rwm"
            -    ],
            -    "maskedPaths": [
            -      "/proc/acpi",
            -      "/proc/asound",
            -      "/proc/interrupts",
            -      "/proc/kcore",
            -      "/proc/keys",
            -      "/proc/latency_stats",
            -      "/proc/sched_debug",
            -      "/proc/scsi",
            -      "/proc/timer_list",
            -      "/proc/timer_stats",
            -      "/sys/devices/virtual/powercap",
            -      "/sys/firmware"
            -    ],
            -    "readonlyPaths": [
            -      "/proc/bus",
            -      "/proc/fs",
            -      "/proc/irq",
            -      "/proc/sys",
            -      "/proc/sysrq-trigger"
            -filter with Some(25) rules
            +filter with None rules
        "#]],
    );
}
