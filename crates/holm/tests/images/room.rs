//! A place for one test: a network namespace, a registry, a store, and images made of busybox.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use images::Digest;
use images::credentials::Credentials;
use images::media;
use images::reference::{Host, Repository};
use images::registry::approved::Approved;
use images::registry::http::Settings;
use images::registry::push::{Outgoing, Source};
use images::registry::{Client, Endpoint};

use crate::said;

/// `holm` and `s3cret`, as htpasswd -B writes them.
const HTPASSWD: &str = "holm:$2y$05$zBc1nTQBAzn7428g5LLcwusc581E0vwr4.VimEg5MhVkgJuOUUkPW\n";
const CLONE_NEWNET: u64 = 0x4000_0000;

pub(crate) struct Room {
    pub(crate) dir: PathBuf,
    registries: Vec<Child>,
}

impl Room {
    /// A room, unless what it takes is missing.
    pub(crate) fn new(test: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let missing = ["docker-registry", "tar", "gzip"].into_iter().find(|program| !in_path(program));
        let reason = match missing {
            Some(program) => Some(format!("there is no {program}")),
            None if !rustix::process::geteuid().is_root() => Some("needs root".to_owned()),
            None => (!PathBuf::from("/bin/busybox").exists()).then(|| "there is no /bin/busybox".to_owned()),
        };
        if let Some(reason) = reason {
            eprintln!("SKIPPED {test}: {reason}");
            return None;
        }
        let dir = std::env::temp_dir().join(format!(
            "holm-images-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir_all(&dir).unwrap();
        // On a thread of this test's own; without it the ports are free ones of the host's loopback.
        if sys::raw::unshare(CLONE_NEWNET).is_ok() {
            assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        }
        Some(Self { dir, registries: Vec::new() })
    }

    /// Starts a registry and yields its host; with `lock`, only `holm` with `s3cret` gets in.
    pub(crate) fn registry(&mut self, lock: bool) -> String {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let auth = if lock {
            let path = self.file("htpasswd", HTPASSWD);
            format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", path.display())
        } else {
            String::new()
        };
        let storage = self.dir.join(format!("registry-{port}"));
        let config = self.file(
            &format!("registry-{port}.yml"),
            &format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: '{address}'}}\n{auth}",
                storage.display()
            ),
        );
        let quiet = Stdio::null;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(config)
            .stdin(quiet())
            .stdout(quiet())
            .stderr(quiet())
            .spawn()
            .unwrap();
        self.registries.push(child);
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < until, "the registry does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        address
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A `holm` with a store, a home and a configuration of this room's own.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
        let conf = self.dir.join("registries.conf");
        if !conf.exists() {
            fs::write(&conf, "").unwrap();
        }
        command
            .args(args)
            .env("HOLM_IMAGES", self.dir.join("store"))
            .env("HOLM_ROOT", self.dir.join("root"))
            .env("HOLM_RUNROOT", self.dir.join("run"))
            .env("HOME", self.dir.join("home"))
            .env("XDG_CONFIG_HOME", self.dir.join("home/.config"))
            .env("XDG_RUNTIME_DIR", self.dir.join("runtime"))
            .env("CONTAINERS_REGISTRIES_CONF", conf)
            .env_remove("REGISTRY_AUTH_FILE")
            .env_remove("DOCKER_CONFIG")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn holm(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What `holm` prints; it has to succeed.
    pub(crate) fn prints(&self, args: &[&str]) -> String {
        said::prints(self.command(args))
    }

    /// What `holm` says is wrong; it has to fail.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let errors = said::fails(self.command(args), None);
        assert!(errors.contains("error: "), "{args:?}: {errors}");
        errors
    }

    /// A layer of files made by a shell script in an empty directory, as a compressed archive and the digest of the plain one.
    pub(crate) fn layer(&self, script: &str) -> (Vec<u8>, Digest) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let dir = self.dir.join(format!("layer-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&dir).unwrap();
        assert!(Command::new("sh").args(["-ec", script]).current_dir(&dir).status().unwrap().success());
        let tar =
            Command::new("tar").args(["-c", "--numeric-owner", "."]).current_dir(&dir).output().unwrap();
        assert!(tar.status.success());
        let plain = self.dir.join("plain.tar");
        fs::write(&plain, &tar.stdout).unwrap();
        let packed = Command::new("gzip").args(["-nc", "plain.tar"]).current_dir(&self.dir).output().unwrap();
        assert!(packed.status.success());
        (packed.stdout, Digest::of(&tar.stdout))
    }

    /// The layer that most images here begin with: busybox, and two users.
    pub(crate) fn busybox(&self) -> (Vec<u8>, Digest) {
        self.layer(
            "mkdir -p bin etc tmp proc sys dev; cp /bin/busybox bin/busybox; for name in sh cat id ls echo env pwd sleep; do ln -s busybox bin/$name; done
             printf 'root:x:0:0::/root:/bin/sh\\nweb:x:33:44::/srv:/bin/sh\\n' >etc/passwd; printf 'root:x:0:\\nwww:x:44:web\\n' >etc/group; chmod 1777 tmp",
        )
    }

    /// Puts an image into a registry. `config` is what its configuration says of running it.
    pub(crate) fn image(&self, name: &str, config: &str, layers: &[&(Vec<u8>, Digest)]) -> Digest {
        self.image_for(name, config, layers, "amd64")
    }

    pub(crate) fn image_for(
        &self,
        name: &str,
        config: &str,
        layers: &[&(Vec<u8>, Digest)],
        architecture: &str,
    ) -> Digest {
        let (client, endpoint, tag) = at(name);
        let diff_ids: Vec<String> = layers.iter().map(|(_, diff_id)| format!("\"{diff_id}\"")).collect();
        let document = format!(
            r#"{{"architecture":"{architecture}","os":"linux","config":{config},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            diff_ids.join(",")
        );
        let mut described = Vec::new();
        for (packed, _) in layers {
            upload(&client, &endpoint, packed);
            described.push(descriptor(media::OCI_LAYER_GZIP, packed));
        }
        upload(&client, &endpoint, document.as_bytes());
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
            media::OCI_MANIFEST,
            descriptor(media::OCI_CONFIG, document.as_bytes()),
            described.join(",")
        );
        let digest = Digest::of(manifest.as_bytes());
        client.put_manifest(&endpoint, tag, media::OCI_MANIFEST, manifest.as_bytes(), &digest).unwrap();
        digest
    }

    /// Puts an index there.
    pub(crate) fn index(&self, name: &str, manifests: &[(Digest, usize, &str)]) -> Digest {
        let (client, endpoint, tag) = at(name);
        let list: Vec<String> = manifests
            .iter()
            .map(|(digest, size, architecture)| {
                format!(
                    r#"{{"mediaType":"{}","digest":"{digest}","size":{size},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
                    media::OCI_MANIFEST
                )
            })
            .collect();
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#,
            media::OCI_INDEX,
            list.join(",")
        );
        let digest = Digest::of(index.as_bytes());
        client.put_manifest(&endpoint, tag, media::OCI_INDEX, index.as_bytes(), &digest).unwrap();
        digest
    }

    /// Puts something there that is no image: a file, with an empty configuration.
    pub(crate) fn artifact(&self, name: &str) {
        let (client, endpoint, tag) = at(name);
        for bytes in [&b"{}"[..], b"a document"] {
            upload(&client, &endpoint, bytes);
        }
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","artifactType":"application/x-test","config":{},"layers":[{}]}}"#,
            media::OCI_MANIFEST,
            descriptor("application/vnd.oci.empty.v1+json", b"{}"),
            descriptor("text/plain", b"a document"),
        );
        let digest = Digest::of(manifest.as_bytes());
        client.put_manifest(&endpoint, tag, media::OCI_MANIFEST, manifest.as_bytes(), &digest).unwrap();
    }

    /// How many bytes a manifest has in a registry.
    pub(crate) fn manifest_size(&self, name: &str) -> usize {
        let (client, endpoint, tag) = at(name);
        client.manifest(&endpoint, tag).unwrap().bytes.len()
    }
}

/// Who talks to the registry of a name, the place there, and the tag.
fn at(name: &str) -> (Client, Endpoint, &str) {
    let (place, tag) = name.rsplit_once(':').unwrap();
    let (host, repository) = place.split_once('/').unwrap();
    let endpoint = Endpoint {
        host: Host::parse(host).unwrap(),
        repository: Repository::parse(repository).unwrap(),
        insecure: false,
        mirror: false,
    };
    (Client::new(Settings::default(), Credentials::none(), Approved::default()), endpoint, tag)
}

fn descriptor(media_type: &str, bytes: &[u8]) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{}","size":{}}}"#, Digest::of(bytes), bytes.len())
}

fn upload(client: &Client, endpoint: &Endpoint, bytes: &[u8]) {
    struct Bytes<'a>(&'a [u8]);
    impl Source for Bytes<'_> {
        fn read_at(&self, buffer: &mut [u8], at: u64) -> std::io::Result<()> {
            self.0.read_at(buffer, at)
        }
    }
    let blob = Outgoing {
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        source: &Bytes(bytes),
        elsewhere: &[],
        progress: &|_| {},
    };
    client.upload(endpoint, &blob).unwrap();
}

pub(crate) fn in_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()))
}

impl Drop for Room {
    fn drop(&mut self) {
        for registry in &mut self.registries {
            let _ = registry.kill();
            let _ = registry.wait();
        }
        let _ = self.holm(&["rm", "--force", "--all"]);
        // Layers that are mounted still.
        let options = images::store::Options {
            root: self.dir.join("store"),
            run: self.dir.join("run/layers"),
            ..images::store::Options::of_caller()
        };
        if options.root.exists()
            && let Ok(store) = images::store::Store::open(options)
        {
            for image in store.images().unwrap_or_default() {
                for diff_id in store.config(&image).map(|config| config.rootfs.diff_ids).unwrap_or_default() {
                    let _ = store.unmount_layer(&diff_id);
                }
            }
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}
