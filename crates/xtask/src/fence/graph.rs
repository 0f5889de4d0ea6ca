//! The dependency graph, as `cargo metadata` tells it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde_json::Value;

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// Part of what is shipped.
    Normal,
    /// Needed by the build script.
    Build,
    /// Needed by tests only.
    Dev,
}

/// One crate that depends on another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    /// The package id, unique in the graph: a name may occur in several versions.
    pub(super) from: String,
    pub(super) to: String,
    pub(super) purpose: Purpose,
}

/// Crates and what they depend on.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// The name of the crate with each package id.
    names: BTreeMap<String, String>,
    /// The package ids of our own crates.
    members: BTreeSet<String>,
    edges: BTreeSet<Edge>,
}

/// Why the metadata could not be read.
#[derive(Debug)]
pub(super) enum Malformed {
    /// It is not JSON.
    Json(serde_json::Error),
    /// This part of it is missing or of another type.
    Part(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "it is not JSON: {error}"),
            Self::Part(part) => write!(f, "{part} is missing or malformed"),
        }
    }
}

impl Graph {
    /// Reads the output of `cargo metadata --format-version 1`.
    pub(super) fn parse(metadata: &[u8]) -> Result<Self, Malformed> {
        let metadata: Value = serde_json::from_slice(metadata).map_err(Malformed::Json)?;
        let mut graph = Self::default();
        for package in list(&metadata, "/packages")? {
            graph.names.insert(text(package, "/id")?, text(package, "/name")?);
        }
        for member in list(&metadata, "/workspace_members")? {
            graph.members.insert(text(member, "")?);
        }
        for node in list(&metadata, "/resolve/nodes")? {
            let from = text(node, "/id")?;
            for dependency in list(node, "/deps")? {
                let to = text(dependency, "/pkg")?;
                for kind in list(dependency, "/dep_kinds")? {
                    let purpose = match kind.pointer("/kind").and_then(Value::as_str) {
                        None => Purpose::Normal,
                        Some("build") => Purpose::Build,
                        Some("dev") => Purpose::Dev,
                        Some(_) => return Err(Malformed::Part("a kind of dependency")),
                    };
                    graph.edges.insert(Edge { from: from.clone(), to: to.clone(), purpose });
                }
            }
        }
        Ok(graph)
    }

    /// The name of the crate with this package id.
    pub(super) fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }

    /// The names of our own crates, sorted.
    pub(super) fn member_names(&self) -> BTreeSet<&str> {
        self.members.iter().map(|id| self.name(id)).collect()
    }

    /// The dependencies of our own crates on each other.
    pub(super) fn own_edges(&self) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(|edge| self.members.contains(&edge.from) && self.members.contains(&edge.to))
    }

    /// Everything that is shipped with our crate `name`: the shortest way to each crate, by names.
    pub(super) fn shipped_with(&self, name: &str) -> Vec<Vec<&str>> {
        let start = self.members.iter().find(|id| self.name(id) == name);
        let mut reached: BTreeSet<&str> = start.iter().map(|id| id.as_str()).collect();
        let mut queue: VecDeque<(&str, Vec<&str>)> =
            start.iter().map(|id| (id.as_str(), vec![self.name(id)])).collect();
        let mut ways = Vec::new();
        while let Some((id, way)) = queue.pop_front() {
            for edge in self.edges.iter().filter(|edge| edge.from == id && edge.purpose == Purpose::Normal) {
                if reached.insert(&edge.to) {
                    let mut way = way.clone();
                    way.push(self.name(&edge.to));
                    ways.push(way.clone());
                    queue.push_back((&edge.to, way));
                }
            }
        }
        ways
    }
}

fn list<'a>(value: &'a Value, at: &'static str) -> Result<&'a Vec<Value>, Malformed> {
    value.pointer(at).and_then(Value::as_array).ok_or(Malformed::Part(at))
}

fn text(value: &Value, at: &'static str) -> Result<String, Malformed> {
    value.pointer(at).and_then(Value::as_str).map(str::to_owned).ok_or(Malformed::Part(if at.is_empty() {
        "a name"
    } else {
        at
    }))
}

#[cfg(test)]
impl Graph {
    /// A made-up graph: lines `FROM -> TO`, `FROM -dev-> TO` or `FROM -build-> TO`; `own` are our crates.
    pub(super) fn made_up(own: &[&str], lines: &str) -> Self {
        let members = own.iter().map(|&name| name.to_owned()).collect();
        let mut graph = Self { members, ..Self::default() };
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let [from, arrow, to] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let purpose = match arrow {
                "->" => Purpose::Normal,
                "-build->" => Purpose::Build,
                "-dev->" => Purpose::Dev,
                _ => panic!("{line}"),
            };
            graph.edges.insert(Edge { from: from.to_owned(), to: to.to_owned(), purpose });
        }
        graph
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{
        "packages": [{"id": "path#core@1", "name": "core"}, {"id": "reg#serde@1", "name": "serde"},
                     {"id": "reg#derive@2", "name": "derive"}, {"id": "reg#proptest@1", "name": "proptest"}],
        "workspace_members": ["path#core@1"],
        "resolve": {"nodes": [
            {"id": "path#core@1", "deps": [
                {"pkg": "reg#serde@1", "dep_kinds": [{"kind": null, "target": null}]},
                {"pkg": "reg#proptest@1", "dep_kinds": [{"kind": "dev", "target": null}]}]},
            {"id": "reg#serde@1", "deps": [{"pkg": "reg#derive@2", "dep_kinds": [{"kind": null}, {"kind": "build"}]}]},
            {"id": "reg#derive@2", "deps": []}]}}"#;

    #[test]
    fn what_is_shipped_is_followed_and_what_tests_need_is_not() {
        let graph = Graph::parse(METADATA.as_bytes()).unwrap();
        assert_eq!(graph.shipped_with("core"), [vec!["core", "serde"], vec!["core", "serde", "derive"]]);
        assert_eq!(graph.member_names().into_iter().collect::<Vec<_>>(), ["core"]);
        assert_eq!(graph.edges.len(), 4);
    }

    #[test]
    fn metadata_that_cannot_be_read_is_an_error_and_not_an_empty_graph() {
        for (from, to) in
            [("\"packages\"", "\"parcels\""), ("\"resolve\"", "\"other\""), ("\"dev\"", "\"odd\"")]
        {
            assert!(Graph::parse(METADATA.replace(from, to).as_bytes()).is_err(), "{from}");
        }
        assert!(Graph::parse(b"").is_err());
    }

    #[test]
    fn a_circle_of_dependencies_ends() {
        let graph = Graph::made_up(&["a"], "a -> b\nb -> a\nb -> c");
        assert_eq!(graph.shipped_with("a"), [vec!["a", "b"], vec!["a", "b", "c"]]);
    }
}
