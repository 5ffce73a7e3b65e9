//! Columns of the built-in kinds, and which function makes their cells.

use jiff::Timestamp;
use serde_json::Value;

use super::{Column, apps, core, pod};
use crate::builtin::Builtin;

/// Makes the cells of one row.
pub(super) type Cells = fn(&Value, Timestamp) -> Vec<Value>;

/// Name, type, description and whether it is only for `-o wide`, after the name column.
type Spec = (&'static str, &'static str, &'static str, bool);

const AGE: Spec = ("Age", "string", "How long ago the object was created.", false);
const CONTAINERS: Spec = ("Containers", "string", "Names of the containers of the pod template.", true);
const IMAGES: Spec = ("Images", "string", "Images of the containers of the pod template.", true);
const SELECTOR: Spec = ("Selector", "string", "The label selector of the pods.", true);

/// The columns of a kind, and its cells.
pub(super) fn of(kind: &Builtin) -> (Vec<Column>, Cells) {
    if kind.kind == "Event" {
        return (EVENT.iter().map(column).collect(), core::event);
    }
    let (specs, cells) = after_name(kind);
    let columns = std::iter::once(Column::name()).chain(specs.iter().map(column));
    (columns.collect(), cells)
}

fn column(&(name, kind, description, wide): &Spec) -> Column {
    let format = if name == "Name" { "name" } else { "" };
    Column { name: name.into(), kind: kind.into(), format: format.into(), description: description.into(), priority: wide.into() }
}

fn after_name(kind: &Builtin) -> (&'static [Spec], Cells) {
    match (kind.group, kind.kind) {
        ("", "ConfigMap") => (CONFIG_MAP, core::config_map),
        ("", "Endpoints") => (ENDPOINTS, core::endpoints),
        ("", "Namespace") => (NAMESPACE, core::namespace),
        ("", "Node") => (NODE, core::node),
        ("", "Pod") => (POD, pod::cells),
        ("", "Secret") => (SECRET, core::secret),
        ("", "Service") => (SERVICE, core::service),
        ("apps", "DaemonSet") => (DAEMON_SET, apps::daemon_set),
        ("apps", "Deployment") => (DEPLOYMENT, apps::deployment),
        ("apps", "ReplicaSet") => (REPLICA_SET, apps::replica_set),
        ("apps", "StatefulSet") => (STATEFUL_SET, apps::stateful_set),
        ("batch", "Job") => (JOB, apps::job),
        ("coordination.k8s.io", "Lease") => (LEASE, core::lease),
        ("discovery.k8s.io", "EndpointSlice") => (ENDPOINT_SLICE, core::endpoint_slice),
        ("apiextensions.k8s.io", _) => (CRD, core::crd),
        ("rbac.authorization.k8s.io", "ClusterRole" | "Role") => (ROLE, core::role),
        ("rbac.authorization.k8s.io", _) => (ROLE_BINDING, core::role_binding),
        _ => (&[AGE], core::only_age),
    }
}

const CONFIG_MAP: &[Spec] = &[("Data", "string", "Number of entries, text and binary.", false), AGE];
const SECRET: &[Spec] = &[("Type", "string", "What the data is for.", false), ("Data", "string", "Number of entries.", false), AGE];
const NAMESPACE: &[Spec] = &[("Status", "string", "Active, or Terminating while its objects are deleted.", false), AGE];
const ENDPOINTS: &[Spec] = &[("Endpoints", "string", "Addresses and ports.", false), AGE];
const LEASE: &[Spec] = &[("Holder", "string", "Who holds the lease.", false), AGE];
const ROLE: &[Spec] = &[("Created At", "date", "When the object was created.", false)];

const EVENT: &[Spec] = &[
    ("Last Seen", "string", "How long ago this last happened.", false),
    ("Type", "string", "Normal or Warning.", false),
    ("Reason", "string", "A short word for what happened.", false),
    ("Object", "string", "The object that this is about.", false),
    ("Subobject", "string", "The part of the object that this is about.", true),
    ("Source", "string", "Who reports it.", true),
    ("Message", "string", "What happened, for people.", false),
    ("First Seen", "string", "How long ago this first happened.", true),
    ("Count", "string", "How often it happened.", true),
    ("Name", "string", "Name of the event itself.", true),
];

const NODE: &[Spec] = &[
    ("Status", "string", "Whether the node is ready.", false),
    ("Roles", "string", "Roles, by label.", false),
    AGE,
    ("Version", "string", "Version of the kubelet.", false),
    ("Internal-IP", "string", "Address inside the cluster.", true),
    ("External-IP", "string", "Address outside the cluster.", true),
    ("OS-Image", "string", "Operating system.", true),
    ("Kernel-Version", "string", "Kernel and architecture.", true),
    ("Container-Runtime", "string", "What runs the containers.", true),
];

const POD: &[Spec] = &[
    ("Ready", "string", "Containers that are ready, of all.", false),
    ("Status", "string", "Phase of the pod, or what keeps it from running.", false),
    ("Restarts", "string", "How often containers were restarted, and when last.", false),
    AGE,
    ("IP", "string", "Address of the pod.", true),
    ("Node", "string", "Node that runs the pod.", true),
    ("Nominated Node", "string", "Node that is being freed for the pod.", true),
    ("Readiness Gates", "string", "Conditions beyond its containers that make the pod ready.", true),
];

const SERVICE: &[Spec] = &[
    ("Type", "string", "How the service is exposed.", false),
    ("Cluster-IP", "string", "Address inside the cluster.", false),
    ("External-IP", "string", "Addresses outside the cluster.", false),
    ("Port(s)", "string", "Ports, with the node port after a colon.", false),
    AGE,
    ("Selector", "string", "Labels of the pods that serve.", true),
];

const ENDPOINT_SLICE: &[Spec] = &[
    ("AddressType", "string", "Family of the addresses.", false),
    ("Ports", "string", "Ports of the endpoints.", false),
    ("Endpoints", "string", "Addresses of the endpoints.", false),
    AGE,
];

const DEPLOYMENT: &[Spec] = &[
    ("Ready", "string", "Pods that are ready, of those wanted.", false),
    ("Up-to-date", "string", "Pods of the newest template.", false),
    ("Available", "string", "Pods that have been ready long enough.", false),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

const REPLICA_SET: &[Spec] = &[
    ("Desired", "integer", "Pods wanted.", false),
    ("Current", "integer", "Pods there are.", false),
    ("Ready", "integer", "Pods that are ready.", false),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

const DAEMON_SET: &[Spec] = &[
    ("Desired", "integer", "Nodes that should run the pod.", false),
    ("Current", "integer", "Nodes that run it.", false),
    ("Ready", "integer", "Nodes where it is ready.", false),
    ("Up-to-date", "integer", "Nodes with the newest template.", false),
    ("Available", "integer", "Nodes where it has been ready long enough.", false),
    ("Node Selector", "string", "Labels of the nodes.", false),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

const STATEFUL_SET: &[Spec] = &[("Ready", "string", "Pods that are ready, of those wanted.", false), AGE, CONTAINERS, IMAGES];

const JOB: &[Spec] = &[
    ("Status", "string", "Whether the job runs, is complete or has failed.", false),
    ("Completions", "string", "Pods that succeeded, of those wanted.", false),
    ("Duration", "string", "How long the job took, or has run.", false),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

const CRD: &[Spec] = &[
    ("Scope", "string", "Namespaced or Cluster.", false),
    ("Versions", "string", "Versions, the stored one marked.", false),
    ("Created At", "date", "When the definition was created.", false),
    ("Group", "string", "API group.", true),
    ("Kind", "string", "Kind of the objects.", true),
    ("ShortNames", "string", "Short names of the resource.", true),
    ("Established", "boolean", "Whether the resource is served.", true),
];

const ROLE_BINDING: &[Spec] = &[
    ("Role", "string", "The role that is granted.", false),
    AGE,
    ("Users", "string", "Users that get the role.", true),
    ("Groups", "string", "Groups that get the role.", true),
    ("ServiceAccounts", "string", "Service accounts that get the role.", true),
];
