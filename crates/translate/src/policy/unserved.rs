//! Which fields a policy sets, and which of them the data plane does not serve yet.

use weir_api::client_traffic_policy::connection::{ClientTimeout, HttpClientTimeout, ProxyProtocol, TcpClientTimeout, TcpKeepalive};
use weir_api::client_traffic_policy::headers::{ForwardedClientCert, HeaderSettings, HostSettings};
use weir_api::client_traffic_policy::http::{
    ClientIpDetection, HealthCheckSettings, Http1Settings, Http10Settings, PathSettings, XForwardedFor,
};
use weir_api::client_traffic_policy::tls::{ClientTls, ClientValidation, Crl, SessionResumption, SubjectAltNames, TlsSession};
use weir_api::client_traffic_policy::{ClientConnection, ClientTrafficPolicySpec, ConnectionLimit, SchemeTransform};

use crate::fields::Fields;

/// THE TABLE: fields that the data plane does not serve yet. A line leaves it when its field is served; a path stands for all below it. None
/// of them protects anything: a policy with one that does would have to be refused, and what it covers to answer 500.
const TABLE: [&str; 3] = ["spec.grpc", "spec.http2", "spec.http3"];

/// Whether a field is not served.
pub(super) fn is_unserved(path: &str) -> bool {
    TABLE.iter().any(|whole| path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The paths of all fields that a policy sets, targets aside, in ascending order.
pub(super) fn set_fields(spec: &ClientTrafficPolicySpec) -> Vec<String> {
    let ClientTrafficPolicySpec {
        target_ref: _,
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
    let mut fields = Fields::default();
    fields.note("spec.enableProxyProtocol", *enable_proxy_protocol == Some(true));
    fields.note("spec.grpc", grpc);
    fields.note("spec.http2", http2);
    fields.note("spec.http3", http3);
    fields.note("spec.scheme", scheme.as_ref().is_some_and(|it| *it != SchemeTransform::Preserve));
    if let Some(HealthCheckSettings { path: _ }) = health_check {
        fields.note("spec.healthCheck", true);
    }
    if let Some(TcpKeepalive { probes: _, idle_time: _, interval: _ }) = tcp_keepalive {
        fields.note("spec.tcpKeepalive", true);
    }
    if let Some(ProxyProtocol { optional }) = proxy_protocol {
        fields.note("spec.proxyProtocol", true);
        fields.note("spec.proxyProtocol.optional", *optional == Some(true));
    }
    if let Some(it) = client_ip_detection {
        client_ip(it, &mut fields);
    }
    if let Some(PathSettings { escaped_slashes_action, disable_merge_slashes }) = path {
        fields.note("spec.path.escapedSlashesAction", escaped_slashes_action);
        fields.note("spec.path.disableMergeSlashes", disable_merge_slashes);
    }
    if let Some(it) = connection {
        connections(it, &mut fields);
    }
    if let Some(it) = headers {
        header_settings(it, &mut fields);
    }
    if let Some(it) = http1 {
        http1_settings(it, &mut fields);
    }
    if let Some(it) = timeout {
        timeouts(it, &mut fields);
    }
    if let Some(it) = tls {
        tls_settings(it, &mut fields);
    }
    fields.paths.sort_unstable();
    fields.paths
}

fn client_ip(detection: &ClientIpDetection, fields: &mut Fields) {
    let ClientIpDetection { x_forwarded_for, custom_header, direct_source_ip } = detection;
    if let Some(XForwardedFor { num_trusted_hops, trusted_cidrs, disable_x_forwarded_for_append }) = x_forwarded_for {
        fields.note("spec.clientIPDetection.xForwardedFor", true);
        fields.note("spec.clientIPDetection.xForwardedFor.numTrustedHops", num_trusted_hops);
        fields.note("spec.clientIPDetection.xForwardedFor.trustedCIDRs", trusted_cidrs);
        fields.note("spec.clientIPDetection.xForwardedFor.disableXForwardedForAppend", disable_x_forwarded_for_append);
    }
    fields.note("spec.clientIPDetection.customHeader", custom_header);
    fields.note("spec.clientIPDetection.directSourceIP", direct_source_ip);
}

fn connections(connection: &ClientConnection, fields: &mut Fields) {
    let ClientConnection { connection_limit, buffer_limit, socket_buffer_limit, max_accept_per_socket_event } = connection;
    if let Some(limit) = connection_limit {
        let ConnectionLimit { value, close_delay, max_connection_duration, max_requests_per_connection, max_stream_duration } = limit;
        fields.note("spec.connection.connectionLimit.value", value);
        fields.note("spec.connection.connectionLimit.closeDelay", close_delay);
        fields.note("spec.connection.connectionLimit.maxConnectionDuration", max_connection_duration);
        fields.note("spec.connection.connectionLimit.maxRequestsPerConnection", max_requests_per_connection);
        fields.note("spec.connection.connectionLimit.maxStreamDuration", max_stream_duration);
    }
    fields.note("spec.connection.bufferLimit", buffer_limit);
    fields.note("spec.connection.socketBufferLimit", socket_buffer_limit);
    // 1 is the schema's default, so it cannot be told whether the user wrote it.
    fields.note("spec.connection.maxAcceptPerSocketEvent", *max_accept_per_socket_event != 1);
}

fn header_settings(headers: &HeaderSettings, fields: &mut Fields) {
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
    fields.note("spec.headers.enableEnvoyHeaders", enable_envoy_headers);
    fields.note("spec.headers.disableRateLimitHeaders", disable_rate_limit_headers);
    if let Some(ForwardedClientCert { mode: _, cert_details_to_add }) = x_forwarded_client_cert {
        fields.note("spec.headers.xForwardedClientCert", true);
        fields.note("spec.headers.xForwardedClientCert.certDetailsToAdd", cert_details_to_add);
    }
    fields.note("spec.headers.withUnderscoresAction", with_underscores_action);
    fields.note("spec.headers.preserveXRequestID", preserve_x_request_id);
    fields.note("spec.headers.requestID", request_id);
    fields.note("spec.headers.earlyRequestHeaders", early_request_headers);
    fields.note("spec.headers.lateResponseHeaders", late_response_headers);
    if let Some(HostSettings { strip_trailing_host_dot }) = host {
        fields.note("spec.headers.host.stripTrailingHostDot", strip_trailing_host_dot);
    }
}

fn http1_settings(http1: &Http1Settings, fields: &mut Fields) {
    let Http1Settings { enable_trailers, preserve_header_case, http10, disable_safe_max_connection_duration, ignored_upgrade_types } =
        http1;
    fields.note("spec.http1.enableTrailers", enable_trailers);
    fields.note("spec.http1.preserveHeaderCase", preserve_header_case);
    if let Some(Http10Settings { use_default_host }) = http10 {
        fields.note("spec.http1.http10", true);
        fields.note("spec.http1.http10.useDefaultHost", use_default_host);
    }
    fields.note("spec.http1.disableSafeMaxConnectionDuration", disable_safe_max_connection_duration);
    fields.note("spec.http1.ignoredUpgradeTypes", ignored_upgrade_types);
}

fn timeouts(timeout: &ClientTimeout, fields: &mut Fields) {
    let ClientTimeout { tcp, http } = timeout;
    if let Some(TcpClientTimeout { idle_timeout, tls_handshake_timeout, connection_inspection_timeout }) = tcp {
        fields.note("spec.timeout.tcp.idleTimeout", idle_timeout);
        fields.note("spec.timeout.tcp.tlsHandshakeTimeout", tls_handshake_timeout);
        fields.note("spec.timeout.tcp.connectionInspectionTimeout", connection_inspection_timeout);
    }
    if let Some(http) = http {
        let HttpClientTimeout { request_received_timeout, request_headers_received_timeout, idle_timeout, stream_idle_timeout } = http;
        fields.note("spec.timeout.http.requestReceivedTimeout", request_received_timeout);
        fields.note("spec.timeout.http.requestHeadersReceivedTimeout", request_headers_received_timeout);
        fields.note("spec.timeout.http.idleTimeout", idle_timeout);
        fields.note("spec.timeout.http.streamIdleTimeout", stream_idle_timeout);
    }
}

fn tls_settings(tls: &ClientTls, fields: &mut Fields) {
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
        client_validation_fields(validation, fields);
    }
    fields.note("spec.tls.minVersion", min_version);
    fields.note("spec.tls.maxVersion", max_version);
    fields.note("spec.tls.ciphers", ciphers);
    fields.note("spec.tls.ecdhCurves", ecdh_curves);
    fields.note("spec.tls.signatureAlgorithms", signature_algorithms);
    fields.note("spec.tls.alpnProtocols", alpn_protocols);
    fields.note("spec.tls.fingerprints", fingerprints);
    if let Some(TlsSession { resumption: Some(SessionResumption { stateless, stateful }) }) = session {
        fields.note("spec.tls.session.resumption.stateless", stateless);
        fields.note("spec.tls.session.resumption.stateful", stateful);
    }
}

fn client_validation_fields(validation: &ClientValidation, fields: &mut Fields) {
    let ClientValidation {
        optional,
        mode,
        ca_certificate_refs,
        spki_hashes,
        certificate_hashes,
        subject_alt_names,
        crl,
        allow_expired_certificate,
    } = validation;
    fields.note("spec.tls.clientValidation", true);
    fields.note("spec.tls.clientValidation.optional", *optional == Some(true));
    fields.note("spec.tls.clientValidation.mode", mode);
    fields.note("spec.tls.clientValidation.caCertificateRefs", ca_certificate_refs);
    fields.note("spec.tls.clientValidation.spkiHashes", spki_hashes);
    fields.note("spec.tls.clientValidation.certificateHashes", certificate_hashes);
    if let Some(SubjectAltNames { dns_names, email_addresses, ip_addresses, uris, other_names }) = subject_alt_names {
        fields.note("spec.tls.clientValidation.subjectAltNames.dnsNames", dns_names);
        fields.note("spec.tls.clientValidation.subjectAltNames.emailAddresses", email_addresses);
        fields.note("spec.tls.clientValidation.subjectAltNames.ipAddresses", ip_addresses);
        fields.note("spec.tls.clientValidation.subjectAltNames.uris", uris);
        fields.note("spec.tls.clientValidation.subjectAltNames.otherNames", other_names);
    }
    if let Some(Crl { refs: _, only_verify_leaf_certificate }) = crl {
        fields.note("spec.tls.clientValidation.crl", true);
        fields.note("spec.tls.clientValidation.crl.onlyVerifyLeafCertificate", only_verify_leaf_certificate);
    }
    fields.note("spec.tls.clientValidation.allowExpiredCertificate", allow_expired_certificate);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stands_for_all_below_it() {
        assert!(is_unserved("spec.http2") && is_unserved("spec.http2.maxConcurrentStreams"));
        assert!(!is_unserved("spec.http20") && !is_unserved("spec.timeout.tcp"));
    }
}
