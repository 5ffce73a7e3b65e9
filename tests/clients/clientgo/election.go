package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
)

const lock = "clients-leader"

// runElection lets two candidates run as controllers do: one leads, gives up, and the other one leads, which Events tell of.
func runElection(ctx context.Context, config *rest.Config) error {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	defer func() {
		_ = client.CoordinationV1().Leases("default").Delete(context.WithoutCancel(ctx), lock, meta.DeleteOptions{})
	}()
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typed.EventSinkImpl{Interface: client.CoreV1().Events("")})
	leads, lost := make(chan string, 4), make(chan string, 4)
	campaign := func(name string) (context.CancelFunc, error) {
		recorder := broadcaster.NewRecorder(scheme.Scheme, core.EventSource{Component: name})
		held, err := resourcelock.New(resourcelock.LeasesResourceLock, "default", lock, client.CoreV1(), client.CoordinationV1(),
			resourcelock.ResourceLockConfig{Identity: name, EventRecorder: recorder})
		if err != nil {
			return nil, err
		}
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: held, LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 200 * time.Millisecond, ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { leads <- name },
				OnStoppedLeading: func() { lost <- name },
			},
		})
		if err != nil {
			return nil, err
		}
		ctx, stop := context.WithCancel(ctx)
		go elector.Run(ctx)
		return stop, nil
	}
	stopFirst, err := campaign("first")
	if err != nil {
		return err
	}
	defer stopFirst()
	if err := next(ctx, leads, "first"); err != nil {
		return err
	}
	stopSecond, err := campaign("second")
	if err != nil {
		return err
	}
	defer stopSecond()
	if err := renewed(ctx, client); err != nil {
		return err
	}
	if len(leads) > 0 {
		return errors.New("two lead at once")
	}
	stopFirst()
	if err := errors.Join(next(ctx, lost, "first"), next(ctx, leads, "second")); err != nil {
		return err
	}
	return told(ctx, client)
}

// renewed waits for the leader to write its lease again.
func renewed(ctx context.Context, client kubernetes.Interface) error {
	var first *meta.MicroTime
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		lease, err := client.CoordinationV1().Leases("default").Get(ctx, lock, meta.GetOptions{})
		if err != nil {
			return false, err
		}
		if first == nil {
			first = lease.Spec.RenewTime
		}
		return lease.Spec.RenewTime.After(first.Time), nil
	})
}

// told waits for the Events of both candidates.
func told(ctx context.Context, client kubernetes.Interface) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		events, err := client.CoreV1().Events("default").List(ctx, meta.ListOptions{FieldSelector: "involvedObject.kind=Lease,involvedObject.name=" + lock})
		if err != nil {
			return false, err
		}
		told := map[string]bool{}
		for _, event := range events.Items {
			told[event.Source.Component+" "+event.Message] = true
		}
		return told["first first became leader"] && told["second second became leader"] && told["first first stopped leading"], nil
	})
}

func next(ctx context.Context, names <-chan string, expected string) error {
	select {
	case name := <-names:
		if name != expected {
			return fmt.Errorf("%s, and not %s", name, expected)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waited for %s in vain: %w", expected, ctx.Err())
	}
}
