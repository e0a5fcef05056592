// Package glance takes over what an OpenStack Glance has: Translate turns its configuration into ours, and Adopt its
// database, of which it reads everything and writes nothing. The data of images stays where it lies. Start reading at Adopt.
package glance
