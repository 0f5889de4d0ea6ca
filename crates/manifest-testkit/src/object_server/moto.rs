//! The emulator of S3.

use std::process::Command;

use super::{Server, emulator, installed};
use crate::{Http, HttpAnswer};

const REGION: &str = "us-east-1";
const KEY_ID: &str = "testkit";

/// moto 5.2, an emulator of Amazon S3, on a free loopback port; its content is in memory, and gone when
/// this is dropped.
///
/// It honours `If-None-Match: *` and `If-Match` of PUT as S3 does: 412, or 404 when there is nothing to
/// match. An ETag is the MD5 of the content, so that equal content has an equal ETag.
#[derive(Debug)]
pub struct Moto(Server);

impl Moto {
    /// Starts it, without any bucket.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    pub fn start() -> Self {
        let python = installed(emulator::MOTO);
        Self(Server::start(emulator::MOTO, "Running on ", |_| {
            let mut command = Command::new(python);
            // Not by its script `moto_server`: that names the directory it was installed in first.
            command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]);
            command
        }))
    }

    /// The URL of the service, `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.0.endpoint
    }

    /// Makes a bucket. Its name needs three letters at least.
    ///
    /// # Panics
    /// If the emulator refuses.
    pub fn create_container(&self, name: &str) {
        let made = self.send("PUT", &format!("/{name}"), &[], b"");
        assert_eq!(made.status, 200, "cannot make the bucket {name}: {made:?}");
    }

    /// The environment in which a program finds this server and may write to it.
    ///
    /// The names are those that `AmazonS3Builder::from_env` of `object_store` 0.14 reads.
    pub fn environment(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT", self.endpoint()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", "testkit"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// Sends a request with a login, such as `PUT /bucket/key`.
    ///
    /// # Panics
    /// If the emulator does not answer.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpAnswer {
        // It looks whether there is a login, not whether the signature fits.
        let login = format!(
            "AWS4-HMAC-SHA256 Credential={KEY_ID}/20260101/{REGION}/s3/aws4_request, \
             SignedHeaders=host, Signature=0"
        );
        let mut all = vec![("authorization", login.as_str())];
        all.extend(headers);
        Http::to(self.0.address()).send(method, target, &all, body)
    }

    /// What it said so far, with one line a request, for messages.
    pub fn log(&self) -> String {
        self.0.log()
    }
}
