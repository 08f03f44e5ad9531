//go:build tools

// Package tools pins what the lab builds; go.sum holds its hashes.
package tools

import (
	_ "github.com/ollama/ollama"
)
