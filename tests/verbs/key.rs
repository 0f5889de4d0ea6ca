//! Keys: made, imported and shown; and where their passphrases come from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use manifest_core::Digest;
use manifest_testkit::Ran;
use serde_json::Value;

use crate::in_process::Cli;

const PASSPHRASE: &str = "correct horse battery";
const FIXTURES: &str = "../manifest-sign/tests/fixtures";

/// A workspace whose passphrase stands in the environment.
fn with_passphrase() -> Cli {
    let mut cli = Cli::new();
    set(&mut cli, "MANIFEST_SIGN_PASSPHRASE", PASSPHRASE);
    cli
}

fn set(cli: &mut Cli, name: &str, value: &str) {
    cli.environment.variables.insert(name.into(), value.into());
}

fn at(cli: &Cli, name: &str) -> PathBuf {
    cli.workspace.path().join(name)
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The line that makes a key, and where its secret lies.
fn generate(cli: &Cli, name: &str, more: &str) -> String {
    format!("key generate --output-prefix {} {more}", at(cli, name).display())
}

fn public(cli: &Cli, name: &str) -> String {
    format!("key public {}", at(cli, name).display())
}

fn openssl(cli: &Cli, arguments: &str) -> Ran {
    cli.workspace.run("openssl", arguments.split(' '))
}

/// A home of GnuPG, whose agent is ended with it.
struct Gpg<'a>(&'a Cli);

impl<'a> Gpg<'a> {
    fn new(cli: &'a Cli) -> Self {
        fs::create_dir(at(cli, "gnupg")).unwrap();
        fs::set_permissions(at(cli, "gnupg"), fs::Permissions::from_mode(0o700)).unwrap();
        Self(cli)
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut gpg = self.0.workspace.command("gpg");
        gpg.env("GNUPGHOME", at(self.0, "gnupg")).args(["--batch", "--pinentry-mode", "loopback"]);
        Ran::of(gpg.args(["--passphrase", PASSPHRASE]).args(arguments))
    }
}

impl Drop for Gpg<'_> {
    fn drop(&mut self) {
        let mut end = self.0.workspace.command("gpgconf");
        end.env("GNUPGHOME", at(self.0, "gnupg")).args(["--kill", "all"]);
        drop(end.status());
    }
}

#[test]
fn a_new_key_is_locked_for_its_owner_alone_and_openssl_reads_its_public_half() {
    let cli = with_passphrase();
    for (kind, algorithm) in [("ecdsa", "ecdsa-p256"), ("ed25519", "ed25519"), ("rsa", "rsa")] {
        let made = cli.json(&generate(&cli, kind, &format!("--type {kind}")));
        let (secret, open) = (at(&cli, &format!("{kind}.key")), at(&cli, &format!("{kind}.pub")));
        assert_eq!((mode(&secret), mode(&open) & 0o700), (0o600, 0o600));
        assert!(text(&secret).starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"), "{kind}");
        assert_eq!(cli.ok(&public(&cli, &format!("{kind}.key"))), text(&open));
        let key = &made["keys"][0];
        assert_eq!((key["kind"].as_str(), key["algorithm"].as_str()), (Some("sigstore"), Some(algorithm)));
        assert_eq!(made["secretFile"], secret.display().to_string());
        let der = at(&cli, "der");
        openssl(&cli, &format!("pkey -pubin -in {} -outform DER -out {}", open.display(), der.display()))
            .ok();
        assert_eq!(key["id"], Digest::sha256(&fs::read(der).unwrap()).hex());
    }
}

#[test]
fn the_id_is_what_is_printed() {
    let cli = with_passphrase();
    let id = cli.ok(&generate(&cli, "cosign", ""));
    assert_eq!(id.trim(), cli.json(&public(&cli, "cosign.pub"))["keys"][0]["id"]);
}

#[test]
fn gnupg_takes_a_new_openpgp_key_and_signs_with_it() {
    let cli = with_passphrase();
    let prefix = at(&cli, "release").display().to_string();
    let words = ["key", "generate", "--type", "openpgp", "--user-id", "Ann <ann@example.com>"];
    let made = cli.run_words(words.into_iter().chain(["--expires", "2y", "--output-prefix", &prefix]));
    let id = made.ok().trim().to_owned();
    let (secret, open) = (at(&cli, "release.key"), at(&cli, "release.pub.asc"));
    assert_eq!(mode(&secret), 0o600);
    assert_eq!(cli.ok(&public(&cli, "release.key")), text(&open));

    let told = cli.json(&public(&cli, "release.pub.asc"))["keys"][0].clone();
    assert_eq!(
        (&told["id"], &told["userIds"][0]),
        (&Value::from(id.clone()), &"Ann <ann@example.com>".into())
    );
    assert_eq!(told["algorithm"], "rsa3072");
    let year = |member: &str| told[member].as_str().unwrap()[..4].parse::<u32>().unwrap();
    assert_eq!(year("expires") - year("created"), 2);

    let gpg = Gpg::new(&cli);
    gpg.run(&["--import", open.to_str().unwrap()]).ok();
    gpg.run(&["--import", secret.to_str().unwrap()]).ok();
    let keys = gpg.run(&["--with-colons", "--list-secret-keys"]);
    assert!(keys.ok().contains(&id), "{keys:?}");
    let note = cli.workspace.write("note", "a note");
    let signed = at(&cli, "signed").display().to_string();
    gpg.run(&["--local-user", &id, "--output", &signed, "--sign", note.to_str().unwrap()]).ok();
    gpg.run(&["--verify", &signed]).ok();
}

#[test]
fn files_that_are_there_stay() {
    let cli = with_passphrase();
    for (there, more) in
        [("a.key", ""), ("a.pub", "--type ed25519"), ("a.pub.asc", "--type openpgp --user-id a")]
    {
        let file = cli.workspace.write(there, "mine");
        let failed = cli.fails(4, &generate(&cli, "a", more));
        assert_eq!(failed.kind, "exists");
        assert!(failed.message.contains(there) && failed.hint.contains("--replace"), "{failed:?}");
        assert_eq!(text(&file), "mine");
        fs::remove_file(file).unwrap();
    }
    cli.workspace.write("a.key", "mine");
    cli.ok(&generate(&cli, "a", "--replace"));
    assert_eq!((cli.ok(&public(&cli, "a.key")), mode(&at(&cli, "a.key"))), (text(at(&cli, "a.pub")), 0o600));
    fs::create_dir(at(&cli, "d.key")).unwrap();
    cli.fails(12, &generate(&cli, "d", "--replace"));
    let left = fs::read_dir(cli.workspace.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_str().unwrap().starts_with(".manifest-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_passphrase_comes_from_the_file_then_from_our_variable_then_from_cosigns() {
    let mut cli = Cli::new();
    let file = cli.workspace.write("passphrase", "from the file\n").display().to_string();
    cli.ok(&generate(&cli, "a", &format!("--sign-passphrase-file {file}")));
    let (bare, named) =
        (public(&cli, "a.key"), format!("{} --sign-passphrase-file {file}", public(&cli, "a.key")));
    let missing = cli.fails(2, &bare);
    assert_eq!(missing.kind, "misuse");
    assert!(missing.hint.contains("--sign-passphrase-file"), "{missing:?}");
    for (variable, value, code) in [
        ("COSIGN_PASSWORD", "another", 6),
        ("COSIGN_PASSWORD", "from the file", 0),
        ("MANIFEST_SIGN_PASSPHRASE", "another", 6),
        ("MANIFEST_SIGN_PASSPHRASE", "", 0),
        ("MANIFEST_SIGN_PASSPHRASE", "from the file", 0),
        ("MANIFEST_SIGN_PASSPHRASE", "from the file\n", 6),
    ] {
        set(&mut cli, variable, value);
        assert_eq!(cli.run(&bare).code, Some(code), "{variable}={value:?}");
        cli.ok(&named);
    }
    assert_eq!(cli.fails(6, &bare).kind, "wrong_passphrase");
}

#[test]
fn of_the_file_one_newline_is_left_out() {
    let cli = Cli::new();
    let line = |file: &Path| format!("{} --sign-passphrase-file {}", public(&cli, "a.key"), file.display());
    let first = cli.workspace.write("first", "two lines\n");
    cli.ok(&generate(&cli, "a", &format!("--sign-passphrase-file {}", first.display())));
    for (content, code) in [
        ("two lines", 0),
        ("two lines\r\n", 0),
        ("two lines\n\n", 6),
        ("two lines ", 6),
        ("two lines\r", 6),
        ("", 2),
        ("\n", 2),
    ] {
        assert_eq!(cli.run(&line(&cli.workspace.write("other", content))).code, Some(code), "{content:?}");
    }
    let endless = cli.workspace.write("endless", "x".repeat(70_000));
    cli.fails(2, &line(&endless));
    cli.fails(3, &line(&at(&cli, "nowhere")));
}

#[test]
fn a_passphrase_file_that_others_can_read_is_told_of() {
    let cli = Cli::new();
    let file = cli.workspace.write("passphrase", PASSPHRASE);
    for (mode, told) in [(0o644, true), (0o640, true), (0o600, false), (0o400, false)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let more = format!("--replace --sign-passphrase-file {}", file.display());
        let ran = cli.run(&generate(&cli, "a", &more));
        ran.ok();
        assert_eq!(ran.stderr.contains("warning: other users"), told, "{mode:o}: {ran:?}");
    }
}

#[test]
fn a_key_without_a_passphrase_needs_none_and_is_warned_of() {
    let mut cli = Cli::new();
    for more in ["--no-passphrase", "--no-passphrase --type openpgp --user-id ann --replace"] {
        let ran = cli.run(&generate(&cli, "a", more));
        ran.ok();
        assert!(ran.stderr.contains("warning: whoever can read"), "{ran:?}");
        cli.ok(&public(&cli, "a.key"));
    }
    assert!(cli.fails(2, &generate(&cli, "b", "")).hint.contains("--no-passphrase"));
    set(&mut cli, "COSIGN_PASSWORD", "");
    cli.ok(&generate(&cli, "b", ""));
    cli.ok(&public(&cli, "b.key"));
    cli.fails(2, &generate(&cli, "c", "--type openpgp --user-id ann"));
}

#[test]
fn plain_keys_of_openssl_are_imported() {
    let cli = with_passphrase();
    for (name, make) in [
        ("p256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
        ("ed25519", "genpkey -algorithm ed25519"),
        ("rsa", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
        ("sec1", "ecparam -name prime256v1 -genkey"),
    ] {
        let (plain, prefix) = (at(&cli, &format!("{name}.pem")), at(&cli, name));
        openssl(&cli, &format!("{make} -out {}", plain.display())).ok();
        cli.ok(&format!("key import {} --output-prefix {}", plain.display(), prefix.display()));
        let wanted = openssl(&cli, &format!("pkey -in {} -pubout", plain.display()));
        assert_eq!(text(prefix.with_extension("pub")), wanted.ok());
        assert_eq!(cli.ok(&public(&cli, &format!("{name}.key"))), wanted.ok());
        // A plain key has a public half, too.
        assert_eq!(cli.ok(&public(&cli, &format!("{name}.pem"))), wanted.ok());
        assert_eq!(mode(&prefix.with_extension("key")), 0o600);
    }
}

#[test]
fn what_is_no_plain_key_is_not_imported() {
    let cli = with_passphrase();
    cli.ok(&generate(&cli, "sealed", ""));
    let rubbish = cli.workspace.write("rubbish", "no key").display().to_string();
    for (file, code, kind) in [
        (at(&cli, "sealed.key").display().to_string(), 2, "misuse"),
        (format!("{FIXTURES}/openpgp/rsa.asc"), 2, "misuse"),
        (format!("{FIXTURES}/sigstore/p384.pem"), 7, "bad_key"),
        (format!("{FIXTURES}/sigstore/ecdsa.pub"), 7, "bad_key"),
        (rubbish.clone(), 7, "bad_key"),
        ("nowhere".to_owned(), 3, "file_not_found"),
    ] {
        let prefix = at(&cli, "new");
        let failed = cli.fails(code, &format!("key import {file} --output-prefix {}", prefix.display()));
        assert_eq!(failed.kind, kind, "{file}: {failed:?}");
        assert!(!prefix.with_extension("key").exists());
    }
    assert_eq!(cli.fails(7, &format!("key public {rubbish}")).kind, "bad_key");
}

#[test]
fn what_makes_no_sense_is_misuse() {
    let cli = with_passphrase();
    for more in [
        "--bits 4096",
        "--user-id ann",
        "--expires 2y",
        "--type openpgp",
        "--type openpgp --user-id ann --bits 1024",
        "--type openpgp --user-id ann --expires soon",
        "--type openpgp --user-id ann --expires 0s",
        "--type openpgp --user-id ann --expires 200y",
        "--type dsa",
        "--no-passphrase --sign-passphrase-file x",
    ] {
        cli.fails(2, &generate(&cli, "a", more)).says("misuse", &[]);
    }
    cli.fails(2, "key generate").says("misuse", &["--output-prefix"]);
    cli.fails(2, "key generate --output-prefix d/").says("misuse", &["d/"]);
    cli.fails(3, "key generate --output-prefix /nowhere/a");
}

#[test]
fn no_secret_is_told_or_kept() {
    let cli = with_passphrase();
    let plain = text(format!("{FIXTURES}/sigstore/ed25519.pem"));
    let secret = plain.lines().nth(1).unwrap();
    let prefix = at(&cli, "imported").display().to_string();
    let mut lines = vec![
        format!("key import {FIXTURES}/sigstore/ed25519.pem --output-prefix {prefix}"),
        generate(&cli, "made", ""),
        generate(&cli, "ann", "--type openpgp --user-id ann"),
    ];
    lines.extend(["imported", "made", "ann"].map(|name| public(&cli, &format!("{name}.key"))));
    for line in lines {
        for more in ["-v", "-v --output json", "--replace -v --output json"] {
            let ran = cli.run(&format!("{line} {more}"));
            for told in [&ran.stdout, &ran.stderr] {
                assert!(!told.contains(PASSPHRASE) && !told.contains(secret), "{ran:?}");
                assert!(!told.contains("PRIVATE KEY"), "{ran:?}");
            }
        }
    }
    for name in ["imported.key", "made.key", "ann.key"] {
        let kept = text(at(&cli, name));
        assert!(!kept.contains(PASSPHRASE) && !kept.contains(secret), "{name}");
    }
}

#[test]
fn a_sigstore_key_without_a_passphrase_opens_beside_one_that_has_one() {
    let cli = with_passphrase();
    let key = cli.workspace.path().join("open");
    cli.ok(&format!("key generate --no-passphrase --output-prefix {}", key.display()));
    cli.ok(&format!("key public {}.key", key.display()));
}
