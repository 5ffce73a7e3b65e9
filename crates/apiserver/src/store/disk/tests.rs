use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use super::*;

/// What ought to be there: names and their numbers, and the version.
type Content = (BTreeMap<String, u64>, u64);

fn open(path: &Path) -> Result<(Disk, Loaded), OpenError> {
    Disk::open(path, &mut Interner::default())
}

fn key(name: &str) -> Key {
    Key::new(&"/configmaps".into(), "default", name)
}

fn content_of(loaded: &Loaded) -> Content {
    let objects = loaded.objects.iter().map(|(key, stored)| {
        let value: serde_json::Value = serde_json::from_slice(&stored.json()).unwrap();
        assert_eq!(value["pad"], pad(value["n"].as_u64().unwrap()), "{key:?}");
        (key.name.to_string(), value["n"].as_u64().unwrap())
    });
    (objects.collect(), loaded.version)
}

fn pad(number: u64) -> String {
    "pad".repeat(number as usize % 700)
}

/// Writes some objects, replaces some and deletes some; several rows to a transaction.
fn fill(disk: &mut Disk, content: &mut Content, versions: std::ops::Range<u64>) -> Result<(), String> {
    for version in versions {
        let mut next = content.0.clone();
        let numbers = [version, version + 1000];
        let changes: Vec<(Key, Option<Vec<u8>>)> = numbers
            .iter()
            .map(|number| {
                let name = format!("o{}", number * 7 % 40);
                let json = (version % 5 != 0).then(|| json!({ "n": number, "pad": pad(*number) }).to_string().into_bytes());
                match &json {
                    Some(_) => next.insert(name.clone(), *number),
                    None => next.remove(&name),
                };
                (key(&name), json)
            })
            .collect();
        let rows: Vec<Row<'_>> = changes.iter().map(|(key, json)| Row { key, json: json.as_deref() }).collect();
        if let Err(reason) = disk.write(&rows, version) {
            for (key, _) in &changes {
                let now = content.0.get(&*key.name).map(|n| json!({ "n": n, "pad": pad(*n) }).to_string().into_bytes());
                disk.restore(key.clone(), now);
            }
            return Err(reason);
        }
        *content = (next, version);
    }
    Ok(())
}

/// A database as it is on disk after a kill or after a good end, its mark, and what is in it.
fn made(killed: bool) -> (Vec<u8>, Vec<u8>, Content) {
    let folder = folder();
    let path = folder.path().join("state.redb");
    let (mut disk, loaded) = open(&path).unwrap();
    let mut content = content_of(&loaded);
    fill(&mut disk, &mut content, 1..60).unwrap();
    // A copy made while it is open is what a kill leaves.
    let disk = Some(disk).filter(|_| killed);
    let files = (fs::read(&path).unwrap(), fs::read(path.with_extension("mark")).unwrap());
    drop(disk);
    (files.0, files.1, content)
}

fn place(folder: &tempfile::TempDir, file: &[u8], mark: &[u8]) -> PathBuf {
    let path = folder.path().join("state.redb");
    fs::write(&path, file).unwrap();
    fs::write(path.with_extension("mark"), mark).unwrap();
    path
}

/// Opens it: 0 when it is whole, 1 when it is refused as damaged, 2 as older than what was acknowledged.
fn opens_true(path: &Path, wanted: &Content, what: &str) -> usize {
    match open(path) {
        Ok((_, loaded)) => {
            assert_eq!(&content_of(&loaded), wanted, "{what}");
            0
        }
        Err(OpenError::Damaged(..)) => 1,
        Err(OpenError::Behind { .. }) => 2,
        Err(other) => panic!("{what}: {other:?}"),
    }
}

/// A folder where a sync costs nothing, if there is one.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

struct Random(u64);

impl Random {
    /// Less than `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 24) as usize % end
    }

    /// Damages a file in one of the ways in which files are damaged; says how.
    fn damage(&mut self, file: &mut Vec<u8>) -> String {
        let (length, pages) = (file.len(), file.len() / PAGE);
        match self.below(8) {
            // The header, whose first bytes have the commits' roots.
            0..3 => flip(file, self.below(320 * 8)),
            3 | 4 => flip(file, self.below(length * 8)),
            5 => {
                let page = self.below(pages) * PAGE;
                file[page..page + PAGE].fill(0);
                format!("no page at {page}")
            }
            6 => {
                let (from, to) = (self.below(pages) * PAGE, self.below(pages) * PAGE);
                file.copy_within(from..from + PAGE, to);
                format!("the page at {to} is that at {from}")
            }
            _ => {
                file.truncate(self.below(length));
                format!("cut at {}", file.len())
            }
        }
    }
}

const PAGE: usize = 4096;

fn flip(file: &mut [u8], bit: usize) -> String {
    file[bit / 8] ^= 1 << (bit % 8);
    format!("bit {bit} flipped")
}

/// `WEIR_TEST_DAMAGE` asks for more.
fn rounds() -> u64 {
    std::env::var("WEIR_TEST_DAMAGE").map_or(80, |text| text.parse().unwrap())
}

#[test]
fn damage_at_rest_is_told_or_does_no_harm() {
    let folder = folder();
    for killed in [false, true] {
        let (file, mark, content) = made(killed);
        let mut outcomes = [0, 0, 0];
        for seed in 0..rounds() {
            let mut damaged = file.clone();
            let what = format!("seed {seed}, killed {killed}: {}", Random(seed).damage(&mut damaged));
            let path = place(&folder, &damaged, &mark);
            outcomes[opens_true(&path, &content, &what)] += 1;
        }
        println!("killed {killed}: [whole, damaged, behind] = {outcomes:?}");
        assert!(outcomes[0] > 0 && outcomes[1] > 0);
    }
}

#[test]
fn damage_while_running_is_never_read_back() {
    let mut refused = 0;
    for seed in 0..rounds() {
        let folder = folder();
        let path = folder.path().join("state.redb");
        let mut random = Random(seed);
        let (mut disk, loaded) = open(&path).unwrap();
        let mut content = content_of(&loaded);
        fill(&mut disk, &mut content, 1..30).unwrap();
        let mut file = fs::read(&path).unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let what = format!("seed {seed}: {}", random.damage(&mut file));
        fs::write(&path, &file).unwrap();
        // Now and then it comes from below, so that nothing tells of it.
        if random.below(2) == 0 {
            fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        }
        for version in content.1 + 1..content.1 + 6 {
            if let Err(reason) = fill(&mut disk, &mut content, version..version + 1) {
                assert!(reason.contains("damaged") && reason.contains("kubectl get"), "{what}: {reason}");
                refused += 1;
                break;
            }
        }
        drop(disk);
        opens_true(&path, &content, &what);
    }
    assert!(refused > 0);
}

#[test]
fn a_file_that_is_none_is_told() {
    let folder = folder();
    let (file, mark, content) = made(false);
    for (bad, what) in [(Vec::new(), "empty"), (vec![7; 100_000], "garbage"), (vec![0; 100_000], "zeros")] {
        let path = place(&folder, &bad, &mark);
        assert_eq!(opens_true(&path, &content, what), 1, "{what}");
    }
    let path = place(&folder, &file, b"garbage");
    let refused = open(&path).err().unwrap().to_string();
    assert!(refused.contains("state.mark is damaged"), "{refused}");
    let mut long = file.clone();
    long.resize(file.len() + 10 * PAGE, 1);
    opens_true(&place(&folder, &long, &mark), &content, "longer");
    assert_eq!(opens_true(&place(&folder, &file, &mark), &content, "good"), 0);
}

#[test]
fn an_older_copy_is_told_and_versions_go_on_without_a_file() {
    let folder = folder();
    let path = folder.path().join("state.redb");
    let (mut disk, loaded) = open(&path).unwrap();
    let mut content = content_of(&loaded);
    fill(&mut disk, &mut content, 1..10).unwrap();
    drop(disk);
    let copy = fs::read(&path).unwrap();
    let (mut disk, _) = open(&path).unwrap();
    fill(&mut disk, &mut content, 10..12).unwrap();
    drop(disk);
    fs::write(&path, copy).unwrap();
    let refused = open(&path).err().unwrap();
    assert!(matches!(refused, OpenError::Behind { found: 9, acknowledged: 11, .. }), "{refused:?}");
    // The two ways out: without the mark the copy is good; without the file nothing is there, and no version comes again.
    let mark = fs::read(path.with_extension("mark")).unwrap();
    fs::remove_file(path.with_extension("mark")).unwrap();
    assert_eq!(open(&path).unwrap().1.version, 9);
    fs::write(path.with_extension("mark"), mark).unwrap();
    fs::remove_file(&path).unwrap();
    let (_, loaded) = open(&path).unwrap();
    assert_eq!((loaded.objects.len(), loaded.version), (0, 12));
}

#[test]
fn a_file_that_lost_its_name_can_be_put_back_while_it_is_open() {
    let folder = folder();
    let (api, path) = (folder.path().join("api"), folder.path().join("api/state.redb"));
    fs::create_dir(&api).unwrap();
    let (mut disk, loaded) = open(&path).unwrap();
    let mut content = content_of(&loaded);
    fill(&mut disk, &mut content, 1..10).unwrap();
    fs::remove_dir_all(&api).unwrap();
    let reason = fill(&mut disk, &mut content, 10..11).unwrap_err();
    let from = reason.find("mkdir").expect("the way out is told");
    let way = &reason[from..from + reason[from..].find('`').unwrap()];
    assert!(fill(&mut disk, &mut content, 10..11).is_err());
    assert!(std::process::Command::new("sh").args(["-c", way]).status().unwrap().success(), "{way}");
    fill(&mut disk, &mut content, 10..20).unwrap();
    let private = |path: &Path| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777;
    let mark = path.with_extension("mark");
    assert_eq!((private(&path), private(&mark)), (0o600, 0o600));
    assert_eq!(Mark::read(&mark).unwrap().map(|state| state.version), Some(19));
    // Another's file is not taken.
    fs::remove_file(&path).unwrap();
    fs::write(&path, made(false).0).unwrap();
    let reason = fill(&mut disk, &mut content, 20..21).unwrap_err();
    assert!(reason.contains("not as Weir left it"), "{reason}");
    let way = format!("cp /proc/{}/fd/{} {}", std::process::id(), disk.print.descriptor().unwrap(), path.display());
    assert!(std::process::Command::new("sh").args(["-c", &way]).status().unwrap().success());
    fill(&mut disk, &mut content, 20..30).unwrap();
    drop(disk);
    assert_eq!(opens_true(&path, &content, "put back"), 0);
}

#[test]
fn objects_without_sums_get_them() {
    let folder = folder();
    let path = folder.path().join("state.redb");
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(BARE).unwrap().insert("/configmaps\0default\0a", b"{\"n\":0,\"pad\":\"\"}".as_slice()).unwrap();
    transaction.open_table(NUMBERS).unwrap().insert(VERSION, 7).unwrap();
    transaction.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let (_, loaded) = open(&path).unwrap();
        assert_eq!(content_of(&loaded), (BTreeMap::from([("a".to_owned(), 0)]), 7));
    }
}

#[test]
fn objects_that_an_older_version_wrote_are_not_lost_silently() {
    let folder = folder();
    let path = folder.path().join("state.redb");
    let (mut disk, _) = open(&path).unwrap();
    disk.write(&[Row { key: &key("a"), json: Some(b"{}") }], 1).unwrap();
    drop(disk);
    let older = |object: Option<&str>| {
        let database = Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut table = transaction.open_table(BARE).unwrap();
            if let Some(name) = object {
                table.insert(name, b"{}".as_slice()).unwrap();
            }
        }
        transaction.commit().unwrap();
    };
    // One that wrote nothing does no harm.
    older(None);
    assert_eq!(open(&path).unwrap().1.objects.len(), 1);
    older(Some("/configmaps\0default\0b"));
    for _ in 0..2 {
        let refused = open(&path).err().unwrap().to_string();
        assert!(
            refused.contains("an older Weir has written objects of its own into it (1)") && refused.contains("kubectl get -o yaml"),
            "{refused}"
        );
    }
}

#[test]
fn a_failure_is_answered_again_for_a_while() {
    let folder = folder();
    let path = folder.path().join("state.redb");
    let (mut disk, _) = open(&path).unwrap();
    let (mut content, good) = ((BTreeMap::new(), 0), fs::read(&path).unwrap());
    let bad = vec![7; good.len()];
    fs::write(&path, &bad).unwrap();
    let first = fill(&mut disk, &mut content, 1..2).unwrap_err();
    let at = disk.failure.as_ref().unwrap().at;
    assert_eq!(fill(&mut disk, &mut content, 1..2).unwrap_err(), first);
    assert_eq!(disk.failure.as_ref().unwrap().at, at, "it was not looked at again");
    // What is put in its place is seen at once, and what may have changed elsewhere a little later.
    fs::write(&path, &good).unwrap();
    fill(&mut disk, &mut content, 1..2).unwrap();
    assert!(disk.failure.is_none());
    fs::write(&path, &bad).unwrap();
    fill(&mut disk, &mut content, 2..3).unwrap_err();
    disk.failure.as_mut().unwrap().at -= PAUSE;
    let before = disk.failure.as_ref().unwrap().at;
    fill(&mut disk, &mut content, 2..3).unwrap_err();
    assert_ne!(disk.failure.as_ref().unwrap().at, before);
}

#[test]
fn a_disk_that_stays_full_costs_no_more_memory() {
    let folder = folder();
    let (mut disk, _) = open(&folder.path().join("state.redb")).unwrap();
    for _ in 0..3 {
        disk.restore(key("a"), Some(b"{}".to_vec()));
    }
    assert_eq!(disk.restore.len(), 1);
    disk.write(&[], 1).unwrap();
    assert!(disk.restore.is_empty());
}
