package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
)

// serveLogs answers `/containerLogs/NAMESPACE/POD/CONTAINER` on a port of the loopback address.
func serveLogs(port int) error {
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
		fmt.Fprintf(w, "log of %s\n", r.PathValue("container"))
	})
	go func() { _ = http.Serve(listener, routes) }()
	return nil
}
