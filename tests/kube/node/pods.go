package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"path"
	"strings"
	"sync/atomic"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	nodeName    = "node-1"
	nodeAddress = "127.0.0.1"
)

// register makes the Node and reports it ready.
func register(ctx context.Context, client kubernetes.Interface, port int32) error {
	node := &core.Node{ObjectMeta: meta.ObjectMeta{Name: nodeName, Labels: map[string]string{core.LabelHostname: nodeName}}}
	if _, err := client.CoreV1().Nodes().Create(ctx, node, meta.CreateOptions{}); err != nil && !errors.IsAlreadyExists(err) {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, nodeName, meta.GetOptions{})
	if err != nil {
		return err
	}
	room := core.ResourceList{
		core.ResourceCPU: resource.MustParse("64"), core.ResourceMemory: resource.MustParse("256Gi"), core.ResourcePods: resource.MustParse("10000"),
	}
	node.Status = core.NodeStatus{
		Capacity: room, Allocatable: room,
		Addresses:       []core.NodeAddress{{Type: core.NodeInternalIP, Address: nodeAddress}},
		DaemonEndpoints: core.NodeDaemonEndpoints{KubeletEndpoint: core.DaemonEndpoint{Port: port}},
		Conditions: []core.NodeCondition{{
			Type: core.NodeReady, Status: core.ConditionTrue, Reason: "KubeletReady", Message: "ready",
			LastHeartbeatTime: meta.Now(), LastTransitionTime: meta.Now(),
		}},
	}
	_, err = client.CoreV1().Nodes().UpdateStatus(ctx, node, meta.UpdateOptions{})
	return err
}

// runPods follows all pods until ctx ends.
func runPods(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	step := func(object any) {
		if pod, ok := object.(*core.Pod); ok {
			// What fails is tried again with the pod's next change: our own writes are such changes, and a conflict means that one is on its way.
			if err := advance(ctx, client, pod); err != nil && !errors.IsNotFound(err) && !errors.IsConflict(err) {
				log.Printf("node: pod %s/%s: %v", pod.Namespace, pod.Name, err)
			}
		}
	}
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(pod any) { go step(pod) },
		UpdateFunc: func(_, pod any) { go step(pod) },
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	return nil
}

// advance brings a pod one step further.
func advance(ctx context.Context, client kubernetes.Interface, pod *core.Pod) error {
	pods := client.CoreV1().Pods(pod.Namespace)
	switch {
	case pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil:
		binding := &core.Binding{ObjectMeta: meta.ObjectMeta{Name: pod.Name}, Target: core.ObjectReference{Kind: "Node", Name: nodeName}}
		return pods.Bind(ctx, binding, meta.CreateOptions{})
	case pod.Spec.NodeName != nodeName:
		return nil
	case pod.DeletionTimestamp != nil:
		now := int64(0)
		return pods.Delete(ctx, pod.Name, meta.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &meta.Preconditions{UID: &pod.UID}})
	case len(pod.Status.ContainerStatuses) == 0:
		if code, after, ends := outcome(pod); ends {
			time.AfterFunc(after, func() {
				if err := patch(ctx, client, pod, ended(pod, code)); err != nil && !errors.IsNotFound(err) {
					log.Printf("node: pod %s/%s: %v", pod.Namespace, pod.Name, err)
				}
			})
			if after == 0 {
				return nil
			}
		}
		return patch(ctx, client, pod, status(pod))
	default:
		return nil
	}
}

// patch is a merge patch of a pod's status: strategic merging of podIPs by their addresses keeps none.
func patch(ctx context.Context, client kubernetes.Interface, pod *core.Pod, status map[string]any) error {
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, meta.PatchOptions{}, "status")
	return err
}

var addresses atomic.Uint32

// status is that of a pod whose known images run and whose others cannot be pulled.
func status(pod *core.Pod) map[string]any {
	now, all := meta.Now(), true
	var containers []core.ContainerStatus
	for _, container := range pod.Spec.Containers {
		one := core.ContainerStatus{Name: container.Name, Image: container.Image}
		if known(container.Image) {
			yes := true
			one.Ready, one.Started = true, &yes
			one.State.Running = &core.ContainerStateRunning{StartedAt: now}
		} else {
			all = false
			one.State.Waiting = &core.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "the image is not known here"}
		}
		containers = append(containers, one)
	}
	condition := func(kind core.PodConditionType, status bool) core.PodCondition {
		condition := core.PodCondition{Type: kind, Status: core.ConditionFalse, LastTransitionTime: now}
		if status {
			condition.Status = core.ConditionTrue
		} else {
			condition.Reason = "ContainersNotReady"
		}
		return condition
	}
	phase := core.PodPending
	if all {
		phase = core.PodRunning
	}
	number := addresses.Add(1)
	address := fmt.Sprintf("10.244.%d.%d", number/250%250, number%250+1)
	return map[string]any{
		"phase": phase, "podIP": address, "podIPs": []core.PodIP{{IP: address}}, "hostIP": nodeAddress, "startTime": now,
		"containerStatuses": containers,
		"conditions": []core.PodCondition{
			condition(core.PodInitialized, true), condition(core.PodReady, all), condition(core.ContainersReady, all),
			condition(core.PodScheduled, true),
		},
	}
}

// known says whether the embedded node would run it too.
func known(image string) bool {
	name, _, _ := strings.Cut(path.Base(image), ":")
	return name == "echo-basic" || name == "http-echo" || name == "busybox"
}
