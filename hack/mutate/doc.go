// Command mutate changes the code of decisions in one place at a time, and says which changes no test notices.
//
// All changes of a package are compiled into its test binary at once, each behind a switch, so that a run of the tests per change is all
// that one costs: the scenarios of pkg/policy are a second, and building and linking them for every change would be ten.
package main
