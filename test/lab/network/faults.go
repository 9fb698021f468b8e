package network

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Fault is packet loss in one direction between two hosts on one network.
type Fault struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Network string `json:"network"`
	// LossPermille is how many of 1000 packets are dropped; 1000 is a cut.
	LossPermille int `json:"lossPermille"`
}

type link struct{ from, to, network string }

// SetFault sets the loss in one direction; 0 heals it. A fault stays while a host is down.
func (s *Switch) SetFault(faults ...Fault) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		l := link{f.From, f.To, f.Network}
		if f.LossPermille <= 0 {
			delete(s.faults, l)
			continue
		}
		f.LossPermille = min(f.LossPermille, 1000)
		s.faults[l] = f
	}
	return s.applyFaults()
}

// Faults lists the faults in force, in order.
func (s *Switch) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sortedFaults()
}

func (s *Switch) sortedFaults() []Fault {
	all := make([]Fault, 0, len(s.faults))
	for _, f := range s.faults {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b Fault) int {
		return strings.Compare(a.From+" "+a.To+" "+a.Network, b.From+" "+b.To+" "+b.Network)
	})
	return all
}

// applyFaults replaces the rules on the bridges by those of the faults, in one transaction. Caller holds the lock.
func (s *Switch) applyFaults() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyBridge, Name: "quorate-lab"}
	// Adding before deleting makes the deletion succeed the first time too.
	conn.AddTable(table)
	conn.DelTable(table)
	conn.AddTable(table)
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	for _, f := range s.sortedFaults() {
		in, out := s.ports[f.From][f.Network], s.ports[f.To][f.Network]
		if in == "" || out == "" {
			continue // one of them is down: the rule comes back with its port
		}
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: dropRule(in, out, f.LossPermille)})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("set network faults: %w", err)
	}
	return nil
}

func dropRule(in, out string, lossPermille int) []expr.Any {
	rule := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: interfaceName(in)},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: interfaceName(out)},
	}
	if lossPermille < 1000 {
		rule = append(rule,
			&expr.Numgen{Register: 1, Modulus: 1000, Type: unix.NFT_NG_RANDOM},
			// Comparisons are bytewise, so the number has to be in network order.
			&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
			&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(uint32(lossPermille))},
		)
	}
	return append(rule, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
}

// interfaceName pads a name as the kernel compares it.
func interfaceName(name string) []byte {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return padded
}
