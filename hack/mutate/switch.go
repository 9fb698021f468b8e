package main

import "strings"

// switches is the file that is added to a changed package. With MUTANTS_SEEN it writes down which changes the tests come by.
const switches = `package PACKAGE

import (
	"os"
	"strconv"
	"sync"
)

var (
	mutantOn, _ = strconv.Atoi(os.Getenv("MUTANT"))
	mutantsSeen = os.Getenv("MUTANTS_SEEN")
	mutantKnown sync.Map
)

func mutated(id int) bool {
	if mutantsSeen != "" {
		if _, known := mutantKnown.LoadOrStore(id, true); !known {
			if f, err := os.OpenFile(mutantsSeen, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
				_, _ = f.WriteString(strconv.Itoa(id) + "\n")
				_ = f.Close()
			}
		}
	}
	return id == mutantOn
}

func either[T any](first, second T, id int) T {
	if mutated(id) {
		return second
	}
	return first
}
`

func switchesOf(pkg string) string { return strings.Replace(switches, "PACKAGE", pkg, 1) }
