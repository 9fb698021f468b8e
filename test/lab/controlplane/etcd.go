package controlplane

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// memberStatus is what an etcd member says of itself (rpc Status of etcd's Maintenance service, as JSON: numbers of 64 bits are strings).
type memberStatus struct {
	Header struct {
		MemberID string `json:"member_id"`
	} `json:"header"`
	Leader string `json:"leader"`
}

// LeadsEtcd says whether the etcd member on the host is the leader. A lone etcd always is.
func (c *ControlPlane) LeadsEtcd(ctx context.Context, s *Server) (bool, error) {
	if !c.onHosts {
		return true, nil
	}
	m, err := c.member(ctx, s)
	return err == nil && m.Leader == m.Header.MemberID, err
}

// Lead makes the etcd member of a host the leader: the present one hands over to it (rpc MoveLeader).
func (c *ControlPlane) Lead(ctx context.Context, host string) error {
	target := c.server(host)
	if target == nil || !c.onHosts {
		return fmt.Errorf("host %s has no etcd member", host)
	}
	m, err := c.member(ctx, target)
	if err != nil {
		return fmt.Errorf("asking the etcd of %s: %w", host, err)
	}
	if m.Leader == m.Header.MemberID {
		return nil
	}
	body, err := json.Marshal(map[string]string{"targetID": m.Header.MemberID})
	if err != nil {
		return err
	}
	failures := []error{fmt.Errorf("no etcd member hands the lead to %s", host)}
	for i := range c.servers {
		leads, err := c.LeadsEtcd(ctx, &c.servers[i])
		if err == nil && leads {
			_, err = call(ctx, c.etcd, http.MethodPost, c.servers[i].url(etcdPort)+"/v3/maintenance/transfer-leadership", bytes.NewReader(body))
			if err == nil {
				return nil
			}
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", c.servers[i].Host, err))
		}
	}
	return errors.Join(failures...)
}

func (c *ControlPlane) member(ctx context.Context, s *Server) (*memberStatus, error) {
	content, err := call(ctx, c.etcd, http.MethodPost, s.url(etcdPort)+"/v3/maintenance/status", bytes.NewReader([]byte("{}")))
	if err != nil {
		return nil, err
	}
	m := &memberStatus{}
	if err := json.Unmarshal(content, m); err != nil {
		return nil, fmt.Errorf("the answer of etcd: %w", err)
	}
	if m.Header.MemberID == "" {
		return nil, fmt.Errorf("the answer of etcd has no member: %s", content)
	}
	return m, nil
}
