// Package validation holds the rules that need more than one object to be seen: what CEL cannot refuse at admission. The same rules
// serve the controllers (Accepted=False), the command line and, later, admission. It is pure: objects in, findings out.
//
// Every rule is a function in the list of rules; a finding names the object and the field that is wrong and says what to do.
package validation
