//! Names of images that leave their registry out, such as `alpine:3`.

use manifest_transport::config::Registries;

use crate::error::CliError;

/// Whether a text names an image in a registry and leaves out in which. With docker:// before it, it means the Docker
/// Hub, as with other tools.
pub(crate) fn is_short(text: &str) -> bool {
    let (first, is_path) = text.split_once('/').map_or((text, false), |(first, _)| (first, true));
    let transport = first.split_once(':').map(|(transport, _)| transport);
    let has_transport = transport.is_some_and(|transport| TRANSPORTS.contains(&transport));
    !has_transport && !(is_path && (first.contains(['.', ':', '[']) || first == "localhost"))
}

/// What stands before a colon and is no name.
const TRANSPORTS: [&str; 8] =
    ["oci", "oci-archive", "docker-archive", "store", "dir", "containers-storage", "docker-daemon", "ostree"];

/// The whole name of an image: what its alias stands for, or else the only registry to be searched with it. Where the
/// files say nothing, it stays as it is, and is in the Docker Hub.
///
/// # Errors
/// Misuse where it could be in several registries: which of them has it today must not decide what a list holds.
pub(crate) fn full(registries: &Registries, text: &str) -> Result<String, CliError> {
    let repository = text.split(['@', ':']).next().unwrap_or_default();
    let rest = text.get(repository.len()..).unwrap_or_default();
    if let Some(target) = registries.alias(repository) {
        return Ok(format!("docker://{target}{rest}"));
    }
    match registries.search() {
        [] => Ok(text.to_owned()),
        [one] => Ok(format!("docker://{one}/{text}")),
        several => {
            let candidates: Vec<_> = several.iter().map(|registry| format!("{registry}/{text}")).collect();
            let message = format!("{text} could be {}", candidates.join(" or "));
            Err(CliError::Misuse(
                message,
                "write it with its registry, or give it an alias in registries.conf",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use manifest_transport::config::ConfigFile;

    use super::*;

    #[test]
    fn a_name_without_a_registry_is_short() {
        for text in ["alpine", "alpine:3", "ann/app:1", "a/b/c", "alpine@sha256:00"] {
            assert!(is_short(text), "{text}");
        }
        for text in [
            "quay.io/app",
            "localhost/app",
            "localhost:5000/app:1",
            "docker://r.io/app",
            "docker://alpine",
            "[::1]/app",
            "oci:dir",
            "oci:dir/sub",
            "store:app",
            "oci-archive:a.tar",
            "http://r.io/app",
        ] {
            assert!(!is_short(text), "{text}");
        }
    }

    #[test]
    fn a_short_name_is_completed_where_only_one_thing_can_be_meant() {
        let registries = |text| {
            let mut registries = Registries::default();
            registries.read(ConfigFile { path: Path::new("x"), text }).unwrap();
            registries
        };
        let none = registries("");
        assert_eq!(full(&none, "alpine:3").unwrap(), "alpine:3");
        let one =
            registries("unqualified-search-registries = [\"r.io\"]\n[aliases]\nubi = \"q.io/base/ubi\"\n");
        assert_eq!(full(&one, "ubi:9").unwrap(), "docker://q.io/base/ubi:9");
        assert_eq!(full(&one, "ann/app@sha256:00").unwrap(), "docker://r.io/ann/app@sha256:00");
        let two = registries("unqualified-search-registries = [\"r.io\", \"docker.io\"]\n");
        let error = full(&two, "app:1").unwrap_err();
        assert!(error.to_string().contains("r.io/app:1 or docker.io/app:1"), "{error}");
    }
}
