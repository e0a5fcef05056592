// Package compat has no code. Its tests run vitrined in a small cloud, with a real Keystone, and let the programs loose on
// it that were written for another image service: the openstack and glance clients, the Python libraries behind them,
// gophercloud, and Tempest. They are part of `make test`, and alone `make test-compat`.
package compat
