//! Small texts inside objects: durations, quantities, hosts, header names, expressions, the `EnvoyGateway` file. Promised: no panic, and what
//! is read stays within what its kind can hold.

use weir_api::{duration, envoy_gateway, quantity};
use weir_model::{HeaderName, HostPattern, Pattern};

pub(crate) fn texts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = duration::parse(text);
    let _ = quantity::parse(text);
    let _ = envoy_gateway::parse(text);
    if let Ok(name) = HeaderName::new(text) {
        assert!(name.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b':' && !byte.is_ascii_uppercase()), "{name:?}");
    }
    if let Ok(pattern) = HostPattern::parse(text) {
        let shown = pattern.to_string();
        assert_eq!(HostPattern::parse(&shown).as_ref(), Ok(&pattern), "{shown}");
        assert_eq!(pattern.intersect(&pattern).as_ref(), Some(&pattern));
        assert!(pattern == HostPattern::Any || !pattern.matches(""), "{shown}");
    }
    if text.len() < 200
        && let Ok(pattern) = Pattern::new(text)
    {
        let compiled = pattern.compile().expect("it compiled before");
        // Whole texts only: an expression cannot get out of its anchors.
        if !text.contains("(?") && compiled.is_match(b"x") {
            assert_eq!(compiled.find(b"x").map(|it| it.len()), Some(1), "{text}");
        }
    }
    if let Some(authority) = weir_http1::authority(data) {
        assert!(!authority.host.is_empty() && text.starts_with(authority.host));
    }
}
