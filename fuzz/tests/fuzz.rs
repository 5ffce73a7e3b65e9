//! Each target: its corpus, then a bounded time of changed inputs. `fuzz/README.md` says how to go longer.

use std::path::Path;

use weir_fuzz::{TARGETS, driver};

#[expect(clippy::print_stdout, reason = "what a test prints is shown where it fails, or on wish")]
fn fuzz(name: &str) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target of this name");
    let tries = driver::run(name, target, Path::new(env!("CARGO_TARGET_TMPDIR")));
    println!("{name}: {tries} inputs");
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name));
        })*

        #[test]
        fn every_target_is_here() {
            assert_eq!([$(stringify!($name)),*], TARGETS.map(|(name, _)| name));
        }
    };
}

targets!(
    http1_request,
    http1_response,
    chunked,
    path,
    routes,
    objects,
    manifests,
    texts,
    proxy_header,
    client_hello,
    decode,
    patch,
    selectors
);

#[test]
fn no_corpus_is_left_over() {
    for entry in driver::corpus("").read_dir().expect("the corpus is there") {
        let name = entry.expect("readable").file_name().to_string_lossy().into_owned();
        assert!(TARGETS.iter().any(|(known, _)| *known == name), "there is no target {name}");
    }
}
