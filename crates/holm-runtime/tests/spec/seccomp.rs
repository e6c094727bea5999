//! config-linux.md, "Seccomp".

use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::thread;

use serde_json::{Value, json};

use crate::common::Bundle;

#[test]
fn the_listener_of_a_filter_is_sent_to_its_agent_with_the_state() {
    let Some(mut bundle) = Bundle::new("the_listener_of_a_filter") else { return };
    let path = bundle.dir.join("agent");
    let listener = UnixListener::bind(&path).expect("a socket");
    for no_new_privileges in [true, false] {
        bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        bundle.config["annotations"] = json!({ "org.example": "value" });
        bundle.config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": path,
            "listenerMetadata": "opaque",
            // Those that could carry the listener as well: it has to be fetched.
            "syscalls": [{
                "names": ["mkdir", "mkdirat", "sendmsg", "recvmsg", "sendto", "recvfrom"],
                "action": "SCMP_ACT_NOTIFY",
            }],
        });
        bundle.config["process"]["args"] = json!(["/bin/mkdir", "/dev/shm/new"]);
        let listener = listener.try_clone().expect("the socket");
        let agent = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut bytes = [0; 4096];
            let (len, fds) = sys::channel::receive(&stream, &mut bytes).expect("a message");
            let end = stream.read(&mut [0; 16]).expect("the end of the connection");
            // With the listener goes the one who could answer: what waits then fails with ENOSYS.
            for fd in fds {
                let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("a link");
                assert_eq!(link.to_string_lossy(), "anon_inode:seccomp notify");
            }
            (bytes[..len].to_vec(), end)
        });
        let ran = bundle.run();
        let (bytes, end) = agent.join().expect("the agent");
        assert_eq!(end, 0, "one state a connection");
        let state: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(state["fds"], json!(["seccompFd"]));
        assert_eq!(state["metadata"], "opaque");
        assert_eq!(state["state"]["status"], "creating");
        assert_eq!(state["state"]["id"], bundle.id.as_str());
        assert_eq!(state["state"]["annotations"]["org.example"], "value");
        assert_eq!(state["pid"], state["state"]["pid"]);
        assert!(ran.err.contains("Function not implemented"), "{ran:?}");
    }
}
