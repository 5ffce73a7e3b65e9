package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

const (
	// The namespace where everything happens, and the one where nothing does.
	busy, quiet = "clients-busy", "clients-quiet"
	// names is how many objects of a kind a writer has at most.
	names = 25
	// writers change things at the same time.
	writers = 8
)

// churn changes objects of all kinds.
type churn struct {
	client  *dynamic.DynamicClient
	changes atomic.Int64
}

// kind is what is changed: an object of it, without its metadata, that differs with a number.
type kind struct {
	resource schema.GroupVersionResource
	name     string
	body     func(number int) map[string]any
}

// The first kinds change the most, so that what the server remembers of their past turns over again and again.
var kinds = []kind{
	{configMaps, "ConfigMap", func(n int) map[string]any { return map[string]any{"data": map[string]any{"n": strconv.Itoa(n)}} }},
	{routes, "HTTPRoute", func(n int) map[string]any {
		backend := map[string]any{"name": "a", "port": int64(1 + n%60000)}
		return map[string]any{"spec": map[string]any{"rules": []any{map[string]any{"backendRefs": []any{backend}}}}}
	}},
	{secrets, "Secret", func(n int) map[string]any { return map[string]any{"stringData": map[string]any{"n": strconv.Itoa(n)}} }},
	{leases, "Lease", func(n int) map[string]any {
		return map[string]any{"spec": map[string]any{"holderIdentity": strconv.Itoa(n)}}
	}},
	{policies, "ClientTrafficPolicy", func(n int) map[string]any {
		limit := map[string]any{"connectionLimit": map[string]any{"value": int64(1 + n)}}
		target := map[string]any{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "none"}
		return map[string]any{"spec": map[string]any{"targetRefs": []any{target}, "connection": limit}}
	}},
	{deployments, "Deployment", func(n int) map[string]any {
		labels := map[string]any{"app": "none"}
		container := map[string]any{"name": "c", "image": "none:" + strconv.Itoa(n)}
		template := map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{container}}}
		return map[string]any{"spec": map[string]any{"replicas": int64(0), "selector": map[string]any{"matchLabels": labels}, "template": template}}
	}},
}

func newChurn(ctx context.Context, config *rest.Config) (*churn, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	c := &churn{client: client}
	for _, name := range []string{busy, quiet} {
		if _, err := client.Resource(namespaces).Create(ctx, object("v1", "Namespace", "", name, nil), meta.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	// What is there before, and stays as it is.
	labels := map[string]string{"quiet": "yes"}
	for number := range 5 {
		name := fmt.Sprintf("quiet-%d", number)
		for _, namespace := range []string{busy, quiet} {
			for _, kind := range kinds[:2] {
				still := kind.object(namespace, name, number)
				still.SetLabels(labels)
				if _, err := client.Resource(kind.resource).Namespace(namespace).Create(ctx, still, meta.CreateOptions{}); err != nil {
					return nil, err
				}
			}
			account := object("v1", "ServiceAccount", namespace, name, nil)
			if _, err := client.Resource(serviceAccounts).Namespace(namespace).Create(ctx, account, meta.CreateOptions{}); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// run changes things at least so often and for at least so long, and then each thing that was quiet once.
func (c *churn) run(ctx context.Context, changes int64, length time.Duration) error {
	after := ctx
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	start := time.Now()
	go wait.UntilWithContext(ctx, func(context.Context) {
		if c.changes.Load() >= changes && time.Since(start) >= length {
			stop()
		}
	}, 100*time.Millisecond)
	var group sync.WaitGroup
	failures := make([]error, writers+2)
	for number := range writers {
		writer := &writer{churn: c, number: number, there: map[string]bool{}}
		group.Go(func() { failures[number] = c.repeat(ctx, writer.change) })
	}
	group.Go(func() { failures[writers] = c.repeat(ctx, c.wholeNamespace) })
	group.Go(func() { failures[writers+1] = c.repeat(ctx, c.definition) })
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	patch := []byte(`{"metadata":{"annotations":{"last":"yes"}}}`)
	for _, namespace := range []string{busy, quiet} {
		for _, resource := range []schema.GroupVersionResource{configMaps, routes, serviceAccounts} {
			if _, err := c.client.Resource(resource).Namespace(namespace).Patch(after, "quiet-0", types.MergePatchType, patch, meta.PatchOptions{}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *churn) repeat(ctx context.Context, change func(context.Context) error) error {
	for ctx.Err() == nil {
		if err := change(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// writer changes objects that are its own, so that it knows which are there.
type writer struct {
	*churn
	number int
	there  map[string]bool
}

// change creates, applies, updates, patches or deletes one object.
func (w *writer) change(ctx context.Context) error {
	// Most changes are of the first kind, most others of the second, and so on.
	index := 0
	for index < len(kinds)-1 && rand.IntN(4) == 0 {
		index++
	}
	kind, number := kinds[index], rand.IntN(50000)
	client := w.client.Resource(kind.resource).Namespace(busy)
	name := fmt.Sprintf("%d-%d", w.number, rand.IntN(names))
	now, key := kind.object(busy, name, number), kind.name+"/"+name
	var err error
	deleted := false
	switch way := rand.IntN(20); {
	case !w.there[key] && way < 3:
		_, err = client.Apply(ctx, name, now, meta.ApplyOptions{FieldManager: "churn", Force: true})
	case !w.there[key]:
		_, err = client.Create(ctx, now, meta.CreateOptions{})
	case way < 3:
		deleted = true
		err = client.Delete(ctx, name, meta.DeleteOptions{})
	case way < 4:
		err = w.update(ctx, client, now)
	case way < 5:
		_, err = client.Apply(ctx, name, now, meta.ApplyOptions{FieldManager: "churn", Force: true})
	default:
		var patch []byte
		if patch, err = json.Marshal(kind.body(number)); err == nil {
			_, err = client.Patch(ctx, name, types.MergePatchType, patch, meta.PatchOptions{})
		}
	}
	if apierrors.IsConflict(err) {
		// A controller has written to it meanwhile.
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	w.changes.Add(1)
	w.there[key] = !deleted
	return nil
}

func (c *churn) update(ctx context.Context, client dynamic.ResourceInterface, now *unstructured.Unstructured) error {
	old, err := client.Get(ctx, now.GetName(), meta.GetOptions{})
	if err != nil {
		return err
	}
	now.SetResourceVersion(old.GetResourceVersion())
	_, err = client.Update(ctx, now, meta.UpdateOptions{})
	return err
}

// wholeNamespace creates one with something in it, and deletes it with all that.
func (c *churn) wholeNamespace(ctx context.Context) error {
	name := fmt.Sprintf("clients-%d", rand.Int32())
	if _, err := c.client.Resource(namespaces).Create(ctx, object("v1", "Namespace", "", name, nil), meta.CreateOptions{}); err != nil {
		return err
	}
	// Also when time is up meanwhile.
	ctx = context.WithoutCancel(ctx)
	for number := range 20 {
		if _, err := c.client.Resource(configMaps).Namespace(name).Create(ctx, kinds[0].object(name, strconv.Itoa(number), number), meta.CreateOptions{}); err != nil {
			return err
		}
	}
	c.changes.Add(42)
	return c.client.Resource(namespaces).Delete(ctx, name, meta.DeleteOptions{})
}

// definition defines a kind and takes it away again: what is served changes under everybody's watches.
func (c *churn) definition(ctx context.Context) error {
	plural := fmt.Sprintf("things%d", rand.Int32())
	anything := map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	version := map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": anything}}
	spec := map[string]any{
		"group": "clients.example.com", "scope": "Namespaced", "versions": []any{version},
		"names": map[string]any{"plural": plural, "singular": plural, "kind": "Thing" + plural[6:], "listKind": "Thing" + plural[6:] + "List"},
	}
	definition := object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", plural+".clients.example.com", map[string]any{"spec": spec})
	if _, err := c.client.Resource(definitions).Create(ctx, definition, meta.CreateOptions{}); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	time.Sleep(time.Second)
	c.changes.Add(2)
	return c.client.Resource(definitions).Delete(ctx, definition.GetName(), meta.DeleteOptions{})
}

func (c *churn) clear() {
	for _, name := range []string{busy, quiet} {
		_ = c.client.Resource(namespaces).Delete(context.Background(), name, meta.DeleteOptions{})
	}
}

func (k kind) object(namespace, name string, number int) *unstructured.Unstructured {
	return object(k.resource.GroupVersion().String(), k.name, namespace, name, k.body(number))
}

func object(apiVersion, kind, namespace, name string, body map[string]any) *unstructured.Unstructured {
	made := &unstructured.Unstructured{Object: map[string]any{}}
	for key, value := range body {
		made.Object[key] = value
	}
	made.SetAPIVersion(apiVersion)
	made.SetKind(kind)
	made.SetName(name)
	made.SetNamespace(namespace)
	return made
}
