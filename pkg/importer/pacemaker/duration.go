package pacemaker

import (
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// parseDuration reads Pacemaker's times: a number of seconds, or one with a unit (ms, us, s, sec, m, min, h, hr), or INFINITY.
func parseDuration(s string) (time.Duration, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > 1e9 {
		return 0, false
	}
	unit, ok := map[string]time.Duration{
		"": time.Second, "s": time.Second, "sec": time.Second, "ms": time.Millisecond, "msec": time.Millisecond,
		"us": time.Microsecond, "usec": time.Microsecond, "m": time.Minute, "min": time.Minute, "h": time.Hour, "hr": time.Hour,
	}[strings.TrimSpace(s[len(digits):])]
	return (time.Duration(n) * unit).Truncate(time.Millisecond), ok
}

func seconds(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
