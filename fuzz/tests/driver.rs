//! The driver itself: it finds what can be found, makes it small, and says how to do it again.

use std::path::Path;

use weir_fuzz::driver;

/// A reader that cannot stand two semicolons.
fn buggy(data: &[u8]) {
    assert!(!data.windows(2).any(|pair| pair == b";;"), "two semicolons");
}

#[test]
fn a_bug_is_found_and_made_small() {
    let keep = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let found = std::panic::catch_unwind(|| driver::run("path", buggy, keep)).expect_err("it is found");
    let told = found.downcast_ref::<String>().expect("a text");
    assert!(told.contains("two semicolons") && told.contains("WEIR_FUZZ_SEED=") && told.contains("input: ;;\n"), "{told}");
    let kept = told.rsplit("kept: ").next().expect("where it is kept");
    assert_eq!(std::fs::read(kept).expect("it is kept"), b";;");
    std::fs::remove_file(kept).expect("removable");
}
