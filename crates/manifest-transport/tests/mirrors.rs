//! Registries that are found elsewhere: mirrors, other locations, blocks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::path::Path;
use std::sync::Arc;

use manifest_testkit::{Client, FakeRegistry, Image, Method, put_image};
use manifest_transport::auth::{CredentialSearch, Environment, Login};
use manifest_transport::config::{ConfigFile, Registries};
use manifest_transport::{At, Event, Place, Settings, TransportError, Which};

fn registries(text: &str) -> Registries {
    let mut registries = Registries::default();
    registries.read(ConfigFile { path: Path::new("registries.conf"), text }).unwrap();
    registries
}

fn client(text: &str) -> Client {
    Client::new(Settings { registries: registries(text), ..Settings::default() })
}

fn mirrored(registry: &FakeRegistry, mirrors: &[(&str, &str)]) -> String {
    let tables = mirrors
        .iter()
        .map(|(location, more)| format!("[[registry.mirror]]\nlocation = \"{location}\"\n{more}\n"));
    format!("[[registry]]\nlocation = \"{}\"\n{}", registry.address(), tables.collect::<String>())
}

fn v1() -> Which {
    Which::Remote(At::Tag("v1".parse().unwrap()))
}

async fn read(place: &Place, image: &Image) {
    assert_eq!(place.manifest(&v1()).await.unwrap().digest, image.digest());
    let by_digest = place.manifest(&image.digest().into()).await.unwrap();
    let manifest_core::Document::Image(parsed) = &by_digest.document else { panic!("{by_digest:?}") };
    place.config(&parsed.config).await.unwrap();
}

/// What a registry was asked for, without the answers.
fn asked(registry: &FakeRegistry) -> Vec<String> {
    registry.requests().iter().map(|request| format!("{:?} {}", request.method, request.path())).collect()
}

fn told(client: &Client) -> Vec<(String, String)> {
    let told = client.events.events().into_iter().filter_map(|event| match event {
        Event::Mirror { mirror, cause, .. } => Some((mirror, cause)),
        _ => None,
    });
    told.collect()
}

#[tokio::test]
async fn what_is_read_comes_from_a_mirror_and_what_is_written_goes_to_the_registry() {
    let (home, mirror) = (FakeRegistry::start(), FakeRegistry::start());
    let image = Image::new("linux/amd64");
    image.push_to(&mirror, "hub/app", "v1");
    let client = client(&mirrored(&home, &[(&format!("{}/hub", mirror.address()), "")]));
    let app = client.repository(&home.address(), "app");
    read(&app, &image).await;
    assert!(asked(&home).is_empty());
    assert_eq!(asked(&mirror).len(), 3);
    assert_eq!(app.to_string(), format!("docker://{}/app", home.address()));
    mirror.clear_requests();

    put_image(&app, &image, "v1").await.unwrap();
    assert!(app.has_manifest(&image.digest()).await.unwrap());
    app.named_digest("v1").await.unwrap();
    assert!(
        asked(&mirror).is_empty(),
        "what is there already is asked of the registry, for it may be behind"
    );
    assert_eq!(home.tags("app"), ["v1"]);
    assert_eq!(told(&client), []);
}

#[tokio::test]
async fn mirrors_are_asked_in_their_order_and_the_registry_last() {
    let (home, empty, broken) = (FakeRegistry::start(), FakeRegistry::start(), FakeRegistry::start());
    let image = Image::new("linux/amd64");
    image.push_to(&home, "app", "v1");
    broken.on(Method::Get, "*").reply(500).always();
    let gone = {
        let gone = FakeRegistry::start();
        gone.address()
    };
    let mirrors = [(gone.as_str(), ""), (&*empty.address(), ""), (&*broken.address(), "")];
    let client = client(&mirrored(&home, &mirrors));
    let app = client.repository(&home.address(), "app");
    read(&app, &image).await;
    assert_eq!(asked(&empty).len(), 3, "that it lacks one thing does not mean that it lacks all");
    assert_eq!(asked(&broken).len(), 2, "who fails twice is not asked again");
    let told = told(&client);
    assert_eq!(
        told.iter().map(|(mirror, _)| mirror.clone()).collect::<Vec<_>>(),
        mirrors.map(|(at, _)| at.to_owned())
    );
    assert!(told[1].1.contains("does not exist") && told[2].1.contains("500"), "{told:?}");

    let error = app.manifest(&Which::Remote(At::Tag("none".parse().unwrap()))).await.unwrap_err();
    assert!(matches!(&error, TransportError::NotFound(what) if what.contains(&home.address())), "{error:?}");
}

#[tokio::test]
async fn a_mirror_is_asked_only_for_what_it_is_for() {
    let (home, digests, tags) = (FakeRegistry::start(), FakeRegistry::start(), FakeRegistry::start());
    let image = Image::new("linux/amd64");
    for registry in [&home, &digests, &tags] {
        image.push_to(registry, "app", "v1");
    }
    let mirrors = [
        (&*digests.address(), "pull-from-mirror = \"digest-only\""),
        (&*tags.address(), "pull-from-mirror = \"tag-only\""),
    ];
    let client = client(&mirrored(&home, &mirrors));
    read(&client.repository(&home.address(), "app"), &image).await;
    assert_eq!(asked(&tags), ["Get /v2/app/manifests/v1"]);
    assert_eq!(asked(&digests).len(), 2);
    assert!(asked(&home).is_empty());
}

/// SEC-1.
#[tokio::test]
async fn a_login_stays_with_the_host_that_it_is_for() {
    let (home, mirror) = (FakeRegistry::start(), FakeRegistry::start());
    let image = Image::new("linux/amd64");
    image.push_to(&home, "app", "v1");
    home.basic("ann", "home");
    mirror.basic("ann", "mirror");
    let login = |password: &str| Login::new("ann", password);
    let search = CredentialSearch::new(&Environment::default());
    let search = search.with_login(&home.address(), login("home"), "--creds");
    let settings = |credentials| Settings {
        registries: registries(&mirrored(&home, &[(&mirror.address(), "")])),
        credentials: Arc::new(credentials),
        ..Settings::default()
    };
    let client = Client::new(settings(search.clone()));
    read(&client.repository(&home.address(), "app"), &image).await;
    assert!(mirror.requests().iter().all(|request| request.authorization().is_none()));

    image.push_to(&mirror, "app", "v1");
    home.clear_requests();
    let client = Client::new(settings(search.with_login(&mirror.address(), login("mirror"), "a file")));
    read(&client.repository(&home.address(), "app"), &image).await;
    assert!(asked(&home).is_empty());
}

#[tokio::test]
async fn a_location_stands_in_the_place_of_a_prefix_for_reading_and_writing() {
    let real = FakeRegistry::start();
    let client = client(&format!(
        "[[registry]]\nprefix = \"registry.example.com/team\"\nlocation = \"{}/moved\"\n",
        real.address()
    ));
    let app = client.repository("registry.example.com", "team/app");
    let image = Image::new("linux/amd64");
    put_image(&app, &image, "v1").await.unwrap();
    assert_eq!(real.tags("moved/app"), ["v1"]);
    read(&app, &image).await;
    assert_eq!(app, client.repository(&real.address(), "moved/app"));
    assert_eq!(app.to_string(), "docker://registry.example.com/team/app");
}

#[tokio::test]
async fn what_is_blocked_is_not_asked_for_anything() {
    let (home, mirror) = (FakeRegistry::start(), FakeRegistry::start());
    let image = Image::new("linux/amd64");
    image.push_to(&home, "open", "v1");
    let blocked = format!("{}/bad", home.address());
    let client = client(&format!(
        "[[registry]]\nlocation = \"{blocked}\"\nblocked = true\n[[registry.mirror]]\nlocation = \"{}\"\n",
        mirror.address()
    ));
    let app = client.repository(&home.address(), "bad/app");
    for error in [app.manifest(&v1()).await.map(drop), put_image(&app, &image, "v1").await.map(drop)] {
        let error = error.unwrap_err();
        assert!(matches!(&error, TransportError::Blocked { prefix, .. } if *prefix == blocked), "{error:?}");
        assert!(error.to_string().contains("registries.conf"), "{error}");
    }
    assert!(asked(&home).is_empty() && asked(&mirror).is_empty());
    read(&client.repository(&home.address(), "open"), &image).await;
}
