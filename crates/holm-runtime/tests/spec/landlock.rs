//! The annotation `org.holm.landlock.rules`, which is ours and not the specification's.

use serde_json::json;

use crate::common::Bundle;
use crate::refused;

#[test]
fn a_landlock_rule_set_forbids_what_it_does_not_grant() {
    const TEST: &str = "a_landlock_rule_set_forbids_what_it_does_not_grant";
    if let Err(errno) = sys::raw::landlock_abi() {
        eprintln!("SKIPPED {TEST}: no Landlock here: {errno}");
        return;
    }
    let Some(mut bundle) = Bundle::new(TEST) else { return };
    bundle.config["root"]["readonly"] = json!(false);
    for dir in ["in", "out"] {
        std::fs::create_dir(bundle.rootfs(dir)).expect("a directory");
        std::fs::write(bundle.rootfs(dir).join("file"), dir).expect("a file");
    }
    let rules = json!([
        { "paths": ["/bin"], "access": ["execute", "read"] },
        { "paths": ["/in"], "access": ["read", "write"] },
        { "paths": ["/out"], "access": ["read_dir"] },
        { "paths": ["/dev/null"], "access": ["read", "write"] },
    ]);
    bundle.config["annotations"] = json!({ "org.holm.landlock.rules": rules.to_string() });
    let script =
        "cat /in/file; echo new > /in/new; echo; ls /out; cat /out/file; echo new > /out/new; ls /; true";
    for no_new_privileges in [true, false] {
        bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        let ran = bundle.script(script).run();
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), "in\nfile\n"), "{ran:?}");
        assert!(bundle.rootfs("in/new").exists() && !bundle.rootfs("out/new").exists());
        assert_eq!(ran.err.matches("Permission denied").count(), 3, "{ran:?}");
    }
}

#[test]
fn a_wrong_landlock_rule_set_is_told_with_its_place() {
    let Some(mut bundle) = Bundle::new("a_wrong_landlock_rule_set") else { return };
    for (rules, told) in [
        (json!([{ "paths": ["/bin"], "access": ["fly"] }]), "[0].access[0]: unknown variant `fly`"),
        (json!([{ "paths": ["bin"], "access": [] }]), "[0].paths[0]: `bin` is not an absolute path"),
        (json!([{ "paths": ["/bin"] }]), "[0]: missing field `access`"),
        (json!({}), "invalid type: map, expected a sequence"),
    ] {
        bundle.config["annotations"] = json!({ "org.holm.landlock.rules": rules.to_string() });
        let err = refused(&bundle);
        assert!(err.contains("annotations[\"org.holm.landlock.rules\"]") && err.contains(told), "{err}");
    }
}
