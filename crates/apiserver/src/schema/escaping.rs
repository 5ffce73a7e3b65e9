//! Field names as CEL has them: reserved words and characters that no identifier has are written `__word__`.

use std::borrow::Cow;

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Whether a field of this name has two in CEL: its own, and `__name__`.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// A field's name in CEL.
pub(super) fn escaped(name: &str) -> Cow<'_, str> {
    if is_reserved(name) {
        return Cow::Owned(format!("__{name}__"));
    }
    if !name.contains("__") && !name.contains(['.', '-', '/']) {
        return Cow::Borrowed(name);
    }
    let name = name.replace("__", "__underscores__").replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__");
    Cow::Owned(name)
}

/// Whether a rule can mean the field `name` by `said`.
pub(super) fn means(said: &str, name: &str) -> bool {
    let identifier = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    let sayable = name.chars().all(identifier) && !name.starts_with(|c: char| c.is_ascii_digit());
    sayable && (escaped(name) == said || is_reserved(name) && name == said)
}
