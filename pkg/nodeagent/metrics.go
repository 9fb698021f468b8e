package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/model"
)

var (
	descKeeping = prometheus.NewDesc("quorate_membership_keeping", "1 while this node may go on with what it owns (R7).", nil, nil)
	descActing  = prometheus.NewDesc("quorate_membership_acting", "1 while this node may start things (R7).", nil, nil)
	descView    = prometheus.NewDesc("quorate_membership_view_number", "Number of the installed view; 0 for none.", nil, nil)
	descMembers = prometheus.NewDesc("quorate_membership_view_members", "Members of the installed view.", nil, nil)
	descAPI     = prometheus.NewDesc("quorate_api_reached", "1 while the agent reaches the API server.", nil, nil)
	descGroups  = prometheus.NewDesc("quorate_groups_running", "Groups of which something runs on this host.", nil, nil)
)

// Describe implements prometheus.Collector.
func (a *agent) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descKeeping, descActing, descView, descMembers, descAPI, descGroups} {
		ch <- d
	}
	heartbeat.Describe(ch)
}

// Collect implements prometheus.Collector.
func (a *agent) Collect(ch chan<- prometheus.Metric) {
	s := a.core.standing()
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	truth := func(d *prometheus.Desc, v bool) {
		if v {
			gauge(d, 1)
		} else {
			gauge(d, 0)
		}
	}
	truth(descKeeping, s.Keeping)
	truth(descActing, s.Acting)
	truth(descAPI, s.ReachesAPI)
	var number, members float64
	if s.View != nil {
		number, members = float64(s.View.ID.Number), float64(len(s.View.Members))
	}
	gauge(descView, number)
	gauge(descMembers, members)
	running := 0
	for _, r := range a.publisher.groupReports() {
		if r.Running > 0 {
			running++
		}
	}
	gauge(descGroups, float64(running))
	name := func(model.NodeID) string { return "" }
	if s.Settings != nil {
		name = s.Settings.nodeName
	}
	heartbeat.Collect(ch, s.Heartbeat, s.Links, name)
}

// checkMetricsAddress refuses an address that is not loopback: the endpoint has neither TLS nor authentication.
func checkMetricsAddress(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--metrics-bind-address: %w", err)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return fmt.Errorf("--metrics-bind-address %s: only a loopback address such as 127.0.0.1:9345 is allowed", address)
	}
	return nil
}

// serveMetrics serves /metrics until ctx ends.
func (a *agent) serveMetrics(ctx context.Context, address string) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(a)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		a.log.Error(err, "Metrics are not served")
	}
}
