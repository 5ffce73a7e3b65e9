// Clientgo is what programs built on client-go do, asked of the API server that KUBECONFIG names. It fails when the server is at fault.
//
//	clientgo informers CHANGES SECONDS  informers while at least so much changes, for at least so long
//	clientgo typed                      typed clients, in protobuf
//	clientgo election                   two candidates, one leader
//	clientgo everything                 lists and watches of every kind that is discovered
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

func main() {
	log.SetFlags(0)
	// What client-go has to say when watches end is what is provoked here; VERBOSE=4 shows it.
	flags := flag.NewFlagSet("klog", flag.ExitOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{"logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL"} {
		_ = flags.Set(name, value)
	}
	if level := os.Getenv("VERBOSE"); level != "" {
		_ = flags.Set("logtostderr", "true")
		_ = flags.Set("v", level)
	} else {
		klog.SetOutput(discard{})
	}
	if err := run(context.Background(), os.Args[1:]); err != nil {
		log.Fatalf("clientgo: %v", err)
	}
}

type discard struct{}

func (discard) Write(text []byte) (int, error) { return len(text), nil }

func run(ctx context.Context, args []string) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	config.QPS = -1
	programs := map[string]func(context.Context, *rest.Config) error{"typed": runTyped, "election": runElection, "everything": runEverything}
	switch {
	case len(args) == 3 && args[0] == "informers":
		changes, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		seconds, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return runInformers(ctx, config, changes, time.Duration(seconds)*time.Second)
	case len(args) == 1 && programs[args[0]] != nil:
		ctx, stop := context.WithTimeout(ctx, time.Minute)
		defer stop()
		return programs[args[0]](ctx, config)
	default:
		return fmt.Errorf("informers CHANGES SECONDS, typed, election or everything; not %q", args)
	}
}
