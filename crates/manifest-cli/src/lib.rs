//! The command line of `manifest`: arguments in, words and an exit code out.
//!
//! Verbs are glue: they parse, call the crates that know, and print. What is decided here is only how people and
//! programs are spoken to.

#[cfg(not(any(feature = "crypto-rust", feature = "crypto-openssl", feature = "crypto-nettle")))]
compile_error!("OpenPGP needs one of the features crypto-rust, crypto-openssl and crypto-nettle");

mod args;
mod carried;
mod cli;
mod commands;
mod configuration;
mod context;
mod entry;
mod environment;
mod error;
mod filter;
mod gather;
mod holders;
mod interruption;
mod keyfile;
mod named;
mod outputfile;
mod passphrase;
mod policy;
mod probed;
mod report;
mod run;
mod secrecy;
mod short;
mod signing;
mod table;
mod ui;
mod words;

pub use environment::Environment;
pub use run::{main, run};
