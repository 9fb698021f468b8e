package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// String is the fault as a scenario file has it.
func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s node=%d", f.At, f.Kind, f.Node)
	if f.Other > 0 {
		fmt.Fprintf(&b, " other=%d", f.Other)
	}
	if f.For > 0 {
		fmt.Fprintf(&b, " for=%v", f.For)
	}
	if f.Amount > 0 {
		fmt.Fprintf(&b, " amount=%d", f.Amount)
	}
	return b.String()
}

// ParseFault reads what String writes.
func ParseFault(line string) (Fault, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return Fault{}, fmt.Errorf("fault %q: want TIME KIND and then name=value", line)
	}
	at, err := time.ParseDuration(words[0])
	if err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", line, err)
	}
	f := Fault{At: at, Kind: words[1], Node: 1, Other: 1}
	if at < 0 {
		return f, fmt.Errorf("fault %q: it comes before the beginning", line)
	}
	if _, known := kinds[f.Kind]; !known {
		return f, fmt.Errorf("fault %q: there is no kind %q; there are %s", line, f.Kind, strings.Join(names, ", "))
	}
	for _, word := range words[2:] {
		name, value, _ := strings.Cut(word, "=")
		if name == "for" {
			if f.For, err = time.ParseDuration(value); err != nil {
				return f, fmt.Errorf("fault %q: %w", line, err)
			}
			if f.For < 0 {
				return f, fmt.Errorf("fault %q: it ends before it begins", line)
			}
			continue
		}
		target := map[string]*int{"node": &f.Node, "other": &f.Other, "amount": &f.Amount}[name]
		if target == nil {
			return f, fmt.Errorf("fault %q: there is no %q", line, name)
		}
		if *target, err = strconv.Atoi(value); err != nil || *target < 0 || name != "amount" && *target < 1 {
			return f, fmt.Errorf("fault %q: %s is a positive number", line, name)
		}
	}
	return f, nil
}

// ParseFaults reads one fault a line.
func ParseFaults(text string) ([]Fault, error) {
	var faults []Fault
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f, err := ParseFault(line)
		if err != nil {
			return nil, err
		}
		faults = append(faults, f)
	}
	slices.SortStableFunc(faults, byTime)
	return faults, nil
}

// Shrink leaves faults out as long as the run still fails in the same way (by the invariant's name): first halves, then one at a time.
// It makes at most limit runs.
func Shrink(r Run, limit int) (Run, error) {
	first := r.Do().Err
	if first == nil {
		return r, nil
	}
	want := Invariant(first)
	fails := func(faults []Fault) bool {
		limit--
		try := r
		try.Faults = faults
		err := try.Do().Err
		if err == nil || Invariant(err) != want {
			return false
		}
		first = err
		return true
	}
	for size := max(1, len(r.Faults)/2); limit > 0; size /= 2 {
		for from := 0; from < len(r.Faults) && limit > 0; {
			rest := slices.Concat(r.Faults[:from], r.Faults[min(from+size, len(r.Faults)):])
			if fails(rest) {
				r.Faults = rest
			} else {
				from += size
			}
		}
		if size == 1 {
			break
		}
	}
	return r, first
}

// Invariant is the name of what an error violates: S1, R5, L1.
func Invariant(err error) string {
	_, rest, _ := strings.Cut(err.Error(), ": ")
	name, _, _ := strings.Cut(rest, ":")
	return name
}

// Scenario is the run as a scenario file, with what it showed.
func (r Run) Scenario(err error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "run seed=%d", r.Seed)
	if r.APIOnly {
		b.WriteString(" api-only")
	}
	if r.Alternatives {
		b.WriteString(" alternatives")
	}
	if r.Halves {
		b.WriteString(" halves")
	}
	b.WriteString("\n")
	for _, f := range r.Faults {
		fmt.Fprintln(&b, f)
	}
	verdict := "no violation"
	if err != nil {
		verdict = strings.SplitN(err.Error(), "\n", 2)[0]
	}
	fmt.Fprintf(&b, "----\n%s\n", verdict)
	return b.String()
}
