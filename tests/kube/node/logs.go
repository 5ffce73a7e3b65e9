package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// serveLogs answers `/containerLogs/NAMESPACE/POD/CONTAINER` on a port of the loopback address.
func serveLogs(client kubernetes.Interface, port int) error {
	certificate, err := certificate()
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(nodeAddress, fmt.Sprint(port)), &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		name, container := r.PathValue("pod"), r.PathValue("container")
		pod, err := client.CoreV1().Pods(r.PathValue("namespace")).Get(r.Context(), name, meta.GetOptions{})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		for _, status := range pod.Status.ContainerStatuses {
			if status.Name == container && status.State.Running != nil {
				fmt.Fprintf(w, "log of %s\n", container)
				return
			}
		}
		http.Error(w, fmt.Sprintf("container %q in pod %q is waiting to start: trying and failing to pull image", container, name), http.StatusBadRequest)
	})
	go func() { _ = http.Serve(listener, routes) }()
	return nil
}
