package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/features"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	// resync is how often handlers are told of everything again; it costs the server nothing.
	resync = 5 * time.Second
	// patience is how long caches may take to catch up once nothing changes any more.
	patience = 30 * time.Second
)

var (
	configMaps      = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets         = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	namespaces      = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	serviceAccounts = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	leases          = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	deployments     = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	routes          = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	policies        = schema.GroupVersionResource{Group: "gateway.envoyproxy.io", Version: "v1alpha1", Resource: "clienttrafficpolicies"}
	definitions     = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// selection is what one informer is about.
type selection struct {
	name      string
	resource  schema.GroupVersionResource
	namespace string
	labels    string
	client    string
}

// Quiet ones among busy ones: what they have seen last is soon older than what the server remembers of the busy ones.
var selections = []selection{
	{name: "configmaps", resource: configMaps, client: "typed"},
	{name: "secrets", resource: secrets, client: "protobuf"},
	{name: "leases", resource: leases, client: "protobuf"},
	{name: "namespaces", resource: namespaces, client: "typed"},
	{name: "deployments", resource: deployments, client: "typed"},
	{name: "httproutes", resource: routes, client: "dynamic"},
	{name: "policies' metadata", resource: policies, client: "metadata"},
	{name: "definitions", resource: definitions, client: "dynamic"},
	{name: "a quiet kind", resource: serviceAccounts, client: "typed"},
	{name: "a quiet namespace", resource: configMaps, client: "typed", namespace: quiet},
	{name: "a quiet label", resource: configMaps, client: "protobuf", labels: "quiet=yes"},
	{name: "a quiet name of a kind", resource: routes, client: "dynamic", labels: "quiet=yes"},
}

// watchList decides whether informers that start now begin with a watch.
type watchList struct {
	features.Gates
	on atomic.Bool
}

func (g *watchList) Enabled(feature features.Feature) bool {
	if feature == features.WatchListClient {
		return g.on.Load()
	}
	return g.Gates.Enabled(feature)
}

// informer is one that runs.
type informer struct {
	selection
	watchList bool
	cache     cache.SharedIndexInformer
	counts    *requests
	events    atomic.Int64
	resyncs   atomic.Int64
}

// runInformers lets informers of all kinds run while everything changes, their watches end and their connections break; then each cache must
// equal a fresh list, and each informer must have listed once.
func runInformers(ctx context.Context, config *rest.Config, changes int64, length time.Duration) error {
	churn, err := newChurn(ctx, config)
	if err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	defer churn.clear()
	gates := &watchList{Gates: features.FeatureGates()}
	features.ReplaceFeatureGates(gates)
	var running []*informer
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, on := range []bool{false, true} {
		gates.on.Store(on)
		var started []*informer
		for _, selection := range selections {
			informer, err := selection.start(ctx, config, on)
			if err != nil {
				return err
			}
			started = append(started, informer)
		}
		for _, informer := range started {
			if !cache.WaitForCacheSync(ctx.Done(), informer.cache.HasSynced) {
				return fmt.Errorf("%s has not synced", informer.name)
			}
		}
		running = append(running, started...)
	}
	go breakConnections(ctx, running)
	start := time.Now()
	if err := churn.run(ctx, changes, length); err != nil {
		return fmt.Errorf("changing: %w", err)
	}
	fmt.Printf("%d changes in %.0f s beside %d informers\n", churn.changes.Load(), time.Since(start).Seconds(), len(running))
	return judge(ctx, config, running)
}

// limit makes the server end watches after two or three seconds: a stock informer's last some minutes.
func limit(labels string) func(*meta.ListOptions) {
	return func(options *meta.ListOptions) {
		seconds := 2 + rand.Int64N(2)
		options.TimeoutSeconds, options.LabelSelector = &seconds, labels
	}
}

func (s selection) start(ctx context.Context, config *rest.Config, watchList bool) (*informer, error) {
	config, counts := counted(config)
	found := &informer{selection: s, watchList: watchList, counts: counts}
	tweak := limit(s.labels)
	switch s.client {
	case "typed", "protobuf":
		if s.client == "protobuf" {
			config.ContentType = runtime.ContentTypeProtobuf
			config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		factory := informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithNamespace(s.namespace), informers.WithTweakListOptions(tweak))
		generic, err := factory.ForResource(s.resource)
		if err != nil {
			return nil, err
		}
		found.cache = generic.Informer()
	case "dynamic":
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, resync, s.namespace, tweak)
		found.cache = factory.ForResource(s.resource).Informer()
	case "metadata":
		client, err := metadata.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		factory := metadatainformer.NewFilteredSharedInformerFactory(client, resync, s.namespace, tweak)
		found.cache = factory.ForResource(s.resource).Informer()
	}
	_, err := found.cache.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { found.events.Add(1) },
		UpdateFunc: func(old, now any) {
			if version(old) == version(now) {
				found.resyncs.Add(1)
			} else {
				found.events.Add(1)
			}
		},
		DeleteFunc: func(any) { found.events.Add(1) },
	})
	if err != nil {
		return nil, err
	}
	go found.cache.RunWithContext(ctx)
	return found, nil
}

func version(object any) string {
	if object, ok := object.(meta.Object); ok {
		return object.GetResourceVersion()
	}
	return ""
}

func breakConnections(ctx context.Context, running []*informer) {
	wait.UntilWithContext(ctx, func(context.Context) {
		for _, informer := range running {
			if rand.IntN(8) == 0 {
				informer.counts.cutOff()
			}
		}
	}, 300*time.Millisecond)
}

// judge waits until the caches have caught up, and tells what came of each informer.
func judge(ctx context.Context, config *rest.Config, running []*informer) error {
	var wrong []error
	fmt.Printf("%-24s %-9s %8s %8s %8s %6s %8s %6s %9s %6s\n", "INFORMER", "BEGINS", "OBJECTS", "EVENTS", "RESYNCS", "LISTS", "WATCHES", "CUT", "BOOKMARKS", "ERRORS")
	for _, informer := range running {
		var difference string
		err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
			truth, err := informer.truth(ctx, config)
			if err != nil {
				return false, err
			}
			difference = compare(informer.cached(), truth)
			return difference == "", nil
		})
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: the cache differs from a list: %s (%w)", informer, difference, err))
		}
		counts, begins := informer.counts, "LIST"
		lists, initials := counts.lists.Load(), counts.initials.Load()
		if informer.watchList {
			begins = "WATCH"
		}
		fmt.Printf("%-24s %-9s %8d %8d %8d %6d %8d %6d %9d %6d\n", informer.name, begins, len(informer.cache.GetStore().ListKeys()), informer.events.Load(),
			informer.resyncs.Load(), lists+initials, counts.watches.Load(), counts.cut.Load(), counts.bookmarks.Load(), counts.errors.Load()+counts.refused.Load())
		if lists+initials != 1 || informer.watchList != (initials == 1) {
			wrong = append(wrong, fmt.Errorf("%s: listed %d times and began %d times with a watch of everything", informer, lists, initials))
		}
		if errors := counts.errors.Load() + counts.refused.Load(); errors > 0 {
			wrong = append(wrong, fmt.Errorf("%s: %d errors", informer, errors))
		}
		if counts.watches.Load() < 5 {
			wrong = append(wrong, fmt.Errorf("%s: only %d watches", informer, counts.watches.Load()))
		}
	}
	return errors.Join(wrong...)
}

func (i *informer) String() string {
	return fmt.Sprintf("%s (%s, watch-list %t)", i.name, i.client, i.watchList)
}

func (i *informer) cached() map[string]string {
	objects := map[string]string{}
	for _, object := range i.cache.GetStore().List() {
		key, text := show(object)
		objects[key] = text
	}
	return objects
}

// truth is what the cache should hold, listed anew.
func (i *informer) truth(ctx context.Context, config *rest.Config) (map[string]string, error) {
	objects, options := map[string]string{}, meta.ListOptions{LabelSelector: i.labels}
	if i.client == "metadata" {
		client, err := metadata.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		list, err := client.Resource(i.resource).Namespace(i.namespace).List(ctx, options)
		if err != nil {
			return nil, err
		}
		for index := range list.Items {
			key, text := show(&list.Items[index])
			objects[key] = text
		}
		return objects, nil
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	list, err := client.Resource(i.resource).Namespace(i.namespace).List(ctx, options)
	if err != nil {
		return nil, err
	}
	// In the form of the typed client, where fields may be spelled out that JSON leaves away.
	stored := i.cache.GetStore().List()
	for index := range list.Items {
		object := any(&list.Items[index])
		if len(stored) > 0 {
			if _, loose := stored[0].(*unstructured.Unstructured); !loose {
				object = reflect.New(reflect.TypeOf(stored[0]).Elem()).Interface()
				if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[index].Object, object); err != nil {
					return nil, err
				}
			}
		}
		key, text := show(object)
		objects[key] = text
	}
	return objects, nil
}

// show gives an object's key and all that it is, without its kind, which typed lists leave out.
func show(object any) (string, string) {
	key, _ := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
	text, _ := json.Marshal(object)
	var loose map[string]any
	_ = json.Unmarshal(text, &loose)
	delete(loose, "kind")
	delete(loose, "apiVersion")
	text, _ = json.Marshal(loose)
	return key, string(text)
}

func compare(cached, truth map[string]string) string {
	var wrong []string
	for key, text := range truth {
		if cached[key] != text {
			wrong = append(wrong, fmt.Sprintf("%s is\n  %s and not\n  %s", key, cached[key], text))
		}
	}
	for key := range cached {
		if _, there := truth[key]; !there {
			wrong = append(wrong, key+" is no more")
		}
	}
	if len(wrong) > 3 {
		wrong = append(wrong[:3], fmt.Sprintf("and %d more", len(wrong)-3))
	}
	return strings.Join(wrong, "; ")
}
