//! Damage to the database's file, under a running server and at rest.

use std::path::Path;
use std::process::Command;

use crate::common::isolated;
use crate::served::Served;
use crate::server::{refusal, run, runtime};

#[test]
fn what_happens_to_the_file_while_running_refuses_writes_and_loses_nothing() {
    isolated("damage::what_happens_to_the_file_while_running_refuses_writes_and_loses_nothing", || {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, said) = (folder.path().join("data"), folder.path().join("said"));
        let database = data.join("api/state.redb");
        runtime().block_on(async {
            let mut served = Served::start(&data, &said).await;
            let mut watch = served.watch().await;
            // It lost its name, or its folder; what is told puts it back.
            for folder_too in [false, true] {
                match folder_too {
                    false => std::fs::remove_file(&database).expect("there"),
                    true => std::fs::remove_dir_all(data.join("api")).expect("there"),
                }
                served.is_read_only(&["state.redb was removed", "nothing is lost", "cp /proc/"]).await;
                let refused = served.exhaust().await;
                let way = refused.split('`').nth(1).expect("a command is told");
                assert!(Command::new("sh").args(["-c", way]).status().expect("sh runs").success(), "{way}");
                served.takes_writes().await;
            }
            served.was_told(&mut watch).await;
            served.end("KILL");
            let mut served = served.again().await;
            served.end("INT");
            let mut served = served.again().await;

            // Another file in its place is taken when it ends where Weir left it, and only then.
            let mut watch = served.watch().await;
            std::fs::remove_file(&database).expect("there");
            let refused = served.exhaust().await;
            let way = refused.split('`').nth(1).expect("a command is told");
            assert!(Command::new("sh").args(["-c", way]).status().expect("sh runs").success(), "{way}");
            let good = std::fs::read(&database).expect("there");
            let mut bad = good.clone();
            bad[good.len() / 4..good.len() / 2].fill(7);
            for bad in [bad, Vec::new(), b"garbage".repeat(9000)] {
                std::fs::write(&database, bad).expect("written");
                served.is_read_only(&["state.redb is damaged", "still served", "kubectl get", "stop Weir"]).await;
            }
            std::fs::write(&database, &good).expect("written");
            served.takes_writes().await;
            served.was_told(&mut watch).await;

            // Written over while it is open: read-only until the end, and no start after that.
            std::fs::File::options().write(true).open(&database).expect("there").set_len(9000).expect("cut");
            served.is_read_only(&["state.redb is damaged", "still served"]).await;
            served.end("INT");
            let told = refusal(&mut run(&data));
            assert!(told.contains("state.redb is damaged") && told.contains("restore it from a copy"), "{told}");
        });
    });
}

#[test]
fn damage_at_rest_is_told_with_the_file_and_the_way_out() {
    isolated("damage::damage_at_rest_is_told_with_the_file_and_the_way_out", || {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, said) = (folder.path().join("data"), folder.path().join("said"));
        let (database, mark) = (data.join("api/state.redb"), data.join("api/state.mark"));
        runtime().block_on(async {
            let mut served = Served::start(&data, &said).await;
            served.end("INT");
            let old = std::fs::read(&database).expect("there");
            let mut served = served.again().await;
            served.end("KILL");
            let good = std::fs::read(&database).expect("there");
            let refused = |wanted: &[&str]| {
                let told = refusal(&mut run(&data));
                assert!(wanted.iter().all(|it| told.contains(it)), "{told}");
            };
            for bad in [Vec::new(), good[..good.len() / 2].to_vec()] {
                std::fs::write(&database, bad).expect("written");
                refused(&["state.redb is damaged", "restore it from a copy, or move it away"]);
            }
            std::fs::write(&database, &old).expect("written");
            refused(&["state.redb ends at version", "was acknowledged", "restore a newer copy, or remove", "state.mark"]);
            std::fs::write(&database, &good).expect("written");
            let line = std::fs::read(&mark).expect("there");
            std::fs::write(&mark, "junk").expect("written");
            refused(&["state.mark is damaged"]);
            std::fs::write(&mark, line).expect("written");
            read_only(&database, &data);
            served.again().await.end("INT");
        });
    });
}

/// Even the owner may not write it: root may, so this goes without root's rights.
fn read_only(database: &Path, data: &Path) {
    let mode = |mode: &str| assert!(Command::new("chmod").args([mode]).arg(database).status().expect("chmod runs").success());
    mode("400");
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=-all", "--bounding-set=-all"]).arg(run(data).get_program()).args(run(data).get_args());
    let told = refusal(&mut command);
    assert!(told.contains("state.redb: Permission denied") && told.contains("may write"), "{told}");
    mode("600");
}
