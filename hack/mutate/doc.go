// Command mutate changes the code of decisions in one place at a time, and says which changes no test notices.
//
// All changes of a package are compiled into its test binary at once, each behind a switch, so that one costs a run of tests and no build.
// It first learns which tests come by which changes. A change is tried with those alone: first with the few that have noticed the most so
// far, then with the other fast ones, then with the slow ones; the first that fails ends it.
package main
