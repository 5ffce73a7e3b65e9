//! Each `testdata/*.in.yaml` holds objects (and, where they matter, `settings:` and `observed:` documents); the `.out.yaml` beside it
//! what comes of them. `WEIR_BLESS=1 cargo test -p weir-translate --test golden` writes the latter anew: read what changed.

mod support;

use support::{cases, render, testdata};

#[test]
fn every_case_translates_as_its_file_says() {
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let path = testdata().join(format!("{}.out.yaml", case.name));
        let now = render(&case.translate(&case.objects), case.show_proxies);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        if now == before {
            continue;
        }
        if bless {
            std::fs::write(&path, now).expect("writable");
        } else {
            wrong.push(difference(&case.name, &before, &now));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ (WEIR_BLESS=1 rewrites them):\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_output_is_left_over() {
    let names: Vec<String> = cases().into_iter().map(|it| format!("{}.out.yaml", it.name)).collect();
    for entry in std::fs::read_dir(testdata()).expect("the folder is there") {
        let name = entry.expect("readable").file_name().to_string_lossy().into_owned();
        assert!(!name.ends_with(".out.yaml") || names.contains(&name), "{name} has no .in.yaml");
    }
}

fn difference(name: &str, before: &str, now: &str) -> String {
    let at = before.lines().zip(now.lines()).position(|(a, b)| a != b).unwrap_or_else(|| before.lines().count().min(now.lines().count()));
    let excerpt = |text: &str| text.lines().skip(at.saturating_sub(2)).take(8).map(|it| format!("    {it}\n")).collect::<String>();
    format!("{name}, line {}:\n  expected:\n{}  now:\n{}", at + 1, excerpt(before), excerpt(now))
}
