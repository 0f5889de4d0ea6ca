//! The scopes that configuration files of containers' tools speak of.

use super::{Reference, Repository};

impl Reference {
    /// The scopes that it lies in, the narrowest first: itself, its repository, each namespace above that, the registry,
    /// and each domain above the registry as `*.example.com`.
    ///
    /// Where tag and digest are given together the digest says which image is meant, so that a scope with the tag is not
    /// one of them.
    ///
    /// Spec: containers-policy.json(5) and containers-registries.d(5), "docker:".
    pub fn scopes(&self) -> Vec<String> {
        let itself = match (self.digest(), self.tag()) {
            (Some(digest), _) => Some(format!("{}@{digest}", self.repository)),
            (None, Some(tag)) => Some(format!("{}:{tag}", self.repository)),
            (None, None) => None,
        };
        itself.into_iter().chain(self.repository.scopes()).collect()
    }
}

impl Repository {
    /// The scopes that it lies in, the narrowest first, as those of a [`Reference`].
    pub fn scopes(&self) -> Vec<String> {
        let name = self.to_string();
        let above = name.rmatch_indices('/').filter_map(|(at, _)| name.get(..at));
        let mut scopes: Vec<_> = std::iter::once(name.as_str()).chain(above).map(str::to_owned).collect();
        // A port is no part of a domain, and dots in an address of brackets are not those of names.
        let host = self.domain().split(':').next().unwrap_or_default();
        let domains = host.match_indices('.').filter_map(|(at, _)| host.get(at + 1..));
        scopes.extend(domains.map(|domain| format!("*.{domain}")));
        scopes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    #[test]
    fn the_scopes_of_a_reference_go_from_narrow_to_wide() {
        for (reference, scopes) in [
            ("r.io/a/b:1", vec!["r.io/a/b:1", "r.io/a/b", "r.io/a", "r.io", "*.io"]),
            ("busybox", vec!["docker.io/library/busybox", "docker.io/library", "docker.io", "*.io"]),
            (
                "x.y.example.com:5000/app:1",
                vec![
                    "x.y.example.com:5000/app:1",
                    "x.y.example.com:5000/app",
                    "x.y.example.com:5000",
                    "*.y.example.com",
                    "*.example.com",
                    "*.com",
                ],
            ),
            ("localhost:5000/app", vec!["localhost:5000/app", "localhost:5000"]),
            ("[::1]:5000/app", vec!["[::1]:5000/app", "[::1]:5000"]),
        ] {
            assert_eq!(reference.parse::<Reference>().unwrap().scopes(), scopes, "{reference}");
        }
        let digest = Digest::sha256(b"");
        let both: Reference = format!("r.io/a:1@{digest}").parse().unwrap();
        assert_eq!(both.scopes(), [&*format!("r.io/a@{digest}"), "r.io/a", "r.io", "*.io"]);
    }
}
