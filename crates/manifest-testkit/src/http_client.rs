//! A small blocking HTTP client for tests.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A blocking client for one plain HTTP server, independent of the code under test.
///
/// Each request uses a connection of its own and HTTP/1.0, so the answer ends where the connection
/// does. Redirects are not followed. A server silent for 30 seconds ends in a panic.
#[derive(Clone)]
pub struct Http {
    address: String,
    authorization: Option<String>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The answer to one request.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// All headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.text().chars().take(2000).collect();
        writeln!(f, "status {}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "{text}")
    }
}

impl Http {
    /// A client for the server at `address`, host and port.
    pub fn to(address: &str) -> Self {
        Self { address: address.to_owned(), authorization: None }
    }

    /// Sends this login with each request.
    pub fn basic(self, user: &str, password: &str) -> Self {
        self.authorization(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    /// Sends this token with each request.
    pub fn bearer(self, token: &str) -> Self {
        self.authorization(format!("Bearer {token}"))
    }

    fn authorization(mut self, value: String) -> Self {
        self.authorization = Some(value);
        self
    }

    /// `GET`.
    pub fn get(&self, target: &str, headers: &[(&str, &str)]) -> HttpAnswer {
        self.send("GET", target, headers, b"")
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Panics
    /// If the server does not answer in HTTP.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpAnswer {
        let sent = self.try_send(method, target, headers, body);
        sent.unwrap_or_else(|error| panic!("{method} http://{}{target}: {error}", self.address))
    }

    /// As [`send`](Self::send); an answer that breaks off is an error.
    ///
    /// # Errors
    /// What the connection reported, or `UnexpectedEof` when the body is shorter than announced.
    pub fn try_send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<HttpAnswer> {
        let mut stream = self.begin(method, target, headers, body.len() as u64)?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        parse(&answer, method).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    /// Sends a request that announces a body of `length` bytes and breaks off after these; waits until the server has
    /// seen that.
    pub(crate) fn break_off(
        &self,
        (method, target): (&str, &str),
        headers: &[(&str, &str)],
        body: &[u8],
        length: u64,
    ) -> std::io::Result<()> {
        let mut stream = self.begin(method, target, headers, length)?;
        stream.write_all(body)?;
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_end(&mut Vec::new()).map(|_| ())
    }

    /// Connects and sends the head of a request; a `host` among the headers takes the place of the address.
    fn begin(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        length: u64,
    ) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        let mut head = format!("{method} {target} HTTP/1.0\r\ncontent-length: {length}\r\n");
        let host = Some(("host", self.address.as_str()));
        let host = host.filter(|_| headers.iter().all(|(name, _)| *name != "host"));
        let login = self.authorization.as_deref().map(|value| ("authorization", value));
        for (name, value) in headers.iter().copied().chain(host).chain(login) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        Ok(stream)
    }
}

fn parse(answer: &[u8], method: &str) -> Option<HttpAnswer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let headers = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let parsed = HttpAnswer { status, headers, body: answer[end + 4..].to_vec() };
    let announced = parsed.header("content-length").and_then(|text| text.parse::<usize>().ok());
    let bodiless = method == "HEAD" || status == 204 || status == 304;
    let whole = bodiless || announced.is_none_or(|length| parsed.body.len() == length);
    whole.then_some(parsed)
}

/// Pushes to a registry: blobs in one request each, then manifests.
impl Http {
    pub(crate) fn put_blob(&self, repository: &str, digest: &str, bytes: &[u8]) {
        let opened = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
        assert_eq!(opened.status, 202, "cannot begin an upload: {opened:?}");
        let location = opened.header("location").expect("a location").to_owned();
        let target = match location.split_once("://") {
            Some((_, rest)) => &rest[rest.find('/').expect("a path in the location")..],
            None => &location,
        };
        let joint = if target.contains('?') { '&' } else { '?' };
        let headers = [("content-type", "application/octet-stream")];
        let put = self.send("PUT", &format!("{target}{joint}digest={digest}"), &headers, bytes);
        assert_eq!(put.status, 201, "cannot upload {digest}: {put:?}");
    }

    pub(crate) fn put_manifest(&self, repository: &str, reference: &str, media_type: &str, bytes: &[u8]) {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let put = self.send("PUT", &target, &[("content-type", media_type)], bytes);
        assert_eq!(put.status, 201, "cannot push {reference}: {put:?}");
    }
}
