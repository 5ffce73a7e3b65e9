//! Header filters. What is wrong with one is said in Envoy Gateway's words.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_api::http_route::filter::{HeaderModifier, HttpHeader};
use weir_model::{HeaderEdit, HeaderName};

use super::{Fault, invalid};

/// Translates a header filter; all that is wrong with it is told at once.
pub(super) fn edit(filter: &'static str, modifier: &HeaderModifier) -> Result<HeaderEdit, Fault> {
    let HeaderModifier { set, add, remove } = modifier;
    let mut reader = Reader { filter, wrong: Vec::new() };
    let add = reader.values("add", add);
    let set = reader.values("set", set);
    let remove: Vec<HeaderName> = remove.iter().filter_map(|name| reader.name("remove", name)).collect();
    if reader.wrong.is_empty() {
        return Ok(HeaderEdit { set, add, remove });
    }
    if set.is_empty() && add.is_empty() && remove.is_empty() {
        let verbs = if filter.starts_with("Request") { "add/set/remove" } else { "add/remove" };
        return Err(invalid(format!("{filter} Filter did not provide valid configuration to {verbs} any headers")));
    }
    Err(invalid(reader.wrong.join("\n")))
}

struct Reader {
    filter: &'static str,
    wrong: Vec<String>,
}

impl Reader {
    /// Of several for one header the first counts (Gateway API, HTTPHeaderFilter).
    fn values(&mut self, verb: &str, headers: &[HttpHeader]) -> Vec<(HeaderName, Arc<str>)> {
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for HttpHeader { name, value } in headers {
            let Some(header) = self.name(verb, name) else { continue };
            if !is_value(value) {
                self.wrong.push(format!("Header: {name:?}. {} Filter cannot {verb} a header with an invalid value.", self.filter));
            } else if seen.insert(header.clone()) {
                out.push((header, value.as_str().into()));
            }
        }
        out
    }

    /// The name of a header that a filter may touch. The Host header belongs to URLRewrite.
    fn name(&mut self, verb: &str, name: &str) -> Option<HeaderName> {
        if name.is_empty() {
            self.wrong.push(format!("{} Filter cannot {verb} a header with an empty name", self.filter));
            return None;
        }
        if name.contains(['/', ':']) || name.eq_ignore_ascii_case("host") {
            // Answers have no Host header, so nothing is said of where to go instead; and "set" stands for "add" there.
            let (verb, hint) = match (self.filter, verb) {
                ("RequestHeaderModifier", "add" | "set") => {
                    (verb, " To modify the Host header use the URLRewrite or the HTTPRouteFilter filter.")
                }
                ("ResponseHeaderModifier", "add") => ("set", ""),
                _ => (verb, ""),
            };
            self.wrong.push(format!(
                "Header: {name:?}. The {} filter cannot {verb} the Host header or headers with a '/' or ':' character in them.{hint}",
                self.filter
            ));
            return None;
        }
        HeaderName::new(name).map_err(|error| self.wrong.push(error.to_string())).ok()
    }
}

/// Visible ASCII, with blanks only inside (RFC 9110, section 5.5, without the obsolete bytes).
pub(crate) fn is_value(value: &str) -> bool {
    let visible = |byte: &u8| (b'!'..=b'~').contains(byte);
    let bytes = value.as_bytes();
    bytes.first().is_some_and(visible)
        && bytes.last().is_some_and(visible)
        && bytes.iter().all(|byte| visible(byte) || matches!(byte, b' ' | b'\t'))
}
