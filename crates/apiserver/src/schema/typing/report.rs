//! Where in an expression something is wrong, shown as cel-go shows it.

use std::fmt::Write as _;

use kube_cel::cel::parser::Parser;

/// Most problems that are told of one expression.
const MOST: usize = 100;
/// Characters of a longer line that are shown, so many of them before the place.
const SHOWN: usize = 200;
const BEFORE: usize = 80;

/// A line, from 1, and a column, from 0, in characters.
type Place = (usize, usize);

/// The problems as text; each is at an expression's number in the syntax tree.
pub(super) fn text(source: &str, problems: &[(u64, String)]) -> String {
    let wanted: Vec<u64> = problems.iter().map(|(id, _)| *id).collect();
    let places = crate::schema::expression::on_deep_stack(source, || offsets(source, &wanted)).unwrap_or_default();
    let place = |id: &u64| places.iter().find(|(known, _)| known == id).map_or((1, 0), |(_, offset)| place(source, *offset));
    let mut found: Vec<(Place, &str)> = problems.iter().map(|(id, problem)| (place(id), problem.as_str())).collect();
    found.sort_by_key(|(place, _)| *place);
    let mut lines: Vec<String> = found.iter().take(MOST).map(|(place, problem)| shown(source, *place, problem)).collect();
    if found.len() > MOST {
        lines.push(format!("{} more errors were truncated", found.len() - MOST));
    }
    lines.join("\n")
}

/// Where expressions begin. The parser tells only of a source that is wrong, so it gets one: the same with a character that it skips.
fn offsets(source: &str, wanted: &[u64]) -> Result<Vec<(u64, u32)>, String> {
    let Err(errors) = Parser::default().enable_optional_syntax(true).parse(&format!("{source}\n#")) else { return Ok(Vec::new()) };
    let Some(info) = errors.errors.iter().find_map(|error| error.source_info.as_ref()) else { return Ok(Vec::new()) };
    Ok(wanted.iter().filter_map(|id| Some((*id, info.offset_for(*id)?.0))).collect())
}

/// `offset` counts bytes.
fn place(source: &str, offset: u32) -> Place {
    let (mut line, mut column) = (1, 0);
    let end = usize::try_from(offset).unwrap_or(usize::MAX);
    for (_, c) in source.char_indices().take_while(|(at, _)| *at < end) {
        (line, column) = if c == '\n' { (line + 1, 0) } else { (line, column + 1) };
    }
    (line, column)
}

fn shown(source: &str, (line, column): Place, problem: &str) -> String {
    let mut text = format!("ERROR: <input>:{line}:{}: {problem}", column + 1);
    let Some(snippet) = source.split('\n').nth(line - 1) else { return text };
    let mark = |c: char, narrow, wide| if c.is_ascii() { narrow } else { wide };
    let start = if snippet.chars().count() > SHOWN { column.saturating_sub(BEFORE) } else { 0 };
    let shown: String = snippet.chars().skip(start).take(SHOWN).map(|c| if c == '\t' { ' ' } else { c }).collect();
    let dots: String = shown.chars().take(column - start).map(|c| mark(c, '.', '\u{ff0e}')).collect();
    let here = shown.chars().nth(column - start).map_or('^', |c| mark(c, '^', '\u{ff3e}'));
    let _ = write!(text, "\n | {shown}\n | {dots}{here}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_lines_a_part_is_shown() {
        assert_eq!(shown("\ta + b", (1, 3), "bad"), "ERROR: <input>:1:4: bad\n |  a + b\n | ...^");
        let long = format!("{}?{}", "a".repeat(4000), "b".repeat(4000));
        let said = shown(&long, (1, 4000), "bad");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], "ERROR: <input>:1:4001: bad");
        assert_eq!(lines[1], format!(" | {}?{}", "a".repeat(80), "b".repeat(119)));
        assert_eq!(lines[2], format!(" | {}^", ".".repeat(80)));
    }
}
