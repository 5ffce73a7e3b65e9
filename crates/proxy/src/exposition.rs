//! Metrics in Prometheus' text format (0.0.4), under Envoy's names so that its dashboards work, and `weir_*` where we say more.
//!
//! By hand: the client libraries append `_total` to every counter, which Envoy's names do not have.

mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use weir_model::GatewayName;

use crate::config::{Cluster, Port, Socket, TargetConfig};
use crate::control::{Readiness, Shared, View};
use crate::stats::{BOUNDS, Classes, Count, Histogram, TlsStats};

/// Whether the gateways at `ip` can be sent traffic, with the status that says so.
pub(crate) fn ready(shared: &Shared, ip: IpAddr) -> (u16, String) {
    let view = shared.view.load();
    let at = view.addresses.get(&ip);
    let states: Vec<_> = at.into_iter().flatten().filter_map(|gateway| Some((gateway, *view.gateways.get(gateway)?))).collect();
    match states.iter().find(|(_, readiness)| *readiness != Readiness::Ready) {
        Some((gateway, Readiness::Draining)) => (503, format!("DRAINING {gateway}\n")),
        Some((gateway, _)) => (503, format!("PRE_INITIALIZING {gateway}\n")),
        None if states.is_empty() => (503, "PRE_INITIALIZING\n".into()),
        None => (200, "LIVE\n".into()),
    }
}

/// The metrics of the gateways at `ip`.
pub(crate) fn metrics(shared: &Shared, ip: IpAddr) -> String {
    let view = shared.view.load();
    let nobody = BTreeSet::new();
    let gateways = view.addresses.get(&ip).unwrap_or(&nobody);
    let mut page = Page::default();
    page.family("envoy_server_live", "gauge", "Whether the server is live.").value("", 1);
    page.family("envoy_server_uptime", "gauge", "Seconds since the start.").value("", shared.started.elapsed().as_secs());
    process::write(&mut page, shared);
    limits(&mut page, shared, &view, gateways);
    listeners(&mut page, &view, gateways);
    let ports: Vec<&Arc<Port>> = view.ports.iter().filter(|port| gateways.contains(&port.key.gateway)).collect();
    http(&mut page, &ports);
    clusters(&mut page, &ports);
    page.family("weir_access_log_dropped_total", "counter", "Access log lines dropped because the log could not keep up.")
        .value("", shared.team.logger.dropped());
    page.0
}

/// The series of limits exist where limits do, as Envoy's.
fn limits(page: &mut Page, shared: &Shared, view: &View, gateways: &BTreeSet<GatewayName>) {
    let states = shared.team.ledger.snapshot();
    let limits: Vec<_> = states
        .iter()
        .filter_map(|state| Some((state, view.limits.get(&state.name)?)))
        .filter(|(_, limit)| gateways.contains(&limit.gateway))
        .collect();
    // Envoy's are per port; a limit over several ports shows at each with the connections of that port.
    let mut ports: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for port in view.ports.iter().filter(|port| gateways.contains(&port.key.gateway)) {
        let config = port.config.load();
        let over_this = |limit: &weir_model::Limit| config.listeners.iter().any(|it| limit.cells.contains(&it.name));
        for (state, _) in limits.iter().filter(|(_, limit)| over_this(limit)) {
            let place = ports.entry(&port.stat_prefix).or_default();
            place.0 = config.listeners.iter().map(|it| shared.team.ledger.cell_count(&it.name.to_string())).sum();
            place.1 += state.refused;
        }
    }
    if !ports.is_empty() {
        for (name, kind, help, which) in [
            ("envoy_connection_limit_active_connections", "gauge", "Connections open on a port that has a limit.", 0),
            ("envoy_connection_limit_limited_connections", "counter", "Connections refused by the limits of a port.", 1),
        ] {
            let mut family = page.family(name, kind, help);
            for (prefix, (active, limited)) in &ports {
                family.value(&format!("envoy_connection_limit_prefix=\"{prefix}\""), if which == 0 { *active } else { *limited });
            }
        }
    }
    let labels = |limit: &weir_model::Limit| {
        format!(
            "limit=\"{}\",gateway=\"{}\",scope=\"{}\"",
            quoted(&limit.name.to_string()),
            quoted(&limit.gateway.to_string()),
            limit.scope.as_str()
        )
    };
    if limits.is_empty() {
        return;
    }
    let mut family = page.family("weir_connection_limit_current", "gauge", "Connections that a limit counts.");
    limits.iter().for_each(|(state, limit)| family.value(&labels(limit), state.current));
    let mut family = page.family("weir_connection_limit_max", "gauge", "Connections that a limit allows.");
    limits.iter().for_each(|(state, limit)| family.value(&labels(limit), state.value));
    let mut family = page.family("weir_connection_limit_refused_total", "counter", "Connections that a limit refused.");
    limits.iter().for_each(|(state, limit)| family.value(&format!("{},reason=\"over_connection_limit\"", labels(limit)), state.refused));
}

fn listeners(page: &mut Page, view: &View, gateways: &BTreeSet<GatewayName>) {
    let sockets: Vec<_> = view.sockets.iter().filter(|socket| gateways.contains(&socket.port.key.gateway)).collect();
    let mut family = page.family("envoy_listener_downstream_cx_active", "gauge", "Connections open.");
    sockets.iter().for_each(|it| family.value(&address(it.address), sum(&it.stats, |stats| &stats.connections_active)));
    let mut family = page.family("envoy_listener_downstream_cx_total", "counter", "Connections admitted.");
    sockets.iter().for_each(|it| family.value(&address(it.address), sum(&it.stats, |stats| &stats.connections)));
    let secure: Vec<_> = sockets.into_iter().filter(|it| !it.port.config.load().secure.is_empty()).collect();
    tls(page, &secure);
}

/// What becomes of connections to sockets that speak TLS, before they are served.
fn tls(page: &mut Page, sockets: &[&Arc<Socket>]) {
    type Pick = fn(&TlsStats) -> &Count;
    let families: [(&str, &str, &str, Pick); 8] = [
        ("envoy_listener_downstream_pre_cx_active", "gauge", "Connections whose TLS hello is not complete.", |it| &it.pre_active),
        ("envoy_listener_downstream_pre_cx_timeout", "counter", "Connections whose TLS hello was not complete in time.", |it| {
            &it.pre_timeout
        }),
        ("envoy_listener_no_filter_chain_match", "counter", "Connections for a host that no listener has.", |it| &it.no_match),
        ("envoy_listener_ssl_handshake", "counter", "TLS handshakes that succeeded.", |it| &it.handshakes),
        ("envoy_listener_ssl_connection_error", "counter", "TLS handshakes that failed but for certificates.", |it| &it.failed),
        ("envoy_listener_ssl_fail_verify_no_cert", "counter", "Clients without the certificate that they must have.", |it| {
            &it.no_certificate
        }),
        ("envoy_listener_ssl_fail_verify_error", "counter", "Clients whose certificate was not accepted.", |it| &it.wrong_certificate),
        ("weir_listener_tls_crowded_total", "counter", "Connections reset since too many handshakes were waiting.", |it| &it.crowded),
    ];
    for (name, kind, help, pick) in families {
        let mut family = page.family(name, kind, help);
        sockets.iter().for_each(|it| family.value(&address(it.address), sum(&it.stats, |stats| pick(&stats.tls))));
    }
    let mut family = page.family("weir_listener_tls_ended_total", "counter", "Connections that ended before they were served.");
    let reasons: [(&str, Pick); 3] = [("gone", |it| &it.gone), ("not_tls", |it| &it.not_tls), ("timeout", |it| &it.timeout)];
    for (reason, pick) in reasons {
        let labels = |it: &Socket| format!("{},reason=\"{reason}\"", address(it.address));
        sockets.iter().for_each(|it| family.value(&labels(it), sum(&it.stats, |stats| pick(&stats.tls))));
    }
}

fn address(address: SocketAddr) -> String {
    format!("envoy_listener_address=\"{}_{}\"", address.ip(), address.port())
}

fn http(page: &mut Page, ports: &[&Arc<Port>]) {
    type Pick = fn(&crate::stats::HttpStats) -> &Count;
    let label = |port: &Port| format!("envoy_http_conn_manager_prefix=\"{}\"", quoted(&port.stat_prefix));
    let families: [(&str, &str, &str, Pick); 6] = [
        ("envoy_http_downstream_rq_total", "counter", "Requests.", |it| &it.requests),
        ("envoy_http_downstream_rq_active", "gauge", "Requests in progress.", |it| &it.requests_active),
        ("envoy_http_downstream_cx_total", "counter", "Connections admitted.", |it| &it.connections),
        ("envoy_http_downstream_cx_active", "gauge", "Connections open.", |it| &it.connections_active),
        ("envoy_http_downstream_cx_rx_bytes_total", "counter", "Bytes received from clients.", |it| &it.received),
        ("envoy_http_downstream_cx_tx_bytes_total", "counter", "Bytes sent to clients.", |it| &it.sent),
    ];
    for (name, kind, help, pick) in families {
        let mut family = page.family(name, kind, help);
        ports.iter().for_each(|port| family.value(&label(port), sum(&port.stats, pick)));
    }
    let mut family = page.family("envoy_http_downstream_rq_xx", "counter", "Answers by class.");
    ports.iter().for_each(|port| family.classes(&label(port), port.stats.iter().map(|it| &it.classes)));
    let mut family = page.family("envoy_http_downstream_rq_time", "histogram", "Milliseconds from a request's head to its answer's end.");
    ports.iter().for_each(|port| family.histogram(&label(port), port.stats.iter().map(|it| &it.time)));
}

fn clusters(page: &mut Page, ports: &[&Arc<Port>]) {
    type Pick = fn(&crate::stats::ClusterStats) -> &Count;
    let mut clusters: BTreeMap<Arc<str>, (Arc<Cluster>, u64)> = BTreeMap::new();
    for port in ports {
        for rule in port.config.load().rules.iter() {
            let members = rule.targets.iter().map(|target| match target {
                TargetConfig::Backend { backend, .. } => backend.endpoints.load().len() as u64,
                TargetConfig::Fail { .. } => 0,
            });
            clusters.insert(rule.cluster.name.clone(), (rule.cluster.clone(), members.sum()));
        }
    }
    let label = |name: &str| format!("envoy_cluster_name=\"{}\"", quoted(name));
    let families: [(&str, &str, &str, Pick); 6] = [
        ("envoy_cluster_upstream_rq_total", "counter", "Requests sent to a cluster.", |it| &it.requests),
        ("envoy_cluster_upstream_cx_total", "counter", "Connections opened to a cluster.", |it| &it.connections),
        ("envoy_cluster_upstream_cx_active", "gauge", "Connections open to a cluster.", |it| &it.connections_active),
        ("envoy_cluster_upstream_cx_connect_fail", "counter", "Connections that could not be opened.", |it| &it.connect_fail),
        ("envoy_cluster_upstream_cx_rx_bytes_total", "counter", "Bytes received from a cluster.", |it| &it.received),
        ("envoy_cluster_upstream_cx_tx_bytes_total", "counter", "Bytes sent to a cluster.", |it| &it.sent),
    ];
    for (name, kind, help, pick) in families {
        let mut family = page.family(name, kind, help);
        clusters.iter().for_each(|(name, (cluster, _))| family.value(&label(name), sum(&cluster.stats, pick)));
    }
    let mut family = page.family("envoy_cluster_upstream_rq_xx", "counter", "Answers by class.");
    clusters.iter().for_each(|(name, (cluster, _))| family.classes(&label(name), cluster.stats.iter().map(|it| &it.classes)));
    let mut family = page.family("envoy_cluster_upstream_rq_time", "histogram", "Milliseconds that requests to a cluster took.");
    clusters.iter().for_each(|(name, (cluster, _))| family.histogram(&label(name), cluster.stats.iter().map(|it| &it.time)));
    for (name, help) in [("envoy_cluster_membership_total", "Endpoints."), ("envoy_cluster_membership_healthy", "Endpoints that are used.")]
    {
        let mut family = page.family(name, "gauge", help);
        clusters.iter().for_each(|(cluster, (_, members))| family.value(&label(cluster), *members));
    }
}

fn sum<T>(stats: &[T], pick: impl Fn(&T) -> &Count) -> u64 {
    stats.iter().map(|it| pick(it).read()).fold(0, u64::wrapping_add)
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A page in the making.
#[derive(Default)]
struct Page(String);

/// A family of series. Its head is written with the first series, so that a family without any leaves no trace.
struct Family<'p> {
    page: &'p mut String,
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    begun: bool,
}

impl Page {
    fn family(&mut self, name: &'static str, kind: &'static str, help: &'static str) -> Family<'_> {
        Family { page: &mut self.0, name, kind, help, begun: false }
    }
}

// Writing into a String cannot fail.
impl Family<'_> {
    fn value(&mut self, labels: &str, value: u64) {
        self.series("", labels, value);
    }

    fn series(&mut self, suffix: &str, labels: &str, value: impl std::fmt::Display) {
        let Self { page, name, kind, help, begun } = self;
        if !std::mem::replace(begun, true) {
            let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
        let _ =
            if labels.is_empty() { writeln!(page, "{name}{suffix} {value}") } else { writeln!(page, "{name}{suffix}{{{labels}}} {value}") };
    }

    fn classes<'a>(&mut self, labels: &str, stats: impl Iterator<Item = &'a Classes>) {
        let sums = stats.map(Classes::read).fold([0; 5], |mut sums: [u64; 5], counts| {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            sums
        });
        for (class, count) in sums.into_iter().enumerate() {
            self.value(&format!("envoy_response_code_class=\"{}\",{labels}", class + 1), count);
        }
    }

    fn histogram<'a>(&mut self, labels: &str, stats: impl Iterator<Item = &'a Histogram>) {
        let (mut counts, mut total, mut below) = ([0; BOUNDS.len() + 1], 0.0, 0);
        stats.for_each(|histogram| histogram.add_to(&mut counts, &mut total));
        let bounds = BOUNDS.iter().map(|micros| (*micros as f64 / 1000.0).to_string()).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(counts) {
            below += count;
            self.series("_bucket", &format!("{labels},le=\"{bound}\""), below);
        }
        self.series("_sum", labels, total);
        self.series("_count", labels, below);
    }
}
