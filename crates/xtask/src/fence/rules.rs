//! What the graph must keep to.

use super::graph::{Edge, Graph, Purpose};

const CORE: &str = "manifest-core";
const STORE: &str = "manifest-store";
const TRANSPORT: &str = "manifest-transport";
const SIGN: &str = "manifest-sign";
const PUBLISH: &str = "manifest-publish";
const CLI: &str = "manifest-cli";
const TESTKIT: &str = "manifest-testkit";
const XTASK: &str = "xtask";

/// Our crates, and which of the others each may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    (CORE, &[]),
    (STORE, &[CORE]),
    (TRANSPORT, &[CORE]),
    (SIGN, &[CORE]),
    (PUBLISH, &[CORE, STORE, TRANSPORT, SIGN]),
    (CLI, &[CORE, STORE, TRANSPORT, SIGN, PUBLISH]),
    (TESTKIT, &[CORE, STORE, TRANSPORT, SIGN]),
    (XTASK, &[CORE]),
];

/// What must never come with the model: HTTP, TLS, async runtimes, keys.
const NOT_IN_CORE: &[&str] = &[
    "reqwest",
    "hyper",
    "http",
    "tokio",
    "async-std",
    "rustls",
    "native-tls",
    "openssl",
    "ring",
    "aws-lc-rs",
    "sequoia-openpgp",
    "p256",
    "rsa",
];

/// What is wrong with the graph, one sentence for each edge; nothing when all is well.
pub(super) fn check(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in graph.member_names() {
        if allowed(name).is_none() {
            wrong.push(format!(
                "{name} is not known to the fence: say in fence/rules.rs what it may depend on"
            ));
        }
    }
    if !graph.member_names().contains(CORE) {
        wrong.push(format!("{CORE} is not there: the fence guards nothing"));
    }
    wrong.extend(graph.own_edges().filter_map(|edge| check_edge(graph, edge)));
    for way in graph.shipped_with(CORE) {
        if way.last().is_some_and(|name| NOT_IN_CORE.contains(name)) {
            wrong.push(format!("{CORE} must stay free of HTTP, TLS, async and keys: {}", way.join(" -> ")));
        }
    }
    wrong
}

fn allowed(name: &str) -> Option<&'static [&'static str]> {
    ALLOWED.iter().find(|(of, _)| *of == name).map(|(_, allowed)| *allowed)
}

fn check_edge(graph: &Graph, edge: &Edge) -> Option<String> {
    let (from, to) = (graph.name(&edge.from), graph.name(&edge.to));
    let arrow = match edge.purpose {
        Purpose::Normal => format!("{from} -> {to}"),
        Purpose::Build => format!("{from} -> {to} (build script)"),
        Purpose::Dev => format!("{from} -> {to} (tests)"),
    };
    if to == XTASK {
        return Some(format!("{arrow}: nothing may depend on {XTASK}"));
    }
    if to == TESTKIT {
        let why = "may only be a dev-dependency";
        return (edge.purpose != Purpose::Dev).then(|| format!("{arrow}: {TESTKIT} {why}"));
    }
    // A crate without a row of its own has been reported as such.
    let allowed = allowed(from)?;
    let expected = if allowed.is_empty() { "none of our crates".to_owned() } else { allowed.join(", ") };
    (!allowed.contains(&to)).then(|| format!("{arrow}: {from} may depend on {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [&str; 7] = [CORE, STORE, TRANSPORT, PUBLISH, CLI, TESTKIT, XTASK];
    const GOOD: &str = "
        manifest-core -> serde
        manifest-core -dev-> proptest
        proptest -> tokio
        manifest-store -> manifest-core
        manifest-store -dev-> manifest-testkit
        manifest-transport -> manifest-core
        manifest-transport -> reqwest
        reqwest -> tokio
        manifest-publish -> manifest-core
        manifest-publish -> manifest-store
        manifest-publish -> manifest-transport
        manifest-cli -> manifest-publish
        manifest-cli -> manifest-store
        manifest-cli -> manifest-transport
        manifest-cli -> manifest-core
        manifest-cli -dev-> manifest-testkit
        manifest-testkit -> manifest-core
        xtask -> serde";

    fn with(lines: &str) -> Vec<String> {
        check(&Graph::made_up(&OWN, &format!("{GOOD}\n{lines}")))
    }

    #[test]
    fn the_drawn_house_is_within_the_fence() {
        assert_eq!(with(""), Vec::<String>::new());
    }

    #[test]
    fn each_forbidden_arrow_is_named() {
        for (line, message) in [
            (
                "manifest-core -> manifest-store",
                "manifest-core -> manifest-store: manifest-core may depend on none",
            ),
            ("manifest-core -dev-> manifest-cli", "manifest-core -> manifest-cli (tests): manifest-core may"),
            ("manifest-store -> manifest-transport", "manifest-store may depend on manifest-core"),
            ("manifest-transport -> manifest-store", "manifest-transport may depend on manifest-core"),
            ("manifest-transport -build-> manifest-store", "manifest-store (build script): "),
            (
                "manifest-publish -> manifest-cli",
                "manifest-publish may depend on manifest-core, manifest-store,",
            ),
            ("manifest-testkit -> manifest-cli", "manifest-testkit may depend on"),
            ("manifest-cli -> manifest-testkit", "manifest-testkit may only be a dev-dependency"),
            ("manifest-core -build-> manifest-testkit", "manifest-testkit may only be a dev-dependency"),
            ("manifest-cli -> xtask", "nothing may depend on xtask"),
            ("manifest-testkit -dev-> xtask", "nothing may depend on xtask"),
        ] {
            let wrong = with(line);
            assert!(wrong.len() == 1 && wrong[0].contains(message), "{line}: {wrong:?}");
        }
    }

    #[test]
    fn each_forbidden_crate_is_found_however_deep_and_the_way_to_it_is_shown() {
        for &name in NOT_IN_CORE {
            let wrong = with(&format!("serde -> deep\ndeep -> {name}"));
            let way = format!("manifest-core -> serde -> deep -> {name}");
            assert!(wrong.iter().any(|line| line.ends_with(&way)), "{name}: {wrong:?}");
        }
    }

    #[test]
    fn a_name_that_only_begins_like_a_forbidden_one_is_fine() {
        assert_eq!(with("serde -> http-body\nserde -> rsa-tools"), Vec::<String>::new());
    }

    #[test]
    fn a_new_crate_needs_a_row_and_a_missing_core_is_not_silence() {
        let wrong = check(&Graph::made_up(&["manifest-new"], "manifest-new -> manifest-core"));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].starts_with("manifest-new is not known"), "{wrong:?}");
        assert!(wrong[1].starts_with("manifest-core is not there"), "{wrong:?}");
    }
}
