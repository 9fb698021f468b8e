package localapi

import (
	"errors"
	"fmt"
	"net/http"
)

// Code is why a call did not do what was asked.
type Code string

// Codes of errors.
const (
	// CodeInvalid: the request itself is wrong.
	CodeInvalid Code = "Invalid"
	// CodeForbidden: the caller is not root.
	CodeForbidden Code = "Forbidden"
	// CodeUnknown: this agent has no such operation.
	CodeUnknown Code = "UnknownOperation"
	// CodeRefused: it cannot be done as things are now.
	CodeRefused Code = "Refused"
	// CodeInternal: something failed in the agent.
	CodeInternal Code = "Internal"
)

var statusOf = map[Code]int{
	CodeInvalid: http.StatusBadRequest, CodeForbidden: http.StatusForbidden, CodeUnknown: http.StatusNotFound,
	CodeRefused: http.StatusConflict, CodeInternal: http.StatusInternalServerError,
}

// Error is what a call fails with, on both ends.
type Error struct {
	Code Code `json:"code"`
	// Message says what is wrong, where, and what to do.
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Invalid is for a request that can never be carried out.
func Invalid(format string, args ...any) error {
	return &Error{Code: CodeInvalid, Message: fmt.Sprintf(format, args...)}
}

// Refused is for a request that cannot be carried out as things are.
func Refused(format string, args ...any) error {
	return &Error{Code: CodeRefused, Message: fmt.Sprintf(format, args...)}
}

// asError gives every error a code: what has none is the agent's own failure.
func asError(err error) *Error {
	var coded *Error
	if errors.As(err, &coded) {
		return &Error{Code: coded.Code, Message: err.Error()}
	}
	return &Error{Code: CodeInternal, Message: err.Error()}
}
