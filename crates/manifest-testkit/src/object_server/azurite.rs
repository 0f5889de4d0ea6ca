//! The emulator of Azure Blob Storage.

use std::process::Command;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Server, emulator, installed};
use crate::program::program;
use crate::{Http, HttpAnswer};

/// The account that every emulator of this service has, and its key; both are in Microsoft's
/// documentation.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Azurite 3.35, an emulator of Azure Blob Storage, on a free loopback port; its content is in a
/// temporary directory, and gone when this is dropped.
///
/// It answers a PUT with `If-None-Match: *` for a blob that is there with 409 `BlobAlreadyExists`, and
/// one with a stale `If-Match` with 412.
#[derive(Debug)]
pub struct Azurite(Server);

impl Azurite {
    /// Starts it, without any container.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    pub fn start() -> Self {
        let main = installed(emulator::AZURITE);
        Self(Server::start(emulator::AZURITE, "successfully listens on ", |dir| {
            let mut command = Command::new(program("node"));
            command.arg(main).args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"]);
            command.args(["--blobHost", "127.0.0.1", "--blobPort", "0", "-l"]).arg(dir);
            command
        }))
    }

    /// The URL of the service, `http://127.0.0.1:PORT`; the account is the first part of a path below.
    pub fn endpoint(&self) -> &str {
        &self.0.endpoint
    }

    /// Makes a container. Its name needs three letters at least.
    ///
    /// # Panics
    /// If the emulator refuses.
    pub fn create_container(&self, name: &str) {
        let made = self.send("PUT", &format!("/{name}?restype=container"), &[], b"");
        assert_eq!(made.status, 201, "cannot make the container {name}: {made:?}");
    }

    /// The environment in which a program finds this server and may write to it.
    ///
    /// The names are those that `MicrosoftAzureBuilder` of `object_store` 0.14 reads, the first in
    /// `from_env` and the second in `build`; account and key then are those of the emulators.
    pub fn environment(&self) -> Vec<(String, String)> {
        let variables =
            [("AZURE_STORAGE_USE_EMULATOR", "true"), ("AZURITE_BLOB_STORAGE_URL", self.endpoint())];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// Sends a request with a login, such as `PUT /container/blob`.
    ///
    /// # Panics
    /// If the emulator does not answer.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpAnswer {
        let joint = if target.contains('?') { '&' } else { '?' };
        let target = format!("/{ACCOUNT}{target}{joint}{}", signature());
        // A blob that is put must say of which type it is; other requests do not care.
        let mut all = vec![("x-ms-blob-type", "BlockBlob")];
        all.extend(headers);
        Http::to(self.0.address()).send(method, &target, &all, body)
    }

    /// What it said so far, for messages.
    pub fn log(&self) -> String {
        self.0.log()
    }
}

/// A query that allows everything in the account, whatever the request is.
///
/// Spec: "Create an account SAS" of Azure Storage, version 2019-12-12.
fn signature() -> String {
    let (version, services, kinds, rights) = ("2019-12-12", "b", "sco", "rwdlac");
    let end = "2099-12-31T00:00:00Z";
    // The empty lines: begin, addresses and protocols, all without a limit.
    let signed = format!("{ACCOUNT}\n{rights}\n{services}\n{kinds}\n\n{end}\n\n\n{version}\n");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(KEY).expect("a key in base64"));
    let tag = STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
    let tag = tag.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    format!("sv={version}&ss={services}&srt={kinds}&sp={rights}&se={}&sig={tag}", end.replace(':', "%3A"))
}
