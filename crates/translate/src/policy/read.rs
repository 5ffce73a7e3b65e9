//! What a ClientTrafficPolicy says, field by field.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use weir_api::client_traffic_policy::connection::{ClientTimeout, HttpClientTimeout, TcpClientTimeout, TcpKeepalive};
use weir_api::client_traffic_policy::headers::HeaderSettings;
use weir_api::client_traffic_policy::http::Http2Settings;
use weir_api::client_traffic_policy::tls::ClientTls;
use weir_api::client_traffic_policy::{ClientConnection, ClientTrafficPolicySpec, ConnectionLimit, SchemeTransform};
use weir_api::duration;
use weir_api::quantity::{Quantity, QuantityError};

use crate::fields::Fields;

/// The sizes that an HTTP/2 window may have (RFC 9113, section 6.9).
const HTTP2_WINDOW: RangeInclusive<u64> = 65_535..=2_147_483_647;

/// What a policy says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) limit: Option<u64>,
    /// What is wrong with it: values that cannot be read, worded as Envoy Gateway words them.
    pub(super) invalid: Vec<String>,
    /// Paths of fields that keep clients out and cannot be obeyed yet.
    pub(super) protecting: Vec<String>,
    /// Paths of fields that have no effect yet.
    pub(super) unsupported: Vec<String>,
    /// Deprecated fields that are used, and what to use instead.
    pub(super) deprecated: BTreeMap<&'static str, &'static str>,
}

/// Reads a policy.
pub(super) fn read(spec: &ClientTrafficPolicySpec) -> Read {
    let ClientTrafficPolicySpec {
        target_ref,
        target_refs: _,
        target_selectors: _,
        tcp_keepalive,
        enable_proxy_protocol,
        proxy_protocol,
        client_ip_detection,
        tls,
        path,
        headers,
        timeout,
        connection,
        http1,
        http2,
        http3,
        grpc,
        health_check,
        scheme,
    } = spec;
    let mut out = Read::default();
    let mut fields = Fields::default();
    if target_ref.is_some() {
        out.deprecated.insert("spec.targetRef", "spec.targetRefs");
    }
    if enable_proxy_protocol.is_some() {
        out.deprecated.insert("spec.enableProxyProtocol", "spec.proxyProtocol");
    }
    fields.note("spec.tcpKeepalive", tcp_keepalive);
    fields.note("spec.enableProxyProtocol", *enable_proxy_protocol == Some(true));
    fields.note("spec.proxyProtocol", proxy_protocol);
    fields.note("spec.clientIPDetection", client_ip_detection);
    fields.note("spec.path", path);
    fields.note("spec.timeout", timeout);
    fields.note("spec.http1", http1);
    fields.note("spec.http2", http2);
    fields.note("spec.http3", http3);
    fields.note("spec.grpc", grpc);
    fields.note("spec.healthCheck", health_check);
    fields.note("spec.scheme", scheme.as_ref().is_some_and(|it| *it != SchemeTransform::Preserve));
    // In Envoy Gateway's order, so that several errors come in it too.
    check_keepalive(tcp_keepalive.as_ref(), &mut out);
    if let Some(connection) = connection {
        read_connection(connection, &mut out, &mut fields);
    }
    check_timeout(timeout.as_ref(), &mut out);
    read_headers(headers.as_ref(), &mut out, &mut fields);
    check_http2(http2.as_ref(), &mut out);
    if let Some(tls) = tls {
        read_tls(tls, &mut out, &mut fields);
    }
    fields.paths.sort_unstable();
    out.unsupported = fields.paths;
    out
}

impl Read {
    fn wrong(&mut self, part: &str, message: impl std::fmt::Display) {
        let prefix = format!("{part}: ");
        match self.invalid.last_mut() {
            // Each part is named once.
            Some(last) if last.starts_with(&prefix) => last.push_str(&format!("\n{message}")),
            _ => self.invalid.push(format!("{prefix}{message}")),
        }
    }

    fn check_duration(&mut self, part: &str, name: &str, text: Option<&String>) {
        if let Some(text) = text
            && duration::parse(text).is_err()
        {
            self.wrong(part, format!("invalid {name} value {text}"));
        }
    }
}

fn check_keepalive(keepalive: Option<&TcpKeepalive>, out: &mut Read) {
    let Some(TcpKeepalive { probes: _, idle_time, interval }) = keepalive else { return };
    out.check_duration("TCP KeepAlive", "IdleTime", idle_time.as_ref());
    out.check_duration("TCP KeepAlive", "Interval", interval.as_ref());
}

fn read_connection(connection: &ClientConnection, out: &mut Read, fields: &mut Fields) {
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
        out.check_duration(PART, "CloseDelay", close_delay.as_ref());
        out.check_duration(PART, "MaxConnectionDuration", max_connection_duration.as_ref());
        out.check_duration(PART, "MaxStreamDuration", max_stream_duration.as_ref());
        fields.note("spec.connection.connectionLimit.closeDelay", close_delay);
        fields.note("spec.connection.connectionLimit.maxConnectionDuration", max_connection_duration);
        fields.note("spec.connection.connectionLimit.maxRequestsPerConnection", max_requests_per_connection);
        fields.note("spec.connection.connectionLimit.maxStreamDuration", max_stream_duration);
    }
    check_quantity(PART, "BufferLimit", buffer_limit.as_ref(), 0..=u64::from(u32::MAX), out);
    fields.note("spec.connection.bufferLimit", buffer_limit);
    fields.note("spec.connection.socketBufferLimit", socket_buffer_limit);
    // 1 is the schema's default, so it cannot be told whether the user wrote it.
    fields.note("spec.connection.maxAcceptPerSocketEvent", *max_accept_per_socket_event != 1);
}

fn check_quantity(part: &str, name: &str, quantity: Option<&Quantity>, bounds: RangeInclusive<u64>, out: &mut Read) {
    let Some(quantity) = quantity else { return };
    let text = quantity.as_str();
    match quantity.bytes() {
        Ok(bytes) if bounds.contains(&bytes) => {}
        Ok(_) | Err(QuantityError::Negative(_) | QuantityError::TooLarge(_)) => {
            out.wrong(part, format!("{name} value {text} is out of range, must be between {} and {}", bounds.start(), bounds.end()));
        }
        Err(QuantityError::Malformed(_) | QuantityError::Fractional(_)) => out.wrong(part, format!("invalid {name} value {text}")),
    }
}

fn check_timeout(timeout: Option<&ClientTimeout>, out: &mut Read) {
    const PART: &str = "Timeout";
    let Some(ClientTimeout { tcp, http }) = timeout else { return };
    if let Some(TcpClientTimeout { idle_timeout, tls_handshake_timeout, connection_inspection_timeout }) = tcp {
        out.check_duration(PART, "TCP IdleTimeout", idle_timeout.as_ref());
        out.check_duration(PART, "TLS HandshakeTimeout", tls_handshake_timeout.as_ref());
        out.check_duration(PART, "ConnectionInspectionTimeout", connection_inspection_timeout.as_ref());
    }
    if let Some(http) = http {
        let HttpClientTimeout { request_received_timeout, request_headers_received_timeout, idle_timeout, stream_idle_timeout } = http;
        out.check_duration(PART, "HTTP RequestReceivedTimeout", request_received_timeout.as_ref());
        out.check_duration(PART, "HTTP RequestHeadersReceivedTimeout", request_headers_received_timeout.as_ref());
        out.check_duration(PART, "HTTP IdleTimeout", idle_timeout.as_ref());
        out.check_duration(PART, "HTTP StreamIdleTimeout", stream_idle_timeout.as_ref());
    }
}

fn read_headers(headers: Option<&HeaderSettings>, out: &mut Read, fields: &mut Fields) {
    let Some(headers) = headers else { return };
    let HeaderSettings {
        enable_envoy_headers,
        disable_rate_limit_headers,
        x_forwarded_client_cert,
        with_underscores_action,
        preserve_x_request_id,
        request_id,
        early_request_headers,
        late_response_headers,
        host,
    } = headers;
    if preserve_x_request_id.is_some() {
        out.deprecated.insert("spec.headers.preserveXRequestID", "spec.headers.requestID");
    }
    if preserve_x_request_id.is_some() && request_id.is_some() {
        out.wrong("Headers", "preserveXRequestID and requestID cannot both be set");
    }
    fields.note("spec.headers.enableEnvoyHeaders", enable_envoy_headers);
    fields.note("spec.headers.disableRateLimitHeaders", disable_rate_limit_headers);
    fields.note("spec.headers.xForwardedClientCert", x_forwarded_client_cert);
    fields.note("spec.headers.withUnderscoresAction", with_underscores_action);
    fields.note("spec.headers.preserveXRequestID", preserve_x_request_id);
    fields.note("spec.headers.requestID", request_id);
    fields.note("spec.headers.earlyRequestHeaders", early_request_headers);
    fields.note("spec.headers.lateResponseHeaders", late_response_headers);
    fields.note("spec.headers.host", host);
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
    check_quantity("HTTP2", "InitialStreamWindowSize", initial_stream_window_size.as_ref(), HTTP2_WINDOW, out);
    check_quantity("HTTP2", "InitialConnectionWindowSize", initial_connection_window_size.as_ref(), HTTP2_WINDOW, out);
}

fn read_tls(tls: &ClientTls, out: &mut Read, fields: &mut Fields) {
    let ClientTls {
        client_validation,
        min_version,
        max_version,
        ciphers,
        ecdh_curves,
        signature_algorithms,
        alpn_protocols,
        fingerprints,
        session,
    } = tls;
    if let Some(validation) = client_validation {
        if validation.optional == Some(true) {
            out.deprecated.insert("spec.tls.clientValidation.optional", "spec.tls.clientValidation.mode");
        }
        out.protecting.push("spec.tls.clientValidation".into());
    }
    fields.note("spec.tls.minVersion", min_version);
    fields.note("spec.tls.maxVersion", max_version);
    fields.note("spec.tls.ciphers", ciphers);
    fields.note("spec.tls.ecdhCurves", ecdh_curves);
    fields.note("spec.tls.signatureAlgorithms", signature_algorithms);
    fields.note("spec.tls.alpnProtocols", alpn_protocols);
    fields.note("spec.tls.fingerprints", fingerprints);
    fields.note("spec.tls.session", session);
}
