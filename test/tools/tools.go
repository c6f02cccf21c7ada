//go:build tools

// Package tools pins the programs that the tests build from Go modules.
package tools

import (
	_ "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity"
	_ "github.com/versity/versitygw/cmd/versitygw"
)
