//! Strict JSON in, Go's JSON out.
//!
//! Reading refuses what two parsers could understand differently (duplicate keys, invalid UTF-8) and what
//! could exhaust a reader (depth). Writing gives the bytes that Go's `encoding/json` gives, since the tools
//! of this field hash those.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::io;

use serde::Serialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The deepest nesting of objects and arrays that is read.
pub const MAX_DEPTH: usize = 64;

/// Why bytes are not JSON that can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The bytes are not JSON at all; the text names the line and column.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// An object holds the same key twice, so that two readers could see two documents.
    #[error("the key {0:?} stands twice in one object")]
    DuplicateKey(String),
    /// Objects and arrays are nested too deeply.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Checks that `bytes` are one JSON value without duplicate keys, at most [`MAX_DEPTH`] levels deep.
///
/// # Errors
/// The first offence, see [`JsonError`].
pub fn check(bytes: &[u8]) -> Result<(), JsonError> {
    let fault = RefCell::new(None);
    let mut input = serde_json::Deserializer::from_slice(bytes);
    let scan = Scan { depth: 0, fault: &fault };
    let result = scan.deserialize(&mut input).and_then(|()| input.end());
    match (fault.into_inner(), result) {
        (Some(fault), _) => Err(fault),
        (None, Err(error)) => Err(JsonError::Syntax(error.to_string())),
        (None, Ok(())) => Ok(()),
    }
}

/// Walks over a value and looks at nothing but its keys and its depth.
#[derive(Clone, Copy)]
struct Scan<'a> {
    depth: usize,
    fault: &'a RefCell<Option<JsonError>>,
}

impl Scan<'_> {
    fn fail<E: de::Error>(&self, fault: JsonError) -> E {
        *self.fault.borrow_mut() = Some(fault);
        E::custom("refused")
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.fail(JsonError::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = Keys::default();
        while let Some(key) = members.next_key_seed(Key)? {
            if !seen.insert(key.clone()) {
                return Err(self.fail(JsonError::DuplicateKey(key.chars().take(80).collect())));
            }
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// The keys of one object: a list while there are few, a tree when there are many.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: BTreeSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    const FEW: usize = 16;

    fn insert(&mut self, key: Cow<'de, str>) -> bool {
        if self.few.len() < Self::FEW {
            let new = !self.few.contains(&key);
            self.few.push(key);
            return new;
        }
        !self.few.contains(&key) && self.many.insert(key)
    }
}

/// A key, borrowed from the input unless it holds escapes.
pub(crate) struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The members of an object that this workspace does not know, in their order and with their exact values.
///
/// Numbers keep every digit, since the values are kept as JSON text (white space removed).
#[derive(Clone, Default)]
pub struct Extra(Vec<(String, Box<RawValue>)>);

impl Extra {
    /// No members.
    pub const NONE: Self = Self(Vec::new());

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in the order in which they stood.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members().map(|(name, _)| name)
    }

    fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names().any(|there| there == name)
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(there, _)| there != name);
    }

    pub(crate) fn push(&mut self, name: &str, value: &RawValue) {
        let compact = RawValue::from_string(compact(value.get()));
        self.0.push((name.to_owned(), compact.unwrap_or_else(|_| value.to_owned())));
    }

    /// Writes the members into an object that is being written.
    pub(crate) fn write<M: serde::ser::SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))
    }
}

impl PartialEq for Extra {
    fn eq(&self, other: &Self) -> bool {
        self.members().eq(other.members())
    }
}

impl Eq for Extra {}

impl PartialOrd for Extra {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Extra {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.members().cmp(other.members())
    }
}

impl std::hash::Hash for Extra {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.members().for_each(|member| member.hash(state));
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.members()).finish()
    }
}

/// Text from a document for a message, cut where a hostile document would fill the screen.
pub(crate) fn brief(text: &str) -> String {
    const LONGEST: usize = 160;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What is wrong with the type of a value. The position is left out: it counts from the start of that value.
pub(crate) fn complaint(error: &serde_json::Error) -> String {
    let text = error.to_string();
    brief(text.rsplit_once(" at line ").map_or(text.as_str(), |(complaint, _)| complaint))
}

/// The same JSON without white space between its tokens.
fn compact(json: &str) -> String {
    let (mut text, mut in_string, mut escaped) = (String::with_capacity(json.len()), false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        text.push(c);
    }
    text
}

/// Writes `value` as Go's `json.Marshal` does: no white space, `<`, `>`, `&`, U+2028 and U+2029 escaped.
/// `about` is how many bytes it may come to, so that memory is asked for once.
///
/// # Errors
/// Only when `value` itself refuses to be written.
pub(crate) fn to_vec<T: Serialize + ?Sized>(value: &T, about: usize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(about);
    let mut out = serde_json::Serializer::with_formatter(&mut bytes, GoFormatter);
    value.serialize(&mut out)?;
    Ok(bytes)
}

struct GoFormatter;

/// The bytes that a character to escape may begin with.
const SUSPECT: [bool; 256] = {
    let mut suspect = [false; 256];
    let (mut at, bytes) = (0, [b'<', b'>', b'&', 0xe2]);
    while at < bytes.len() {
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            suspect[bytes[at] as usize] = true;
        }
        at += 1;
    }
    suspect
};

impl serde_json::ser::Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        let escape = |c: char| match c {
            '<' => Some("\\u003c"),
            '>' => Some("\\u003e"),
            '&' => Some("\\u0026"),
            '\u{2028}' => Some("\\u2028"),
            '\u{2029}' => Some("\\u2029"),
            _ => None,
        };
        // U+2028 and U+2029 begin with this byte; hardly any text has one of the five.
        if !text.bytes().any(|byte| SUSPECT.get(usize::from(byte)).is_some_and(|suspect| *suspect)) {
            return out.write_all(text.as_bytes());
        }
        let mut rest = text;
        while let Some((at, c, code)) = rest.char_indices().find_map(|(at, c)| Some((at, c, escape(c)?))) {
            let (plain, tail) = rest.split_at(at);
            out.write_all(plain.as_bytes())?;
            out.write_all(code.as_bytes())?;
            rest = tail.get(c.len_utf8()..).unwrap_or_default();
        }
        out.write_all(rest.as_bytes())
    }
}

/// Writes a text member unless it is absent or empty, as Go's `omitempty` does.
pub(crate) fn unless_empty<M: serde::ser::SerializeMap>(
    map: &mut M,
    name: &str,
    text: Option<&str>,
) -> Result<(), M::Error> {
    text.filter(|text| !text.is_empty()).map_or(Ok(()), |text| map.serialize_entry(name, text))
}

/// Writes the entry when there is something to write, as Go's `omitempty` does.
pub(crate) fn unless<M: serde::ser::SerializeMap, T: Serialize + ?Sized>(
    empty: bool,
    map: &mut M,
    name: &str,
    value: &T,
) -> Result<(), M::Error> {
    if empty { Ok(()) } else { map.serialize_entry(name, value) }
}

/// Reads an object member by member into the named slots; what is unknown goes to `$extra`.
///
/// A key that differs from a known one only in case is refused: Go's readers would take it for the known one.
macro_rules! read_members {
    ($map:ident, $extra:expr; $($name:literal => $slot:expr),* $(,)?) => {
        while let Some(key) = $map.next_key_seed($crate::json::Key)? {
            match &*key {
                $($name => {
                    $slot = $map.next_value().map_err(|error| $crate::json::in_member($name, &error))?;
                })*
                other => {
                    $crate::json::refuse_other_case(other, &[$($name),*])?;
                    $extra.push(other, $map.next_value::<&serde_json::value::RawValue>()?);
                }
            }
        }
    };
}
pub(crate) use read_members;

/// Puts the name of a member before what is wrong with its value.
pub(crate) fn in_member<E: de::Error>(name: &str, error: &E) -> E {
    E::custom(format_args!("{name}: {error}"))
}

pub(crate) fn refuse_other_case<E: de::Error>(key: &str, known: &[&str]) -> Result<(), E> {
    // The only two characters outside ASCII that Go folds into it.
    let folded = || {
        key.chars().map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            c => c.to_ascii_lowercase(),
        })
    };
    match known.iter().find(|name| name.chars().map(|c| c.to_ascii_lowercase()).eq(folded())) {
        Some(name) => Err(E::custom(format_args!("the key {key:?} can be mistaken for {name:?}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    /// SEC-24.
    #[test]
    fn a_key_may_stand_once_in_each_object() {
        let many = |last: &str| {
            let keys: Vec<_> = (0..40).map(|n| format!("\"k{n}\":{n}")).collect();
            format!("{{{},\"{last}\":1}}", keys.join(","))
        };
        for good in [r#"{"a":1,"b":{"a":2}}"#, r#"[{"a":1},{"a":1}]"#, &many("k40"), "null", "1.5"] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [r#"{"a":1,"a":2}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#, &many("k3"), &many("k39")] {
            assert!(matches!(check(bad.as_bytes()), Err(JsonError::DuplicateKey(_))), "{bad}");
        }
    }

    /// SEC-55.
    #[test]
    fn depth_and_syntax_are_checked() {
        assert_eq!(check(nested(MAX_DEPTH).as_bytes()), Ok(()));
        for levels in [MAX_DEPTH + 1, 200, 1 << 20] {
            assert_eq!(check(nested(levels).as_bytes()), Err(JsonError::TooDeep));
        }
        for bad in [&b""[..], b"{", b"{} {}", b"\xef\xbb\xbf{}", b"{\"a\":\"\xff\"}", b"nul", b"[1e999999]"] {
            assert!(matches!(check(bad), Err(JsonError::Syntax(_))), "{bad:?}");
        }
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let text = "a<b>&\u{2028}\u{2029}\"\\\u{8}\u{c}\n\u{1}\u{7f}é😀";
        let written = String::from_utf8(to_vec(text, 0).unwrap()).unwrap();
        assert_eq!(written, "\"a\\u003cb\\u003e\\u0026\\u2028\\u2029\\\"\\\\\\b\\f\\n\\u0001\u{7f}é😀\"");
    }

    #[test]
    fn white_space_leaves_unknown_values_but_not_their_strings() {
        assert_eq!(compact("{ \"a b\" : [ 1.50 ,\n\"\\\" \" ] }"), r#"{"a b":[1.50,"\" "]}"#);
    }
}
