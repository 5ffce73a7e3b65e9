//! No space on the disk, and other limits of what may be written.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::common::isolated;
use crate::served::Served;
use crate::server::{refusal, run, runtime};

#[test]
fn a_full_disk_refuses_writes_and_nothing_else_and_room_is_enough() {
    isolated("full::a_full_disk_refuses_writes_and_nothing_else_and_room_is_enough", || {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "none"]).arg(folder.path()).status();
        assert!(mounted.expect("mount runs").success(), "this namespace may mount");
        let elsewhere = tempfile::tempdir().expect("a folder");
        let (data, said, rest) = (folder.path().join("data"), elsewhere.path().join("said"), folder.path().join("rest"));
        runtime().block_on(async {
            let mut served = Served::start(&data, &said).await;
            let mut watch = served.watch().await;
            // The pods' logs fill the disk: an access log and the backend's own have the path.
            let path = format!("/{}", "log".repeat(2500));
            let mut requests = 0;
            while free(folder.path()) > 0 && requests < 1000 {
                served.asks(&path);
                requests += 1;
            }
            println!("{requests} requests filled the disk");
            let refused = served.exhaust().await;
            assert!(refused.contains("state.redb: No space left on device") && refused.contains("free some space"), "{refused}");
            for _ in 0..3 {
                served.is_read_only(&["No space left", "free some space"]).await;
                served.asks(&path);
            }
            remove_logs(&data);
            served.takes_writes().await;
            served.was_told(&mut watch).await;

            fill(&rest);
            served.exhaust().await;
            let complaints = served.end("KILL").lines().filter(|line| line.contains("\"ERROR\"")).count();
            println!("{complaints} errors told");
            let refused = refusal(&mut run(&data));
            assert!(refused.contains("No space left") && refused.contains("with free space"), "{refused}");
            std::fs::remove_file(&rest).expect("there");
            served.again().await.end("INT");
        });
    });
}

#[test]
fn a_limit_of_file_sizes_refuses_writes_and_ends_nothing() {
    isolated("full::a_limit_of_file_sizes_refuses_writes_and_ends_nothing", || {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, said) = (folder.path().join("data"), folder.path().join("said"));
        runtime().block_on(async {
            let mut served = Served::start(&data, &said).await;
            let mut watch = served.watch().await;
            let limit = |served: &Served, bytes: &str| {
                let (id, limit) = (served.weir.id().to_string(), format!("--fsize={bytes}:unlimited"));
                assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().expect("prlimit runs").success());
            };
            limit(&served, "200000");
            let refused = served.exhaust().await;
            assert!(refused.contains("File too large") && refused.contains("ulimit -f"), "{refused}");
            served.is_read_only(&["File too large"]).await;
            limit(&served, "unlimited");
            served.takes_writes().await;
            served.was_told(&mut watch).await;
            served.end("KILL");
            served.again().await.end("INT");
        });
    });
}

fn free(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).expect("mounted").f_bavail
}

/// Takes what is left.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("made");
    while file.write_all(&[1; 4096]).is_ok() {}
}

/// Makes room as somebody would in haste: by emptying files that are written to.
fn remove_logs(data: &Path) {
    let script = "find \"$0/logs\" -name '*.log' -exec truncate -s 0 {} +";
    assert!(Command::new("sh").args(["-c", script]).arg(data).status().expect("sh runs").success());
}
