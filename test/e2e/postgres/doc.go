// Package postgres holds the test that matters most to those who keep data: PostgreSQL on a shared disk, a client outside that writes, and
// power cuts of its host. Whatever was acknowledged must be there afterwards, once. QUORATE_POWER_CUTS says how many cuts (20 in
// `make test-postgres-failover`); without it there are two, of one variant, as part of `make test`.
package postgres
