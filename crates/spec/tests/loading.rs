//! What is no document, and how that is told.

use expect_test::{Expect, expect};
use spec::load;

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&load(text.as_bytes()).unwrap_err().to_string());
}

/// A document with `linux` as its `linux` section.
fn linux(linux: &str, expected: Expect) {
    check(&format!("{{\"ociVersion\":\"1.3.0\",\"linux\":{linux}}}"), expected);
}

#[test]
fn an_unknown_value_is_told_with_the_known_ones() {
    linux(
        r#"{"namespaces":[{"type":"pid"},{"type":"uts"},{"type":"foo"}]}"#,
        expect![
            "linux.namespaces[2].type: unknown variant `foo`, expected one of `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup`, `time` (line 1, column 88)"
        ],
    );
    linux(
        r#"{"seccomp":{"defaultAction":"ALLOW"}}"#,
        expect![
            "linux.seccomp.defaultAction: unknown variant `ALLOW`, expected one of `SCMP_ACT_KILL`, `SCMP_ACT_KILL_PROCESS`, `SCMP_ACT_KILL_THREAD`, `SCMP_ACT_TRAP`, `SCMP_ACT_ERRNO`, `SCMP_ACT_TRACE`, `SCMP_ACT_ALLOW`, `SCMP_ACT_LOG`, `SCMP_ACT_NOTIFY` (line 1, column 65)"
        ],
    );
    linux(
        r#"{"rootfsPropagation":"both"}"#,
        expect![
            "linux.rootfsPropagation: unknown variant `both`, expected one of `private`, `rprivate`, `slave`, `rslave`, `shared`, `rshared`, `unbindable`, `runbindable` (line 1, column 57)"
        ],
    );
    linux(
        r#"{"timeOffsets":{"realtime":{}}}"#,
        expect![
            "linux.timeOffsets.realtime: unknown field `realtime`, expected `monotonic` or `boottime` (line 1, column 56)"
        ],
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_the_right_one() {
    check("null", expect!["invalid type: null, expected an object (line 1, column 4)"]);
    check(
        r#"{"ociVersion":null}"#,
        expect!["ociVersion: invalid type: null, expected a string (line 1, column 18)"],
    );
    linux("[]", expect!["linux: invalid type: sequence, expected an object (line 1, column 30)"]);
    linux(
        r#"{"resources":{"pids":{"limit":"many"}}}"#,
        expect![[
            r#"linux.resources.pids.limit: invalid type: string "many", expected i64 (line 1, column 66)"#
        ]],
    );
    linux(
        r#"{"resources":{"memory":{"limit":1.5}}}"#,
        expect![
            "linux.resources.memory.limit: invalid type: floating point `1.5`, expected i64 (line 1, column 65)"
        ],
    );
    linux(
        r#"{"uidMappings":[{"containerID":0,"hostID":-1,"size":1}]}"#,
        expect!["linux.uidMappings[0].hostID: invalid value: integer `-1`, expected u32 (line 1, column 74)"],
    );
    linux(
        r#"{"uidMappings":[{"containerID":0,"hostID":4294967296,"size":1}]}"#,
        expect![
            "linux.uidMappings[0].hostID: invalid value: integer `4294967296`, expected u32 (line 1, column 82)"
        ],
    );
}

#[test]
fn a_missing_property_is_told_with_the_object_it_misses_from() {
    check("{}", expect!["missing field `ociVersion` (line 1, column 2)"]);
    linux(
        r#"{"namespaces":[{"path":"/x"}]}"#,
        expect!["linux.namespaces[0]: missing field `type` (line 1, column 58)"],
    );
    linux(
        r#"{"devices":[{"path":"/dev/x","type":"c"},{"path":"/dev/y"}]}"#,
        expect!["linux.devices[1]: missing field `type` (line 1, column 88)"],
    );
}

#[test]
fn a_property_that_comes_twice_is_refused() {
    linux(
        r#"{"cgroupsPath":"a","cgroupsPath":"b"}"#,
        expect!["linux.cgroupsPath: duplicate field `cgroupsPath` (line 1, column 62)"],
    );
    linux(
        r#"{"sysctl":{"net.a":"1","net.b":"2","net.a":"3"}}"#,
        expect![[r#"linux.sysctl["net.a"]: duplicate key `net.a` (line 1, column 72)"#]],
    );
}

#[test]
fn text_that_is_not_json_is_told_with_its_place() {
    check("", expect!["EOF while parsing a value (line 1, column 0)"]);
    check("{", expect!["EOF while parsing an object (line 1, column 1)"]);
    check("{\"ociVersion\": \"1.3.0\"} x", expect!["trailing characters (line 1, column 25)"]);
    check(
        "{\"ociVersion\": \"1.3.0\",\n \"mounts\": [{\"destination\": \"/a\"},\n]}",
        expect!["mounts: trailing comma (line 3, column 1)"],
    );
    check(
        "{\"ociVersion\": \"1.3\u{1}\"}",
        expect![[
            r#"ociVersion: control character (\u0000-\u001F) found while parsing a string (line 1, column 20)"#
        ]],
    );
    check("\u{feff}{}", expect!["expected value (line 1, column 1)"]);
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_place() {
    let error = load(b"{\"ociVersion\": \"1.3.0\", \"hostname\": \"a\xff\"}").unwrap_err();
    expect!["hostname: invalid unicode code point (line 1, column 39)"].assert_eq(&error.to_string());
}

#[test]
fn a_nul_byte_is_refused_where_the_kernel_would_stop_reading() {
    check(
        r#"{"ociVersion":"1.3.0","process":{"cwd":"/","args":["sh","a\u0000b"]}}"#,
        expect!["process.args[1]: holds a NUL byte, which would end it for the kernel"],
    );
    linux(
        r#"{"sysctl":{"net.ipv4.ip_forward":"1\u0000"}}"#,
        expect![[
            r#"linux.sysctl["net.ipv4.ip_forward"]: holds a NUL byte, which would end it for the kernel"#
        ]],
    );
    assert!(load(br#"{"ociVersion":"1.3.0","annotations":{"a":"\u0000"}}"#).is_ok());
}

#[test]
fn a_document_nested_too_deeply_is_refused() {
    let deep = "[".repeat(200_000);
    check(
        &format!("{{\"ociVersion\":\"1.3.0\",\"mounts\":{deep}"),
        expect!["mounts[0]: invalid type: sequence, expected an object (line 1, column 32)"],
    );
    linux(
        &format!("{{\"unknown\":{deep}"),
        expect![
            "linux.unknown[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]…: expected value (line 1, column 200042)"
        ],
    );
}

#[test]
fn an_error_has_one_line_whatever_the_document_holds() {
    linux(
        r#"{"namespaces":[{"type":"a\nb\u001b[31m"}]}"#,
        expect![[
            r#"linux.namespaces[0].type: unknown variant `a\nb\u{1b}[31m`, expected one of `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup`, `time` (line 1, column 69)"#
        ]],
    );
    let long = "x".repeat(100_000);
    let error =
        load(format!("{{\"ociVersion\":\"1\",\"linux\":{{\"rootfsPropagation\":\"{long}\"}}}}").as_bytes());
    assert!(error.unwrap_err().to_string().len() < 1000);
}
