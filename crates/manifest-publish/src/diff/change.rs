//! How two JSON values differ.
//!
//! Spec: RFC 6901 (JSON Pointer).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// A value that differs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// Where it stands, as a JSON pointer; where a variable has moved, its place in the first document.
    pub path: String,
    /// The first value; none where there is none. `null` counts as none.
    pub old: Option<Value>,
    /// The second value.
    pub new: Option<Value>,
}

/// Compares two values, member by member of objects.
///
/// Arrays are compared as a whole, but for the environment of an image, whose variables are compared by name.
pub(super) fn changes(old: Option<&Value>, new: Option<&Value>) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", old, new, &mut found);
    found
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Change>) {
    let (old, new) = (old.filter(|value| !value.is_null()), new.filter(|value| !value.is_null()));
    let nothing = Map::new();
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => members(path, old, new, found),
        (Some(Value::Object(old)), None) if !old.is_empty() => members(path, old, &nothing, found),
        (None, Some(Value::Object(new))) if !new.is_empty() => members(path, &nothing, new, found),
        (Some(Value::Array(old)), Some(Value::Array(new))) if path == "/config/Env" => {
            variables(path, old, new, found);
        }
        (old, new) => found.push(Change { path: path.to_owned(), old: old.cloned(), new: new.cloned() }),
    }
}

fn members(path: &str, old: &Map<String, Value>, new: &Map<String, Value>, found: &mut Vec<Change>) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let at = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        compare(&at, old.get(name), new.get(name), found);
    }
}

/// Compares variables, written `NAME=VALUE`, by their names.
fn variables(path: &str, old: &[Value], new: &[Value], found: &mut Vec<Change>) {
    let change = |path: String, old: Option<&Value>, new: Option<&Value>| Change {
        path,
        old: old.cloned(),
        new: new.cloned(),
    };
    let before = found.len();
    if let (Some(old), Some(new)) = (by_name(old), by_name(new)) {
        for (name, (at, value)) in &old {
            match new.get(name) {
                Some((at, other)) if other != value => {
                    found.push(change(format!("{path}/{at}"), Some(value), Some(other)));
                }
                Some(_) => {}
                None => found.push(change(format!("{path}/{at}"), Some(value), None)),
            }
        }
        for (_, (at, value)) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
            found.push(change(format!("{path}/{at}"), None, Some(value)));
        }
    }
    if found.len() == before {
        // Another order, or a name that stands twice.
        let whole = |values: &[Value]| Value::Array(values.to_vec());
        found.push(change(path.to_owned(), Some(&whole(old)), Some(&whole(new))));
    }
}

/// Variables by their names, with their positions; none when a name stands twice, or something is no text.
fn by_name(values: &[Value]) -> Option<BTreeMap<&str, (usize, &Value)>> {
    let mut by_name = BTreeMap::new();
    for (at, value) in values.iter().enumerate() {
        let name = value.as_str()?.split('=').next()?;
        if by_name.insert(name, (at, value)).is_some() {
            return None;
        }
    }
    Some(by_name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Each change as `PATH OLD NEW`, `-` for none.
    fn told(old: Value, new: Value) -> Vec<String> {
        let text = |value: Option<Value>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let changes = changes(Some(&old), Some(&new)).into_iter();
        changes.map(|change| format!("{} {} {}", change.path, text(change.old), text(change.new))).collect()
    }

    #[test]
    fn values_are_compared_member_by_member() {
        for (old, new, expected) in [
            (json!({"a": 1}), json!({"a": 1}), vec![]),
            (json!({"a": 1}), json!({"a": 2, "b": "x"}), vec!["/a 1 2", "/b - \"x\""]),
            (json!({"a": {"x/y": 1, "z~": 2}}), json!({"a": {}}), vec!["/a/x~1y 1 -", "/a/z~0 2 -"]),
            (json!({"labels": null}), json!({"labels": {"a": "b"}}), vec!["/labels/a - \"b\""]),
            (json!({"labels": {"a": "b"}}), json!({}), vec!["/labels/a \"b\" -"]),
            (json!({"a": null}), json!({}), vec![]),
            (json!({"a": {}}), json!({}), vec!["/a {} -"]),
            (json!({"a": [1, 2]}), json!({"a": [2]}), vec!["/a [1,2] [2]"]),
            (json!({"a": "1"}), json!({"a": 1}), vec!["/a \"1\" 1"]),
            (json!([1]), json!({"a": 1}), vec![" [1] {\"a\":1}"]),
        ] {
            assert_eq!(told(old.clone(), new.clone()), expected, "{old} {new}");
        }
    }

    #[test]
    fn variables_are_compared_by_name() {
        let env = |all: Value| json!({"config": {"Env": all}});
        for (old, new, expected) in [
            (json!(["A=1", "B=2"]), json!(["A=1", "B=3"]), vec!["/config/Env/1 \"B=2\" \"B=3\""]),
            (json!(["A=1", "B=2"]), json!(["B=2"]), vec!["/config/Env/0 \"A=1\" -"]),
            (json!(["B=2"]), json!(["A=1", "B=2"]), vec!["/config/Env/0 - \"A=1\""]),
            (
                json!(["A=1", "B=2"]),
                json!(["B=2", "A=1"]),
                vec!["/config/Env [\"A=1\",\"B=2\"] [\"B=2\",\"A=1\"]"],
            ),
            (json!(["A=1", "A=2"]), json!(["A=1"]), vec!["/config/Env [\"A=1\",\"A=2\"] [\"A=1\"]"]),
            (json!([7]), json!(["A=1"]), vec!["/config/Env [7] [\"A=1\"]"]),
        ] {
            assert_eq!(told(env(old.clone()), env(new.clone())), expected, "{old} {new}");
        }
    }
}
