# What the commands of a case may use. NS is the case's own namespace; kubectl works in it.

core=/api/v1/namespaces/$NS
apps=/apis/apps/v1/namespaces/$NS
gateway=/apis/gateway.networking.k8s.io/v1/namespaces/$NS
envoy=/apis/gateway.envoyproxy.io/v1alpha1/namespaces/$NS
crds=/apis/apiextensions.k8s.io/v1/customresourcedefinitions
# Cluster-scoped things that a case makes end with its namespace's name; groups of its own begin with it.
export KUBE_EDITOR=false PAGER=cat

# request METHOD PATH [CURL-ARGUMENT...]: the status, warnings, and the body.
request() {
  local method=$1 path=$2 body head
  shift 2
  body=$(mktemp) head=$(mktemp)
  curl -sS --max-time 30 --user-agent case --cacert "$AUTHORITY" -H "Authorization: Bearer $TOKEN" -X "$method" -D "$head" -o "$body" "$@" "$SERVER$path"
  sed -n 's/\r$//; 1s/^HTTP[^ ]* \([0-9]*\).*/\1/p; s/^[Ww]arning: /Warning: /p' "$head"
  cat "$body"
  [ -z "$(tail -c 1 "$body")" ] || echo
  rm -f "$body" "$head"
}
GET() { request GET "$@"; }
DELETE() { request DELETE "$1" -H 'Content-Type: application/json' -d "${2:-}"; }
# POST PATH [BODY]: the body is standard input when it is not given.
POST() { request POST "$1" -H 'Content-Type: application/json' --data-binary "${2-@-}"; }
PUT() { request PUT "$1" -H 'Content-Type: application/json' --data-binary "${2-@-}"; }
# PATCH TYPE PATH BODY, TYPE being json, merge, strategic or apply.
PATCH() {
  local type
  case $1 in
    json) type=application/json-patch+json ;;
    merge) type=application/merge-patch+json ;;
    strategic) type=application/strategic-merge-patch+json ;;
    apply) type=application/apply-patch+yaml ;;
    *) type=$1 ;;
  esac
  request PATCH "$2" -H "Content-Type: $type" --data-binary "${3-@-}"
}
# fields PATH NAME...: these header fields of the answer.
fields() {
  local path=$1 head field
  shift
  head=$(curl -sS --max-time 30 --user-agent case --cacert "$AUTHORITY" -H "Authorization: Bearer $TOKEN" -D - -o /dev/null "$SERVER$path")
  for field in "$@"; do grep -i "^$field:" <<<"$head" | tr -d '\r'; done
}

# code COMMAND...: only the first line of what it says, the status.
code() { "$@" | head -n 1; }
# revision PATH: the first resourceVersion in the answer: an object's own.
revision() { kubectl get --raw "$1" | grep -o '"resourceVersion":"[0-9]*"' | grep -o -m 1 '[0-9]*'; }
# list_revision PATH: a collection's resourceVersion.
list_revision() { revision "$1?labelSelector=nothing%3Dthere"; }

# eventually COMMAND...: again until it succeeds; what it says then, or at last.
eventually() {
  local said code try
  for try in $(seq 150); do
    said=$("$@" 2>&1) && { [ -z "$said" ] || printf '%s\n' "$said"; return 0; }
    code=$?
    sleep 0.1
  done
  printf '%s\n' "$said"
  return "$code"
}
# gone RESOURCE NAME: waits until it is not there.
gone() { eventually eval "! kubectl get $* >/dev/null 2>&1" && echo "gone"; }
# says TEXT COMMAND...: succeeds when the command says it.
says() { local text=$1; shift; "$@" 2>&1 | grep -qF -- "$text"; }

kubectl create namespace "$NS" >/dev/null

# define SCHEMA [VERSION-FIELDS]: a kind Thing, things.$NS.example.com, whose spec has this schema (YAML in one line); waits until it is served.
define() {
  kubectl create -f - >/dev/null <<X || return
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.$NS.example.com}
spec:
  group: $NS.example.com
  names: {kind: Thing, plural: things, singular: thing, listKind: ThingList}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: $1}}}
    ${2:-}
X
  kubectl wait --for=condition=Established "crd/things.$NS.example.com" >/dev/null
  eventually kubectl get --raw "$things" >/dev/null
}
things=/apis/$NS.example.com/v1/namespaces/$NS/things
# thing NAME SPEC: creates a Thing with this spec (JSON).
thing() { POST "$things" "{\"apiVersion\":\"$NS.example.com/v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"$1\"},\"spec\":$2}"; }
# change NAME SPEC: merges this into its spec.
change() { PATCH merge "$things/$1" "{\"spec\":$2}"; }
# refuse SCHEMA: a definition that is to be refused.
refuse() { if define "$1"; then echo accepted; undefine; fi; }
# undefine: so that kubectl's other callers do not see it.
undefine() { kubectl delete crd "things.$NS.example.com" >/dev/null; }
