//! What a command says, and that it ended as it should.

use std::process::Command;

/// What it prints; it has to succeed.
#[track_caller]
pub(crate) fn prints(mut command: Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {:?}\n{errors}", command.get_args(), output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// What it says; it has to fail, with `status` if one is given, and with a message.
#[track_caller]
pub(crate) fn fails(mut command: Command, status: Option<i32>) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let args = command.get_args();
    assert!(!output.status.success(), "{args:?} succeeded: {errors}");
    if status.is_some() {
        assert_eq!(output.status.code(), status, "{args:?}: {errors}");
    }
    assert!(!errors.contains("panicked"), "{args:?}: {errors}");
    errors
}
