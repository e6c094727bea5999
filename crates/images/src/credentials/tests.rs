//! Tests of the credential files.

use super::*;
use std::os::unix::fs::PermissionsExt as _;

struct Room(PathBuf);

impl Room {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("holm-credentials-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, text: &str) -> Credentials {
        let path = self.0.join("auth.json");
        fs::write(&path, text).unwrap();
        Credentials::at(path)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn password(user: &str, password: &str) -> Credential {
    Credential::Password { user: user.to_owned(), password: Secret::new(password) }
}

fn found(credentials: &Credentials, name: &str, path: &str) -> Option<Credential> {
    let repository = (!path.is_empty()).then(|| Repository::parse(path).unwrap());
    credentials.get(&host(name), repository.as_ref()).unwrap()
}

/// `u:p` in base64 is `dTpw`.
#[test]
fn the_longest_path_wins_and_hosts_do_not_leak_into_each_other() {
    let room = Room::new("paths");
    let credentials = room.file(
        r#"{"auths": {
            "a.b": {"auth": "dTpw"},
            "a.b/team": {"username": "t", "password": "q:r"},
            "a.b/team/x": {"identitytoken": "id"},
            "https://c.d/v1/": {"auth": "dTpw"},
            "https://index.docker.io/v1/": {"auth": "dTpw"},
            "e.f:5000": {"registrytoken": "reg"},
            "empty.example": {}
        }}"#,
    );
    assert_eq!(found(&credentials, "a.b", "other"), Some(password("u", "p")));
    assert_eq!(found(&credentials, "a.b", "team/app"), Some(password("t", "q:r")));
    assert_eq!(found(&credentials, "a.b", "teamwork"), Some(password("u", "p")));
    assert_eq!(found(&credentials, "a.b", "team/x"), Some(Credential::Identity(Secret::new("id"))));
    assert_eq!(found(&credentials, "c.d", ""), Some(password("u", "p")));
    assert_eq!(found(&credentials, "docker.io", "library/x"), Some(password("u", "p")));
    assert_eq!(found(&credentials, "e.f:5000", ""), Some(Credential::Registry(Secret::new("reg"))));
    for none in ["e.f", "e.f:5001", "a.b:443", "xa.b", "b", "empty.example"] {
        assert_eq!(found(&credentials, none, "team"), None, "{none}");
    }
}

#[test]
fn the_old_file_of_docker_is_read() {
    let room = Room::new("old");
    assert_eq!(found(&room.file(r#"{"a.b": {"auth": "dTpw"}}"#), "a.b", ""), Some(password("u", "p")));
    assert_eq!(found(&room.file("  "), "a.b", ""), None);
    assert_eq!(found(&Credentials::at("/nonexistent/auth.json"), "a.b", ""), None);
}

#[test]
fn a_damaged_file_is_named_and_its_text_is_not_shown() {
    let room = Room::new("damaged");
    for text in
        ["{", r#"{"auths": {"a.b": {"auth": "c2VjcmV0"}}}"#, r#"{"auths": {"a.b": {"auth": "!secret!"}}}"#]
    {
        let error = report::render(&room.file(text).get(&host("a.b"), None).unwrap_err());
        assert!(error.contains("auth.json"), "{error}");
        assert!(!error.contains("secret") && !error.contains("c2VjcmV0"), "{error}");
    }
}

#[test]
fn a_secret_does_not_get_into_debug_output() {
    let shown = format!("{:?}", password("u", "hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn login_and_logout_leave_the_rest_of_the_file_alone() {
    let room = Room::new("keep");
    let credentials = room.file(r#"{"auths": {"c.d": {"auth": "dTpw"}}, "psFormat": "table"}"#);
    let place = credentials.keep(&host("a.b"), &password("me", "secret")).unwrap();
    assert_eq!(place, Place::File(room.0.join("auth.json")));
    assert_eq!(found(&credentials, "a.b", ""), Some(password("me", "secret")));
    assert_eq!(fs::metadata(room.0.join("auth.json")).unwrap().permissions().mode() & 0o777, 0o600);
    credentials.keep(&host("a.b"), &Credential::Identity(Secret::new("t"))).unwrap();
    assert_eq!(found(&credentials, "a.b", ""), Some(Credential::Identity(Secret::new("t"))));
    assert_eq!(credentials.forget(&host("a.b")).unwrap().len(), 1);
    assert_eq!(credentials.forget(&host("a.b")).unwrap().len(), 0);
    assert_eq!(found(&credentials, "a.b", ""), None);
    assert_eq!(found(&credentials, "c.d", ""), Some(password("u", "p")));
    let text = fs::read_to_string(room.0.join("auth.json")).unwrap();
    assert!(text.contains("psFormat"), "{text}");
    assert_eq!(fs::read_dir(&room.0).unwrap().count(), 1, "something was left beside the file");
}

#[test]
fn docker_hub_is_forgotten_under_all_its_names() {
    let room = Room::new("hub");
    let credentials = room.file(
        r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}, "docker.io": {"auth": "dTpw"}}}"#,
    );
    credentials.forget(&host("docker.io")).unwrap();
    assert_eq!(found(&credentials, "index.docker.io", ""), None);
}

#[test]
fn a_helper_with_a_path_for_a_name_is_not_executed() {
    let room = Room::new("helper");
    let credentials = room.file(r#"{"credHelpers": {"a.b": "../../bin/sh"}}"#);
    let error = credentials.get(&host("a.b"), None).unwrap_err().to_string();
    assert!(error.contains("letters, digits"), "{error}");
}
