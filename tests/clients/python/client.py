"""What programs built on the Python client do: python3 client.py NAMESPACE. It says what it saw, the same on every server."""

import os
import sys
import threading

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException

NAMESPACE = sys.argv[1]


def maps(core):
    """A built-in kind: made, listed in pages, changed in three ways, watched, deleted."""
    for name in "abc":
        core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": name, "labels": {"p": "y"}}, "data": {"k": "1"}})
    names, token = [], None
    while token != "":
        page = core.list_namespaced_config_map(NAMESPACE, label_selector="p=y", limit=2, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue or ""
    print("pages", names)

    version = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    seen = []

    def look():
        events = watch.Watch().stream(
            core.list_namespaced_config_map, NAMESPACE, resource_version=version, timeout_seconds=20, allow_watch_bookmarks=True
        )
        for event in events:
            if event["type"] == "BOOKMARK":
                continue
            seen.append((event["type"], event["object"].metadata.name, event["object"].data))
            if event["type"] == "DELETED":
                return

    looking = threading.Thread(target=look)
    looking.start()
    core.patch_namespaced_config_map("a", NAMESPACE, {"data": {"k": "2"}})
    core.patch_namespaced_config_map("a", NAMESPACE, [{"op": "add", "path": "/data/l", "value": "json"}])
    read = core.read_namespaced_config_map("a", NAMESPACE)
    read.data["m"] = "put"
    core.replace_namespaced_config_map("a", NAMESPACE, read)
    try:
        core.replace_namespaced_config_map("a", NAMESPACE, read)
    except ApiException as error:
        print("conflict", error.status, error.reason)
    core.delete_namespaced_config_map("a", NAMESPACE, body=client.V1DeleteOptions(propagation_policy="Background"))
    looking.join()
    print("watched", seen)
    try:
        core.read_namespaced_config_map("a", NAMESPACE)
    except ApiException as error:
        print("gone", error.status)
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="p=y")
    print("left", [item.metadata.name for item in core.list_namespaced_config_map(NAMESPACE, label_selector="p=y").items])


def deployment(apps, core):
    """An application: made from types, scaled, its pod's log read."""
    labels = {"app": "app"}
    container = client.V1Container(name="c", image="registry.example/echo-basic:1", ports=[client.V1ContainerPort(container_port=3000)])
    template = client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container]))
    spec = client.V1DeploymentSpec(replicas=1, selector=client.V1LabelSelector(match_labels=labels), template=template)
    apps.create_namespaced_deployment(NAMESPACE, client.V1Deployment(metadata=client.V1ObjectMeta(name="app"), spec=spec))
    apps.patch_namespaced_deployment_scale("app", NAMESPACE, {"spec": {"replicas": 2}})
    for event in watch.Watch().stream(apps.list_namespaced_deployment, NAMESPACE, timeout_seconds=60):
        if event["object"].status.ready_replicas == 2:
            print("ready", event["object"].spec.replicas)
            break
    pod = core.list_namespaced_pod(NAMESPACE, label_selector="app=app", field_selector="status.phase=Running").items[0]
    core.read_namespaced_pod_log(pod.metadata.name, NAMESPACE, tail_lines=1)
    apps.delete_namespaced_deployment("app", NAMESPACE, propagation_policy="Foreground")


def custom(objects):
    """A custom kind through the client that knows no types."""
    where = ("gateway.envoyproxy.io", "v1alpha1", NAMESPACE, "clienttrafficpolicies")
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g"}
    body = {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "ClientTrafficPolicy", "metadata": {"name": "p"},
        "spec": {"targetRefs": [target], "connection": {"connectionLimit": {"value": 5}}},
    }
    objects.create_namespaced_custom_object(*where, body)
    objects.patch_namespaced_custom_object(*where, "p", {"spec": {"connection": {"connectionLimit": {"value": 6}}}})
    print("custom", objects.get_namespaced_custom_object(*where, "p")["spec"]["connection"])
    try:
        objects.patch_namespaced_custom_object(*where, "p", {"spec": {"connection": {"connectionLimit": {"value": 0}}}})
    except ApiException as error:
        print("refused", error.status)
    print("deleted", objects.delete_namespaced_custom_object(*where, "p")["status"])


def discovered():
    """The dynamic client: everything from discovery, and server-side apply."""
    kinds = dynamic.DynamicClient(client.ApiClient())
    routes = kinds.resources.get(api_version="gateway.networking.k8s.io/v1", kind="HTTPRoute")
    body = {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "r", "namespace": NAMESPACE},
        "spec": {"hostnames": ["a.example.com"]},
    }
    routes.server_side_apply(body=body, name="r", namespace=NAMESPACE, field_manager="python")
    print("applied", routes.get(name="r", namespace=NAMESPACE).spec.hostnames)
    routes.delete(name="r", namespace=NAMESPACE)


def main():
    config.load_kube_config(os.environ["KUBECONFIG"])
    core, apps = client.CoreV1Api(), client.AppsV1Api()
    maps(core)
    deployment(apps, core)
    custom(client.CustomObjectsApi())
    discovered()
    print("version", client.VersionApi().get_code().major)


main()
