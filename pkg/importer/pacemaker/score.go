package pacemaker

import (
	"strconv"
	"strings"
)

// infinity is Pacemaker's score of what must be; -infinity of what must not.
const infinity = 1_000_000

// parseScore reads a score: an integer, INFINITY, +INFINITY or -INFINITY. Integers beyond infinity count as it.
func parseScore(s string) (int, bool) {
	switch s = strings.TrimSpace(s); strings.ToUpper(s) {
	case "INFINITY", "+INFINITY", "INF", "+INF":
		return infinity, true
	case "-INFINITY", "-INF":
		return -infinity, true
	case "RED": // node health's names for scores
		return -infinity, true
	case "YELLOW", "GREEN":
		return 0, true
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, false
	}
	return clamp(n), true
}

func clamp(n int64) int { return int(max(-infinity, min(infinity, n))) }

// addScores is Pacemaker's sum: -INFINITY and anything is -INFINITY, then INFINITY and anything is INFINITY.
func addScores(a, b int) int {
	switch {
	case a == -infinity || b == -infinity:
		return -infinity
	case a == infinity || b == infinity:
		return infinity
	}
	return clamp(int64(a) + int64(b))
}

func scoreText(n int) string {
	switch n {
	case infinity:
		return "INFINITY"
	case -infinity:
		return "-INFINITY"
	}
	return strconv.Itoa(n)
}

// truth reads Pacemaker's booleans; otherwise is what something else, or nothing, means.
func truth(s string, otherwise bool) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true", "on", "yes", "y", "1":
		return true
	case "false", "off", "no", "n", "0":
		return false
	}
	return otherwise
}
