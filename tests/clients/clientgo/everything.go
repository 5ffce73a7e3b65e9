package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// runEverything discovers all kinds, as tools do that mirror a whole cluster, and lists and watches each: in pages, as metadata, as a Table,
// beginning with a watch.
func runEverything(ctx context.Context, config *rest.Config) error {
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	loose, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	partial, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	lists, err := found.ServerPreferredResources()
	if err != nil {
		return err
	}
	var wrong []error
	count := 0
	for _, list := range lists {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return err
		}
		for _, kind := range list.APIResources {
			if !slices.Contains(kind.Verbs, "list") || !slices.Contains(kind.Verbs, "watch") {
				continue
			}
			count++
			resource := group.WithResource(kind.Name)
			fail := func(err error) error {
				if err == nil {
					return nil
				}
				return fmt.Errorf("%s: %w", resource.GroupResource(), err)
			}
			wrong = append(wrong, fail(pages(ctx, loose.Resource(resource), kind.Kind)), fail(begins(ctx, loose.Resource(resource))),
				fail(asMetadata(ctx, partial.Resource(resource))), fail(asTable(ctx, found.RESTClient(), resource)))
		}
	}
	if count < 15 {
		wrong = append(wrong, fmt.Errorf("only %d kinds", count))
	}
	return errors.Join(wrong...)
}

func pages(ctx context.Context, client dynamic.ResourceInterface, kind string) error {
	options := meta.ListOptions{Limit: 1}
	for range 3 {
		page, err := client.List(ctx, options)
		if err != nil {
			return err
		}
		for _, object := range page.Items {
			if object.GetKind() != kind || object.GetResourceVersion() == "" || object.GetUID() == "" {
				return fmt.Errorf("a %s without what every object has: %v", kind, object.Object)
			}
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
	return nil
}

// begins watches from nothing until all that is there is told.
func begins(ctx context.Context, client dynamic.ResourceInterface) error {
	yes, seconds := true, int64(20)
	watched, err := client.Watch(ctx, meta.ListOptions{
		SendInitialEvents: &yes, ResourceVersionMatch: meta.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true, TimeoutSeconds: &seconds})
	if err != nil {
		return err
	}
	defer watched.Stop()
	for event := range watched.ResultChan() {
		object, is := event.Object.(meta.Object)
		if !is || event.Type == watch.Error {
			return fmt.Errorf("a watch says %v", event)
		}
		if event.Type == watch.Bookmark && object.GetAnnotations()[meta.InitialEventsAnnotationKey] == "true" {
			return nil
		}
	}
	return errors.New("a watch ends before it has told all")
}

func asMetadata(ctx context.Context, client metadata.ResourceInterface) error {
	list, err := client.List(ctx, meta.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	if list.ResourceVersion == "" {
		return errors.New("a list of metadata without a version")
	}
	return nil
}

func asTable(ctx context.Context, client rest.Interface, resource schema.GroupVersionResource) error {
	path := "/apis/" + resource.Group + "/" + resource.Version + "/" + resource.Resource
	if resource.Group == "" {
		path = "/api/" + resource.Version + "/" + resource.Resource
	}
	var table meta.Table
	text, err := client.Get().AbsPath(path).SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(ctx).Raw()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &table); err != nil {
		return err
	}
	for _, row := range table.Rows {
		// The real server has more cells than columns for IPAddresses.
		if len(row.Cells) < len(table.ColumnDefinitions) {
			return fmt.Errorf("%d cells in %d columns", len(row.Cells), len(table.ColumnDefinitions))
		}
	}
	if len(table.ColumnDefinitions) == 0 {
		return errors.New("a Table without columns")
	}
	return nil
}
