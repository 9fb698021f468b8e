package heartbeat

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quorate/quorate/pkg/model"
)

var (
	descSent = prometheus.NewDesc("quorate_heartbeat_datagrams_sent_total",
		"Heartbeat datagrams that were handed to the kernel, counted once for each peer and network.", nil, nil)
	descSendErrors = prometheus.NewDesc("quorate_heartbeat_send_errors_total",
		"Heartbeat datagrams that the kernel refused to send.", nil, nil)
	descReceived = prometheus.NewDesc("quorate_heartbeat_datagrams_received_total",
		"Heartbeat datagrams that were accepted.", nil, nil)
	descSentBytes = prometheus.NewDesc("quorate_heartbeat_sent_bytes_total",
		"Bytes of the datagrams that were sent, without the headers of UDP and IP.", nil, nil)
	descReceivedBytes = prometheus.NewDesc("quorate_heartbeat_received_bytes_total",
		"Bytes of the datagrams that were accepted, without the headers of UDP and IP.", nil, nil)
	descDropped = prometheus.NewDesc("quorate_heartbeat_datagrams_dropped_total",
		"Heartbeat datagrams that were dropped, by reason.", []string{"reason"}, nil)

	ofLink           = []string{"peer", "network"}
	descLinkUp       = prometheus.NewDesc("quorate_link_up", "1 while the peer is heard on the network, with hysteresis.", ofLink, nil)
	descLinkReceived = prometheus.NewDesc("quorate_link_received_total", "Datagrams of the peer that came on the network.", ofLink, nil)
	descLinkLost     = prometheus.NewDesc("quorate_link_lost_total", "Datagrams of the peer that never came on the network.", ofLink, nil)
	descLinkLate     = prometheus.NewDesc("quorate_link_late_total",
		"Datagrams of the peer that a later one had overtaken on the network.", ofLink, nil)
	descLinkRepeated = prometheus.NewDesc("quorate_link_repeated_total", "Datagrams of the peer that came twice, or were replayed.", ofLink, nil)
	descLinkTrip     = prometheus.NewDesc("quorate_link_round_trip_seconds",
		"Smoothed round trip to the peer on the network, without the time that it took to answer.", ofLink, nil)
	descLinkJitter = prometheus.NewDesc("quorate_link_jitter_seconds", "Mean deviation of the round trip.", ofLink, nil)
)

// Describe tells a Prometheus collector which metrics Collect gives.
func Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descSent, descSendErrors, descReceived, descSentBytes, descReceivedBytes, descDropped,
		descLinkUp, descLinkReceived, descLinkLost, descLinkLate, descLinkRepeated, descLinkTrip, descLinkJitter,
	} {
		ch <- d
	}
}

// Collect gives the figures as metrics. name returns the name of a node.
func Collect(ch chan<- prometheus.Metric, s Stats, links []Link, name func(model.NodeID) string) {
	metric := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	counter := func(desc *prometheus.Desc, value uint64, labels ...string) {
		metric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	counter(descSent, s.Sent)
	counter(descSendErrors, s.SendErrors)
	counter(descReceived, s.Received)
	counter(descSentBytes, s.SentBytes)
	counter(descReceivedBytes, s.ReceivedBytes)
	for _, d := range s.Drops {
		counter(descDropped, d.Count, d.Reason)
	}
	for _, l := range links {
		peer := name(l.Peer)
		if peer == "" {
			peer = fmt.Sprint(l.Peer)
		}
		up := 0.0
		if l.Up {
			up = 1
		}
		metric(descLinkUp, prometheus.GaugeValue, up, peer, l.Network)
		counter(descLinkReceived, l.Received, peer, l.Network)
		counter(descLinkLost, l.Lost, peer, l.Network)
		counter(descLinkLate, l.Late, peer, l.Network)
		counter(descLinkRepeated, l.Repeated, peer, l.Network)
		if l.RoundTrip > 0 {
			metric(descLinkTrip, prometheus.GaugeValue, l.RoundTrip.Seconds(), peer, l.Network)
			metric(descLinkJitter, prometheus.GaugeValue, l.Jitter.Seconds(), peer, l.Network)
		}
	}
}
