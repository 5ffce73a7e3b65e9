//! Files and folders of manifests, any number of documents in each.

use std::fmt;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::position::{Position, Positions};

/// The largest file that is read, in bytes: far above any real manifest, far below what would hurt.
const LARGEST: u64 = 64 << 20;

/// A file's name, as the user wrote it, and its text.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// One object of a file.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) source: Arc<Source>,
    /// The line on which it begins, from 1.
    pub(crate) line: usize,
    pub(crate) object: Value,
    /// Where its text stands in the source; none for a part of a list, whose errors point at the whole.
    text: Option<Range<usize>>,
}

impl Document {
    fn text_at(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn api_version(&self) -> &str {
        self.text_at("/apiVersion")
    }

    pub(crate) fn kind(&self) -> &str {
        self.text_at("/kind")
    }

    pub(crate) fn namespace(&self) -> &str {
        self.text_at("/metadata/namespace")
    }

    /// The namespace that it goes to when its kind has them: `default` unless it says so.
    pub(crate) fn namespace_or_default(&self) -> &str {
        match self.namespace() {
            "" => "default",
            namespace => namespace,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.text_at("/metadata/name")
    }

    /// Where the field at `path` stands, else the document's first line.
    pub(crate) fn position(&self, path: &str) -> Position {
        // Read again when there is something to tell: few documents have errors, and there may be many.
        let text = self.text.clone().and_then(|range| self.source.text.get(range));
        let found = text.and_then(|text| Positions::of(text, self.line).find(path));
        found.unwrap_or(Position { line: self.line, column: 1, length: 1 })
    }

    /// An error about the field at `path`.
    pub(crate) fn error(&self, path: &str, message: impl fmt::Display, help: Option<String>) -> ReadError {
        ReadError { source: Some(self.source.clone()), position: self.position(path), message: message.to_string(), help }
    }
}

/// What is wrong, and where. Shown as file, line, the line's text and a caret.
#[derive(Debug, Clone)]
pub(crate) struct ReadError {
    source: Option<Arc<Source>>,
    position: Position,
    message: String,
    help: Option<String>,
}

impl ReadError {
    /// What it is sorted by: the file, then the line. Errors without a place come first.
    pub(crate) fn place(&self) -> (&str, usize, usize) {
        (self.source.as_ref().map_or("", |source| &source.name), self.position.line, self.position.column)
    }

    fn plain(message: String) -> Self {
        Self { source: None, position: Position { line: 0, column: 0, length: 0 }, message, help: None }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(source) = &self.source else { return f.write_str(&self.message) };
        let Position { line, column, length } = self.position;
        write!(f, "{}:{line}:{column}: {}", source.name, self.message)?;
        if let Some(text) = source.text.lines().nth(line.saturating_sub(1)) {
            let number = line.to_string();
            write!(f, "\n{number:>5} | {text}\n      | {}{}", " ".repeat(column.saturating_sub(1)), "^".repeat(length.max(1)))?;
        }
        match &self.help {
            Some(help) => write!(f, "\n      = {help}"),
            None => Ok(()),
        }
    }
}

/// Reads all documents of `paths`: files as they are, folders recursively (`.yaml`, `.yml` and `.json`, hidden ones not), `-` for standard
/// input. Gives everything that could be read and every error.
pub(crate) fn read_all(paths: &[PathBuf], standard_input: Option<&str>) -> (Vec<Document>, Vec<ReadError>) {
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        if path.as_os_str() == "-" {
            let text = standard_input.unwrap_or_default().to_owned();
            parse(Source { name: "standard input".to_owned(), text }, &mut documents, &mut errors);
            continue;
        }
        let mut files = Vec::new();
        if let Err(message) = collect(path, true, &mut files) {
            errors.push(ReadError::plain(message));
        }
        for file in files {
            match read_text(&file) {
                Ok(text) => parse(Source { name: file.display().to_string(), text }, &mut documents, &mut errors),
                Err(message) => errors.push(ReadError::plain(message)),
            }
        }
    }
    (documents, errors)
}

fn collect(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let told = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{}: there is no such file or folder", path.display()),
        _ => format!("{}: {error}", path.display()),
    };
    let metadata = path.metadata().map_err(told)?;
    if !metadata.is_dir() {
        let is_manifest = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json");
        if named || is_manifest {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    let mut entries = path.read_dir().and_then(|entries| entries.collect::<Result<Vec<_>, _>>()).map_err(told)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        // Kubernetes mounts a ConfigMap as symlinks into `..data`: hidden entries are its plumbing, or an editor's.
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            collect(&entry.path(), false, files)?;
        }
    }
    Ok(())
}

fn read_text(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(told)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("{}: larger than {} MiB", path.display(), LARGEST >> 20));
    }
    String::from_utf8(bytes).map_err(|_| format!("{}: not UTF-8 text", path.display()))
}

fn parse(source: Source, documents: &mut Vec<Document>, errors: &mut Vec<ReadError>) {
    let source = Arc::new(source);
    for (line, range) in split(&source.text) {
        let text = &source.text[range.clone()];
        match serde_saphyr::from_str::<Value>(text) {
            Ok(Value::Null) => {}
            Ok(object) => {
                unpack(Document { source: source.clone(), line, object, text: Some(range) }, documents, errors);
            }
            // A document of comments alone is none.
            Err(_) if text.lines().all(|line| line.trim_start().starts_with('#') || line.trim().is_empty()) => {}
            Err(error) => errors.push(syntax_error(&source, line, &error)),
        }
    }
}

/// A `List` is its items.
fn unpack(document: Document, documents: &mut Vec<Document>, errors: &mut Vec<ReadError>) {
    if !document.object.is_object() {
        return errors.push(document.error("", "expected an object with apiVersion and kind", None));
    }
    if document.kind().ends_with("List") && document.object.get("items").is_some_and(Value::is_array) {
        for item in document.object["items"].as_array().into_iter().flatten() {
            let whole = Document { object: item.clone(), text: None, source: document.source.clone(), line: document.line };
            unpack(whole, documents, errors);
        }
        return;
    }
    for field in ["apiVersion", "kind"] {
        if document.text_at(&format!("/{field}")).is_empty() {
            return errors.push(document.error(field, format_args!("{field} is missing"), None));
        }
    }
    if document.name().is_empty() {
        let (message, help) = match document.object.pointer("/metadata/name") {
            None | Some(Value::Null) => ("metadata.name is missing", None),
            // YAML reads `y`, `on` and `1` as something else.
            Some(_) => ("metadata.name is not text", Some("write it in quotes".to_owned())),
        };
        return errors.push(document.error("metadata.name", message, help));
    }
    documents.push(document);
}

fn syntax_error(source: &Arc<Source>, first_line: usize, error: &serde_saphyr::Error) -> ReadError {
    let (line, column) = error.location().map_or((1, 1), |at| (at.line().max(1) as usize, at.column().max(1) as usize));
    let text = error.to_string();
    // The library appends its own picture of the place; ours shows the file's own line numbers.
    let text = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    // It also begins with the place, and ends with advice to programmers.
    let text = text.strip_prefix(&format!("line {line} column {column}: ")).unwrap_or(text);
    let message = text.split(", set DuplicateKeyPolicy").next().unwrap_or(text).to_owned();
    ReadError { source: Some(source.clone()), position: Position { line: line + first_line - 1, column, length: 1 }, message, help: None }
}

/// The documents of a file, each with its first line's number: they are separated by lines that begin with `---`.
fn split(text: &str) -> Vec<(usize, Range<usize>)> {
    let mut parts = Vec::new();
    let (mut start, mut first_line, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let is_separator = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with(['\n', '\r', '#']) || rest.trim().is_empty());
        if is_separator {
            parts.push((first_line, start..offset));
            (start, first_line) = (offset + line.len(), index + 2);
        }
        offset += line.len();
    }
    parts.push((first_line, start..text.len()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Document>, Vec<String>) {
        let (documents, errors) = read_all(&["-".into()], Some(text));
        (documents, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn documents_keep_their_lines() {
        let (documents, errors) = read(
            "# nothing\n---\napiVersion: v1\nkind: A\nmetadata: {name: a}\n--- # next\n\n---\napiVersion: v1\nkind: B\nmetadata:\n  name: b\n",
        );
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(documents.iter().map(|d| (d.kind(), d.line)).collect::<Vec<_>>(), [("A", 3), ("B", 9)]);
        assert_eq!(documents[1].position("metadata.name").line, 12);
    }

    #[test]
    fn a_list_is_its_items() {
        let (documents, errors) = read(
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A, metadata: {name: a}}\n- {apiVersion: v1, kind: B, metadata: {name: b}}\n",
        );
        assert_eq!((documents.len(), errors.len()), (2, 0));
    }

    #[test]
    fn errors_name_file_line_and_show_the_place() {
        let (documents, errors) = read("apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\nkind: [\n");
        assert_eq!(documents.len(), 1, "the other document is still read");
        assert!(errors[0].starts_with("standard input:"), "{}", errors[0]);
        let (_, errors) = read("kind: A\nmetadata: {name: a}\n---\napiVersion: v1\nkind: B\nmetadata:\n  nam: b\n");
        assert!(errors[0].starts_with("standard input:1:1: apiVersion is missing"), "{}", errors[0]);
        assert!(
            errors[1].starts_with("standard input:6:1: metadata.name is missing\n    6 | metadata:\n      | ^^^^^^^^"),
            "{}",
            errors[1]
        );
    }

    #[test]
    fn a_name_that_yaml_takes_for_something_else_is_told_so() {
        let (_, errors) = read("apiVersion: v1\nkind: A\nmetadata: {name: 1}\n");
        assert!(errors[0].starts_with("standard input:3:12: metadata.name is not text"), "{}", errors[0]);
    }

    #[test]
    fn the_parsers_own_place_and_advice_are_left_out() {
        let (_, errors) = read("a: b\na: c\n");
        assert!(errors[0].starts_with("standard input:2:1: duplicate mapping key: a\n"), "{}", errors[0]);
    }

    #[test]
    fn a_missing_path_is_told() {
        let (_, errors) = read_all(&["/nowhere/at/all".into()], None);
        assert_eq!(errors[0].to_string(), "/nowhere/at/all: there is no such file or folder");
    }
}
