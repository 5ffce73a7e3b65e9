// Node stands in for a scheduler and a kubelet beside a real control plane: pods are bound to it, images that it knows run at once and
// become ready, others wait for ever as on a node that cannot pull them, logs are one line, deletions are confirmed.
//
//	node keys FOLDER          writes the key that signs service accounts' tokens
//	node run KUBECONFIG PORT  until it is ended
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1:]); err != nil {
		log.Fatalf("node: %v", err)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "keys":
		return writeKeys(args[1])
	case len(args) == 3 && args[0] == "run":
		port, err := strconv.ParseInt(args[2], 10, 32)
		if err != nil {
			return fmt.Errorf("the port: %w", err)
		}
		config, err := clientcmd.BuildConfigFromFlags("", args[1])
		if err != nil {
			return err
		}
		config.QPS, config.Burst = 500, 1000
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err := serveLogs(client, int(port)); err != nil {
			return err
		}
		if err := register(ctx, client, int32(port)); err != nil {
			return err
		}
		return runPods(ctx, client)
	default:
		return fmt.Errorf("usage: node keys FOLDER | node run KUBECONFIG PORT")
	}
}
