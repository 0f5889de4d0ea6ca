use super::*;

fn read_all(texts: &[&str]) -> Result<SignatureStores, ConfigError> {
    let mut stores = SignatureStores::default().with_fallback("/home/ann/sigs");
    for (at, text) in texts.iter().enumerate() {
        let path = PathBuf::from(format!("{at}.yaml"));
        stores.read(ConfigFile { path: &path, text })?;
    }
    Ok(stores)
}

/// Where signatures of an image are read and written, and whether attachments are used.
fn asked(stores: &SignatureStores, reference: &str) -> (String, String, bool) {
    let reference = reference.parse().unwrap();
    let shown = |store: Option<&Lookaside>| store.map(Lookaside::to_string).unwrap_or_default();
    (shown(stores.lookaside(&reference)), shown(stores.staging(&reference)), stores.attachments(&reference))
}

#[test]
fn each_question_is_answered_by_the_narrowest_scope_that_says_anything_to_it() {
    let stores = read_all(&[r#"
default-docker:
  lookaside: https://sigs.example.com/all
  lookaside-staging: file:///stage/all
  use-sigstore-attachments: false
docker:
  r.io:
    use-sigstore-attachments: true
  r.io/ns:
    lookaside: https://sigs.example.com/ns
    lookaside-staging: file:///stage/ns
  r.io/ns/app:
    lookaside: file:///sigs/app
  r.io/ns/app:1:
    use-sigstore-attachments: false
  r.io/ns/stage:
    lookaside-staging: file:///stage/stage
  old.io:
    sigstore: https://old.example.com
    sigstore-staging: file:///stage/old
  both.io:
    lookaside: file:///new
    sigstore: file:///old
  "*.corp.example":
    lookaside: file:///corp
  nothing.io:
"#])
    .unwrap();
    for (reference, read, write, attach) in [
        ("x.io/app:1", "https://sigs.example.com/all", "/stage/all", false),
        ("r.io/app:1", "https://sigs.example.com/all", "/stage/all", true),
        ("r.io/ns/other:1", "https://sigs.example.com/ns", "/stage/ns", true),
        ("r.io/nss/other:1", "https://sigs.example.com/all", "/stage/all", true),
        ("r.io/ns/app:2", "/sigs/app", "/sigs/app", true),
        ("r.io/ns/app:1", "/sigs/app", "/sigs/app", false),
        ("r.io/ns/stage:1", "https://sigs.example.com/ns", "/stage/stage", true),
        ("r.io:5000/app:1", "https://sigs.example.com/all", "/stage/all", false),
        ("old.io/app:1", "https://old.example.com/", "/stage/old", false),
        ("both.io/app:1", "/new", "/new", false),
        ("a.b.corp.example:5000/app:1", "/corp", "/corp", false),
        ("corp.example/app:1", "https://sigs.example.com/all", "/stage/all", false),
        ("nothing.io/app:1", "https://sigs.example.com/all", "/stage/all", false),
    ] {
        assert_eq!(asked(&stores, reference), (read.to_owned(), write.to_owned(), attach), "{reference}");
    }
}

#[test]
fn files_add_up_and_nothing_said_means_the_directory_of_the_user() {
    let home = || "/home/ann/sigs".to_owned();
    for empty in
        ["", "# nothing\n", "docker:\n", "docker: {}\ndefault-docker: {}\n", "---\n", "new-word: 1\n"]
    {
        let stores = read_all(&[empty]).unwrap();
        assert_eq!(asked(&stores, "r.io/app:1"), (home(), home(), false), "{empty:?}");
    }
    let stores = read_all(&[
        "docker:\n  a.io: {lookaside: 'file:///a'}\n",
        "docker:\n  b.io: {lookaside: 'file:///b'}\n",
    ]);
    let stores = stores.unwrap();
    assert_eq!(asked(&stores, "a.io/x:1").0, "/a");
    assert_eq!(asked(&stores, "b.io/x:1").0, "/b");
    assert_eq!(asked(&stores, "c.io/x:1").0, home());
    assert_eq!(asked(&SignatureStores::default(), "c.io/x:1").0, "");
}

#[test]
fn what_makes_no_sense_is_named_with_the_file() {
    let default = "default-docker:\n  lookaside: file:///a\n";
    let scope = "docker:\n  r.io:\n    lookaside: file:///a\n";
    let with = |url: &str| format!("docker:\n  r.io:\n    lookaside: {url}\n");
    for (texts, part) in [
        (vec![default.to_owned(), default.to_owned()], "default-docker stands in 0.yaml and in 1.yaml"),
        (vec![scope.to_owned(), scope.to_owned()], "docker: r.io stands in 0.yaml and in 1.yaml"),
        (vec![format!("{default}{default}")], "0.yaml, line 3"),
        (vec![format!("{scope}  r.io: {{}}\n")], "0.yaml, line 4"),
        (vec!["docker:\n  r.io:\n    lookaside: a\n    lookaside: b\n".to_owned()], "0.yaml, line 4"),
        (vec!["docker: [1]\n".to_owned()], "0.yaml, line 1"),
        (vec!["docker:\n  r.io:\n    use-sigstore-attachments: maybe\n".to_owned()], "0.yaml, line 3"),
        (vec!["docker: {\n".to_owned()], "0.yaml"),
        (vec!["a: 1\n---\nb: 1\n".to_owned()], "0.yaml"),
        (vec![with("/var/sigs")], "lookaside = \"/var/sigs\": this is not a URL"),
        (vec![with("ftp://r.io/sigs")], "signatures are kept at file:"),
        (vec![with("file://server/sigs")], "not a directory of this machine"),
        (vec![with("https://sigs.io/?token=x")], "without `?` and `#`"),
    ] {
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let error = read_all(&texts).unwrap_err().to_string();
        assert!(error.contains(part), "{texts:?}: {error}");
    }
    let error = read_all(&[&with("https://ann:secret@sigs.io")]).unwrap_err().to_string();
    assert!(error.contains("login") && !error.contains("secret"), "{error}");
}

/// Aliases of aliases would be a document of gigabytes.
#[test]
fn aliases_that_multiply_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    text.push_str("docker: *a9\n");
    let error = read_all(&[&text]).unwrap_err().to_string();
    assert!(error.contains("0.yaml"), "{error}");
    let deep = format!("docker: {}", "[".repeat(100_000));
    assert!(read_all(&[&deep]).is_err());
    let few = "x: &x {lookaside: 'file:///a'}\ndocker:\n  a.io: *x\n  b.io: *x\n";
    assert_eq!(asked(&read_all(&[few]).unwrap(), "b.io/x:1").0, "/a");
}
