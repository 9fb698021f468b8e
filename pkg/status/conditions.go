package status

import (
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxMessage bounds condition messages and Event notes; the Events API takes 1024 bytes.
const maxMessage = 1000

// conditionSet writes conditions of one object at one time.
type conditionSet struct {
	list       *[]metav1.Condition
	generation int64
	now        time.Time
}

func (c conditionSet) set(kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(c.list, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: bounded(message),
		ObservedGeneration: c.generation, LastTransitionTime: metav1.Time{Time: c.now.Truncate(time.Second)},
	})
}

func truth(b bool) metav1.ConditionStatus {
	if b {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

// bounded cuts a message at a whole character.
func bounded(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	cut := maxMessage - len("...")
	for !utf8.RuneStart(message[cut]) {
		cut--
	}
	return message[:cut] + "..."
}

// second is a time as the API keeps it; nil for the zero time.
func second(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.Truncate(time.Second)}
}

// Event is something worth telling in an Event of an object.
type Event struct {
	// Warning makes it an Event of type Warning, else Normal.
	Warning bool
	// Reason is a CamelCase word; Action says what the manager did or saw.
	Reason, Action string
	Note           string
}

func normal(reason, action, note string) Event {
	return Event{Reason: reason, Action: action, Note: bounded(note)}
}

func warning(reason, action, note string) Event {
	return Event{Warning: true, Reason: reason, Action: action, Note: bounded(note)}
}
