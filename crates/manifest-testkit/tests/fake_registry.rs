//! The fake registry and the token server, seen from outside: by curl and by the kit's own client.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests report by panicking")]

use std::process::Command;

use manifest_testkit::{FakeRegistry, Gate, Http, Image, Index, Method, Ran, TokenServer, program};

fn curl(arguments: &[&str]) -> Ran {
    Ran::of(Command::new(program("curl")).args(["-sS", "--noproxy", "*", "--max-time", "20"]).args(arguments))
}

fn status(arguments: &[&str]) -> String {
    let mut all = vec!["-o", "/dev/null", "-w", "%{http_code}"];
    all.extend(arguments);
    curl(&all).ok().to_owned()
}

#[test]
fn curl_pushes_and_pulls_an_image() {
    let registry = FakeRegistry::start();
    let base = format!("http://{}/v2/app", registry.address());
    let image = Image::new("linux/amd64");
    for blob in image.blobs() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), &blob.bytes).unwrap();
        let opened = curl(&["-X", "POST", "-d", "", "-D", "-", &format!("{base}/blobs/uploads/")]);
        let location = opened.ok().lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
        let url = format!("http://{}{}&digest={}", registry.address(), location.trim(), blob.digest);
        let data = format!("@{}", file.path().display());
        assert_eq!(status(&["-X", "PUT", "--data-binary", &data, &url]), "201");
        assert!(registry.has_blob("app", &blob.digest));
    }
    let manifest = String::from_utf8(image.manifest()).unwrap();
    let kind = format!("content-type: {}", image.media_type());
    let url = format!("{base}/manifests/v1");
    assert_eq!(status(&["-X", "PUT", "-H", &kind, "--data-binary", &manifest, &url]), "201");
    assert_eq!(curl(&[&url]).ok(), manifest);
    assert_eq!(registry.manifest("app", "v1"), Some((image.media_type().to_string(), image.manifest())));
    assert_eq!(registry.tags("app"), ["v1"]);
    let head = curl(&["-I", &url]);
    assert!(head.ok().contains(&format!("docker-content-digest: {}", image.digest())), "{head:?}");
    assert_eq!(registry.open_uploads(), 0);
    assert_eq!(registry.requests().last().unwrap().line(), "HEAD /v2/app/manifests/v1 200");
}

#[test]
fn an_upload_that_does_not_match_its_digest_is_refused() {
    let registry = FakeRegistry::start();
    let http = Http::to(&registry.address());
    let wrong = format!("sha256:{}", "0".repeat(64));
    let once = http.send("POST", &format!("/v2/app/blobs/uploads/?digest={wrong}"), &[], b"x");
    assert_eq!((once.status, once.text().contains("DIGEST_INVALID")), (400, true));
    let put = http.send("PUT", &format!("/v2/app/manifests/{wrong}"), &[], b"{}");
    assert_eq!((put.status, put.text().contains("DIGEST_INVALID")), (400, true));
}

#[test]
fn an_upload_goes_on_where_it_stands() {
    let registry = FakeRegistry::start();
    let http = Http::to(&registry.address());
    let patch = registry.on(Method::Patch, "/v2/app/blobs/uploads/*").reset_after_body_bytes(4);
    let location =
        http.send("POST", "/v2/app/blobs/uploads/", &[], b"").header("location").unwrap().to_owned();
    assert!(http.try_send("PATCH", &location, &[], b"0123456789").is_err());
    assert_eq!(patch.hits(), 1);
    let stale = http.send("PATCH", &location, &[], b"456789");
    assert_eq!((stale.status, stale.header("range")), (416, Some("0-3")));
    let stands = http.get(&location, &[]);
    assert_eq!((stands.status, stands.header("range")), (204, Some("0-3")));
    let now = stands.header("location").unwrap();
    assert_eq!(http.send("PATCH", now, &[("content-range", "5-9")], b"56789").status, 416);
    let sent = http.send("PATCH", now, &[("content-range", "4-9")], b"456789");
    assert_eq!((sent.status, sent.header("range")), (202, Some("0-9")));
    let digest = manifest_core::Digest::sha256(b"0123456789");
    let end = format!("{}&digest={digest}", sent.header("location").unwrap());
    assert_eq!(http.send("PUT", &end, &[], b"").status, 201);
    assert_eq!(registry.blob("app", &digest).unwrap(), "0123456789");
    let without_query = end.split('?').next().unwrap();
    assert_eq!(http.send("PUT", without_query, &[], b"").status, 404, "the session is gone");
}

#[test]
fn a_blob_is_mounted_only_from_where_it_is() {
    let registry = FakeRegistry::start();
    let http = Http::to(&registry.address());
    let digest = registry.put_blob("base", "content");
    let mount =
        |from| http.send("POST", &format!("/v2/app/blobs/uploads/?mount={digest}&from={from}"), &[], b"");
    assert_eq!(mount("elsewhere").status, 202);
    assert!(!registry.has_blob("app", &digest));
    assert_eq!(mount("base").status, 201);
    assert!(registry.has_blob("app", &digest));
    assert_eq!(registry.open_uploads(), 1);
}

#[test]
fn a_range_of_a_blob_is_served() {
    let registry = FakeRegistry::start();
    let url = format!("/v2/app/blobs/{}", registry.put_blob("app", "0123456789"));
    let http = Http::to(&registry.address());
    for (range, status, body, content_range) in [
        ("bytes=4-", 206, "456789", "bytes 4-9/10"),
        ("bytes=0-3", 206, "0123", "bytes 0-3/10"),
        ("bytes=8-99", 206, "89", "bytes 8-9/10"),
        ("bytes=10-", 416, "", "bytes */10"),
    ] {
        let answer = http.get(&url, &[("range", range)]);
        let found = (answer.status, answer.text(), answer.header("content-range"));
        assert_eq!(found, (status, body.to_owned(), Some(content_range)), "{range}");
    }
}

#[test]
fn an_index_without_its_children_is_refused_unless_a_test_allows_it() {
    let registry = FakeRegistry::start();
    let http = Http::to(&registry.address());
    let image = Image::new("linux/amd64");
    let index = Index::of(&[&image]);
    let kind = index.media_type();
    let put =
        || http.send("PUT", "/v2/app/manifests/v1", &[("content-type", kind.as_str())], &index.manifest());
    let refused = put();
    assert_eq!((refused.status, refused.text().contains("MANIFEST_BLOB_UNKNOWN")), (400, true));
    assert!(refused.text().contains(&image.digest().to_string()), "{refused:?}");
    image.push_to(&registry, "app", "amd64");
    assert_eq!(put().status, 201);
    let lax = FakeRegistry::start();
    lax.allow_missing_children();
    let http = Http::to(&lax.address());
    let put = http.send("PUT", "/v2/app/manifests/v1", &[("content-type", kind.as_str())], &index.manifest());
    assert_eq!(put.status, 201);
}

#[test]
fn rules_apply_in_order_and_are_spent() {
    let registry = FakeRegistry::start();
    let (http, url) = (Http::to(&registry.address()), "/v2/app/manifests/v1");
    registry
        .on(Method::Get, url)
        .reply(503)
        .header("retry-after", "2")
        .header("retry-after", "9")
        .body("slow down");
    let rule = registry.on(Method::Get, "/v2/*/manifests/*").skip(1).times(2).reply(429);
    let first = http.get(url, &[]);
    assert_eq!((first.status, first.text()), (503, "slow down".to_owned()));
    assert_eq!(first.headers.iter().filter(|(name, _)| name == "retry-after").count(), 2);
    let rest: Vec<u16> = (0..4).map(|_| http.get(url, &[]).status).collect();
    assert_eq!(rest, [404, 429, 429, 404]);
    assert_eq!(rule.hits(), 2);
    registry.on_any("*").always().redirect(307, "http://elsewhere.test{target}");
    assert_eq!(http.get("/v2/?a=b", &[]).header("location"), Some("http://elsewhere.test/v2/?a=b"));
}

#[test]
fn connections_break_where_the_script_says() {
    let registry = FakeRegistry::start();
    let digest = registry.put_blob("app", vec![b'x'; 300_000]);
    let (path, url) =
        (format!("/v2/app/blobs/{digest}"), format!("http://{}/v2/app/blobs/{digest}", registry.address()));
    let out = |rule: &str| {
        let ran = curl(&["-o", "/dev/null", "-w", "%{size_download}", &url]);
        assert_ne!(ran.code, Some(0), "{rule}: {ran:?}");
        (ran.code, ran.stdout)
    };
    registry.on(Method::Get, &path).cut_response_after(200_001);
    assert_eq!(out("cut"), (Some(18), "200001".to_owned()), "18 is a partial file");
    registry.on(Method::Get, &path).cut_response_after(0);
    assert_eq!(out("cut at once"), (Some(18), "0".to_owned()));
    registry.on(Method::Get, &path).reset();
    assert_eq!(out("reset").0, Some(56), "56 is a failure to receive");
    registry.on(Method::Get, &path).wrong_bytes();
    let wrong = Http::to(&registry.address()).get(&path, &[]);
    assert_eq!((wrong.status, wrong.body.len()), (200, 300_000));
    assert!(!digest.verifies(&wrong.body));
    registry.on(Method::Get, &path).stall_response_after(10);
    let ran = curl(&["-o", "/dev/null", "-w", "%{size_download}", "--max-time", "1", &url]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(28), "10"), "28 is a timeout");
    registry.on(Method::Get, &path).stall();
    assert_eq!(curl(&["--max-time", "1", &url]).code, Some(28));
    assert_eq!(registry.requests().last().unwrap().status, None);
}

#[test]
fn a_request_can_take_effect_without_an_answer() {
    let registry = FakeRegistry::start();
    registry.on(Method::Put, "/v2/app/manifests/v1").apply_then_reset();
    let http = Http::to(&registry.address());
    assert!(http.try_send("PUT", "/v2/app/manifests/v1", &[("content-type", "text/plain")], b"{}").is_err());
    assert_eq!(registry.tags("app"), ["v1"]);
    registry
        .on(Method::Get, "/v2/app/manifests/v1")
        .apply()
        .without_header("docker-content-digest")
        .header("etag", "x");
    let answer = http.get("/v2/app/manifests/v1", &[]);
    assert_eq!((answer.header("docker-content-digest"), answer.header("etag")), (None, Some("x")));
    let location =
        http.send("POST", "/v2/app/blobs/uploads/", &[], b"").header("location").unwrap().to_owned();
    registry.on(Method::Patch, "*").forget_upload();
    for _ in 0..2 {
        let lost = http.send("PATCH", &location, &[], b"x");
        assert_eq!((lost.status, lost.text().contains("BLOB_UPLOAD_UNKNOWN")), (404, true));
    }
}

#[test]
fn the_most_requests_at_once_are_counted() {
    let registry = FakeRegistry::start();
    let gate = Gate::new();
    registry.on(Method::Get, "/v2/").always().hold(&gate);
    std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..3).map(|_| scope.spawn(|| Http::to(&registry.address()).get("/v2/", &[]).status)).collect();
        gate.wait_for_blocking(3);
        gate.open();
        for thread in asking {
            assert_eq!(thread.join().unwrap(), 200);
        }
    });
    assert_eq!((registry.most_in_flight(), registry.connections()), (3, 3));
    let url = format!("http://{}/v2/", registry.address());
    registry.clear_requests();
    curl(&[&url, &url]).ok();
    assert_eq!((registry.requests().len(), registry.connections()), (2, 1), "connections are kept open");
}

#[test]
fn a_basic_login_is_asked_for_and_accepted() {
    let registry = FakeRegistry::start();
    registry.basic("ann", "secret");
    registry.on(Method::Get, "/v2/").reply(503);
    let url = format!("http://{}/v2/", registry.address());
    let asked = curl(&["-i", &url]);
    assert!(asked.ok().contains("www-authenticate: Basic realm="), "{asked:?}");
    assert_eq!(status(&["-u", "ann:wrong", &url]), "401");
    assert_eq!(status(&["-u", "ann:secret", &url]), "503", "rules wait for the login");
    assert_eq!(status(&["-u", "ann:secret", &url]), "200");
    assert_eq!(registry.requests()[0].authorization(), None);
}

#[test]
fn a_token_is_good_for_its_scopes_only() {
    let (registry, tokens) = (FakeRegistry::start(), TokenServer::start());
    registry.bearer(&tokens);
    tokens.account("ann", "secret");
    tokens.refresh_token("identity");
    let http = Http::to(&registry.address());
    let asked = http.send("POST", "/v2/app/blobs/uploads/?mount=sha256:0&from=base", &[], b"");
    let challenge = asked.header("www-authenticate").unwrap();
    let scope = "scope=\"repository:app:pull,push repository:base:pull\"";
    assert!(challenge.starts_with(&format!("Bearer realm=\"{}\"", tokens.realm())), "{challenge}");
    assert!(challenge.ends_with(scope), "{challenge}");

    let token = |answer: manifest_testkit::HttpAnswer| {
        assert_eq!(answer.status, 200, "{answer:?}");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["expires_in"], 300);
        body["access_token"].as_str().unwrap().to_owned()
    };
    let target = "/token?service=testkit-registry&scope=repository:app:pull,push";
    let anonymous = token(Http::to(&tokens.address()).get(target, &[]));
    let full = token(Http::to(&tokens.address()).basic("ann", "secret").get(target, &[]));
    let form = "grant_type=refresh_token&refresh_token=identity&scope=repository%3Aapp%3Apull%2Cpush";
    let refreshed = token(Http::to(&tokens.address()).send("POST", "/token", &[], form.as_bytes()));
    assert_eq!(Http::to(&tokens.address()).basic("ann", "wrong").get(target, &[]).status, 401);

    let post = |token: &str| http.clone().bearer(token).send("POST", "/v2/app/blobs/uploads/", &[], b"");
    let narrow = post(&anonymous);
    assert_eq!(narrow.status, 401);
    assert!(narrow.header("www-authenticate").unwrap().contains("error=\"insufficient_scope\""));
    assert_eq!((post(&full).status, post(&refreshed).status), (202, 202));
    tokens.revoke();
    assert!(post(&full).header("www-authenticate").unwrap().contains("error=\"invalid_token\""));
    tokens.uses(1);
    let short = token(Http::to(&tokens.address()).basic("ann", "secret").get(target, &[]));
    assert_eq!((post(&short).status, post(&short).status), (202, 401));
    assert_eq!(tokens.requests().len(), 5);
    tokens.on(Method::Get, "/token").reply(429).header("retry-after", "1");
    assert_eq!(Http::to(&tokens.address()).get(target, &[]).status, 429);
}

#[test]
fn referrers_are_listed_when_a_test_asks_for_it() {
    let registry = FakeRegistry::start();
    let subject = Image::new("linux/amd64").push_to(&registry, "app", "v1");
    let target = format!("/v2/app/referrers/{subject}");
    let http = Http::to(&registry.address());
    assert_eq!(http.get(&target, &[]).status, 404);
    registry.serve_referrers();
    assert_eq!(http.get(&target, &[]).text().matches("digest").count(), 0);
    let body = format!(r#"{{"artifactType":"a/b","subject":{{"digest":"{subject}"}}}}"#);
    let kind = [("content-type", "application/vnd.oci.image.manifest.v1+json")];
    let put = http.send("PUT", "/v2/app/manifests/sig", &kind, body.as_bytes());
    assert_eq!((put.status, put.header("oci-subject")), (201, Some(subject.to_string().as_str())));
    assert!(http.get(&target, &[]).text().contains(r#""artifactType":"a/b""#));
}

#[test]
fn tags_come_in_pages() {
    let registry = FakeRegistry::start();
    for tag in ["a", "b", "c"] {
        registry.put_manifest("app", tag, "text/plain", "{}");
    }
    let http = Http::to(&registry.address());
    let page = http.get("/v2/app/tags/list?n=2", &[]);
    assert_eq!(page.text(), r#"{"name":"app","tags":["a","b"]}"#);
    assert_eq!(page.header("link"), Some("</v2/app/tags/list?n=2&last=b>; rel=\"next\""));
    assert_eq!(http.get("/v2/app/tags/list?n=2&last=b", &[]).header("link"), None);
}
