//! What people see when they ask for help or get something wrong: one clear message and docker's statuses.

use std::process::{Command, Output};

use expect_test::{Expect, expect};

fn holm(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holm")).args(args).output().unwrap()
}

/// The status and what is on standard error; nothing is on standard output.
fn refused(line: &str, expected: &Expect) {
    let output = holm(&line.split(' ').collect::<Vec<_>>());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{line}");
    expected.assert_eq(&format!(
        "{}{}\n",
        String::from_utf8_lossy(&output.stderr),
        output.status.code().unwrap()
    ));
}

#[test]
fn a_command_line_that_is_wrong_gets_one_message_and_125() {
    refused(
        "fly",
        &expect![[r#"
            error: there is no command `fly`
              hint:  the commands are run, create, start, stop, restart, kill, pause, unpause, wait, rm, ps, inspect, logs, attach, exec, rename, top, port, cp, diff, export, commit, import, stats, events, update, info, prune, system, pull, push, images, image, login, logout, volume, network, ip, ns, cgroup, doctor, completions, version; `holm help` tells what they do
            125
        "#]],
    );
    refused(
        "run",
        &expect![[r#"
            error: nothing to run: no image, no `--rootfs` and no `--bundle` is given
              hint:  holm run IMAGE runs an image, holm run --rootfs / -- PROGRAM a program of this machine
            125
        "#]],
    );
    refused(
        "exec",
        &expect![[r#"
        error: missing: <CONTAINER> <PROGRAM>...
          hint:  `holm exec --help` lists the flags
        125
    "#]],
    );
    refused(
        "rename a",
        &expect![[r#"
        error: missing: <NAME>
          hint:  `holm rename --help` lists the flags
        125
    "#]],
    );
    refused(
        "run --rootfs",
        &expect![[r#"
        error: a value is required for `--rootfs <DIR>` but none was supplied
          hint:  `holm run --help` lists the flags
        125
    "#]],
    );
    refused(
        "run --rootfs /",
        &expect![[r#"
        error: no program to run
          hint:  put it after the flags: holm run --rootfs / -- /bin/sh
        125
    "#]],
    );
    refused(
        "run --rootfs / --memry 5 -- true",
        &expect![[r#"
        error: unexpected argument `--memry` found
          hint:  did you mean `--memory`?
        125
    "#]],
    );
    refused(
        "run --rootfs / -p 80:web true",
        &expect![[r#"
        error: --publish `80:web`: `web` is no port; they go from 1 to 65535
          hint:  expected [IP:][HOST[-LAST]:]CONTAINER[-LAST][/tcp|udp|sctp], for example: --publish 127.0.0.1:8080:80
        125
    "#]],
    );
    refused(
        "run --rootfs / --rm=perhaps true",
        &expect![[r#"
        error: --rm `perhaps`: `perhaps` is neither true nor false
          hint:  leave the value out, or give true or false
        125
    "#]],
    );
    refused(
        "run --rootfs / --bundle / true",
        &expect![[r#"
        error: `--rootfs` and `--bundle` contradict each other
          hint:  give one of them
        125
    "#]],
    );
    refused(
        "run --bundle / --memory 5m",
        &expect![[r#"
        error: `--bundle` and `--memory` contradict each other
          hint:  the bundle's config.json decides that
        125
    "#]],
    );
    refused(
        "completions tcsh",
        &expect![[r#"
        error: invalid value `tcsh` for `<SHELL>`
          hint:  possible values: bash, elvish, fish, powershell, zsh
        125
    "#]],
    );
    refused(
        "run --rootfs / --memory 5q true",
        &expect![[r#"
        error: --memory `5q`: `q` is not a unit
          hint:  expected a number of bytes with an optional unit b, k, m, g, t or p, for example: --memory 512m
        125
    "#]],
    );
    refused(
        "run --rootfs / --keep-changes /tmp --rootfs-write true",
        &expect![[r#"
        error: `--keep-changes` and `--rootfs-write` contradict each other
          hint:  give one of them
        125
    "#]],
    );
}

#[test]
fn what_the_host_does_not_have_is_named_with_its_flag() {
    refused(
        "run --rootfs /no/such/place true",
        &expect![[r#"
        error: --rootfs /no/such/place: there is no such file or directory
          hint:  check the path
        125
    "#]],
    );
    refused(
        "run --rootfs /etc/passwd true",
        &expect![[r#"
        error: --rootfs /etc/passwd: it is not a directory
          hint:  give a directory
        125
    "#]],
    );
    refused(
        "run --bundle /proc/sys",
        &expect![[r#"
            error: cannot use the bundle /proc/sys
              cause: open(/proc/sys/config.json): no such file or directory (ENOENT)
              hint:  a bundle is a directory with a config.json and the root directory that it names; to run in a plain directory use --rootfs
            125
        "#]],
    );
    refused(
        "run --rootfs / --user no-such-user true",
        &expect![[r#"
        error: there is no user `no-such-user` in the container's /etc/passwd
          hint:  give the user id as a number
        125
    "#]],
    );
    refused(
        "run --rootfs / -v /no/such/place:/x true",
        &expect![[r#"
        error: --volume /no/such/place: there is no such file or directory
          hint:  check the path
        125
    "#]],
    );
    refused(
        "run --rootfs / --env-file /no/such/file true",
        &expect![[r#"
        error: --env-file /no/such/file: there is no such file
          hint:  expected lines of the form NAME=VALUE; those that begin with # are skipped
        125
    "#]],
    );
    refused(
        "run --rootfs / --device /etc true",
        &expect![[r#"
        error: --device /etc: it is neither a device nor a directory with devices
          hint:  a file or directory is given with --volume
        125
    "#]],
    );
    refused(
        "run --rootfs / --device-read-bps /dev/null:1m true",
        &expect![[r#"
        error: --device-read-bps /dev/null: there is no such block device
          hint:  lsblk -p lists them
        125
    "#]],
    );
}

#[test]
fn flags_end_at_the_program() {
    // What stands behind the program is the program's: `--memry` would be refused before it.
    let output = holm(&["run", "--rootfs", "/no/such/place", "-it", "true", "--memry", "5", "-d"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("error: --rootfs /no/such/place"), "{text}");
}

#[test]
fn help_is_on_standard_output_and_names_every_flag() {
    for args in [&["run", "--help"][..], &["help", "run"]] {
        let output = holm(args);
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for argument in holm::cli::subcommand("run").unwrap().get_arguments() {
            if let Some(long) = argument.get_long() {
                assert!(text.contains(&format!("--{long}")), "--{long}");
            }
            assert!(argument.get_help().is_some_and(|help| !help.to_string().contains('\n')), "{argument:?}");
        }
        assert!(text.contains("Examples:"));
    }
    for args in [&["help"][..], &["--help"], &["-h"], &["doctor", "--help"], &["help", "doctor"]] {
        let output = holm(args);
        assert!(output.status.success() && !output.stdout.is_empty() && output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn the_version_is_one_line() {
    for args in [&["version"][..], &["--version"], &["-V"]] {
        assert_eq!(
            String::from_utf8_lossy(&holm(args).stdout),
            concat!("holm ", env!("CARGO_PKG_VERSION"), "\n")
        );
    }
}

#[test]
fn completions_know_the_flags() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = holm(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("cpuset-cpus"), "{shell}");
    }
}

#[test]
fn the_definition_is_consistent() {
    holm::cli::command().debug_assert();
}

#[test]
fn doctor_prints_a_table_and_json() {
    let output = holm(&["doctor"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("FEATURE"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("kernel  ")), "{text}");
    let output = holm(&["doctor", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("[\n") && text.contains("\"feature\": \"overlay\""), "{text}");
}
