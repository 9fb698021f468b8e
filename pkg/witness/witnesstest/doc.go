// Package witnesstest is what every kind of witness must do, as tests that run over any of them.
package witnesstest
