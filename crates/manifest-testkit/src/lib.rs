//! Servers, images and workspaces for the tests of this workspace.
//!
//! - [`FakeRegistry`]: a registry inside the test's process, with real state, a log of all requests and
//!   scripted faults.
//! - [`TokenServer`]: the token endpoint beside it, with the same log and the same faults.
//! - [`DockerRegistry`]: the real `docker-registry` as a child process.
//! - [`FaultyProxy`]: scripted faults in front of it; [`SlowLink`]: a slow network.
//! - [`Firehose`]: a registry of blobs that are larger than memory.
//! - [`Moto`], [`Azurite`]: emulators of object stores as child processes.
//! - [`program`], [`Tool`]: other people's programs, each run in a home of its own.
//! - [`Image`], [`Index`], [`Attachment`]: tiny images, and what is attached to them, whose bytes are the same in each run.
//! - [`Tar`], [`docker_archive`]: archives, good and bad.
//! - [`Client`], [`FakeClock`], [`Recorder`]: the transport under test, with time, chance and events in the
//!   test's hands.
//! - [`FakeNames`]: names of hosts that only a test knows, all of them on this machine.
//! - [`Http`]: a small blocking client, to look at a server without the code under test.
//! - [`Workspace`]: a directory with home, store and environment for a run of a program; [`Running`]: one that
//!   goes on meanwhile.
//! - [`proof`]: the program as a whole, under load, kills and faults.
//!
//! The servers run on threads of their own, so they serve blocking tests as well as async ones. All of
//! them listen on the loopback address only, and are gone when their value is dropped.
//!
//! Nothing here is for shipped code: whatever goes wrong ends in a panic that says what the test
//! machine lacks. The kit never skips a test, and never sleeps to make one pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::exhaustive_enums,
    reason = "a test kit reports by panicking, and is never shipped"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "files written here need not survive a crash; tokens are dated and servers polled"
)]

mod client;
mod docker_registry;
mod fake_clock;
mod fake_names;
mod fake_registry;
mod faulty_proxy;
mod firehose;
mod http_client;
mod http_server;
mod image;
mod object_server;
mod program;
pub mod proof;
mod ran;
mod request;
mod running;
mod script;
mod slow_link;
mod token_server;
mod workspace;

pub use client::{Client, Opened, Recorder, content, descriptor, put_blob, put_image, read_blob};
pub use docker_registry::{AccessLine, DockerRegistry, SelfSigned};
pub use fake_clock::FakeClock;
pub use fake_names::FakeNames;
pub use fake_registry::FakeRegistry;
pub use faulty_proxy::FaultyProxy;
pub use firehose::Firehose;
pub use http_client::{Http, HttpAnswer};
pub use image::{Attachment, Blob, Image, Index, Tar, docker_archive};
pub use object_server::{Azurite, Moto};
pub use program::{Tool, program};
pub use ran::Ran;
pub use request::{Method, Request};
pub use running::Running;
pub use script::{Gate, Rule};
pub use slow_link::{Link, SlowLink};
pub use token_server::TokenServer;
pub use workspace::Workspace;
