//! Uploads to the registry that most others are like: Distribution 2.8, behind a line that breaks.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use manifest_testkit::{
    AccessLine, Client, DockerRegistry, Image, descriptor, put_blob, put_image, read_blob,
};
use manifest_transport::{Deleted, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const MIB: usize = 1 << 20;

/// A line to a server.
struct Line {
    address: SocketAddr,
    /// Bytes that went to the server so far.
    sent: Arc<AtomicU64>,
}

/// Opens a line that breaks once, when so many bytes have gone to the server.
async fn line(to: String, breaks_at: u64) -> Line {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, sent) = (listener.local_addr().unwrap(), Arc::<AtomicU64>::default());
    let count = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&to).await.unwrap();
            tokio::spawn(carry(client, server, Arc::clone(&count), breaks_at));
        }
    });
    Line { address, sent }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, sent: Arc<AtomicU64>, breaks_at: u64) {
    let (mut up, mut down) = (BytesMut::with_capacity(16 << 10), BytesMut::with_capacity(16 << 10));
    loop {
        tokio::select! {
            read = client.read_buf(&mut up) => {
                let Ok(bytes @ 1..) = read else { return };
                let before = sent.fetch_add(bytes as u64, Ordering::Relaxed);
                server.write_all_buf(&mut up).await.unwrap();
                if before < breaks_at && before + bytes as u64 >= breaks_at {
                    return;
                }
            }
            read = server.read_buf(&mut down) => {
                let Ok(1..) = read else { return };
                client.write_all_buf(&mut down).await.unwrap();
            }
        }
        up.reserve(16 << 10);
        down.reserve(16 << 10);
    }
}

fn varied(bytes: usize) -> Vec<u8> {
    (0..=250).cycle().take(bytes).collect()
}

/// Method and status of each request.
fn steps(registry: &DockerRegistry) -> Vec<String> {
    let step = |line: AccessLine| format!("{:?} {}", line.method, line.status).to_uppercase();
    registry.requests().into_iter().map(step).collect()
}

/// It gives a session up whose bytes are not as many as its address says, which they are not when the line broke.
#[tokio::test]
async fn a_blob_whose_session_ends_with_the_line_is_sent_in_a_new_one() {
    for chunk in [None, Some(MIB as u64)] {
        let (registry, content) = (DockerRegistry::plain(), varied(8 * MIB));
        let line = line(registry.address(), 5 * MIB as u64 + 5).await;
        let host = line.address.to_string();
        let chunk = chunk.map(|chunk| (host.clone(), chunk)).into_iter().collect();
        let client = Client::new(Settings { chunk, ..Settings::default() });
        let app = client.repository(&host, "app");
        put_blob(&app, content.clone()).await.unwrap();
        assert_eq!(read_blob(&app, &descriptor(&content)).await.unwrap(), content);
        let sent = line.sent.load(Ordering::Relaxed);
        assert!(sent < 15 * MIB as u64, "{sent} bytes");
    }
}

#[tokio::test]
async fn it_takes_a_blob_in_pieces() {
    let (registry, content) = (DockerRegistry::plain(), varied(5 * MIB / 2));
    let chunk = [(registry.address(), MIB as u64)].into();
    let client = Client::new(Settings { chunk, ..Settings::default() });
    let app = client.repository(&registry.address(), "app");
    put_blob(&app, content.clone()).await.unwrap();
    assert_eq!(read_blob(&app, &descriptor(&content)).await.unwrap(), content);
    let expected = ["POST 202", "PATCH 202", "PATCH 202", "PATCH 202", "PUT 201", "GET 200"];
    assert_eq!(steps(&registry), expected);
}

#[tokio::test]
async fn it_tells_what_a_tag_means_and_neither_deletes_tags_nor_sets_many() {
    let (registry, image) = (DockerRegistry::plain(), Image::new("linux/amd64"));
    let client = Client::default();
    let app = client.repository(&registry.address(), "app");
    put_image(&app, &image, "v1").await.unwrap();
    let state = app.tag_state("v1").await.unwrap().unwrap();
    assert_eq!((state.digest, state.media_type), (image.digest(), image.media_type()));
    assert_eq!(state.etag, Some(format!("\"{}\"", image.digest())));
    assert_eq!(state.size, Some(image.manifest().len() as u64));
    let (bytes, tags) = (image.manifest().into(), ["v2".parse().unwrap()]);
    let set = app.put_tags(&image.digest(), &image.media_type(), bytes, &tags).await.unwrap();
    assert_eq!((set, app.supports_multi_tag()), (vec![], Some(false)));
    assert_eq!(app.delete_tag("v1").await.unwrap(), Deleted::Unsupported);
    assert_eq!(app.named_digest("v1").await.unwrap(), Some(image.digest()));
    assert_eq!(app.named_digest("v2").await.unwrap(), None);
}
