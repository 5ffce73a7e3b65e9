//! Where in a YAML document each field stands, so that an error can point at it.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser};

/// A place in a file: line and column from 1, and how many characters to underline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) length: usize,
}

/// The positions of all fields of one document, by paths such as `spec.listeners[0].name`.
#[derive(Debug, Default)]
pub(crate) struct Positions(HashMap<String, Position>);

/// Where the walk over a document stands.
enum Level {
    /// In a mapping at this path; the key that was read last, if its value is still to come.
    Mapping { path: String, key: Option<String> },
    /// In a sequence at this path; the index of the next element.
    Sequence { path: String, next: usize },
}

impl Positions {
    /// Walks `text`, one YAML document whose first line is line `first_line` of its file.
    pub(crate) fn of(text: &str, first_line: usize) -> Self {
        let mut found = Self::default();
        let mut levels: Vec<Level> = Vec::new();
        for event in Parser::new_from_str(text) {
            let Ok((event, span)) = event else { break };
            let position = || Position {
                line: span.start.line() + first_line - 1,
                column: span.start.col() + 1,
                length: if span.end.line() == span.start.line() { span.end.col().saturating_sub(span.start.col()).max(1) } else { 1 },
            };
            match event {
                Event::Scalar(value, ..) => {
                    if let Some(Level::Mapping { path, key: key @ None }) = levels.last_mut() {
                        found.0.insert(join(path, &value), position());
                        *key = Some(value.into_owned());
                    } else {
                        found.element(&mut levels, position());
                    }
                }
                Event::Alias(..) => drop(found.element(&mut levels, position())),
                Event::MappingStart(..) => {
                    let path = found.element(&mut levels, position());
                    levels.push(Level::Mapping { path, key: None });
                }
                Event::SequenceStart(..) => {
                    let path = found.element(&mut levels, position());
                    levels.push(Level::Sequence { path, next: 0 });
                }
                Event::MappingEnd | Event::SequenceEnd => drop(levels.pop()),
                _ => {}
            }
        }
        found
    }

    /// Where the field at `path` stands, else the nearest field around it.
    pub(crate) fn find(&self, path: &str) -> Option<Position> {
        let mut path = path;
        loop {
            if let Some(position) = self.0.get(path) {
                return Some(*position);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// Takes the next value of the innermost level; gives its path. Elements of sequences have no key to point at, so they get a position.
    fn element(&mut self, levels: &mut [Level], position: Position) -> String {
        match levels.last_mut() {
            None => String::new(),
            Some(Level::Mapping { path, key }) => join(path, &key.take().unwrap_or_default()),
            Some(Level::Sequence { path, next }) => {
                let element = format!("{path}[{next}]");
                *next += 1;
                self.0.insert(element.clone(), position);
                element
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_elements_are_found_where_they_stand() {
        let text = "kind: A\nspec:\n  list:\n    - name: x\n      port: 1\n    - y\n  flow: {a: [1, 2]}\n";
        let positions = Positions::of(text, 10);
        assert_eq!(positions.find("kind"), Some(Position { line: 10, column: 1, length: 4 }));
        assert_eq!(positions.find("spec.list[0].port"), Some(Position { line: 14, column: 7, length: 4 }));
        assert_eq!(positions.find("spec.list[1]"), Some(Position { line: 15, column: 7, length: 1 }));
        assert_eq!(positions.find("spec.flow.a[1]").map(|p| p.line), Some(16));
        assert_eq!(positions.find("spec.list[0].missing.deep"), positions.find("spec.list[0]"), "the nearest field around it");
        assert_eq!(positions.find("nothing"), None);
    }
}
