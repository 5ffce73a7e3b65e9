//! Label selectors: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.

use serde_json::Value;

use crate::builtin::names;
use crate::object::ObjectExt;
use crate::schema::text::quoted;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

/// All requirements must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<(String, Test)>);

impl LabelSelector {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut words = Words::new(text);
        let mut requirements = Vec::new();
        if words.peek().is_none() {
            return Ok(Self(requirements));
        }
        loop {
            requirements.push(requirement(&mut words)?);
            match words.next() {
                None => return Ok(Self(requirements)),
                Some(",") => {}
                Some(other) => return Err(format!("found '{other}', expected: ',' or 'end of string'")),
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(key, test)| {
            let value = object.label(key);
            match test {
                Test::Exists => value.is_some(),
                Test::Missing => value.is_none(),
                Test::In(values) => value.is_some_and(|v| values.iter().any(|w| w == v)),
                Test::NotIn(values) => value.is_none_or(|v| values.iter().all(|w| w != v)),
                Test::Greater(than) => value.and_then(|v| v.parse::<i64>().ok()).is_some_and(|v| v > *than),
                Test::Less(than) => value.and_then(|v| v.parse::<i64>().ok()).is_some_and(|v| v < *than),
            }
        })
    }
}

fn requirement(words: &mut Words<'_>) -> Result<(String, Test), String> {
    const EXPECTED: &str = "expected: !, identifier, or 'end of string'";
    match words.next() {
        Some("!") => match words.next() {
            Some(key) if is_word(key) => Ok((checked(key)?, Test::Missing)),
            other => Err(within(format!("found '{}', expected: identifier", other.unwrap_or_default()))),
        },
        Some(key) if is_word(key) => Ok((checked(key)?, test(words)?)),
        other => Err(format!("found '{}', {EXPECTED}", other.unwrap_or_default())),
    }
}

/// What is wrong within a requirement, as against where none begins or ends.
fn within(problem: impl std::fmt::Display) -> String {
    format!("unable to parse requirement: {problem}")
}

/// A key, if it is that of a label.
fn checked(key: &str) -> Result<String, String> {
    match names::qualified_name(key).first() {
        None => Ok(key.to_owned()),
        Some(problem) => Err(within(format!("<nil>: Invalid value: {}: {problem}", quoted(key)))),
    }
}

fn test(words: &mut Words<'_>) -> Result<Test, String> {
    match words.peek() {
        None | Some(",") => return Ok(Test::Exists),
        _ => {}
    }
    let number = |word: &str| {
        let problem = "for 'Gt', 'Lt' operators, the value must be an integer";
        word.parse::<i64>().map_err(|_| within(format!("values[0]: Invalid value: {}: {problem}", quoted(word))))
    };
    match words.next().unwrap_or_default() {
        "=" | "==" => Ok(Test::In(vec![value(words)])),
        "!=" => Ok(Test::NotIn(vec![value(words)])),
        ">" => Ok(Test::Greater(number(&value(words))?)),
        "<" => Ok(Test::Less(number(&value(words))?)),
        "in" => Ok(Test::In(values(words)?)),
        "notin" => Ok(Test::NotIn(values(words)?)),
        other => Err(within(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt"))),
    }
}

fn value(words: &mut Words<'_>) -> String {
    match words.peek() {
        Some(word) if is_word(word) => {
            words.next();
            word.to_owned()
        }
        _ => String::new(),
    }
}

fn values(words: &mut Words<'_>) -> Result<Vec<String>, String> {
    match words.next() {
        Some("(") => {}
        other => return Err(within(format!("found '{}' expected: '('", other.unwrap_or_default()))),
    }
    let mut values = Vec::new();
    loop {
        values.push(value(words));
        match words.next() {
            Some(",") => {}
            Some(")") => return Ok(values),
            other => return Err(within(format!("found '{}', expected: ',', ')' or identifier", other.unwrap_or_default()))),
        }
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && !word.starts_with([',', '=', '!', '(', ')', '<', '>'])
}

/// Splits into operators and words.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.trim_start() }
    }

    fn peek(&self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        for operator in ["==", "!=", "=", "!", ",", "(", ")", "<", ">"] {
            if self.rest.starts_with(operator) {
                return self.rest.get(..operator.len());
            }
        }
        let end = self.rest.find(|c: char| c.is_whitespace() || ",=!()<>".contains(c)).unwrap_or(self.rest.len());
        self.rest.get(..end)
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.rest = self.rest.get(word.len()..).unwrap_or_default().trim_start();
        Some(word)
    }
}
