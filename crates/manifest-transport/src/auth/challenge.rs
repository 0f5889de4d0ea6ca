//! What a server asks for: the `WWW-Authenticate` field.

/// Field lines read of one response; more are ignored.
const MAX_LINES: usize = 32;
/// Bytes of one field line; a longer line is ignored as a whole, since half a line may say something else.
const MAX_LINE: usize = 16 * 1024;
/// Challenges read of one response.
const MAX_CHALLENGES: usize = 16;
/// Parameters read of one challenge.
const MAX_PARAMETERS: usize = 64;
/// Scopes kept of one challenge.
const MAX_SCOPES: usize = 64;

/// One way in that a server offers.
///
/// No text in it holds a control character. A parameter that stands twice counts the first time, except
/// `scope`, which is collected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Challenge {
    /// A user name and a password with every request.
    Basic {
        /// The name of the protected space, for people only; servers forget it.
        realm: Option<String>,
    },
    /// A token from a token server.
    Bearer {
        /// The URL of the token server as the registry wrote it: an unchecked string from outside.
        realm: String,
        /// The name the token is asked for, when given.
        service: Option<String>,
        /// The scopes, such as `repository:app:pull,push`; empty when the server leaves them to us.
        scope: Vec<String>,
        /// Why the token that was sent does not do, such as `insufficient_scope`.
        error: Option<String>,
    },
    /// A scheme that is not spoken here, as written, or a Bearer challenge without a realm.
    Other(String),
}

/// Reads all challenges of a response, in the order given.
///
/// Takes the values of every `WWW-Authenticate` field line. What is malformed is skipped up to the next
/// comma; what can be read is read, for servers are not careful: schemes and names in any case, values
/// with and without quotes, commas missing between parameters, a space on either side of `=`.
///
/// Limits: 32 lines of 16 KiB, 16 challenges, 64 parameters and 64 scopes for each; the rest is ignored.
///
/// Spec: RFC 9110, sections 5.6, 11.2 to 11.4 and 11.6.1; RFC 6750, section 3.
pub fn parse<T: AsRef<[u8]>>(values: impl IntoIterator<Item = T>) -> Vec<Challenge> {
    let mut raw = Vec::new();
    for line in values.into_iter().take(MAX_LINES) {
        let line = line.as_ref();
        if line.len() <= MAX_LINE {
            read_line(&mut Cursor { bytes: line, at: 0 }, &mut raw);
        }
    }
    raw.into_iter().map(Raw::finish).collect()
}

/// A challenge as it is read: the scheme and its parameters, names in lower case.
struct Raw {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Raw {
    fn new(scheme: &[u8]) -> Self {
        Self { scheme: String::from_utf8_lossy(scheme).into_owned(), parameters: Vec::new() }
    }

    fn first(&self, name: &str) -> Option<String> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    fn scopes(&self) -> Vec<String> {
        let mut scopes: Vec<String> = Vec::new();
        let given = self.parameters.iter().filter(|(key, _)| key == "scope");
        for scope in given.flat_map(|(_, value)| value.split_ascii_whitespace()) {
            if scopes.len() < MAX_SCOPES && !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
        scopes
    }

    fn finish(self) -> Challenge {
        if self.scheme.eq_ignore_ascii_case("basic") {
            return Challenge::Basic { realm: self.first("realm") };
        }
        match self.first("realm") {
            Some(realm) if self.scheme.eq_ignore_ascii_case("bearer") => Challenge::Bearer {
                realm,
                service: self.first("service").filter(|service| !service.is_empty()),
                scope: self.scopes(),
                error: self.first("error").filter(|error| !error.is_empty()),
            },
            Some(_) | None => Challenge::Other(self.scheme),
        }
    }
}

/// Reads one field line; every turn of the loop moves on by a byte at least.
fn read_line(cursor: &mut Cursor<'_>, found: &mut Vec<Raw>) {
    // A line begins a new list: its first parameter never belongs to the challenge of the line before.
    let mut current: Option<Raw> = None;
    loop {
        cursor.skip(|byte| is_blank(byte) || byte == b',');
        if cursor.peek().is_none() {
            break;
        }
        let word = cursor.take(is_token);
        if word.is_empty() {
            cursor.skip_to_comma();
        } else if cursor.take_equals() {
            let value = cursor.value();
            if let (Some(raw), Some(value)) = (&mut current, value)
                && raw.parameters.len() < MAX_PARAMETERS
            {
                raw.parameters.push((String::from_utf8_lossy(word).to_ascii_lowercase(), value));
            }
        } else {
            found.extend(current.take());
            if found.len() >= MAX_CHALLENGES {
                return;
            }
            current = Some(Raw::new(word));
            cursor.skip_token68();
        }
    }
    found.extend(current);
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn skip(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let start = self.at;
        self.skip(wanted);
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// Passes `=` with blanks around it, or stays where it is.
    fn take_equals(&mut self) -> bool {
        let start = self.at;
        self.skip(is_blank);
        if self.peek() == Some(b'=') {
            self.at += 1;
            self.skip(is_blank);
            return true;
        }
        self.at = start;
        false
    }

    /// Passes the token68 of a scheme such as Negotiate; it ends at a comma or at the end of the line, which
    /// tells it from a parameter.
    fn skip_token68(&mut self) {
        let start = self.at;
        self.skip(is_blank);
        let text = self.take(is_token68).len();
        self.skip(|byte| byte == b'=');
        self.skip(is_blank);
        let ended = matches!(self.peek(), None | Some(b','));
        if text == 0 || self.at == start || !ended {
            self.at = start;
        }
    }

    /// A parameter's value, or nothing when its quotes do not close or it holds a control character.
    fn value(&mut self) -> Option<String> {
        let value = if self.peek() == Some(b'"') {
            self.quoted()?
        } else {
            self.take(|byte| byte != b',' && !is_blank(byte)).to_vec()
        };
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return None;
        }
        Some(String::from_utf8_lossy(&value).into_owned())
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Some(text),
                b'\\' => text.push(self.next()?),
                byte => text.push(byte),
            }
        }
    }

    /// Passes what cannot be read, quoted strings as a whole.
    fn skip_to_comma(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b',' => return,
                b'"' => drop(self.quoted()),
                _ => self.at += 1,
            }
        }
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

const fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn basic(realm: &str) -> Challenge {
        Challenge::Basic { realm: Some(realm.to_owned()) }
    }

    fn bearer(realm: &str, service: &str, scope: &[&str]) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: (!service.is_empty()).then(|| service.to_owned()),
            scope: scope.iter().map(|&scope| scope.to_owned()).collect(),
            error: None,
        }
    }

    fn other(scheme: &str) -> Challenge {
        Challenge::Other(scheme.to_owned())
    }

    /// NET-18.
    #[test]
    fn challenges_are_read_however_a_server_writes_them() {
        let hub = bearer("https://auth.example/token", "reg.example", &["repository:a/b:pull,push"]);
        let table: &[(&[&str], Vec<Challenge>)] = &[
            (&[], vec![]),
            (&[""], vec![]),
            (&[" , ,, "], vec![]),
            (&[r#"Basic realm="Registry""#], vec![basic("Registry")]),
            (&["Basic"], vec![Challenge::Basic { realm: None }]),
            (&[r#"Basic realm="""#], vec![basic("")]),
            (&["BASIC realm=Registry"], vec![basic("Registry")]),
            (&[r#"Basic realm="a", charset="UTF-8""#], vec![basic("a")]),
            (
                &[
                    r#"Bearer realm="https://auth.example/token",service="reg.example",scope="repository:a/b:pull,push""#,
                ],
                vec![hub.clone()],
            ),
            (
                &[
                    r#"bearer REALM = "https://auth.example/token" ,	Service="reg.example" , scope="repository:a/b:pull,push""#,
                ],
                vec![hub.clone()],
            ),
            (
                // Commas forgotten between parameters.
                &[
                    r#"Bearer realm="https://auth.example/token" service="reg.example" scope="repository:a/b:pull,push""#,
                ],
                vec![hub.clone()],
            ),
            (
                // Everything without quotes.
                &["Bearer realm=https://auth.example/token?x=1,service=reg.example,scope=repository:a:pull"],
                vec![bearer("https://auth.example/token?x=1", "reg.example", &["repository:a:pull"])],
            ),
            (&[r#"Bearer realm="https://a/t""#], vec![bearer("https://a/t", "", &[])]),
            (&[r#"Bearer realm="https://a/t",service="",scope="""#], vec![bearer("https://a/t", "", &[])]),
            (
                &[
                    r#"Bearer realm="https://a/t",scope="repository:a:pull  repository:b:pull repository:a:pull""#,
                ],
                vec![bearer("https://a/t", "", &["repository:a:pull", "repository:b:pull"])],
            ),
            (
                &[r#"Bearer realm="https://a/t",scope="repository:a:pull",scope="repository:b:pull""#],
                vec![bearer("https://a/t", "", &["repository:a:pull", "repository:b:pull"])],
            ),
            (
                // Several schemes in one line, one of them with a token68.
                &[
                    r#"Negotiate, NTLM TlRMTVNTUAAB==, Basic realm="r", Bearer realm="https://a/t",service="s""#,
                ],
                vec![other("Negotiate"), other("NTLM"), basic("r"), bearer("https://a/t", "s", &[])],
            ),
            (
                &["Negotiate YII/a+b=", r#"Bearer realm="https://a/t""#, r#"Basic realm="r""#],
                vec![other("Negotiate"), bearer("https://a/t", "", &[]), basic("r")],
            ),
            (
                // A comma forgotten between challenges.
                &[r#"Negotiate Basic realm="r" Bearer realm="https://a/t""#],
                vec![other("Negotiate"), basic("r"), bearer("https://a/t", "", &[])],
            ),
            (
                &[r#"Digest realm="d", qop="auth,auth-int", nonce=abc, Basic realm="r""#],
                vec![other("Digest"), basic("r")],
            ),
            (
                &[r#"Basic realm="a, Bearer realm=\"https://evil/t\", \\ b""#],
                vec![basic(r#"a, Bearer realm="https://evil/t", \ b"#)],
            ),
            (&[r#"Basic realm="one",realm="two""#], vec![basic("one")]),
            (&[r#"Basic realm="never closed, Bearer realm="#], vec![Challenge::Basic { realm: None }]),
            (&[r#"Basic realm="ends in a backslash\"#], vec![Challenge::Basic { realm: None }]),
            (&["Basic realm=\"a\r\nX: y\""], vec![Challenge::Basic { realm: None }]),
            (&["Basic realm=\"a\0\""], vec![Challenge::Basic { realm: None }]),
            (&[r#"realm="nobody's", Basic realm="r""#], vec![basic("r")]),
            (&["Basic", r#"realm="of another line""#], vec![Challenge::Basic { realm: None }]),
            (&[r#"Bearer service="s",scope="x""#], vec![other("Bearer")]),
            (&["Bearer realm="], vec![other("Bearer")]),
            (&[r#"@@"a,b"@, Basic realm="r""#], vec![basic("r")]),
            (&[r#"Basic realm="r" ; charset"#], vec![basic("r")]),
        ];
        for (lines, expected) in table {
            assert_eq!(&parse(lines.iter()), expected, "{lines:?}");
        }
    }

    #[test]
    fn the_error_of_a_refused_token_is_kept() {
        let line = r#"Bearer realm="https://a/t",error="insufficient_scope",error_description="no, not you",scope="s""#;
        let expected = Challenge::Bearer {
            realm: "https://a/t".to_owned(),
            service: None,
            scope: vec!["s".to_owned()],
            error: Some("insufficient_scope".to_owned()),
        };
        assert_eq!(parse([line]), [expected]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(parse([b"Basic realm=\"caf\xe9\""]), [basic("caf\u{fffd}")]);
    }

    #[test]
    fn too_much_of_anything_is_ignored() {
        assert_eq!(parse([format!("Basic realm=\"{}\"", "a".repeat(MAX_LINE))]), []);
        assert_eq!(parse(["Basic, ".repeat(MAX_CHALLENGES * 4)]).len(), MAX_CHALLENGES);
        assert_eq!(parse(std::iter::repeat_n("Basic", 1000)).len(), MAX_CHALLENGES);
        let parameters: String = (0..MAX_PARAMETERS).map(|n| format!("p{n}=1, ")).collect();
        assert_eq!(parse([format!("Basic {parameters} realm=late")]), [Challenge::Basic { realm: None }]);
        let scopes: String = (0..1000).map(|n| format!("s{n} ")).collect();
        match parse([format!("Bearer realm=r, scope=\"{scopes}\"")]).as_slice() {
            [Challenge::Bearer { scope, .. }] => assert_eq!(scope.len(), MAX_SCOPES),
            read => panic!("{read:?}"),
        }
    }

    /// Pieces that lead into every corner more often than random bytes do.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::sample::select(vec![
                "Basic",
                "bearer",
                "Negotiate",
                "realm",
                "scope",
                "service",
                "=",
                "\"",
                "\\",
                ",",
                " ",
                "\t",
                "a==",
                "https://a/t",
                "\u{e9}",
                "\r\n",
                "\0",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
            proptest::collection::vec(any::<u8>(), 0..4),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            lines in proptest::collection::vec(proptest::collection::vec(piece(), 0..40), 0..4),
        ) {
            let read = parse(lines.iter().map(|pieces| pieces.concat()));
            prop_assert!(read.len() <= MAX_CHALLENGES);
            for challenge in read {
                if let Challenge::Bearer { realm, scope, .. } = challenge {
                    prop_assert!(!realm.contains(['\r', '\n', '\0']));
                    prop_assert!(scope.len() <= MAX_SCOPES);
                }
            }
        }

        #[test]
        fn a_quoted_value_comes_back_as_it_was(realm in "[ -~\u{e9}]{0,60}", service in "[ -~]{1,60}") {
            let quote = |text: &str| text.replace('\\', r"\\").replace('"', "\\\"");
            let line = format!("Bearer realm=\"{}\", service=\"{}\"", quote(&realm), quote(&service));
            prop_assert_eq!(parse([line]), [bearer(&realm, &service, &[])]);
        }
    }
}
