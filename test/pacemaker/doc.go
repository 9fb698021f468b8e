// Package pacemaker holds Quorate's placements against Pacemaker's: a generator of random CIBs, crm_simulate as the judge, and a table of
// the reasons for which the two may differ. The benchmarks use the same generator and the same judge.
package pacemaker
