//! The command line inside the test's process, with a home and a store of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use manifest_cli::Environment;
use manifest_store::{Clock, IfTaken, NewRecord, Origin, Store, StoreError, StoreOptions};
use manifest_testkit::{Image, Index, Ran, Workspace};
use serde_json::Value;

/// A home, a store and an environment for runs of the program.
pub struct Cli {
    pub workspace: Workspace,
    pub environment: Environment,
}

/// An image or an index in the layout of a [`Cli`]; shown as what names it on a command line.
#[derive(Clone, Debug)]
pub struct Put {
    reference: String,
    pub digest: String,
}

impl fmt::Display for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reference)
    }
}

/// How a command failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// What people read.
    pub text: String,
    /// What programs read.
    pub kind: String,
    pub message: String,
    pub causes: String,
    pub hint: String,
}

impl Failed {
    /// Whether the kind is this, and each part stands in what people read.
    #[track_caller]
    pub fn says(&self, kind: &str, parts: &[&str]) -> &Self {
        assert_eq!(self.kind, kind, "{}", self.text);
        for part in parts {
            assert!(self.text.contains(part), "{part:?} is missing in:\n{}", self.text);
        }
        self
    }
}

impl Cli {
    pub fn new() -> Self {
        let workspace = Workspace::new();
        let mut environment = Environment::default();
        for (name, value) in workspace.env() {
            environment.variables.insert(name.into(), value.into_os_string());
        }
        Self { workspace, environment }
    }

    /// Runs a line of words; no shell sees it.
    pub fn run(&self, line: &str) -> Ran {
        self.run_words(line.split_whitespace())
    }

    pub fn run_words(&self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Ran {
        let words: Vec<OsString> =
            std::iter::once("manifest".into()).chain(words.into_iter().map(Into::into)).collect();
        let command = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let (out, err) = (Buffer::default(), Buffer::default());
        let (to_out, to_err) = (Box::new(out.clone()), Box::new(err.clone()));
        let code = manifest_cli::run(words, self.environment.clone(), to_out, to_err);
        Ran { command, stdout: out.text(), stderr: err.text(), code: Some(code.into()) }
    }

    /// The result of a command that must succeed.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        self.run(line).ok().to_owned()
    }

    /// The object that a command prints that must succeed.
    #[track_caller]
    pub fn json(&self, line: &str) -> Value {
        let printed = self.ok(&format!("{line} --output json"));
        let value: Value =
            serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{line}: {error}\n{printed}"));
        assert!(value["schema"].is_string(), "{line}: {printed}");
        value
    }

    /// A command that must fail with this exit code: twice, for people and for programs. It prints nothing
    /// on standard output, says the same both times, and leaves the store as it was.
    #[track_caller]
    pub fn fails(&self, code: i32, line: &str) -> Failed {
        let before = self.store();
        let (text, json) = (self.run(line), self.run(&format!("{line} --output json")));
        assert_eq!(self.store(), before, "{line} changed the store");
        for ran in [&text, &json] {
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
        }
        // Before it there may be notes, such as of retries.
        assert!(format!("\n{}", text.stderr).contains("\nerror: "), "{text:?}");
        let parse = |line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{json:?}"));
        let objects: Vec<Value> = json.stderr.lines().map(parse).collect();
        let object = objects.last().unwrap_or_else(|| panic!("{json:?}"));
        let error = &object["error"];
        assert_eq!(error["exit"], code, "{json:?}");
        let member = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        let causes: Vec<&str> = error["causes"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
        let failed = Failed {
            text: text.stderr.clone(),
            kind: member("kind"),
            message: member("message"),
            causes: causes.join("\n"),
            hint: member("hint"),
        };
        assert!(!failed.kind.is_empty() && !failed.message.is_empty(), "{json:?}");
        failed
    }

    /// The store as a library, by a clock that stands still.
    pub fn store_at(&self, time: &str) -> Store {
        let time: Timestamp = time.parse().unwrap();
        let clock = Clock::new(move || time);
        Store::open(self.workspace.store(), StoreOptions { clock, ..StoreOptions::default() })
    }

    /// Puts a single image into the store, under this name; its id.
    pub fn keep(&self, name: &str, image: &Image) -> String {
        let new = NewRecord::kept(image.manifest(), Some(&image.media_type()), Origin::Imported).unwrap();
        let store = self.store_at("2026-01-02T03:04:05Z");
        let name = name.parse().unwrap();
        wait(async move { store.create(&name, Whole(new), IfTaken::Refuse).await }).unwrap().id().to_string()
    }

    /// Imports an image for this platform under this name; what is printed: its id.
    #[track_caller]
    pub fn import(&self, name: &str, platform: &str) -> String {
        let layout = self.workspace.path().join(format!("layout-{name}"));
        Image::new(platform).layer(name).write_layout(&layout, "it");
        self.ok(&format!("import {name} --oci-dir {}", layout.display()))
    }

    /// The content of all files of the store, but for the locks.
    pub fn store(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.workspace.store(), &mut files);
        files
    }

    /// The file of the record that a list has; `list` is its whole name.
    pub fn record(&self, list: &str) -> PathBuf {
        let object = self.json(&format!("inspect {list}"));
        let record = object.get("list").unwrap_or(&object["record"]);
        self.workspace.store().join("records").join(record["id"].as_str().unwrap())
    }

    /// The layout of the images of this test.
    pub fn layout(&self) -> PathBuf {
        self.workspace.path().join("images")
    }

    /// A tiny OCI image in the layout, named after its platform.
    pub fn image(&self, platform: &str) -> Put {
        self.put(&Image::new(platform), &platform.replace('/', "-"))
    }

    pub fn put(&self, image: &Image, name: &str) -> Put {
        let digest = image.write_layout(&self.layout(), name).to_string();
        Put { reference: format!("oci:{}:{name}", self.layout().display()), digest }
    }

    pub fn put_index(&self, index: &Index, name: &str) -> Put {
        let digest = index.write_layout(&self.layout(), name).to_string();
        Put { reference: format!("oci:{}:{name}", self.layout().display()), digest }
    }

    /// An index made of any JSON, with images that are in the layout already.
    pub fn put_document(&self, document: &Value, name: &str) -> Put {
        put_document(&self.layout(), document, name)
    }

    /// The entries of a list: platform (`-` for none) and digest.
    #[track_caller]
    pub fn entries(&self, list: &str) -> Vec<(String, String)> {
        let object = self.json(&format!("inspect {list}"));
        let entries = object["document"]["manifests"].as_array().unwrap();
        entries.iter().map(|entry| (platform(entry), entry["digest"].as_str().unwrap().to_owned())).collect()
    }

    /// The platforms of the entries of a list, in order.
    #[track_caller]
    pub fn platforms(&self, list: &str) -> Vec<String> {
        self.entries(list).into_iter().map(|(platform, _)| platform).collect()
    }

    /// The document of a list.
    #[track_caller]
    pub fn document(&self, list: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("inspect --raw {list}"))).unwrap()
    }
}

/// A record that is saved as it is.
struct Whole(NewRecord);

impl TryFrom<Whole> for NewRecord {
    type Error = StoreError;

    fn try_from(Whole(new): Whole) -> Result<Self, StoreError> {
        Ok(new)
    }
}

/// Waits for what the library does.
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn put_document(layout: &Path, document: &Value, name: &str) -> Put {
    let bytes = document.to_string();
    let digest = manifest_core::Digest::sha256(bytes.as_bytes());
    fs::write(layout.join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
    let path = layout.join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    index["manifests"].as_array_mut().unwrap().push(serde_json::json!({
        "mediaType": document["mediaType"], "digest": digest, "size": bytes.len(),
        "annotations": { "org.opencontainers.image.ref.name": name },
    }));
    fs::write(path, index.to_string()).unwrap();
    Put { reference: format!("oci:{}:{name}", layout.display()), digest: digest.to_string() }
}

fn platform(entry: &Value) -> String {
    let Some(platform) = entry.get("platform") else { return "-".to_owned() };
    let member = |name: &str| platform.get(name).and_then(Value::as_str);
    let parts = [member("os"), member("architecture"), member("variant")];
    parts.into_iter().flatten().collect::<Vec<_>>().join("/")
}

fn collect(dir: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        match path.file_name().and_then(|name| name.to_str()) {
            // They appear when a change is tried, an image is read, or a push fails.
            Some("locks" | "version" | "cache" | "publications") => {}
            _ if path.is_dir() => collect(&path, files),
            _ => drop(files.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
}

/// A stream that keeps what is written.
#[derive(Clone, Debug, Default)]
pub struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
