//! A registry of blobs that are larger than memory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use manifest_core::Digest;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

type Body = BoxBody<Bytes, Infallible>;

/// The piece that blobs repeat.
const PIECE: usize = 1 << 20;

/// A registry whose blobs are made while they are read, and gone once they were written.
///
/// It holds one image of several layers, each of as many bytes as one likes, under the tag `big` of the repository
/// `app`; and it takes whatever is sent to any repository: manifests are kept, blobs are read to their end and
/// forgotten.
#[derive(Debug)]
pub struct Firehose {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Held {
    /// The blobs of the image: the seed of a layer with its size, or bytes.
    blobs: BTreeMap<String, Blob>,
    /// Manifests by repository and tag or digest.
    manifests: Mutex<BTreeMap<String, (String, Bytes)>>,
}

#[derive(Clone, Debug)]
enum Blob {
    Made { seed: u64, pieces: usize },
    Kept(Bytes),
}

impl Firehose {
    /// Starts a registry whose image has `layers` layers of `mebibytes` MiB. Their digests take a second for each
    /// gigabyte or so.
    pub fn start(layers: u64, mebibytes: usize) -> Self {
        let held = Arc::new(Held::new(layers, mebibytes));
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("the address of a socket that was bound");
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("firehose".to_owned()).spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listening socket");
                tokio::select! { () = accept(listener, held) => {}, _ = stopped => {} }
            });
        });
        Self { address, stop: Some(stop), thread: Some(thread.expect("a thread")) }
    }

    /// Host and port, `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Firehose {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server has already been printed; a second one here would abort the test.
            let _ended = thread.join().is_ok();
        }
    }
}

/// A piece of a layer; all pieces of one are alike, and no two layers are.
fn piece(seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(PIECE / 8).flatten().collect::<Vec<u8>>().into()
}

impl Held {
    fn new(layers: u64, mebibytes: usize) -> Self {
        let mut blobs = BTreeMap::new();
        let mut named = Vec::new();
        for seed in 1..=layers {
            let piece = piece(seed);
            let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
            (0..mebibytes).for_each(|_| context.update(&piece));
            let hex: String = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            let digest = format!("sha256:{hex}");
            named.push(json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest,
                "size": mebibytes * PIECE,
            }));
            blobs.insert(digest, Blob::Made { seed, pieces: mebibytes });
        }
        let config =
            json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] } });
        let config = Bytes::from(config.to_string());
        let config_digest = Digest::sha256(&config).to_string();
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config_digest,
                "size": config.len(),
            },
            "layers": named,
        });
        blobs.insert(config_digest, Blob::Kept(config));
        let held = Self { blobs, manifests: Mutex::default() };
        held.keep("/v2/app/manifests/", "big", media_type.to_owned(), manifest.to_string().into());
        held
    }

    /// Keeps a manifest under a tag or digest, and under its digest.
    fn keep(&self, place: &str, reference: &str, media_type: String, bytes: Bytes) -> String {
        let digest = Digest::sha256(&bytes).to_string();
        let mut manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        for name in [reference, &digest] {
            manifests.insert(format!("{place}{name}"), (media_type.clone(), bytes.clone()));
        }
        digest
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let (head, mut body) = request.into_parts();
        let (method, path) = (head.method.as_str(), head.uri.path());
        let is_head = method == "HEAD";
        let mut answer = match (method, path.rsplit_once('/')) {
            ("GET" | "HEAD", Some((place, _))) if place.ends_with("/manifests") => {
                self.manifest(path, is_head)
            }
            // What was written is forgotten, so that only the image that is held can be read.
            ("GET" | "HEAD", Some(("/v2/app/blobs", digest))) => self.blob(digest, is_head),
            ("PUT", Some((place, reference))) if place.ends_with("/manifests") => {
                let media_type = head.headers.get("content-type").and_then(|value| value.to_str().ok());
                let media_type = media_type.unwrap_or_default().to_owned();
                let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                let digest = self.keep(&format!("{place}/"), reference, media_type, bytes);
                status(201).header("docker-content-digest", digest).body(empty())
            }
            ("POST", _) => {
                let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
                status(202).header("location", format!("http://{host}{path}session?of=one")).body(empty())
            }
            ("PUT" | "PATCH", _) => {
                let mut whole = true;
                while let Some(frame) = body.frame().await {
                    whole &= frame.is_ok();
                }
                let code = if !whole {
                    400
                } else if method == "PUT" {
                    201
                } else {
                    202
                };
                status(code).header("location", path).body(empty())
            }
            ("GET", _) if path == "/v2/" => status(200).body(empty()),
            _ => status(404).body(empty()),
        };
        if let Ok(answer) = &mut answer {
            answer.headers_mut().insert("docker-distribution-api-version", "registry/2.0".parse().unwrap());
        }
        Ok(answer.expect("an answer"))
    }

    fn manifest(&self, path: &str, is_head: bool) -> http::Result<Response<Body>> {
        let manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((media_type, bytes)) = manifests.get(path) else { return status(404).body(empty()) };
        let answer = status(200)
            .header("content-type", media_type)
            .header("content-length", bytes.len())
            .header("docker-content-digest", Digest::sha256(bytes).to_string());
        answer.body(if is_head { empty() } else { Full::new(bytes.clone()).boxed() })
    }

    fn blob(&self, digest: &str, is_head: bool) -> http::Result<Response<Body>> {
        let Some(blob) = self.blobs.get(digest) else { return status(404).body(empty()) };
        let (length, body) = match blob {
            Blob::Kept(bytes) => (bytes.len(), Full::new(bytes.clone()).boxed()),
            Blob::Made { seed, pieces } => {
                let piece = piece(*seed);
                let frames = (0..*pieces).map(move |_| Ok(Frame::data(piece.clone())));
                (pieces * PIECE, StreamBody::new(stream::iter(frames)).boxed())
            }
        };
        status(200).header("content-length", length).body(if is_head { empty() } else { body })
    }
}

fn status(code: u16) -> http::response::Builder {
    Response::builder().status(StatusCode::from_u16(code).expect("a status"))
}

fn empty() -> Body {
    Full::new(Bytes::new()).boxed()
}

async fn accept(listener: TcpListener, held: Arc<Held>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).expect("a socket without delay");
        let held = Arc::clone(&held);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let held = Arc::clone(&held);
                async move { held.answer(request).await }
            });
            let served =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that hangs up ends here.
            let _ended: Result<(), io::Error> = served.await.map_err(io::Error::other);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Http;

    #[test]
    fn a_layer_is_what_its_digest_says_and_what_is_sent_is_taken() {
        let registry = Firehose::start(2, 3);
        let http = Http::to(&registry.address());
        let manifest = http.get("/v2/app/manifests/big", &[]);
        let manifest: serde_json::Value = serde_json::from_slice(&manifest.body).unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 2);
        for layer in layers {
            let digest = layer["digest"].as_str().unwrap();
            let blob = http.get(&format!("/v2/app/blobs/{digest}"), &[]);
            assert_eq!(blob.body.len(), 3 * PIECE);
            assert_eq!(Digest::sha256(&blob.body).to_string(), digest);
        }
        assert_eq!(http.send("POST", "/v2/to/blobs/uploads/", &[], b"").status, 202);
        assert_eq!(http.send("PUT", "/v2/to/blobs/uploads/session?of=one&digest=x", &[], b"abc").status, 201);
    }
}
