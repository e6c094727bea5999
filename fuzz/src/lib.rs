//! What several fuzz targets share. The targets themselves are in `targets`.

use engine::flags::{self, Value, Visitor};

/// Reads `text` as the value of every flag there is.
pub fn every_flag(text: &str) {
    struct Read<'a>(&'a str);
    impl Visitor for Read<'_> {
        fn visit<T: Value>(&mut self) {
            let _ = T::parse(self.0);
        }
    }
    flags::visit_all(&mut Read(text));
    let _ = flags::parse_bool(text);
}

/// Reads `text` as the name of an image.
pub fn image_name(text: &str) {
    use images::reference::Name;
    if let Ok(name) = Name::parse(text) {
        let printed = name.to_string();
        assert_eq!(Name::parse(&printed).ok().as_ref(), Some(&name), "{printed}");
        if let Name::Full(reference) = name {
            assert!(!reference.registry().contains('/') && !reference.repository().contains(".."));
        }
    }
}

/// Reads `text` as a `WWW-Authenticate` header, of a registry that has a password to lose.
pub fn challenge(text: &str) {
    use images::registry::{challenge, http::Origin, token};
    let registry = Origin { secure: true, host: "registry.example.org".to_owned(), port: 443 };
    for one in challenge::parse(text) {
        if let Ok(realm) = token::realm_for(&one, &registry, &[])
            && realm.trusted
        {
            let host = realm.uri.host().unwrap_or_default().to_ascii_lowercase();
            assert!(host == "example.org" || host.ends_with(".example.org"), "{host}");
            assert_eq!(realm.uri.scheme_str(), Some("https"));
        }
    }
}

/// Reads `text` as registries.conf and asks it about names.
pub fn registries_conf(text: &str) {
    use images::reference::Reference;
    use images::registry::Conf;
    let Ok(conf) = Conf::from_texts(&[("fuzz".into(), text.to_owned())]) else { return };
    for name in ["docker.io/library/debian:12", "registry.example.org:5000/a/b", "[::1]/x"] {
        let reference = Reference::parse(name).expect("a constant that is a name");
        let _ = conf.endpoints(&reference, None);
        let _ = conf.push_endpoint(&reference, Some(false));
        let _ = conf.insecure(reference.host(), None);
    }
}
