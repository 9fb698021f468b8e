package swap

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
)

// format is the version of the document's form.
const format = 1

// maxDocument bounds the document in bytes. One of 64 nodes has about 6 KiB.
const maxDocument = 64 << 10

// document is the emulated array and what it keeps.
type document struct {
	Format int `json:"format"`
	// Cluster is the cluster's id: 16 hexadecimal digits.
	Cluster string `json:"cluster"`
	// Array: a nexus is a node, by its id.
	Array reservation.Array `json:"array"`
	// Renewals counts swaps, so that each is another document.
	Renewals  uint64         `json:"renewals"`
	View      model.ViewID   `json:"view,omitzero"`
	Committed *quorum.Record `json:"committed,omitempty"`
	Tentative *quorum.Record `json:"tentative,omitempty"`
	State     StateRef       `json:"state,omitzero"`
}

func clusterText(id uint64) string { return fmt.Sprintf("%016x", id) }

func newDocument(cluster uint64) *document {
	return &document{Format: format, Cluster: clusterText(cluster)}
}

// decode reads a document of this cluster.
func decode(raw []byte, cluster uint64) (*document, error) {
	if len(raw) > maxDocument {
		return nil, fmt.Errorf("%w: it has %d bytes, more than %d", witness.ErrGarbled, len(raw), maxDocument)
	}
	d := &document{}
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, fmt.Errorf("%w: %w", witness.ErrGarbled, err)
	}
	switch {
	case d.Format > format:
		return nil, fmt.Errorf("%w: its format %d is newer than this agent's %d: upgrade the agent", witness.ErrGarbled, d.Format, format)
	case d.Format != format:
		return nil, fmt.Errorf("%w: its format is %d, want %d", witness.ErrGarbled, d.Format, format)
	case d.Cluster != clusterText(cluster):
		return nil, fmt.Errorf("%w: %q, and this is %s; give each cluster a witness of its own, or remove the other's if it is gone for good",
			witness.ErrForeign, d.Cluster, clusterText(cluster))
	}
	if err := d.check(cluster); err != nil {
		return nil, fmt.Errorf("%w: %w", witness.ErrGarbled, err)
	}
	return d, nil
}

// check refuses what no agent writes.
func (d *document) check(cluster uint64) error {
	for nexus, key := range d.Array.Registrations {
		if nexus != nexusOf(key) || key.Node() == 0 || key.Epoch() == 0 {
			return fmt.Errorf("registration of %q has the key %s", nexus, key)
		}
		if key.Cluster() != clusterNumber(cluster) {
			return fmt.Errorf("key %s is not of this cluster", key)
		}
	}
	switch h := d.Array.Holder; {
	case h != "" && d.Array.Registrations[h] == 0:
		return fmt.Errorf("holder %q is not registered", h)
	case h != "" && d.Array.Type != reservation.WriteExclusiveRegistrantsOnly:
		return fmt.Errorf("reservation type %d, want %d", d.Array.Type, reservation.WriteExclusiveRegistrantsOnly)
	}
	if s := d.State; s != (StateRef{}) {
		if sum, err := hex.DecodeString(s.Sum); err != nil || len(sum) != sha256.Size {
			return fmt.Errorf("the state's sum %q is not 64 hexadecimal digits", s.Sum)
		}
		if s.Size < 0 || s.Size > witness.MaxState {
			return fmt.Errorf("the state's size %d is not 0 to %d", s.Size, witness.MaxState)
		}
	}
	return nil
}

func (d *document) encode() ([]byte, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding the witness's document: %w", err)
	}
	if len(raw) > maxDocument {
		return nil, fmt.Errorf("the witness's document has %d bytes, more than %d", len(raw), maxDocument)
	}
	return raw, nil
}

// content is the records; the state is read apart.
func (d *document) content(cluster uint64) witness.Content {
	return witness.Content{ClusterID: cluster, View: d.View, Committed: d.Committed, Tentative: d.Tentative}
}

func (d *document) status(id uint64) witness.Status {
	st := d.Array.Status()
	return witness.Status{ID: id, Holder: st.Holder, Keys: st.Keys}
}

// note is what people are shown of it.
func (d *document) note(renewed bool) Note {
	return Note{Holder: uint16(d.Array.Registrations[d.Array.Holder].Node()), Renewed: renewed}
}

// nexusOf names a node on the emulated array.
func nexusOf(k reservation.Key) string { return strconv.Itoa(int(k.Node())) }

func clusterNumber(id uint64) uint32 { return uint32(id >> 40) }

func refOf(version uint64, state []byte) StateRef {
	sum := sha256.Sum256(state)
	return StateRef{Version: version, Sum: hex.EncodeToString(sum[:]), Size: len(state)}
}
