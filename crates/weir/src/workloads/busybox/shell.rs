//! Of a shell's language: simple commands joined by `;`, `&&`, `||` and line ends, quotes, and variables. Anything else is an error, since a script
//! that is half understood does something else than it says.

use std::collections::BTreeMap;

/// When a command runs, by how the one before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    Always,
    IfSuccess,
    IfFailure,
}

/// A script that is understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) commands: Vec<(Join, Vec<Word>)>,
}

/// A word of a command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Split at its spaces unless it is quoted.
    Variable {
        name: String,
        quoted: bool,
    },
}

/// What is not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxError {
    /// It exists in a real shell.
    #[error("`{0}` is not understood by this stand-in, only commands joined by `;`, `&&` and `||`, quotes and variables")]
    Unsupported(String),
    /// A quote that does not end.
    #[error("syntax error: unterminated quoted string")]
    Quote,
}

const RESERVED: [&str; 13] = ["if", "for", "while", "until", "case", "function", "{", "!", "[", "test", "set", "trap", "exec"];

impl Script {
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut reader = Reader { rest: text.chars().peekable(), commands: Vec::new(), join: Join::Always, words: Vec::new(), word: None };
        reader.read()?;
        Ok(Self { commands: reader.commands })
    }
}

struct Reader<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    commands: Vec<(Join, Vec<Word>)>,
    join: Join,
    words: Vec<Word>,
    word: Option<Word>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), SyntaxError> {
        while let Some(next) = self.rest.next() {
            match next {
                ' ' | '\t' => self.end_word(),
                ';' | '\n' => self.end_command(Join::Always)?,
                '&' if self.rest.next_if_eq(&'&').is_some() => self.end_command(Join::IfSuccess)?,
                '|' if self.rest.next_if_eq(&'|').is_some() => self.end_command(Join::IfFailure)?,
                '#' if self.word.is_none() => while self.rest.next_if(|c| *c != '\n').is_some() {},
                '\'' => self.single_quoted()?,
                '"' => self.double_quoted()?,
                '\\' => match self.rest.next() {
                    Some('\n') | None => {}
                    Some(escaped) => self.push(escaped),
                },
                '$' => self.variable(false)?,
                '~' if self.word.is_some() => self.push(next),
                '&' | '|' | '<' | '>' | '(' | ')' | '`' | '*' | '?' | '[' | '~' => return Err(SyntaxError::Unsupported(next.to_string())),
                other => self.push(other),
            }
        }
        self.end_command(Join::Always)
    }

    fn push(&mut self, next: char) {
        let parts = &mut self.word.get_or_insert_default().parts;
        match parts.last_mut() {
            Some(Part::Text(text)) => text.push(next),
            _ => parts.push(Part::Text(next.to_string())),
        }
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_command(&mut self, next: Join) -> Result<(), SyntaxError> {
        self.end_word();
        let words = std::mem::take(&mut self.words);
        if let Some(Part::Text(name)) = words.first().and_then(|word| word.parts.first())
            && (RESERVED.contains(&name.as_str()) || name.contains('='))
        {
            return Err(SyntaxError::Unsupported(name.clone()));
        }
        if !words.is_empty() {
            self.commands.push((self.join, words));
            self.join = next;
        }
        Ok(())
    }

    fn single_quoted(&mut self) -> Result<(), SyntaxError> {
        self.word.get_or_insert_default().parts.push(Part::Text(String::new()));
        loop {
            match self.rest.next().ok_or(SyntaxError::Quote)? {
                '\'' => return Ok(()),
                other => self.push(other),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<(), SyntaxError> {
        self.word.get_or_insert_default().parts.push(Part::Text(String::new()));
        loop {
            match self.rest.next().ok_or(SyntaxError::Quote)? {
                '"' => return Ok(()),
                '\\' => match self.rest.next().ok_or(SyntaxError::Quote)? {
                    '\n' => {}
                    escaped @ ('"' | '\\' | '$' | '`') => self.push(escaped),
                    other => {
                        self.push('\\');
                        self.push(other);
                    }
                },
                '$' => self.variable(true)?,
                '`' => return Err(SyntaxError::Unsupported("`".to_owned())),
                other => self.push(other),
            }
        }
    }

    /// What follows a dollar sign.
    fn variable(&mut self, quoted: bool) -> Result<(), SyntaxError> {
        let mut name = String::new();
        if self.rest.next_if_eq(&'{').is_some() {
            while let Some(next) = self.rest.next_if(|c| *c != '}') {
                name.push(next);
            }
            if self.rest.next().is_none() || !name.chars().all(is_name) || name.is_empty() {
                return Err(SyntaxError::Unsupported(format!("${{{name}}}")));
            }
        } else if self.rest.next_if_eq(&'?').is_some() {
            name.push('?');
        } else {
            while let Some(next) = self.rest.next_if(|c| is_name(*c)) {
                name.push(next);
            }
        }
        match name.as_str() {
            "" if self.rest.peek().is_some_and(|c| "($@*#!-".contains(*c) || (!quoted && "'\"".contains(*c))) => {
                return Err(SyntaxError::Unsupported(format!("${}", self.rest.peek().unwrap_or(&' '))));
            }
            "" => self.push('$'),
            _ => self.word.get_or_insert_default().parts.push(Part::Variable { name, quoted }),
        }
        Ok(())
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The bytes of one word and of a command's words together, as `execve` takes them on Linux.
const LONGEST: usize = 128 * 1024;
const WHOLE: usize = 2 * 1024 * 1024;
/// What each word costs beside its bytes: its end, and its place in the list.
const EACH: usize = 9;

/// A command's words, with their variables' values; `status` is that of the command before. A variable may make several words, or none. None at
/// all if they are too long: a short script can ask for more than any memory holds.
pub(super) fn expand(words: &[Word], env: &BTreeMap<String, String>, status: i32) -> Option<Vec<String>> {
    let mut expanded = Vec::new();
    let mut left = WHOLE;
    for word in words {
        let made = word.expand(env, status, left)?;
        left = left.checked_sub(cost(&made))?;
        expanded.extend(made);
    }
    Some(expanded)
}

fn cost(words: &[String]) -> usize {
    words.iter().map(|word| word.len() + EACH).sum()
}

impl Word {
    fn expand(&self, env: &BTreeMap<String, String>, status: i32, room: usize) -> Option<Vec<String>> {
        let mut words: Vec<String> = Vec::new();
        let mut left = room;
        let mut open = false;
        for part in &self.parts {
            // No part is longer than what `execve` took, so what is made here is bounded before it is known to be too long.
            if words.last().is_some_and(|word| word.len() >= LONGEST) {
                return None;
            }
            let (value, quoted) = match part {
                Part::Text(text) => (text.clone(), true),
                Part::Variable { name, quoted } if name == "?" => (status.to_string(), *quoted),
                Part::Variable { name, quoted } => (env.get(name).cloned().unwrap_or_default(), *quoted),
            };
            left = left.checked_sub(value.len())?;
            if quoted {
                append(&mut words, &mut open, &value);
                continue;
            }
            open &= !value.starts_with(char::is_whitespace);
            for (index, piece) in value.split_whitespace().enumerate() {
                open &= index == 0;
                append(&mut words, &mut open, piece);
            }
            open &= !value.ends_with(char::is_whitespace);
        }
        (words.iter().all(|word| word.len() < LONGEST) && cost(&words) <= room).then_some(words)
    }
}

/// Adds to the last word if it is open, or begins one.
fn append(words: &mut Vec<String>, open: &mut bool, text: &str) {
    match words.last_mut().filter(|_| *open) {
        Some(word) => word.push_str(text),
        None => words.push(text.to_owned()),
    }
    *open = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(Join, Vec<String>)> {
        let env = [("A", "one two"), ("B", "three")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let script = Script::parse(text).expect(text);
        script.commands.iter().map(|(join, words)| (*join, expand(words, &env, 7).expect(text))).collect()
    }

    #[test]
    fn commands_are_joined() {
        let join = |text: &str| words(text).into_iter().map(|(join, words)| (join, words.join(" "))).collect::<Vec<_>>();
        use Join::{Always, IfFailure, IfSuccess};
        let two = |join| vec![(Always, "a b".to_owned()), (join, "c".to_owned())];
        assert_eq!(join("a b; c"), two(Always));
        assert_eq!(join("a b\n\n# said so\nc;"), two(Always));
        assert_eq!(join("a  b && c"), two(IfSuccess));
        assert_eq!(join("a b||c"), two(IfFailure));
        assert_eq!(join("a b &&\n c"), two(IfSuccess));
        assert_eq!(join(""), []);
    }

    #[test]
    fn quotes_and_variables_make_words() {
        let one = |text: &str| words(text).remove(0).1;
        assert_eq!(one(r#"echo $A "$A" '$A' x$B${B}y "" $none"#), ["echo", "one", "two", "one two", "$A", "xthreethreey", ""]);
        assert_eq!(one(r#"echo a\ b "a\"b" "a\nb" x$A-y"#), ["echo", "a b", "a\"b", "a\\nb", "xone", "two-y"]);
        assert_eq!(one("exit $?"), ["exit", "7"]);
        assert_eq!(one("echo 5$ a#b"), ["echo", "5$", "a#b"]);
        assert_eq!(one(r#"echo '*' "?[~" \* a~ "$"'x' "#), ["echo", "*", "?[~", "*", "a~", "$x"]);
    }

    #[test]
    fn what_would_be_too_long_is_refused_before_it_is_made() {
        let env = [("A", "x".repeat(100_000)), ("B", "x ".repeat(50_000))].map(|(name, value)| (name.to_owned(), value)).into();
        let count = |text: &str| {
            let script = Script::parse(text).expect(text);
            expand(&script.commands[0].1, &env, 0).map(|words| words.len())
        };
        assert_eq!(count(&"$A ".repeat(20)), Some(20));
        assert_eq!(count(&"$A ".repeat(21)), None);
        assert_eq!((count("$A$A"), count(&"\"$A\"".repeat(30_000))), (None, None));
        assert_eq!((count("$B$B$B$B"), count("$B$B$B$B$B")), (Some(200_000), None));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "a *",
            "a x?",
            "a [b]",
            "a ~",
            "a $'x'",
            "a $\"x\"",
            "a | b",
            "a > b",
            "a &",
            "while true; do x; done",
            "A=b",
            "$(x)",
            "`x`",
            "\"`x`\"",
            "${A:-b}",
            "${A",
            "[ a ]",
        ] {
            assert!(matches!(Script::parse(text), Err(SyntaxError::Unsupported(_))), "{text}");
        }
        for text in ["'a", "\"a", "\"a\\"] {
            assert_eq!(Script::parse(text), Err(SyntaxError::Quote), "{text}");
        }
    }
}
