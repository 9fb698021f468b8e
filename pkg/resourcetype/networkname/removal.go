package networkname

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/renameio/v2"

	"github.com/quorate/quorate/pkg/dnsupdate"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// removalDir is the directory below the run directory with one file for each name that is still to be removed.
const removalDir = "names"

func compare(a, b resourcetype.Problem) int {
	return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Message, b.Message))
}

func (r *record) file() string {
	return r.Mark.UID + "-" + strconv.FormatInt(r.Mark.Start, 10) + ".json"
}

// removeLater writes down what is to be removed, so that the next agent does it if this one, or the guardian, does not come to it.
func (t *Type) removeLater(rec *record, runDir string, log logr.Logger) {
	raw, err := json.Marshal(rec)
	if err == nil && runDir != "" {
		dir := filepath.Join(runDir, removalDir)
		if err = os.MkdirAll(dir, 0o700); err == nil {
			err = renameio.WriteFile(filepath.Join(dir, rec.file()), raw, 0o600)
		}
	}
	if err != nil { // a stop must not depend on a disk that is full
		log.Error(err, "A name that is to be removed from DNS is not written down")
	}
	t.remove(rec)
}

// resume goes on with what an earlier agent, or the guardian, has left.
func (t *Type) resume() {
	dir := filepath.Join(t.opts.RunDir, removalDir)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.opts.Log.Error(err, "Names that are still to be removed from DNS are not known")
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !strings.HasSuffix(e.Name(), ".json") {
			_ = os.Remove(path) // half written
			continue
		}
		rec, err := readRemoval(path)
		if err != nil {
			t.opts.Log.Error(err, "A name that is still to be removed from DNS is not known")
			_ = os.Remove(path)
			continue
		}
		t.remove(rec)
	}
}

func readRemoval(path string) (*record, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a removal: %w", err)
	}
	rec := &record{}
	if err := json.Unmarshal(raw, rec); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if rec.Mark.UID == "" || rec.Zone == "" {
		return nil, fmt.Errorf("reading %s: it names nothing", path)
	}
	return rec, nil
}

// remove does it in the background.
func (t *Type) remove(rec *record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := rec.file()
	if t.opts == nil || t.closed || t.removals[key] != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background()) // past the call that begins it: close ends it
	t.removals[key] = cancel
	opts := t.opts
	go func() {
		defer cancel()
		if !t.removing(ctx, opts, rec) {
			return
		}
		if err := os.Remove(filepath.Join(opts.RunDir, removalDir, key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			opts.Log.Error(err, "A removal from DNS is done, but not forgotten")
		}
		t.tell(key, resourcetype.Problem{})
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.removals, key)
	}()
}

// removing tries until it is done or given up; false means that the agent ends before.
func (t *Type) removing(ctx context.Context, opts *Options, rec *record) bool {
	began, wait := time.Now(), opts.Timing.Retry
	for pause := opts.Timing.Grace; ; pause, wait = wait, min(2*wait, opts.Timing.MaxRetry) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		removed, err := opts.withdraw(ctx, rec)
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil:
			if removed {
				opts.Log.Info("The name is removed from DNS", "name", rec.Name, "zone", rec.Zone, "server", rec.Server)
			}
			return true
		case time.Since(began) > opts.Timing.GiveUp:
			opts.Log.Error(err, "A name stays in DNS: its removal is given up", "name", rec.Name, "zone", rec.Zone, "server", rec.Server)
			return true
		}
		t.tell(rec.file(), resourcetype.Problem{
			Reason: resourcetype.ReasonNameNotRemoved, Object: rec.Mark.Resource,
			Message: fmt.Sprintf("%s.%s is offline and still in DNS: %v", rec.Name, rec.Zone, err),
		})
	}
}

// withdraw removes what bears the record's mark, and nothing else.
func (o *Options) withdraw(ctx context.Context, rec *record) (removed bool, err error) {
	client, err := o.client(ctx, rec)
	if err != nil {
		return false, err
	}
	entry, err := dnsupdate.Addresses(rec.Name, rec.Zone, rec.TTL, rec.Addresses)
	if err != nil {
		return false, err
	}
	if removed, err = client.Withdraw(ctx, entry, rec.Mark); err != nil {
		return false, err
	}
	for _, a := range rec.Addresses {
		err := pointer(ctx, client, rec, a, func(e *dnsupdate.Entry) error {
			_, err := client.Withdraw(ctx, e, rec.Mark)
			return err
		})
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}
