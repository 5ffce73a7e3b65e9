//! What a ClientTrafficPolicy says, field by field, and what is wrong with it in Envoy Gateway's words.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use weir_api::client_traffic_policy::connection::{ClientTimeout, HttpClientTimeout, ProxyProtocol, TcpClientTimeout, TcpKeepalive};
use weir_api::client_traffic_policy::http::{
    ClientIpDetection, CustomHeader, EscapedSlashesAction, HealthCheckSettings, Http1Settings, Http2Settings, Http10Settings, PathSettings,
    XForwardedFor,
};
use weir_api::client_traffic_policy::{
    ClientConnection, ClientTrafficPolicySpec, ConnectionLimit, SchemeTransform, StringMatch, StringMatchType,
};
use weir_api::duration;
use weir_api::quantity::{Quantity, QuantityError};
use weir_model as model;
use weir_model::{ClientIp, ClientSettings, ClientTimeouts, ConnectionSettings, EscapedSlashes, HeaderName, Http10, IpRange, Pattern};

use super::tls::{self, TlsRead};
use super::unserved::{is_unserved, set_fields};
use super::{headers, names};
use crate::memo::Reader;

/// The sizes that an HTTP/2 window may have (RFC 9113, section 6.9).
const HTTP2_WINDOW: RangeInclusive<u64> = 65_535..=2_147_483_647;
const BUFFER: RangeInclusive<u64> = 0..=u32::MAX as u64;

/// What a policy says.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) limit: Option<u64>,
    /// How clients are treated where nothing is wrong.
    pub(super) settings: Arc<ClientSettings>,
    /// Whether HTTP/1.0 requests without a host get a default one.
    pub(super) default_host: bool,
    /// Whether it says how long TCP connections may be idle, which means nothing to those of HTTP.
    pub(super) tcp_idle: bool,
    /// What it says of TLS, for listeners that end it.
    pub(super) tls: Option<TlsRead>,
    /// What is wrong with it: values that cannot be read, worded as Envoy Gateway words them.
    pub(super) invalid: Vec<String>,
    /// Paths of fields that have no effect yet.
    pub(super) unsupported: Vec<String>,
    /// Deprecated fields that are used, and what to use instead.
    pub(super) deprecated: BTreeMap<&'static str, &'static str>,
    /// Paths of fields that mean nothing on an HTTPRoute.
    pub(super) not_for_routes: Vec<String>,
}

/// Reads a policy of `namespace`.
pub(super) fn read(reader: &Reader<'_>, namespace: &str, spec: &ClientTrafficPolicySpec) -> Read {
    let mut out = Read::default();
    let mut settings = ClientSettings::default();
    if spec.target_ref.is_some() {
        out.deprecated.insert("spec.targetRef", "spec.targetRefs");
    }
    if spec.enable_proxy_protocol.is_some() {
        out.deprecated.insert("spec.enableProxyProtocol", "spec.proxyProtocol");
    }
    for path in set_fields(spec) {
        if is_unserved(&path) {
            out.unsupported.push(path.clone());
        }
        if path != "spec.connection.connectionLimit.value" {
            out.not_for_routes.push(path);
        }
    }
    // In Envoy Gateway's order, so that several errors come in it too.
    settings.tcp_keepalive = read_keepalive(spec.tcp_keepalive.as_ref(), &mut out);
    if let Some(connection) = &spec.connection {
        read_connection(connection, &mut settings.connection, &mut out);
    }
    settings.proxy_protocol = match (&spec.proxy_protocol, spec.enable_proxy_protocol) {
        (Some(ProxyProtocol { optional }), _) => Some(model::ProxyProtocol { optional: *optional == Some(true) }),
        (None, Some(true)) => Some(model::ProxyProtocol { optional: false }),
        _ => None,
    };
    read_timeout(spec.timeout.as_ref(), &mut settings.timeouts, &mut out);
    settings.client_ip = read_client_ip(spec.client_ip_detection.as_ref(), &mut out);
    if let Some(it) = &spec.headers {
        settings.headers = headers::read(it, &mut out);
    }
    read_path(spec.path.as_ref(), &mut settings.path, &mut out);
    if let Some(http1) = &spec.http1 {
        read_http1(http1, &mut settings, &mut out);
    }
    check_http2(spec.http2.as_ref(), &mut out);
    settings.health_check = spec.health_check.as_ref().map(|HealthCheckSettings { path }| path.as_str().into());
    settings.scheme_matches_backend = match &spec.scheme {
        None | Some(SchemeTransform::Preserve) => false,
        Some(SchemeTransform::MatchBackend) => true,
        Some(SchemeTransform::Unknown(word)) => {
            out.wrong("Scheme", names::unknown("scheme", word, SchemeTransform::WORDS));
            false
        }
    };
    out.tls = spec.tls.as_ref().map(|it| tls::read(reader, namespace, it, &mut out));
    out.settings = Arc::new(settings);
    out
}

impl Read {
    /// What is left to say of a policy that cannot be decoded.
    pub(super) fn broken(error: &str) -> Self {
        Self { invalid: vec![format!("the object cannot be read: {error}")], ..Self::default() }
    }

    pub(super) fn wrong(&mut self, part: &str, message: impl std::fmt::Display) {
        wrong(&mut self.invalid, part, message);
    }

    /// A duration; none where it is not given, zero, or wrong.
    fn duration(&mut self, part: &str, name: &str, text: Option<&String>) -> Option<Duration> {
        match duration::parse(text?) {
            Ok(duration) => Some(duration).filter(|it| !it.is_zero()),
            Err(_) => {
                self.wrong(part, format!("invalid {name} value {}", text?));
                None
            }
        }
    }

    /// Like [`Self::duration`], for what has a default that zero switches off.
    /// Whether it is set.
    fn timeout(&mut self, name: &str, text: Option<&String>, field: &mut Option<Duration>) -> bool {
        if text.is_some() {
            *field = self.duration("Timeout", name, text);
        }
        text.is_some()
    }

    fn number(&mut self, part: &str, name: &str, value: Option<i32>) -> Option<u32> {
        let value = value?;
        u32::try_from(value).map_err(|_| self.wrong(part, format!("invalid {name} value {value}"))).ok()
    }

    fn quantity(&mut self, part: &str, name: &str, quantity: Option<&Quantity>, bounds: &RangeInclusive<u64>) -> Option<u64> {
        let text = quantity?.as_str();
        match quantity?.bytes() {
            Ok(bytes) if bounds.contains(&bytes) => return Some(bytes),
            Ok(_) | Err(QuantityError::Negative(_) | QuantityError::TooLarge(_)) => {
                self.wrong(part, format!("{name} value {text} is out of range, must be between {} and {}", bounds.start(), bounds.end()));
            }
            Err(QuantityError::Malformed(_) | QuantityError::Fractional(_)) => self.wrong(part, format!("invalid {name} value {text}")),
        }
        None
    }

    /// A text that is compared; `lower`: with what is lower case.
    pub(super) fn string_match(&mut self, part: &str, field: &str, given: &StringMatch, lower: bool) -> Option<model::StringMatch> {
        let StringMatch { type_, value } = given;
        string_match(field, type_, value, lower).map_err(|error| self.wrong(part, error)).ok()
    }
}

/// Adds what is wrong; each part is named once.
pub(super) fn wrong(invalid: &mut Vec<String>, part: &str, message: impl std::fmt::Display) {
    let prefix = format!("{part}: ");
    match invalid.last_mut() {
        Some(last) if last.starts_with(&prefix) => last.push_str(&format!("\n{message}")),
        _ => invalid.push(format!("{prefix}{message}")),
    }
}

/// Reads a text that is compared.
pub(super) fn string_match(field: &str, how: &StringMatchType, value: &str, lower: bool) -> Result<model::StringMatch, String> {
    let text: Arc<str> = if lower { value.to_ascii_lowercase().into() } else { value.into() };
    Ok(match how {
        StringMatchType::Exact => model::StringMatch::Exact(text),
        StringMatchType::Prefix => model::StringMatch::Prefix(text),
        StringMatchType::Suffix => model::StringMatch::Suffix(text),
        StringMatchType::RegularExpression => model::StringMatch::Regex(Pattern::new(value).map_err(|error| format!("{field}: {error}"))?),
        StringMatchType::Unknown(word) => return Err(names::unknown(&format!("{field} type"), word, StringMatchType::WORDS)),
    })
}

fn read_keepalive(keepalive: Option<&TcpKeepalive>, out: &mut Read) -> Option<model::TcpKeepalive> {
    const PART: &str = "TCP KeepAlive";
    let TcpKeepalive { probes, idle_time, interval } = keepalive?;
    Some(model::TcpKeepalive {
        probes: out.number(PART, "Probes", *probes).filter(|it| *it > 0),
        idle: out.duration(PART, "IdleTime", idle_time.as_ref()).map(whole_seconds),
        interval: out.duration(PART, "Interval", interval.as_ref()).map(whole_seconds),
    })
}

/// The kernel counts seconds; none is not less than one.
fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs().max(1))
}

fn read_connection(connection: &ClientConnection, settings: &mut ConnectionSettings, out: &mut Read) {
    const PART: &str = "Connection";
    let ClientConnection { connection_limit, buffer_limit, socket_buffer_limit, max_accept_per_socket_event } = connection;
    if let Some(limit) = connection_limit {
        let ConnectionLimit { value, close_delay, max_connection_duration, max_requests_per_connection, max_stream_duration } = limit;
        match value.map(u64::try_from) {
            None => {}
            Some(Ok(value)) if value > 0 => out.limit = Some(value),
            Some(_) => {
                let value = value.unwrap_or_default();
                out.wrong(PART, format!("invalid ConnectionLimit value {value}, must be greater than or equal to 1"));
            }
        }
        if close_delay.is_some() && value.is_none() {
            out.wrong(PART, "closeDelay can only be configured when value is set");
        }
        settings.close_delay = out.duration(PART, "CloseDelay", close_delay.as_ref());
        settings.max_connection_duration = out.duration(PART, "MaxConnectionDuration", max_connection_duration.as_ref());
        settings.max_requests_per_connection =
            out.number(PART, "MaxRequestsPerConnection", *max_requests_per_connection).filter(|it| *it > 0);
        settings.max_stream_duration = out.duration(PART, "MaxStreamDuration", max_stream_duration.as_ref());
    }
    if let Some(bytes) = out.quantity(PART, "BufferLimit", buffer_limit.as_ref(), &BUFFER) {
        settings.buffer_limit = u32::try_from(bytes).unwrap_or(u32::MAX);
    }
    settings.socket_buffer_limit =
        out.quantity(PART, "SocketBufferLimit", socket_buffer_limit.as_ref(), &BUFFER).map(|it| u32::try_from(it).unwrap_or(u32::MAX));
    // 1 is the schema's default and comes with every `connection`, whether the user wrote it or not; it is the slowest choice, so it does
    // not replace ours.
    if let Some(count) = out.number(PART, "MaxAcceptPerSocketEvent", Some(*max_accept_per_socket_event)).filter(|it| *it != 1) {
        settings.max_accept_per_socket_event = count;
    }
}

fn read_timeout(timeout: Option<&ClientTimeout>, timeouts: &mut ClientTimeouts, out: &mut Read) {
    let Some(ClientTimeout { tcp, http }) = timeout else { return };
    if let Some(TcpClientTimeout { idle_timeout, tls_handshake_timeout, connection_inspection_timeout }) = tcp {
        out.duration("Timeout", "TCP IdleTimeout", idle_timeout.as_ref());
        out.tcp_idle = idle_timeout.is_some();
        timeouts.chosen.tls_handshake = out.timeout("TCP TLSHandshakeTimeout", tls_handshake_timeout.as_ref(), &mut timeouts.tls_handshake);
        timeouts.chosen.inspection =
            out.timeout("TCP ConnectionInspectionTimeout", connection_inspection_timeout.as_ref(), &mut timeouts.inspection);
    }
    if let Some(http) = http {
        let HttpClientTimeout { request_received_timeout, request_headers_received_timeout, idle_timeout, stream_idle_timeout } = http;
        timeouts.chosen.request = out.timeout("HTTP RequestReceivedTimeout", request_received_timeout.as_ref(), &mut timeouts.request);
        timeouts.chosen.idle = out.timeout("HTTP IdleTimeout", idle_timeout.as_ref(), &mut timeouts.idle);
        timeouts.chosen.stream_idle = out.timeout("HTTP StreamIdleTimeout", stream_idle_timeout.as_ref(), &mut timeouts.stream_idle);
        timeouts.chosen.headers =
            out.timeout("HTTP RequestHeadersReceivedTimeout", request_headers_received_timeout.as_ref(), &mut timeouts.headers);
    }
}

fn read_client_ip(detection: Option<&ClientIpDetection>, out: &mut Read) -> ClientIp {
    const PART: &str = "ClientIPDetection";
    let Some(ClientIpDetection { x_forwarded_for, custom_header, direct_source_ip }) = detection else { return ClientIp::Peer };
    if let Some(CustomHeader { name, fail_closed }) = custom_header {
        return match HeaderName::new(name) {
            Ok(name) => ClientIp::Header { name, fail_closed: *fail_closed == Some(true) },
            Err(error) => {
                out.wrong(PART, error);
                ClientIp::Peer
            }
        };
    }
    if let Some(XForwardedFor { num_trusted_hops, trusted_cidrs, disable_x_forwarded_for_append }) = x_forwarded_for {
        let append = *disable_x_forwarded_for_append != Some(true);
        if num_trusted_hops.is_some() && !trusted_cidrs.is_empty() {
            out.wrong(PART, "only one of numTrustedHops or trustedCIDRs must be set");
        }
        let ranges: Vec<IpRange> =
            trusted_cidrs.iter().filter_map(|it| IpRange::parse(it).map_err(|error| out.wrong(PART, error)).ok()).collect();
        // Envoy Gateway reads 0 like 1, which trusts whoever connects; here it trusts nobody.
        return match out.number(PART, "NumTrustedHops", *num_trusted_hops) {
            _ if !trusted_cidrs.is_empty() => ClientIp::TrustedRanges { ranges, append },
            Some(hops) if hops > 0 => ClientIp::TrustedHops { hops, append },
            _ if append => ClientIp::Peer,
            _ => ClientIp::Direct,
        };
    }
    if direct_source_ip.is_some() { ClientIp::Direct } else { ClientIp::Peer }
}

fn read_path(path: Option<&PathSettings>, settings: &mut model::PathSettings, out: &mut Read) {
    let Some(PathSettings { escaped_slashes_action, disable_merge_slashes }) = path else { return };
    settings.merge_slashes = *disable_merge_slashes != Some(true);
    settings.escaped_slashes = match escaped_slashes_action {
        None => settings.escaped_slashes,
        Some(EscapedSlashesAction::KeepUnchanged) => EscapedSlashes::KeepUnchanged,
        Some(EscapedSlashesAction::RejectRequest) => EscapedSlashes::RejectRequest,
        Some(EscapedSlashesAction::UnescapeAndForward) => EscapedSlashes::UnescapeAndForward,
        Some(EscapedSlashesAction::UnescapeAndRedirect) => EscapedSlashes::UnescapeAndRedirect,
        Some(EscapedSlashesAction::Unknown(word)) => {
            out.wrong("Path", names::unknown("escapedSlashesAction", word, EscapedSlashesAction::WORDS));
            settings.escaped_slashes
        }
    };
}

fn read_http1(http1: &Http1Settings, settings: &mut ClientSettings, out: &mut Read) {
    let Http1Settings { enable_trailers, preserve_header_case, http10, disable_safe_max_connection_duration, ignored_upgrade_types } =
        http1;
    settings.http1.trailers = *enable_trailers == Some(true);
    settings.http1.preserve_header_case = *preserve_header_case == Some(true);
    settings.connection.safe_max_connection_duration = *disable_safe_max_connection_duration != Some(true);
    if let Some(Http10Settings { use_default_host }) = http10 {
        settings.http1.http10 = Some(Http10 { default_host: None });
        out.default_host = *use_default_host == Some(true);
    }
    settings.http1.ignored_upgrades =
        ignored_upgrade_types.iter().filter_map(|it| out.string_match("HTTP1", "ignoredUpgradeTypes", it, true)).collect();
}

fn check_http2(http2: Option<&Http2Settings>, out: &mut Read) {
    let Some(http2) = http2 else { return };
    let Http2Settings {
        initial_stream_window_size,
        initial_connection_window_size,
        max_concurrent_streams: _,
        on_invalid_message: _,
        connection_keepalive: _,
    } = http2;
    out.quantity("HTTP2", "InitialStreamWindowSize", initial_stream_window_size.as_ref(), &HTTP2_WINDOW);
    out.quantity("HTTP2", "InitialConnectionWindowSize", initial_connection_window_size.as_ref(), &HTTP2_WINDOW);
}
