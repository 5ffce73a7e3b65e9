// Package conformance runs the conformance suite of the Gateway API against a running Weir. `cargo xtask conformance` does the whole.
package conformance

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

// TestConformance takes the suite's own flags; the cluster is the one that KUBECONFIG names.
func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
