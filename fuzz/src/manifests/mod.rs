//! Reading manifests, which the binary does: its files are taken in here as they are. Promised: no panic, documents with what makes them
//! objects, errors that point into the text and can be shown.

#[allow(dead_code, reason = "the binary uses the rest")]
#[path = "../../../crates/weir/src/files/position.rs"]
mod position;
#[allow(dead_code, reason = "the binary uses the rest")]
#[path = "../../../crates/weir/src/files/read.rs"]
mod read;

pub(crate) fn manifests(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (documents, errors) = read::read_all(&["-".into()], Some(text));
    // YAML ends lines at a CR alone, too; and an error may stand behind the last line's end.
    let lines = text.split(['\n', '\r']).count() + 1;
    for document in &documents {
        assert!(!document.api_version().is_empty() && !document.kind().is_empty() && !document.name().is_empty());
        assert!((1..=lines).contains(&document.line), "line {} of {lines}", document.line);
        for path in ["", "metadata.name", "spec", "spec.rules[0].matches", "spec.a[", "x..y"] {
            assert!((1..=lines).contains(&document.position(path).line), "{path}");
        }
        assert!(!document.error("spec", "wrong", None).to_string().is_empty());
    }
    for error in &errors {
        let (_, line, _) = error.place();
        assert!((1..=lines).contains(&line), "line {line} of {lines}: {error}");
        assert!(error.to_string().starts_with("standard input:"), "{error}");
    }
    let (again, _) = read::read_all(&["-".into()], Some(text));
    assert!(documents.iter().map(|it| &it.object).eq(again.iter().map(|it| &it.object)));
}
