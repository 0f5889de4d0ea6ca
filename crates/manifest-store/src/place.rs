//! Where a store lies, as it is written.

use std::fmt;
use std::path::PathBuf;

use crate::StoreError;

/// The place of a store: a directory, or what follows a prefix in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Directory(PathBuf),
    Bucket(Bucket),
}

/// A bucket (or container) of a cloud, and the prefix of what is ours in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) cloud: Cloud,
    pub(crate) name: String,
    /// Without slashes at its ends; empty for the whole bucket.
    pub(crate) prefix: String,
}

/// Whose object storage it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cloud {
    Amazon,
    Google,
    Azure,
}

impl Place {
    /// Reads `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`, `file:///PATH` or a path.
    ///
    /// What follows the bucket is the prefix as it is, without escapes. Anything that could carry a login (a
    /// user before the bucket, a query) is refused, and not repeated in the message.
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return match text {
                "" => Err(refused("", "it is empty")),
                path => Ok(Self::Directory(PathBuf::from(path))),
            };
        };
        let cloud = match scheme.to_ascii_lowercase().as_str() {
            "s3" => Cloud::Amazon,
            "gs" => Cloud::Google,
            "az" => Cloud::Azure,
            "file" => return directory(rest).map(Self::Directory),
            _ => return Err(refused(scheme, "its scheme is none of s3, gs, az and file")),
        };
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(refused(scheme, "what follows :// is not the name of a bucket"));
        }
        let prefix = prefix.trim_end_matches('/');
        let is_part = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.contains(|c: char| c.is_control() || "?#\\".contains(c))
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_part) {
            return Err(refused(scheme, "its prefix has an empty part, `.`, `..`, `?`, `#` or a backslash"));
        }
        Ok(Self::Bucket(Bucket { cloud, name: name.to_owned(), prefix: prefix.to_owned() }))
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.cloud {
            Cloud::Amazon => "s3",
            Cloud::Google => "gs",
            Cloud::Azure => "az",
        };
        write!(f, "{scheme}://{}", self.name)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// Of at least two letters: one letter is a drive.
fn is_scheme(text: &str) -> bool {
    text.len() > 1 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// The directory of a `file` URL, whose escapes are undone.
fn directory(rest: &str) -> Result<PathBuf, StoreError> {
    let wrong = |why| refused("file", why);
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(wrong("it names another machine; a local path begins with file:///"));
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut left = path.bytes();
    while let Some(byte) = left.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        bytes.push(match byte {
            b'%' => match (digit(left.next()), digit(left.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or_default(),
                _ => return Err(wrong("a % is not followed by two hex digits")),
            },
            byte => byte,
        });
    }
    path_of(bytes).ok_or_else(|| wrong("its escapes give no path"))
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    Some(std::ffi::OsString::from_vec(bytes).into())
        .filter(|path: &PathBuf| !path.as_os_str().as_encoded_bytes().contains(&0))
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    // `/C:/store` is how a drive is written in a URL.
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))?;
    let is_drive = text.as_bytes().get(2) == Some(&b':');
    Some(text.strip_prefix('/').filter(|_| is_drive).unwrap_or(&text).into())
}

fn refused(scheme: &str, why: &'static str) -> StoreError {
    let colon = if scheme.is_empty() { "" } else { "://…" };
    StoreError::Address { url: format!("{scheme}{colon}"), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_become_places() {
        let bucket = |cloud, name: &str, prefix: &str| {
            Place::Bucket(Bucket { cloud, name: name.to_owned(), prefix: prefix.to_owned() })
        };
        let table = [
            ("s3://lists", bucket(Cloud::Amazon, "lists", "")),
            ("s3://lists/", bucket(Cloud::Amazon, "lists", "")),
            ("S3://my.lists/team/a b%20", bucket(Cloud::Amazon, "my.lists", "team/a b%20")),
            ("gs://my_lists/team/app/", bucket(Cloud::Google, "my_lists", "team/app")),
            ("az://lists/x", bucket(Cloud::Azure, "lists", "x")),
            ("/var/lists", Place::Directory("/var/lists".into())),
            ("lists", Place::Directory("lists".into())),
            ("a dir/with: //x", Place::Directory("a dir/with: //x".into())),
            ("./s3://lists", Place::Directory("./s3://lists".into())),
            ("file:///var/my%20lists", Place::Directory("/var/my lists".into())),
            ("file://localhost/var", Place::Directory("/var".into())),
        ];
        for (text, place) in table {
            assert_eq!(Place::parse(text).unwrap(), place, "{text}");
        }
    }

    #[test]
    fn a_place_is_shown_as_it_is_written() {
        for text in ["s3://lists", "gs://lists/a", "az://lists/team/a b"] {
            let Place::Bucket(bucket) = Place::parse(text).unwrap() else { panic!("{text}") };
            assert_eq!(bucket.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_place_is_refused_without_repeating_it() {
        for text in [
            "",
            "s3://",
            "s3:///prefix",
            "s3://key:hunter2@lists/x",
            "s3://hunter2/a?sig=hunter2",
            "s3://hunter2/a#hunter2",
            "s3://hunter2/a//b",
            "s3://hunter2/../b",
            "s3://hunter2/a\nb",
            "https://hunter2.blob.core.windows.net/x?sig=hunter2",
            "file://hunter2/x",
            "file:///hunter2%2",
            "file:///hunter2%00",
        ] {
            let refused = Place::parse(text).unwrap_err();
            assert!(matches!(refused, StoreError::Address { .. }), "{text}: {refused}");
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
    }
}
