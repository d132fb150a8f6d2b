use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use eosfed_common::files;

use super::origin::Origin;
use super::target::Target;
use super::*;
use crate::domain::{Federation, Job};
use crate::init::{Choices, init};
use crate::settings::{StateFolder, recipient};
use crate::storage::{Blobs as _, Counts, FileBlobs, SCHEMA, SledStore, Store as _, ready};
use crate::testing::{self, NOW, ONE_SHOT, name};

const QUIET: ReportProgress<'static> = &|_, _| {};

/// A coordinator that is not running, with a finished job, its release, and one blob that no record refers
/// to.
struct Bench {
    folder: tempfile::TempDir,
    state: StateFolder,
    federation: Federation,
}

impl Bench {
    fn new() -> Self {
        eosfed_transport::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:7443".parse().unwrap();
        let choices =
            Choices { listen, public_url: None, names: vec!["localhost".to_owned()], operator: name("ada") };
        let state = init(&folder.path().join("state"), &choices, NOW).unwrap();
        let mut federation = Federation::default();
        let store = SledStore::open(&state.store()).unwrap();
        let commit = |federation: &mut Federation, change: crate::domain::Change| {
            ready(store.commit(&change, &[])).unwrap();
            federation.merge(change);
        };
        commit(&mut federation, testing::enrolled(&["east", "west"]));
        let blobs = FileBlobs::open(&state.blobs()).unwrap();
        let (_, change) = testing::submit(&federation, ONE_SHOT);
        for (seed, institution) in (1..).zip(["west", "east"]) {
            let assignment = change.jobs[0].assignment(&name(institution)).unwrap();
            let (path, blob) = testing::weights(folder.path(), &assignment, seed);
            let staged = blobs.stage().unwrap();
            fs::rename(path, staged.path()).unwrap();
            assert_eq!(ready(blobs.ingest(staged)).unwrap(), blob);
        }
        let spare = blobs.stage().unwrap();
        fs::write(spare.path(), b"a blob that is not submitted yet").unwrap();
        ready(blobs.ingest(spare)).unwrap();
        let finished = testing::finished_one_shot(&federation);
        let change = federation.settle(finished, NOW).unwrap();
        commit(&mut federation, change);
        Self { folder, state, federation }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn backup(&self, to: &str) -> anyhow::Result<Backup> {
        backup(&self.state, &self.path(to), &[], &self.state.operator(), NOW, QUIET).await
    }

    fn restore(&self, from: &str, to: &str) -> anyhow::Result<Restored> {
        restore(&self.path(from), None, &self.path(to), QUIET)
    }

    /// The error of a restore that must fail. Checks that it left nothing that a coordinator could start on.
    fn refused(&self, from: &str) -> String {
        let error = format!("{:#}", self.restore(from, "refused").unwrap_err());
        assert!(!self.path("refused/coordinator.toml").exists(), "{error}");
        let _ = fs::remove_dir_all(self.path("refused"));
        error
    }

    fn manifest(&self, of: &str) -> Manifest {
        Manifest::read(&Origin::open(&self.path(of), None).unwrap()).unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.as_ref().unwrap().path();
        let target = to.join(entry.unwrap().file_name());
        if path.is_dir() {
            copy_all(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_restored_state_equals_the_one_that_was_backed_up() {
    let bench = Bench::new();
    let made = bench.backup("backup").await.unwrap();
    assert!(!made.serving && made.missing.is_empty());
    assert_eq!(
        (made.blobs, made.counts),
        (3, Counts { institutions: 2, jobs: 1, rounds: 1, specialists: 2, releases: 1, ..Counts::default() })
    );
    for path in ["backup", "backup/ca", "backup/operator", "backup/blobs"] {
        assert_eq!(mode(&bench.path(path)), 0o700, "{path}");
    }
    for path in ["backup/backup.json", "backup/ca/key.pem", "backup/operator/key.pem", "backup/records.jsonl"]
    {
        assert_eq!(mode(&bench.path(path)), 0o600, "{path}");
    }
    let restored = bench.restore("backup", "new").unwrap();
    assert_eq!((restored.counts, restored.blobs, restored.bytes), (made.counts, 3, made.bytes));
    let new = StateFolder(bench.path("new"));
    assert_eq!(ready(SledStore::open(&new.store()).unwrap().load()).unwrap().federation, bench.federation);
    for name in layout::FILES {
        let text = |state: &StateFolder| fs::read(state.0.join(name)).unwrap();
        assert_eq!(text(&new), text(&bench.state), "{name}");
    }
    assert_eq!((mode(&new.0), mode(&new.authority()[0])), (0o700, 0o600));
    let old = FileBlobs::open(&bench.state.blobs()).unwrap();
    let blobs = FileBlobs::open(&new.blobs()).unwrap();
    assert_eq!(ready(blobs.list()).unwrap().len(), 3);
    for digest in ready(old.list()).unwrap() {
        assert_eq!(files::digest(&blobs.path_of(digest)).unwrap(), digest);
    }
    let error = bench.restore("backup", "new").unwrap_err().to_string();
    assert!(error.contains("not empty") && error.contains("nothing was changed"), "{error}");
    let error = bench.backup("backup").await.unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
}

#[tokio::test]
async fn an_incomplete_backup_is_refused_with_the_reason() {
    let bench = Bench::new();
    bench.backup("backup").await.unwrap();
    let spoilt = |spoil: &dyn Fn(&Path)| {
        let folder = bench.path("spoilt");
        let _ = fs::remove_dir_all(&folder);
        copy_all(&bench.path("backup"), &folder);
        spoil(&folder);
        bench.refused("spoilt")
    };
    let blob = bench.manifest("backup").blobs[1];
    let file = format!("blobs/{}", blob.digest.to_hex());
    let edit = |folder: &Path, from: &str, to: &str| {
        let path = folder.join(MANIFEST);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    };
    let said = spoilt(&|folder| fs::remove_file(folder.join(MANIFEST)).unwrap());
    assert!(said.contains("interrupted"), "{said}");
    let said = spoilt(&|folder| fs::write(folder.join(MANIFEST), "{").unwrap());
    assert!(said.contains("is damaged"), "{said}");
    let said = spoilt(&|folder| fs::remove_file(folder.join(&file)).unwrap());
    assert!(said.contains(&blob.digest.to_string()) && said.contains("1 of the 3 blobs"), "{said}");
    let said = spoilt(&|folder| fs::write(folder.join(&file), vec![0; blob.size as usize]).unwrap());
    assert!(said.contains(&blob.digest.to_string()) && said.contains("is damaged"), "{said}");
    let said = spoilt(&|folder| fs::write(folder.join(&file), b"short").unwrap());
    assert!(said.contains(&format!("5 of {} bytes", blob.size)), "{said}");
    for file in ["records.jsonl", "ca/key.pem"] {
        let said = spoilt(&|folder| fs::write(folder.join(file), "{}").unwrap());
        assert!(said.contains(file) && said.contains("when the backup was made"), "{said}");
    }
    let said = spoilt(&|folder| fs::remove_file(folder.join("ca/key.pem")).unwrap());
    assert!(said.contains("ca/key.pem"), "{said}");
    let ours = format!("\"schema\": {SCHEMA}");
    let said = spoilt(&|folder| edit(folder, &ours, "\"schema\": 99"));
    assert!(
        said.contains("`99`") && said.contains(&format!("schema {SCHEMA}")) && said.contains("newer"),
        "{said}"
    );
    let said = spoilt(&|folder| edit(folder, "\"format\": 1", "\"format\": 2"));
    assert!(said.contains("format `2`"), "{said}");
    let said = spoilt(&|folder| edit(folder, "\"ca/key.pem\"", "\"../key.pem\""));
    assert!(said.contains("../key.pem"), "{said}");
}

#[tokio::test]
async fn a_blob_that_a_record_needs_must_be_in_the_backup() {
    let bench = Bench::new();
    let lost = bench.federation.published_blobs().next().unwrap().digest;
    bench.backup("whole").await.unwrap();
    // The blob is removed from the manifest, and a record still refers to it.
    let mut manifest = bench.manifest("whole");
    manifest.blobs.retain(|blob| blob.digest != lost);
    manifest.write(&Target { folder: &bench.path("whole"), recipients: &[] }).unwrap();
    let said = bench.refused("whole");
    assert!(said.contains(&lost.to_string()) && said.contains("does not have"), "{said}");

    // The blob was lost before the backup. The rest is backed up, and the loss is reported.
    ready(FileBlobs::open(&bench.state.blobs()).unwrap().remove(lost)).unwrap();
    let made = bench.backup("rest").await.unwrap();
    assert_eq!((made.missing, made.blobs), (vec![lost], 2));
    assert_eq!(bench.restore("rest", "new").unwrap().missing, [lost]);
}

#[tokio::test]
async fn a_damaged_blob_is_not_backed_up_as_if_it_were_whole() {
    let bench = Bench::new();
    let blobs = FileBlobs::open(&bench.state.blobs()).unwrap();
    let digest = bench.federation.published_blobs().next().unwrap().digest;
    fs::write(blobs.path_of(digest), b"rotten").unwrap();
    let said = format!("{:#}", bench.backup("backup").await.unwrap_err());
    assert!(said.contains(&digest.to_string()) && said.contains("is damaged"), "{said}");
    assert!(bench.refused("backup").contains("interrupted"));
}

#[tokio::test]
async fn a_backup_is_outside_of_the_state_folder_and_one_is_made_at_a_time() {
    let bench = Bench::new();
    let said = bench.backup("state/backup").await.unwrap_err().to_string();
    assert!(said.contains("outlive"), "{said}");
    let lock = fs::File::create(bench.path("state/backup.lock")).unwrap();
    lock.lock().unwrap();
    let said = bench.backup("backup").await.unwrap_err().to_string();
    assert!(said.contains("another backup"), "{said}");
    assert!(!bench.path("backup").exists());
    lock.unlock().unwrap();
    bench.backup("backup").await.unwrap();
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_backed_up_unchanged_and_migrated_by_restore() {
    let bench = Bench::new();
    let records = include_str!("../../fixtures/schema-1/records.jsonl");
    fs::remove_dir_all(bench.state.store()).unwrap();
    let db = sled::open(bench.state.store()).unwrap();
    for line in records.lines() {
        let crate::storage::Record { tree, key, record } = serde_json::from_str(line).unwrap();
        db.open_tree(tree).unwrap().insert(key, serde_json::to_vec(&record).unwrap()).unwrap();
    }
    db.insert("schema", "1").unwrap();
    db.flush().unwrap();
    drop(db);
    let made = bench.backup("before").await.unwrap();
    assert_eq!((bench.manifest("before").schema, made.counts.jobs), (1, 6));
    // The fixture has no blobs. This is reported and is no reason to refuse.
    assert!(!made.missing.is_empty());
    bench.restore("before", "new").unwrap();
    let store = SledStore::open(&bench.path("new/store")).unwrap();
    let states: Vec<_> =
        ready(store.load()).unwrap().federation.jobs.values().map(|job: &Job| job.state.name()).collect();
    assert!(states.contains(&"running") && states.contains(&"paused"), "{states:?}");
    assert_eq!(SledStore::schema(&bench.state.store()).unwrap(), 1, "the backup has changed nothing");
}

/// All files of a folder, by their paths in it.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_of(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn an_encrypted_backup_is_restored_with_one_of_its_keys_and_says_nothing_without() {
    let bench = Bench::new();
    let [first, second, other] = ["first", "second", "other"].map(|name| {
        command::make_key(&bench.path(name)).unwrap();
        assert_eq!(mode(&bench.path(name)), 0o600);
        let text = fs::read_to_string(bench.path(name)).unwrap();
        recipient(text.lines().next().unwrap().strip_prefix("# public key: ").unwrap()).unwrap()
    });
    assert_ne!(first, other);
    let saved = bench.path("saved");
    let keys = [first, second];
    let made = backup(&bench.state, &saved, &keys, &bench.state.operator(), NOW, QUIET).await.unwrap();
    assert!(made.encrypted && made.blobs == 3);
    let left: Vec<_> =
        fs::read_dir(&bench.state.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".tmp")), "{left:?}");
    let plain = bench.path("plain");
    bench.backup("plain").await.unwrap();
    let secrets: Vec<_> = files_of(&plain).iter().map(|path| fs::read(path).unwrap()).collect();
    for path in files_of(&saved) {
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(4096);
        assert!(path.extension().unwrap() == "age" && mode(&path) == 0o600, "{}", path.display());
        let told = |secret: &Vec<u8>| bytes.windows(16).any(|window| window == &secret[..16]);
        assert!(!secrets.iter().any(told), "{} is not encrypted", path.display());
    }

    let checked = check(&saved, Some(&bench.path("first")), QUIET).unwrap();
    assert_eq!((checked.counts, checked.state), (made.counts, None));
    let new = StateFolder(bench.path("new"));
    let restored = restore(&saved, Some(&bench.path("second")), &new.0, QUIET).unwrap();
    assert_eq!((restored.blobs, restored.bytes), (3, made.bytes));
    let store = SledStore::open(&new.store()).unwrap();
    assert_eq!(ready(store.load()).unwrap().federation, bench.federation);
    assert_eq!(fs::read(new.settings()).unwrap(), fs::read(bench.state.settings()).unwrap());
    let refused = |key: Option<&str>| {
        let key = key.map(|name| bench.path(name));
        format!("{:#}", check(&saved, key.as_deref(), QUIET).unwrap_err())
    };
    assert!(refused(None).contains("--key FILE"), "{}", refused(None));
    assert!(refused(Some("other")).contains("another key"), "{}", refused(Some("other")));
    assert!(refused(Some("state/coordinator.toml")).contains("private age keys"));

    // A changed and a missing byte are found, whichever file it is.
    let blob = format!("blobs/{}", bench.manifest("plain").blobs[0].digest.to_hex());
    for name in ["backup.json", "records.jsonl", "ca/key.pem", &blob] {
        let path = saved.join(format!("{name}.age"));
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        for bytes in [changed, whole[..whole.len() - 1].to_vec()] {
            fs::write(&path, bytes).unwrap();
            let said = refused(Some("first"));
            assert!(said.contains(&path.display().to_string()) || said.contains("blobs"), "{said}");
        }
        fs::write(&path, whole).unwrap();
    }
}
