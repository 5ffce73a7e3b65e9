package main

import (
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// outcome says how and when a pod of one busybox container ends by itself: `true`, `false`, `sleep SECONDS` and `sh -c "exit CODE"`.
func outcome(pod *core.Pod) (code int32, after time.Duration, ends bool) {
	container := pod.Spec.Containers[0]
	words := append(append([]string{}, container.Command...), container.Args...)
	if len(pod.Spec.Containers) != 1 || !strings.HasPrefix(container.Image, "busybox") || len(words) == 0 {
		return 0, 0, false
	}
	last := words[len(words)-1]
	switch words[0] {
	case "true":
		return 0, 0, true
	case "false":
		return 1, 0, true
	case "sleep":
		seconds, err := strconv.ParseFloat(last, 64)
		return 0, time.Duration(seconds * float64(time.Second)), err == nil
	case "sh":
		code, err := strconv.ParseInt(strings.TrimPrefix(last, "exit "), 10, 32)
		return int32(code), 0, err == nil
	default:
		return 0, 0, false
	}
}

// ended is the status of a pod whose only container has ended: for good, or to be started again after a while that does not pass.
func ended(pod *core.Pod, code int32) map[string]any {
	status := status(pod)
	now, reason, no := meta.Now(), "Completed", false
	if code != 0 {
		reason = "Error"
	}
	end := core.ContainerState{Terminated: &core.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: now, FinishedAt: now}}
	one := core.ContainerStatus{Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image, State: end, Started: &no}
	policy := pod.Spec.RestartPolicy
	switch {
	case policy == core.RestartPolicyAlways || policy == core.RestartPolicyOnFailure && code != 0:
		one.State = core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		one.LastTerminationState, one.RestartCount = end, 1
	case code == 0:
		status["phase"] = core.PodSucceeded
	default:
		status["phase"] = core.PodFailed
	}
	status["containerStatuses"] = []core.ContainerStatus{one}
	conditions, _ := status["conditions"].([]core.PodCondition)
	for i, condition := range conditions {
		if condition.Type == core.PodReady || condition.Type == core.ContainersReady {
			conditions[i].Status, conditions[i].Reason = core.ConditionFalse, "ContainersNotReady"
			if code == 0 {
				conditions[i].Reason = "PodCompleted"
			}
		}
	}
	return status
}
