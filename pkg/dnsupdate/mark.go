package dnsupdate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// markLabel is the label below which the mark of a name is: _quorate.sales.example.org.
const markLabel = "_quorate."

// markVersion begins every mark.
const markVersion = "quorate-name-1"

// Mark says whose the records of a name are.
type Mark struct {
	// Cluster is the cluster's id, Group and UID are those of the objects in the API.
	Cluster, Group, UID string
	// Resource is namespace/name, for people.
	Resource string
	// Epoch of the group, and the start within it: nanoseconds of the wall clock, so that no two starts have the same mark.
	Epoch, Start int64
}

// newer says that m is of a later ownership of the same resource than other.
func (m Mark) newer(other Mark) bool {
	return m.Cluster == other.Cluster && m.UID == other.UID && m.Group == other.Group && m.Epoch > other.Epoch
}

// same compares what a record says of both.
func (m Mark) same(other Mark) bool { return slices.Equal(m.strings(), other.strings()) }

func (m Mark) String() string {
	return fmt.Sprintf("Resource %s of cluster %s, epoch %d", m.Resource, m.Cluster, m.Epoch)
}

// strings are the character strings of the TXT record; none is longer than 255 bytes.
func (m Mark) strings() []string {
	return []string{
		markVersion, "cluster=" + m.Cluster, "group=" + m.Group, "uid=" + m.UID, "resource=" + m.Resource[:min(len(m.Resource), 240)],
		"epoch=" + strconv.FormatInt(m.Epoch, 10), "start=" + strconv.FormatInt(m.Start, 10),
	}
}

// ParseMark reads the character strings of a TXT record.
func ParseMark(texts []string) (Mark, error) {
	var m Mark
	if len(texts) == 0 || texts[0] != markVersion {
		return m, fmt.Errorf("it does not begin with %q", markVersion)
	}
	for _, text := range texts[1:] {
		key, value, _ := strings.Cut(text, "=")
		var err error
		switch key {
		case "cluster":
			m.Cluster = value
		case "group":
			m.Group = value
		case "uid":
			m.UID = value
		case "resource":
			m.Resource = value
		case "epoch":
			m.Epoch, err = strconv.ParseInt(value, 10, 64)
		case "start":
			m.Start, err = strconv.ParseInt(value, 10, 64)
		}
		if err != nil {
			return m, fmt.Errorf("%s: %w", key, err)
		}
	}
	if m.UID == "" {
		return m, errors.New("it names no uid")
	}
	return m, nil
}

func (m Mark) record(entry *Entry) *dns.TXT {
	return &dns.TXT{Hdr: dns.RR_Header{Name: markLabel + entry.Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: entry.TTL}, Txt: m.strings()}
}
