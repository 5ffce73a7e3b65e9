package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	apps "k8s.io/api/apps/v1"
	authorization "k8s.io/api/authorization/v1"
	batch "k8s.io/api/batch/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	applyapps "k8s.io/client-go/applyconfigurations/apps/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	applymeta "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
)

const typedNamespace = "clients-typed"

// resourceClient is what every typed client has.
type resourceClient[T any] interface {
	Create(context.Context, T, meta.CreateOptions) (T, error)
	Get(context.Context, string, meta.GetOptions) (T, error)
	Update(context.Context, T, meta.UpdateOptions) (T, error)
	Patch(context.Context, string, types.PatchType, []byte, meta.PatchOptions, ...string) (T, error)
	Delete(context.Context, string, meta.DeleteOptions) error
}

// runTyped uses typed clients whose bodies are protobuf, as controllers do, and who take JSON for an answer.
func runTyped(ctx context.Context, config *rest.Config) error {
	for _, accept := range []string{"", runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON} {
		config := rest.CopyConfig(config)
		config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, accept
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		if err := typedKinds(ctx, client); err != nil {
			return fmt.Errorf("accepting %q: %w", accept, err)
		}
	}
	return nil
}

func typedKinds(ctx context.Context, client kubernetes.Interface) error {
	namespaces := client.CoreV1().Namespaces()
	if _, err := namespaces.Create(ctx, &core.Namespace{ObjectMeta: named("")}, meta.CreateOptions{}); err != nil {
		return err
	}
	err := errors.Join(everyKind(ctx, client), scale(ctx, client), apply(ctx, client), conflict(ctx, client), reviews(ctx, client), collection(ctx, client))
	err = errors.Join(err, namespaces.Delete(ctx, typedNamespace, meta.DeleteOptions{}))
	return errors.Join(err, wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := namespaces.Get(ctx, typedNamespace, meta.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	}))
}

func named(name string) meta.ObjectMeta {
	if name == "" {
		return meta.ObjectMeta{Name: typedNamespace}
	}
	return meta.ObjectMeta{Name: name, Namespace: typedNamespace, Labels: map[string]string{"app": "typed"}, Annotations: map[string]string{"a": ""}}
}

// everyKind takes an object of each kind through its life.
func everyKind(ctx context.Context, client kubernetes.Interface) error {
	one, port, yes := int32(0), int32(80), true
	now := meta.NewMicroTime(time.Unix(1700000000, 123456000))
	labels := map[string]string{"app": "typed"}
	selector := &meta.LabelSelector{MatchLabels: labels}
	size := core.ResourceList{core.ResourceCPU: resource.MustParse("100m"), core.ResourceMemory: resource.MustParse("64Mi")}
	probe := &core.Probe{ProbeHandler: core.ProbeHandler{HTTPGet: &core.HTTPGetAction{Path: "/", Port: intstr.FromString("http")}}, PeriodSeconds: 3}
	container := core.Container{
		Name: "c", Image: "none", Resources: core.ResourceRequirements{Limits: size, Requests: size}, ReadinessProbe: probe,
		Ports: []core.ContainerPort{{Name: "http", ContainerPort: 80}}, SecurityContext: &core.SecurityContext{RunAsNonRoot: &yes},
		Env: []core.EnvVar{{Name: "A", ValueFrom: &core.EnvVarSource{FieldRef: &core.ObjectFieldSelector{FieldPath: "metadata.name"}}}},
	}
	pod := core.PodTemplateSpec{ObjectMeta: meta.ObjectMeta{Labels: labels}, Spec: core.PodSpec{Containers: []core.Container{container}}}
	job := pod
	job.Spec.RestartPolicy = core.RestartPolicyNever
	suspended := batch.JobSpec{Template: job, Suspend: &yes}
	ports := []core.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}}
	policy := []rbac.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}
	c, typed := client.CoreV1(), typedNamespace
	return errors.Join(
		life(ctx, c.ConfigMaps(typed), &core.ConfigMap{ObjectMeta: named("a"), Data: map[string]string{"k": "v"}, BinaryData: map[string][]byte{"b": {0, 255}}}),
		life(ctx, c.Secrets(typed), &core.Secret{ObjectMeta: named("a"), Data: map[string][]byte{"k": {0, 255}}}),
		life(ctx, c.Services(typed), &core.Service{ObjectMeta: named("a"), Spec: core.ServiceSpec{Selector: labels, Ports: ports}}),
		life(ctx, c.ServiceAccounts(typed), &core.ServiceAccount{ObjectMeta: named("a"), AutomountServiceAccountToken: &yes}),
		life(ctx, c.Endpoints(typed), &core.Endpoints{ObjectMeta: named("e"), Subsets: []core.EndpointSubset{{
			Addresses: []core.EndpointAddress{{IP: "10.0.0.1"}}, Ports: []core.EndpointPort{{Port: 80}}}}}),
		life(ctx, c.ResourceQuotas(typed), &core.ResourceQuota{ObjectMeta: named("a"), Spec: core.ResourceQuotaSpec{Hard: core.ResourceList{core.ResourcePods: resource.MustParse("100")}}}),
		life(ctx, c.LimitRanges(typed), &core.LimitRange{ObjectMeta: named("a"), Spec: core.LimitRangeSpec{Limits: []core.LimitRangeItem{{Type: core.LimitTypeContainer, Default: size}}}}),
		life(ctx, c.Events(typed), &core.Event{ObjectMeta: named("a"), InvolvedObject: core.ObjectReference{Kind: "ConfigMap", Namespace: typed, Name: "a"},
			Reason: "Why", Message: "m", FirstTimestamp: meta.Unix(1700000000, 0), LastTimestamp: meta.Unix(1700000000, 0), Count: 1, Type: "Normal"}),
		life(ctx, client.AppsV1().Deployments(typed), &apps.Deployment{ObjectMeta: named("a"), Spec: apps.DeploymentSpec{Replicas: &one, Selector: selector, Template: pod}}),
		life(ctx, client.AppsV1().ReplicaSets(typed), &apps.ReplicaSet{ObjectMeta: named("a"), Spec: apps.ReplicaSetSpec{Replicas: &one, Selector: selector, Template: pod}}),
		life(ctx, client.AppsV1().StatefulSets(typed), &apps.StatefulSet{ObjectMeta: named("a"), Spec: apps.StatefulSetSpec{Replicas: &one, Selector: selector, Template: pod, ServiceName: "a"}}),
		life(ctx, client.BatchV1().Jobs(typed), &batch.Job{ObjectMeta: named("a"), Spec: suspended}),
		life(ctx, client.CoordinationV1().Leases(typed), &coordination.Lease{ObjectMeta: named("a"), Spec: coordination.LeaseSpec{AcquireTime: &now, RenewTime: &now, LeaseTransitions: &one}}),
		life(ctx, client.DiscoveryV1().EndpointSlices(typed), &discovery.EndpointSlice{ObjectMeta: named("s"), AddressType: discovery.AddressTypeIPv4,
			Endpoints: []discovery.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discovery.EndpointConditions{Ready: &yes}}}, Ports: []discovery.EndpointPort{{Port: &port}}}),
		life(ctx, client.EventsV1().Events(typed), &events.Event{ObjectMeta: named("b"), EventTime: now, ReportingController: "c", ReportingInstance: "i",
			Action: "A", Reason: "Why", Note: "n", Type: "Normal", Regarding: core.ObjectReference{Kind: "ConfigMap", Namespace: typed, Name: "a"}}),
		life(ctx, client.RbacV1().Roles(typed), &rbac.Role{ObjectMeta: named("a"), Rules: policy}),
		life(ctx, client.RbacV1().RoleBindings(typed), &rbac.RoleBinding{ObjectMeta: named("a"),
			RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: "a"}, Subjects: []rbac.Subject{{Kind: "User", APIGroup: rbac.GroupName, Name: "u"}}}),
		life(ctx, client.RbacV1().ClusterRoles(), &rbac.ClusterRole{ObjectMeta: meta.ObjectMeta{Name: typed}, Rules: policy}),
	)
}

// life creates an object, reads it, updates it, patches it, and deletes it with a precondition. What was sent is what is there.
func life[T meta.Object](ctx context.Context, client resourceClient[T], object T) error {
	fail := func(what string, err error) error { return fmt.Errorf("%s of a %T: %w", what, object, err) }
	name := object.GetName()
	made, err := client.Create(ctx, object, meta.CreateOptions{FieldManager: "typed", FieldValidation: meta.FieldValidationStrict})
	if err != nil {
		return fail("create", err)
	}
	read, err := client.Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return fail("get", err)
	}
	if read.GetUID() != made.GetUID() || !equality.Semantic.DeepDerivative(object.GetLabels(), read.GetLabels()) {
		return fail("get", fmt.Errorf("made %v, read %v", made, read))
	}
	// A controller of its kind may write to it in between.
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		read, err := client.Get(ctx, name, meta.GetOptions{})
		if err != nil {
			return err
		}
		before := read.GetResourceVersion()
		read.SetAnnotations(map[string]string{"updated": "yes"})
		updated, err := client.Update(ctx, read, meta.UpdateOptions{})
		if err == nil && updated.GetResourceVersion() == before {
			return errors.New("nothing has changed")
		}
		return err
	})
	if err != nil {
		return fail("update", err)
	}
	patched, err := client.Patch(ctx, name, types.StrategicMergePatchType, []byte(`{"metadata":{"annotations":{"patched":"yes"}}}`), meta.PatchOptions{})
	if err != nil {
		return fail("patch", err)
	}
	if annotations := patched.GetAnnotations(); annotations["patched"] != "yes" || annotations["updated"] != "yes" {
		return fail("patch", fmt.Errorf("annotations %v", annotations))
	}
	other := types.UID("another")
	err = client.Delete(ctx, name, meta.DeleteOptions{Preconditions: &meta.Preconditions{UID: &other}})
	if !apierrors.IsConflict(err) {
		return fail("delete of another", fmt.Errorf("refused with %w", err))
	}
	uid, background := made.GetUID(), meta.DeletePropagationBackground
	if err := client.Delete(ctx, name, meta.DeleteOptions{Preconditions: &meta.Preconditions{UID: &uid}, PropagationPolicy: &background}); err != nil {
		return fail("delete", err)
	}
	return nil
}

// scale goes through the subresource, as an autoscaler does.
func scale(ctx context.Context, client kubernetes.Interface) error {
	deployments, none := client.AppsV1().Deployments(typedNamespace), int32(0)
	labels := map[string]string{"app": "scale"}
	pod := core.PodTemplateSpec{ObjectMeta: meta.ObjectMeta{Labels: labels}, Spec: core.PodSpec{Containers: []core.Container{{Name: "c", Image: "none"}}}}
	spec := apps.DeploymentSpec{Replicas: &none, Selector: &meta.LabelSelector{MatchLabels: labels}, Template: pod}
	if _, err := deployments.Create(ctx, &apps.Deployment{ObjectMeta: named("scale"), Spec: spec}, meta.CreateOptions{}); err != nil {
		return fmt.Errorf("scale: %w", err)
	}
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		scale, err := deployments.GetScale(ctx, "scale", meta.GetOptions{})
		if err != nil {
			return fmt.Errorf("scale: %w", err)
		}
		scale.Spec.Replicas = 2
		if scale, err = deployments.UpdateScale(ctx, "scale", scale, meta.UpdateOptions{}); err != nil {
			return err
		}
		if scale.Spec.Replicas != 2 || scale.Status.Selector != "app=scale" {
			return fmt.Errorf("scale: %v", scale)
		}
		return nil
	})
}

// apply writes configurations, whose types leave out what is not said.
func apply(ctx context.Context, client kubernetes.Interface) error {
	options := meta.ApplyOptions{FieldManager: "typed"}
	config := applycore.ConfigMap("applied", typedNamespace).WithData(map[string]string{"a": "1"})
	if _, err := client.CoreV1().ConfigMaps(typedNamespace).Apply(ctx, config, options); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	other := applycore.ConfigMap("applied", typedNamespace).WithData(map[string]string{"a": "2"})
	_, err := client.CoreV1().ConfigMaps(typedNamespace).Apply(ctx, other, meta.ApplyOptions{FieldManager: "other"})
	if !apierrors.IsConflict(err) {
		return fmt.Errorf("apply: another's field: %w", err)
	}
	labels := map[string]string{"app": "applied"}
	container := applycore.Container().WithName("c").WithImage("none")
	pod := applycore.PodTemplateSpec().WithLabels(labels).WithSpec(applycore.PodSpec().WithContainers(container))
	spec := applyapps.DeploymentSpec().WithReplicas(0).WithSelector(applymeta.LabelSelector().WithMatchLabels(labels)).WithTemplate(pod)
	made, err := client.AppsV1().Deployments(typedNamespace).Apply(ctx, applyapps.Deployment("applied", typedNamespace).WithSpec(spec), options)
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	extracted, err := applyapps.ExtractDeployment(made, "typed")
	if err != nil || extracted.Spec == nil || *extracted.Spec.Replicas != 0 || extracted.Spec.Strategy != nil {
		return fmt.Errorf("apply: what is ours is %v: %w", extracted, err)
	}
	return nil
}

// conflict is what happens to who writes over another's update.
func conflict(ctx context.Context, client kubernetes.Interface) error {
	maps := client.CoreV1().ConfigMaps(typedNamespace)
	made, err := maps.Create(ctx, &core.ConfigMap{ObjectMeta: meta.ObjectMeta{GenerateName: "generated-"}}, meta.CreateOptions{})
	if err != nil {
		return fmt.Errorf("conflict: %w", err)
	}
	late := made.DeepCopy()
	made.Data, late.Data = map[string]string{"a": "1"}, map[string]string{"a": "2"}
	if _, err := maps.Update(ctx, made, meta.UpdateOptions{}); err != nil {
		return fmt.Errorf("conflict: %w", err)
	}
	if _, err := maps.Update(ctx, late, meta.UpdateOptions{}); !apierrors.IsConflict(err) {
		return fmt.Errorf("conflict: %w", err)
	}
	_, err = maps.Get(ctx, "nothing", meta.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("what is not there: %w", err)
	}
	_, err = maps.Create(ctx, &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: "No_Name"}}, meta.CreateOptions{})
	if !apierrors.IsInvalid(err) {
		return fmt.Errorf("a bad name: %w", err)
	}
	return nil
}

func reviews(ctx context.Context, client kubernetes.Interface) error {
	attributes := &authorization.ResourceAttributes{Namespace: typedNamespace, Verb: "create", Resource: "pods"}
	review := &authorization.SelfSubjectAccessReview{Spec: authorization.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes}}
	answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, meta.CreateOptions{})
	if err != nil || !answer.Status.Allowed {
		return fmt.Errorf("review: %v: %w", answer, err)
	}
	rules := &authorization.SelfSubjectRulesReview{Spec: authorization.SelfSubjectRulesReviewSpec{Namespace: typedNamespace}}
	if answer, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, rules, meta.CreateOptions{}); err != nil || len(answer.Status.ResourceRules) == 0 {
		return fmt.Errorf("rules: %v: %w", answer, err)
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil || version.Major != "1" {
		return fmt.Errorf("version: %v: %w", version, err)
	}
	_, lists, err := client.Discovery().ServerGroupsAndResources()
	if err != nil || len(lists) < 10 {
		return fmt.Errorf("discovery: %d groups: %w", len(lists), err)
	}
	return nil
}

// collection lists in pages and deletes all that a selector names.
func collection(ctx context.Context, client kubernetes.Interface) error {
	maps := client.CoreV1().ConfigMaps(typedNamespace)
	for number := range 7 {
		labels := map[string]string{"page": "yes"}
		if _, err := maps.Create(ctx, &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: fmt.Sprint("page-", number), Labels: labels}}, meta.CreateOptions{}); err != nil {
			return fmt.Errorf("pages: %w", err)
		}
	}
	found, next := 0, ""
	for {
		page, err := maps.List(ctx, meta.ListOptions{LabelSelector: "page=yes", Limit: 3, Continue: next})
		if err != nil {
			return fmt.Errorf("pages: %w", err)
		}
		found, next = found+len(page.Items), page.Continue
		if next == "" {
			break
		}
	}
	if found != 7 {
		return fmt.Errorf("pages: %d of 7", found)
	}
	if err := maps.DeleteCollection(ctx, meta.DeleteOptions{}, meta.ListOptions{LabelSelector: "page=yes"}); err != nil {
		return fmt.Errorf("collection: %w", err)
	}
	rest, err := maps.List(ctx, meta.ListOptions{LabelSelector: "page=yes", FieldSelector: "metadata.name!=x"})
	if err != nil || len(rest.Items) != 0 {
		return fmt.Errorf("collection: %v are left: %w", rest, err)
	}
	return nil
}
