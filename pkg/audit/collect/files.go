package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/quorate/quorate/pkg/audit"
)

// maxFactsAge is how old the facts of a host may be to say something of now.
const maxFactsAge = time.Minute

// LocalReport is what `quorate-agent audit --local -o json` writes: what is really on its host, and what is wrong by that alone.
type LocalReport struct {
	Host    audit.Host     `json:"host"`
	Verdict *audit.Verdict `json:"verdict"`
}

// ParseLocalReport reads what `quorate-agent audit --local -o json` writes.
func ParseLocalReport(raw []byte) (*LocalReport, error) {
	var r LocalReport
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("reading the facts of a host: %w", err)
	}
	if r.Host.Node == "" || r.Host.At.IsZero() {
		return nil, fmt.Errorf("these are not the facts of a host: host.node and host.at are missing; write them with `quorate-agent audit --local -o json`")
	}
	return &r, nil
}

// HostFiles reads the facts of hosts from files, anew at each look, so that they may be renewed meanwhile. Facts that are older than a
// minute say nothing of now, and are told as unseen.
func HostFiles(paths []string) func(context.Context) ([]audit.Host, []audit.Unseen) {
	return func(context.Context) ([]audit.Host, []audit.Unseen) {
		var hosts []audit.Host
		var unseen []audit.Unseen
		for _, path := range paths {
			host, err := hostFile(path)
			if err != nil {
				unseen = append(unseen, audit.Unseen{Source: audit.SourceHosts, Object: path, Message: err.Error()})
				continue
			}
			hosts = append(hosts, *host)
		}
		return hosts, unseen
	}
}

func hostFile(path string) (*audit.Host, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := ParseLocalReport(raw)
	if err != nil {
		return nil, err
	}
	age := time.Since(r.Host.At)
	if age > maxFactsAge {
		return nil, fmt.Errorf("the facts of %s are %s old: write them anew", r.Host.Node, age.Round(time.Second))
	}
	if l := r.Host.Lease; l != nil {
		l.Left -= age
		l.Acting = l.Acting && l.Left > 0
	}
	return &r.Host, nil
}
