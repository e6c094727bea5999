//! Two images of Debian's packages: a small one of one layer, and a big one of eight.
//!
//! They are made once and kept. The layers of the big one are the smallest system and what is in seven groups of packages, each unpacked by itself: no
//! script of theirs runs, and what counts here, names, sizes and content, is real.

use crate::workspace::{must, which};
use images::config::ImageConfig;
use images::credentials::Credentials;
use images::digest::Digest;
use images::layer::Limits;
use images::reference::Reference;
use images::registry::approved::Approved;
use images::registry::http::Settings;
use images::registry::push::Outgoing;
use images::registry::{Client, Endpoint};
use images::store::{Options, PutImage, Store};
use images::{Descriptor, media};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Small,
    Big,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Small, Self::Big];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Big => "big",
        }
    }
}

/// What is in the layers of the big image above the first.
const GROUPS: [&[&str]; 7] = [
    &["gcc-12", "cpp-12", "libgcc-12-dev", "libc6-dev", "binutils-x86-64-linux-gnu"],
    &["llvm-14", "libllvm14"],
    &[
        "python3.11",
        "libpython3.11-stdlib",
        "python3.11-minimal",
        "libpython3.11-minimal",
        "perl-modules-5.36",
        "libperl5.36",
        "git",
        "vim-runtime",
    ],
    &["clang-14", "libclang-cpp14", "libclang-common-14-dev"],
    &["linux-headers-6.1.0-9-common", "linux-doc-6.1", "libboost1.74-dev"],
    &["golang-1.19-go", "golang-1.19-src"],
    &["rustc", "libstd-rust-1.63"],
];

/// An image on disk.
pub(super) struct Made {
    pub(super) kind: Kind,
    directory: PathBuf,
    layers: Vec<Layer>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Layer {
    diff_id: Digest,
    digest: Digest,
    size: u64,
    plain: u64,
}

impl Made {
    pub(super) fn name(&self, registry: &str) -> String {
        format!("{registry}/bench/{}:1", self.kind.name())
    }

    pub(super) fn title(&self) -> String {
        let mib = |bytes: u64| bytes / (1 << 20);
        let (size, plain) =
            self.layers.iter().fold((0, 0), |(size, plain), layer| (size + layer.size, plain + layer.plain));
        let word = if self.layers.len() == 1 { "layer" } else { "layers" };
        format!(
            "{}: {} {word}, {} MiB, {} MiB compressed",
            self.kind.name(),
            self.layers.len(),
            mib(plain),
            mib(size)
        )
    }

    fn file(&self, layer: &Layer) -> PathBuf {
        self.directory.join(layer.digest.hex())
    }
}

/// The image, made if it is not there yet.
pub(super) fn image(kind: Kind, scratch: &Path) -> Result<Made, Box<dyn Error>> {
    let directory = scratch.join(kind.name());
    let list = directory.join("layers.json");
    if let Ok(text) = fs::read(&list) {
        return Ok(Made { kind, directory, layers: serde_json::from_slice(&text)? });
    }
    for program in ["mmdebstrap", "dpkg-deb", "apt-get", "gzip", "tar"] {
        which(program).ok_or_else(|| format!("{program}, which makes the images, is not in PATH"))?;
    }
    fs::create_dir_all(&directory)?;
    let mut layers = Vec::new();
    let base = scratch.join("base.tar");
    if !base.exists() {
        let unfinished = scratch.join("base.unfinished.tar");
        must(Command::new("mmdebstrap").args(["--quiet", "--variant=minbase", &suite()?]).arg(&unfinished))?;
        fs::rename(&unfinished, &base)?;
    }
    layers.push(pack(&base, &directory)?);
    if kind == Kind::Big {
        for (number, group) in GROUPS.iter().enumerate() {
            eprintln!("making layer {} of 8", number + 2);
            let archive = group_archive(group, &directory.join(format!("group-{number}")))?;
            layers.push(pack(&archive, &directory)?);
            fs::remove_file(&archive)?;
        }
    }
    fs::write(&list, serde_json::to_vec(&layers)?)?;
    Ok(Made { kind, directory, layers })
}

/// The host's own suite: the keys that it has are the keys of that one.
fn suite() -> Result<String, Box<dyn Error>> {
    let release = fs::read_to_string("/etc/os-release")?;
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.map(|name| name.trim_matches('"').to_owned())
        .ok_or_else(|| "/etc/os-release has no VERSION_CODENAME to make an image of".into())
}

/// The files of some packages as an archive. One that this suite does not have is left out.
fn group_archive(packages: &[&str], work: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let (debs, tree) = (work.join("debs"), work.join("tree"));
    fs::create_dir_all(&debs)?;
    fs::create_dir_all(&tree)?;
    for package in packages {
        let got = Command::new("apt-get")
            .args(["download", "-q", "-o", "APT::Sandbox::User=root"])
            .arg(package)
            .current_dir(&debs)
            .output()?;
        if !got.status.success() {
            eprintln!("note: there is no package {package} here; its layer is smaller");
        }
    }
    for deb in fs::read_dir(&debs)? {
        must(Command::new("dpkg-deb").arg("-x").arg(deb?.path()).arg(&tree))?;
    }
    let archive = work.with_extension("tar");
    must(
        Command::new("tar")
            .args(["--sort=name", "--numeric-owner", "-cf"])
            .arg(&archive)
            .arg("-C")
            .arg(&tree)
            .arg("."),
    )?;
    fs::remove_dir_all(work)?;
    Ok(archive)
}

fn pack(archive: &Path, directory: &Path) -> Result<Layer, Box<dyn Error>> {
    let packed = directory.join("packed.gz");
    must(Command::new("gzip").args(["-n", "-6", "-c"]).arg(archive).stdout(File::create(&packed)?))?;
    let (diff_id, plain) = digest_of(archive)?;
    let (digest, size) = digest_of(&packed)?;
    fs::rename(&packed, directory.join(digest.hex()))?;
    Ok(Layer { diff_id, digest, size, plain })
}

/// By sha256sum(1): this program is not built for speed.
fn digest_of(file: &Path) -> Result<(Digest, u64), Box<dyn Error>> {
    let output = Command::new("sha256sum").arg(file).output()?;
    let text = String::from_utf8(output.stdout)?;
    let hex = text.split_whitespace().next().ok_or("sha256sum says nothing")?;
    Ok((Digest::parse(&format!("sha256:{hex}"))?, fs::metadata(file)?.len()))
}

/// Brings an image to the registry.
pub(super) fn push(made: &Made, registry: &str) -> Result<(), Box<dyn Error>> {
    let reference = Reference::parse(&made.name(registry))?;
    let endpoint = Endpoint::of(&reference, false);
    let client = Client::new(Settings::default(), Credentials::none(), Approved::default());
    let send = |digest: Digest, size: u64, file: &Path| -> Result<(), Box<dyn Error>> {
        let source = File::open(file)?;
        client.upload(
            &endpoint,
            &Outgoing { digest, size, source: &source, elsewhere: &[], progress: &|_| {} },
        )?;
        Ok(())
    };
    for layer in &made.layers {
        send(layer.digest, layer.size, &made.file(layer))?;
    }
    let config =
        configuration(&made.layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>(), made.kind.name())?;
    let file = made.directory.join("config.json");
    fs::write(&file, &config)?;
    send(Digest::of(&config), config.len() as u64, &file)?;
    let layers = made
        .layers
        .iter()
        .map(|layer| Descriptor::new(media::DOCKER_LAYER_GZIP, layer.digest, layer.size))
        .collect();
    let manifest = manifest(&config, layers)?;
    client.put_manifest(&endpoint, "1", media::DOCKER_MANIFEST, &manifest, &Digest::of(&manifest))?;
    Ok(())
}

fn configuration(diff_ids: &[Digest], author: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut config = ImageConfig { author: author.to_owned(), ..ImageConfig::default() };
    config.architecture = images::platform::Platform::host().architecture;
    config.os = "linux".to_owned();
    config.rootfs.kind = "layers".to_owned();
    config.rootfs.diff_ids = diff_ids.to_vec();
    config.config.cmd = vec!["/bin/sh".to_owned()];
    Ok(serde_json::to_vec(&config)?)
}

/// In Docker's form, which all engines read.
fn manifest(config: &[u8], layers: Vec<Descriptor>) -> Result<Vec<u8>, Box<dyn Error>> {
    let config = Descriptor::new(media::DOCKER_CONFIG, Digest::of(config), config.len() as u64);
    Ok(serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media::DOCKER_MANIFEST,
        "config": config,
        "layers": layers,
    }))?)
}

/// Notes a thousand images with one layer and configurations of their own.
pub(super) fn thousand(root: &Path) -> Result<(), Box<dyn Error>> {
    let unpacker = vec![super::super::programs::holm()?.into_os_string(), "unpack-layer".into()];
    let run = root.with_extension("layers");
    let store =
        Store::open(Options { root: root.to_owned(), run, unpacker, form: None, limits: Limits::default() })?;
    let lease = store.lease()?;
    // The smallest archive: two blocks of zeros.
    let plain = vec![0; 1024];
    let diff_id = Digest::of(&plain);
    let mut writer =
        store.write_layer(&lease, &Descriptor::new(media::OCI_LAYER, diff_id, 1024), Some(diff_id))?;
    writer.push(&plain)?;
    writer.finish()?;
    for number in 0..1000 {
        let config = configuration(&[diff_id], &format!("number {number}"))?;
        store.put_blob(&lease, media::DOCKER_CONFIG, &config)?;
        let manifest = manifest(&config, vec![Descriptor::new(media::DOCKER_LAYER, diff_id, 1024)])?;
        let manifest = store.put_blob(&lease, media::DOCKER_MANIFEST, &manifest)?.digest;
        let names = [Reference::parse(&format!("registry.example.org/team/app-{number}:1"))?];
        store.put_image(&lease, &PutImage { manifest, target: manifest, names: &names, action: "pull" })?;
    }
    Ok(())
}
