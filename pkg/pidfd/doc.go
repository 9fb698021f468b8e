// Package pidfd holds processes by descriptor: the id of one that is held cannot come to mean another one unnoticed.
package pidfd
