//! `registries.conf`: where registries are really found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use manifest_core::Repository;
use serde::Deserialize;

use super::document::{ConfigError, read};
use super::route::{Blocked, Endpoint, Pulls, Route};

/// What `registries.conf` and the files beside it say.
///
/// Files are read one after another. A rule takes the place of one with the same prefix, a list of registries to search
/// that of an earlier list, an alias that of the same name; all else is added.
///
/// Spec: containers-registries.conf(5), version 2 of the format, and the tables `registries.search`,
/// `registries.insecure` and `registries.block` of version 1. A prefix with a tag or digest is refused.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    rules: BTreeMap<String, Rule>,
    aliases: BTreeMap<String, String>,
    search: Vec<String>,
}

/// The text of a file.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "a path and what lies there")]
pub struct ConfigFile<'a> {
    /// The file, for messages.
    pub path: &'a Path,
    /// Its text.
    pub text: &'a str,
}

/// A rule for everything below a prefix.
#[derive(Clone, Debug)]
struct Rule {
    /// What the prefix is replaced by; empty when nothing is.
    location: String,
    insecure: bool,
    blocked: bool,
    mirrors: Vec<Mirror>,
    file: PathBuf,
}

#[derive(Clone, Debug)]
struct Mirror {
    location: String,
    insecure: bool,
    pulls: Pulls,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    unqualified_search_registries: Option<Vec<String>>,
    #[serde(default)]
    registry: Vec<RegistryTable>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    registries: Option<Version1>,
}

/// The format of old.
#[derive(Deserialize)]
struct Version1 {
    #[serde(default)]
    search: Names,
    #[serde(default)]
    insecure: Names,
    #[serde(default)]
    block: Names,
}

#[derive(Default, Deserialize)]
struct Names {
    #[serde(default)]
    registries: Vec<String>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[derive(Default)]
struct RegistryTable {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    mirror: Vec<MirrorTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MirrorTable {
    location: String,
    #[serde(default)]
    insecure: bool,
    pull_from_mirror: Option<PullFromMirror>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PullFromMirror {
    All,
    DigestOnly,
    TagOnly,
}

impl Registries {
    /// Adds what a file says.
    ///
    /// # Errors
    /// [`ConfigError`] names the file; nothing of it counts then.
    pub fn read(&mut self, file: ConfigFile<'_>) -> Result<(), ConfigError> {
        let document: Document = read(file.path, file.text)?;
        let tables = match document.registries {
            Some(_) if !document.registry.is_empty() || document.unqualified_search_registries.is_some() => {
                let why =
                    "version 1 of the format does not go with [[registry]] and unqualified-search-registries";
                return Err(ConfigError::Value(file.path.to_owned(), "[registries]".to_owned(), why));
            }
            Some(old) => {
                self.search = old.search.registries;
                let table =
                    |location: &String| RegistryTable { location: location.clone(), ..<_>::default() };
                let insecure = old.insecure.registries.iter();
                let insecure = insecure.map(|name| RegistryTable { insecure: true, ..table(name) });
                let blocked = old.block.registries.iter();
                insecure.chain(blocked.map(|name| RegistryTable { blocked: true, ..table(name) })).collect()
            }
            None => document.registry,
        };
        let rules = tables.into_iter().map(|table| Rule::new(table, file.path));
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        self.rules.extend(rules);
        self.search = document.unqualified_search_registries.unwrap_or(std::mem::take(&mut self.search));
        for (name, target) in document.aliases {
            // An empty alias takes one of an earlier file back.
            if target.is_empty() {
                self.aliases.remove(&name);
            } else {
                let valid = target.parse::<Repository>().is_ok();
                if !valid {
                    return Err(ConfigError::value(file.path, &name, &target, "this is not a repository"));
                }
                self.aliases.insert(name, target);
            }
        }
        Ok(())
    }

    /// Adds a rule that sends readers of everything on a host to mirrors first, in the place of the rule that is there
    /// for exactly this host.
    pub(super) fn mirror(&mut self, host: &str, mirrors: &[String], file: &Path) -> Result<(), ConfigError> {
        let mirrors = mirrors.iter().map(|location| {
            check(location, "mirrors", file)?;
            Ok(Mirror { location: trimmed(location), insecure: false, pulls: Pulls::All })
        });
        let mirrors = mirrors.collect::<Result<Vec<_>, ConfigError>>()?;
        let empty = || Rule {
            location: String::new(),
            insecure: false,
            blocked: false,
            mirrors: Vec::new(),
            file: file.to_owned(),
        };
        self.rules.entry(host.to_owned()).or_insert_with(empty).mirrors = mirrors;
        Ok(())
    }

    /// Where a repository is read from and written to.
    pub fn route(&self, repository: &Repository) -> Route {
        let name = repository.to_string();
        let own = |insecure| Endpoint {
            host: repository.domain().to_owned(),
            path: repository.path().to_owned(),
            insecure,
            pulls: Pulls::All,
        };
        let matches =
            self.rules.iter().filter_map(|(prefix, rule)| Some((matched(&name, prefix)?, prefix, rule)));
        // A prefix that stands for any subdomain goes behind all others.
        let best = matches.max_by_key(|(_, prefix, _)| (!prefix.starts_with("*."), prefix.len()));
        let Some((length, prefix, rule)) = best else {
            return Route { home: own(false), mirrors: Vec::new(), blocked: None };
        };
        let rest = name.get(length..).unwrap_or_default();
        let at = |location: &str, insecure, pulls| {
            let whole = format!("{location}{rest}");
            let (host, path) = whole.split_once('/').unwrap_or((&whole, ""));
            Endpoint { host: host.to_owned(), path: path.to_owned(), insecure, pulls }
        };
        let home = match rule.location.as_str() {
            "" => own(rule.insecure),
            location => at(location, rule.insecure, Pulls::All),
        };
        let mirrors = rule.mirrors.iter().map(|mirror| at(&mirror.location, mirror.insecure, mirror.pulls));
        let blocked = rule.blocked.then(|| Blocked { prefix: prefix.clone(), file: rule.file.clone() });
        Route { home, mirrors: mirrors.collect(), blocked }
    }

    /// The repository that an alias stands for.
    pub fn alias(&self, name: &str) -> Option<&str> {
        self.aliases.get(name).map(String::as_str)
    }

    /// The registries where names without one are looked for.
    pub fn search(&self) -> &[String] {
        &self.search
    }
}

/// How much of a name a prefix stands for; nothing when it does not match.
fn matched(name: &str, prefix: &str) -> Option<usize> {
    let ends = |end: usize| name.get(end..).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match prefix.strip_prefix('*') {
        None => name.starts_with(prefix).then_some(prefix.len()).filter(|end| ends(*end)),
        Some(suffix) => {
            let host = name.find('/')?;
            let within = name.match_indices(suffix).take_while(|(at, _)| *at < host);
            within.map(|(at, _)| at + suffix.len()).find(|end| ends(*end))
        }
    }
}

fn trimmed(location: &str) -> String {
    location.trim_end_matches('/').to_owned()
}

/// Refuses what cannot be the beginning of a repository's name.
fn check(location: &str, key: &str, file: &Path) -> Result<(), ConfigError> {
    let name = trimmed(location);
    let host = name.split('/').next().unwrap_or_default().to_owned();
    let whole = if name.contains('/') { name } else { format!("{name}/x") };
    match whole.parse::<Repository>() {
        Ok(repository) if repository.domain() == host => Ok(()),
        _ => {
            let why = "this is not a registry with a path behind it, as in registry.example.com/team";
            Err(ConfigError::value(file, key, location, why))
        }
    }
}

impl Rule {
    fn new(table: RegistryTable, file: &Path) -> Result<(String, Self), ConfigError> {
        let prefix = if table.prefix.is_empty() { &table.location } else { &table.prefix };
        if prefix.is_empty() {
            let why = "neither prefix nor location is given";
            return Err(ConfigError::Value(file.to_owned(), "[[registry]]".to_owned(), why));
        }
        match prefix.strip_prefix("*.") {
            Some(rest) => check(&format!("x.{rest}"), "prefix", file)?,
            None => check(prefix, "prefix", file)?,
        }
        if !table.location.is_empty() {
            check(&table.location, "location", file)?;
        }
        let mirrors = table.mirror.iter().map(|mirror| {
            check(&mirror.location, "mirror.location", file)?;
            let pulls = match mirror.pull_from_mirror {
                Some(_) if table.mirror_by_digest_only => {
                    let why = "pull-from-mirror does not go with mirror-by-digest-only";
                    return Err(ConfigError::value(file, "mirror.location", &mirror.location, why));
                }
                Some(PullFromMirror::All) => Pulls::All,
                Some(PullFromMirror::TagOnly) => Pulls::Tag,
                Some(PullFromMirror::DigestOnly) => Pulls::Digest,
                None if table.mirror_by_digest_only => Pulls::Digest,
                None => Pulls::All,
            };
            Ok(Mirror { location: trimmed(&mirror.location), insecure: mirror.insecure, pulls })
        });
        let rule = Self {
            mirrors: mirrors.collect::<Result<_, ConfigError>>()?,
            location: trimmed(&table.location),
            insecure: table.insecure,
            blocked: table.blocked,
            file: file.to_owned(),
        };
        Ok((trimmed(prefix), rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(texts: &[&str]) -> Result<Registries, ConfigError> {
        let mut registries = Registries::default();
        for (at, text) in texts.iter().enumerate() {
            let path = PathBuf::from(format!("{at}.conf"));
            registries.read(ConfigFile { path: &path, text })?;
        }
        Ok(registries)
    }

    /// Where a repository is asked for, in order: mirrors, then itself.
    fn route(registries: &Registries, name: &str) -> String {
        let route = registries.route(&name.parse().unwrap());
        let shown = |at: &Endpoint| {
            let pulls = match at.pulls {
                Pulls::All => "",
                Pulls::Digest => " (digest)",
                Pulls::Tag => " (tag)",
            };
            format!("{}/{}{}{pulls}", at.host, at.path, if at.insecure { " (insecure)" } else { "" })
        };
        let mut all: Vec<_> = route.mirrors.iter().chain([&route.home]).map(shown).collect();
        all.extend(route.blocked.map(|blocked| format!("blocked by {}", blocked.file.display())));
        all.join(", ")
    }

    #[test]
    fn the_rule_with_the_longest_prefix_says_where_a_repository_is() {
        let registries = read_all(&[r#"
            [[registry]]
            location = "docker.io"
            [[registry.mirror]]
            location = "mirror.example.com/hub/"
            [[registry.mirror]]
            location = "localhost:5000"
            insecure = true
            pull-from-mirror = "tag-only"

            [[registry]]
            prefix = "docker.io/library/alpine"
            location = "registry.example.com/base/alpine"
            mirror-by-digest-only = true
            [[registry.mirror]]
            location = "fast.example.com/alpine"

            [[registry]]
            prefix = "*.corp.example"
            location = "gate.example.com"
            insecure = true

            [[registry]]
            location = "one.corp.example"

            [[registry]]
            prefix = "bad.example.com/team"
            blocked = true
        "#])
        .unwrap();
        for (name, expected) in [
            (
                "docker.io/ann/app",
                "mirror.example.com/hub/ann/app, localhost:5000/ann/app (insecure) (tag), docker.io/ann/app",
            ),
            ("alpine", "fast.example.com/alpine (digest), registry.example.com/base/alpine"),
            (
                "alpine/git",
                "mirror.example.com/hub/alpine/git, localhost:5000/alpine/git (insecure) (tag), docker.io/alpine/git",
            ),
            ("a.b.corp.example/app", "gate.example.com/app (insecure)"),
            ("one.corp.example/app", "one.corp.example/app"),
            ("a.corp.example.corp.example/app", "gate.example.com/app (insecure)"),
            ("corp.example/app", "corp.example/app"),
            ("corp.example:5000/app", "corp.example:5000/app"),
            ("x.io/a.corp.example/app", "x.io/a.corp.example/app"),
            ("bad.example.com/app", "bad.example.com/app"),
            ("bad.example.com/teams/app", "bad.example.com/teams/app"),
            ("bad.example.com/team/app", "bad.example.com/team/app, blocked by 0.conf"),
            ("quay.io/app", "quay.io/app"),
        ] {
            assert_eq!(route(&registries, name), expected, "{name}");
        }
    }

    #[test]
    fn a_later_file_replaces_rules_by_their_prefix_and_lists_as_a_whole() {
        let first = r#"
            unqualified-search-registries = ["a.io", "b.io"]
            [[registry]]
            location = "r.io"
            insecure = true
            [[registry]]
            location = "s.io"
            insecure = true
            [aliases]
            one = "a.io/one"
            two = "a.io/two"
        "#;
        let second = r#"
            unqualified-search-registries = ["c.io"]
            [[registry]]
            prefix = "r.io"
            [aliases]
            one = "b.io/one"
            two = ""
        "#;
        let registries = read_all(&[first, second, ""]).unwrap();
        assert_eq!(route(&registries, "r.io/app"), "r.io/app");
        assert_eq!(route(&registries, "s.io/app"), "s.io/app (insecure)");
        assert_eq!(registries.search(), ["c.io"]);
        assert_eq!((registries.alias("one"), registries.alias("two")), (Some("b.io/one"), None));
    }

    #[test]
    fn the_format_of_old_is_read_and_not_mixed() {
        let old = r#"
            [registries.search]
            registries = ["docker.io"]
            [registries.insecure]
            registries = ["localhost:5000"]
            [registries.block]
            registries = ["bad.example.com"]
        "#;
        let registries = read_all(&[old]).unwrap();
        assert_eq!(registries.search(), ["docker.io"]);
        assert_eq!(route(&registries, "localhost:5000/app"), "localhost:5000/app (insecure)");
        assert_eq!(route(&registries, "bad.example.com/app"), "bad.example.com/app, blocked by 0.conf");
        let mixed = format!("unqualified-search-registries = []\n{old}");
        assert!(matches!(read_all(&[&mixed]), Err(ConfigError::Value(..))));
    }

    #[test]
    fn what_makes_no_sense_is_named_with_file_and_place() {
        for (text, part) in [
            ("\n\n[[registry]\n", "0.conf, line 3: "),
            ("\n[[registry]]\nlocation = 1\n", "0.conf, line 3: invalid type"),
            ("[[registry]]\ninsecure = true\n", "neither prefix nor location"),
            ("[[registry]]\nlocation = \"https://r.io\"\n", "https://r.io"),
            ("[[registry]]\nprefix = \"r.io/app:v1\"\nblocked = true\n", "prefix = \"r.io/app:v1\""),
            ("[[registry]]\nprefix = \"*.x/y z\"\n", "prefix"),
            (
                "[[registry]]\nlocation = \"r.io\"\n[[registry.mirror]]\nlocation = \"mirror\"\n",
                "mirror.location",
            ),
            (
                "[[registry]]\nlocation = \"r.io\"\nmirror-by-digest-only = true\n\
                 [[registry.mirror]]\nlocation = \"m.io\"\npull-from-mirror = \"all\"\n",
                "mirror-by-digest-only",
            ),
            ("[aliases]\nx = \"Y\"\n", "x = \"Y\""),
        ] {
            let error = read_all(&[text]).map(drop).unwrap_err().to_string();
            assert!(error.contains("0.conf") && error.contains(part), "{text}: {error}");
        }
    }
}
