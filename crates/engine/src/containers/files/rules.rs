//! What `cp` means: where something goes, and under which name. Docker's rules, as pure decisions.

use report::{Explain, Hint, Kind};

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// It is a directory.
    pub is_directory: bool,
    /// `DIR/.`: what is in it, and not the directory itself.
    pub contents: bool,
    /// Its name; empty for a root.
    pub name: String,
}

/// What is at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum There {
    /// A directory.
    Directory,
    /// A file, or something like one.
    Other,
    /// Nothing, in a directory that is there.
    Nothing,
    /// Not even the directory.
    NoDirectory,
}

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Into {
    /// Into the directory at the destination.
    Directory,
    /// Beside what is at the destination, whose name it gets.
    Parent,
}

/// Something that cannot be copied there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A directory over a file.
    #[error("a directory cannot be copied over a file")]
    DirectoryOverFile,
    /// `FILE/`
    #[error("the destination ends in `/` and is no directory")]
    NoDirectory,
    /// A file to `MISSING/`.
    #[error("the destination ends in `/`, and there is no such directory")]
    MissingDirectory,
    /// A path whose directory is not there.
    #[error("the directory that it should go into is not there")]
    MissingParent,
}

impl Explain for Misfit {
    fn kind(&self) -> Kind {
        match self {
            Self::DirectoryOverFile | Self::NoDirectory => Kind::InvalidInput,
            Self::MissingDirectory | Self::MissingParent => Kind::NotFound,
        }
    }
    fn hint(&self) -> Option<Hint> {
        match self {
            Self::MissingDirectory => Some(Hint::new("make it first, or leave the `/` out to name the file")),
            Self::MissingParent => Some(Hint::new("make it first: cp makes no more than the last directory")),
            _ => None,
        }
    }
}

/// A path as somebody typed it: what is to be looked for, what it is called, and what its end says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// It has to be a directory: it ends in `/`, `/.` or `/..`.
    pub is_directory: bool,
    /// It ends in `/.`: its content is meant.
    pub contents: bool,
    /// Its last component; empty for a root, or what ends in `..`.
    pub name: String,
}

impl Typed {
    /// Reads a path.
    pub fn read(path: &str) -> Self {
        let contents = path == "." || path.ends_with("/.");
        let trimmed = path.trim_end_matches('/');
        let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
        let mut name = last(trimmed);
        if contents {
            name = last(trimmed.trim_end_matches('.').trim_end_matches('/'));
        }
        let is_directory = contents || path.ends_with('/') || name == ".." || name.is_empty();
        if name == ".." || name == "." {
            name.clear();
        }
        Self { is_directory, contents, name }
    }
}

/// Decides where a source goes, and under which name; an empty one is for the content of a directory.
///
/// # Errors
/// [`Misfit`].
pub fn decide(source: &Source, typed: &Typed, there: There) -> Result<(Into, String), Misfit> {
    match there {
        There::Directory if source.contents => Ok((Into::Directory, String::new())),
        There::Directory => Ok((Into::Directory, source.name.clone())),
        There::Other if source.is_directory => Err(Misfit::DirectoryOverFile),
        There::Other if typed.is_directory => Err(Misfit::NoDirectory),
        There::Nothing if typed.is_directory && !source.is_directory => Err(Misfit::MissingDirectory),
        There::Other | There::Nothing => Ok((Into::Parent, typed.name.clone())),
        There::NoDirectory => Err(Misfit::MissingParent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn paths_say_more_with_their_ends() {
        let text: String =
            ["/etc/passwd", "/etc/", "/etc/.", "/", "", ".", "..", "a/..", "dir", "./x", "a//b//", "/."]
                .iter()
                .map(|path| {
                    let typed = Typed::read(path);
                    format!(
                        "{path:?}: {:?} directory {} contents {}\n",
                        typed.name, typed.is_directory, typed.contents
                    )
                })
                .collect();
        expect![[r#"
            "/etc/passwd": "passwd" directory false contents false
            "/etc/": "etc" directory true contents false
            "/etc/.": "etc" directory true contents true
            "/": "" directory true contents false
            "": "" directory true contents false
            ".": "" directory true contents true
            "..": "" directory true contents false
            "a/..": "" directory true contents false
            "dir": "dir" directory false contents false
            "./x": "x" directory false contents false
            "a//b//": "b" directory true contents false
            "/.": "" directory true contents true
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn things_go_where_docker_puts_them() {
        let source = |is_directory, contents| Source { is_directory, contents, name: "src".to_owned() };
        let mut text = String::new();
        for (words, source) in
            [("file", source(false, false)), ("dir", source(true, false)), ("dir/.", source(true, true))]
        {
            for there in [There::Directory, There::Other, There::Nothing, There::NoDirectory] {
                for path in ["/to/dst", "/to/dst/"] {
                    let outcome = match decide(&source, &Typed::read(path), there) {
                        Ok((into, name)) => format!("{into:?} {name:?}"),
                        Err(misfit) => format!("!! {misfit}"),
                    };
                    text.push_str(&format!("{words} to {path} ({there:?}): {outcome}\n"));
                }
            }
        }
        expect![[r#"
            file to /to/dst (Directory): Directory "src"
            file to /to/dst/ (Directory): Directory "src"
            file to /to/dst (Other): Parent "dst"
            file to /to/dst/ (Other): !! the destination ends in `/` and is no directory
            file to /to/dst (Nothing): Parent "dst"
            file to /to/dst/ (Nothing): !! the destination ends in `/`, and there is no such directory
            file to /to/dst (NoDirectory): !! the directory that it should go into is not there
            file to /to/dst/ (NoDirectory): !! the directory that it should go into is not there
            dir to /to/dst (Directory): Directory "src"
            dir to /to/dst/ (Directory): Directory "src"
            dir to /to/dst (Other): !! a directory cannot be copied over a file
            dir to /to/dst/ (Other): !! a directory cannot be copied over a file
            dir to /to/dst (Nothing): Parent "dst"
            dir to /to/dst/ (Nothing): Parent "dst"
            dir to /to/dst (NoDirectory): !! the directory that it should go into is not there
            dir to /to/dst/ (NoDirectory): !! the directory that it should go into is not there
            dir/. to /to/dst (Directory): Directory ""
            dir/. to /to/dst/ (Directory): Directory ""
            dir/. to /to/dst (Other): !! a directory cannot be copied over a file
            dir/. to /to/dst/ (Other): !! a directory cannot be copied over a file
            dir/. to /to/dst (Nothing): Parent "dst"
            dir/. to /to/dst/ (Nothing): Parent "dst"
            dir/. to /to/dst (NoDirectory): !! the directory that it should go into is not there
            dir/. to /to/dst/ (NoDirectory): !! the directory that it should go into is not there
        "#]]
        .assert_eq(&text);
    }
}
