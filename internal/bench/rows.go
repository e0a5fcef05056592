package main

import (
	"context"
	"fmt"
	"strings"
)

// A group is a set of rows that share servers and data.
type group struct {
	name    string // of -rows
	title   string
	note    string // how it is measured
	prepare func(ctx context.Context, b *bench, dir string) ([]row, error)
}

// A suite is what one target of make measures, and writes one report of.
type suite struct {
	name     string // of -suite and of the target
	title    string
	file     string // the report
	programs [][]string
	groups   []group // in the order of the report
}

// suites is everything that is measured.
var suites = []suite{
	{"bench", "Benchmarks", "docs/benchmarks.md", [][]string{{"nginx", "-v"}, {"qemu-storage-daemon", "--version"}, {"fio", "--version"}}, groups},
	{"bench-ceph", "Benchmarks with Ceph", "docs/benchmarks-ceph.md", [][]string{{"ceph", "--version"}, {"fio", "--version"}, {"qemu-system-x86_64", "--version"}}, cephGroups},
}

func suiteNames() string {
	var names []string
	for _, s := range suites {
		var groups []string
		for _, g := range s.groups {
			groups = append(groups, g.name)
		}
		names = append(names, fmt.Sprintf("%s (of the groups %s)", s.name, strings.Join(groups, ", ")))
	}
	return strings.Join(names, ", ")
}

// groups is what is measured without Ceph.
var groups = []group{
	{"transfer", "Uploads and downloads",
		"1 GiB of random bytes over the loopback with curl, caches warm. An upload includes MD5, SHA-512 and fsync. md5sum reads the same file. nginx serves it with sendfile.",
		prepareTransfer},
	{"http", "The API on records",
		"wrk for 2 seconds a round. Images have 5 properties and 2 tags. Creating is durable: each answer follows an fsync.",
		prepareHTTP},
	{"import", "Imports, tokens and shared images",
		"A web-download of 1 GiB of random bytes that nginx serves on the loopback, from the request until the image is active: MD5, SHA-512 and fsync included. The token is validated once, by a Keystone on SQLite. Images that are shared with a project have been accepted by it; both lists give 100 with properties and tags, on one connection.",
		prepareImport},
	{"lists", "Lists among " + many,
		"Median time of a list of 100 with properties and tags: over HTTP on one connection, and at the database alone (where most kinds of questions are asked). A member's project owns a tenth of the images and shares others; the sparse project has 20. Both databases were read into the page cache before, the copies that the daemon serves as well; the last row shows what it costs when they are not there." + slowLists, prepareLists},
	{"mount", "Reading through the mount",
		"fio on a 2 GiB raw image, page cache dropped before each run: sequential reads of 512 MiB by 1 MiB, random reads of 4 KiB for 2 seconds. A disk that is another machine's file is not always equally fast, so in each round the sequential region is read once from the disk without measuring, then by each program five times, forwards and backwards through the list of them, and the median counts. Depth 16 is 16 threads for buffered reads, libaio for O_DIRECT. The file itself is the one in the store; qemu-storage-daemon exports it through FUSE.",
		prepareMount},
	{"rawview", "Reading qcow2 as raw disks through the mount",
		"The same, of disk.raw of an uncompressed qcow2 with a disk of 2 GiB, which qemu-storage-daemon exports as well.",
		prepareRawViews},
	{"formats", "Formats of disks",
		"Images of a disk of 1 GiB that holds programs. vitrined reads compressed ones in the process that asks, with as much memory for tables and decompressed data as the daemon has by default; qemu-nbd is read by an NBD client over a unix socket. So for 2 seconds each, caches warm; the processor time is that of 10,000 reads, for qemu-nbd without its client's. Downloads as raw go to curl, which throws them away; qemu-img convert writes to a file in a tmpfs or, to show how fast it reads, to QEMU's device that forgets everything. Of an upload the part is shown that looks at the format, by its processor time.",
		prepareFormats},
	{"tree", "Listing a large directory",
		"ls -l of by-id with 100,000 images, and of as many directories with the same names in a tmpfs; \"first\" after the kernel's caches of names were dropped.",
		prepareTree},
	{"memory", "Memory",
		"Resident memory of a daemon that was built without Ceph: idle with 1,000 images, and the peak while 64 uploads and 64 downloads of 256 MiB each run at once, and while 64 compressed qcow2 with disks of 64 MiB each are read as raw disks through the mount at once. With Ceph its libraries come to it.",
		prepareMemory},
}

// slowLists names the questions that no index answers.
const slowLists = `

Questions that take longer the more images there are, since nothing can answer them in order:

- rare values of min_disk, min_ram, virtual_size and os_hash_algo, protected=false, and times with neq: all images are looked at;
- two common filters that few images pass together: one of the two is read to its end;
- a common filter whose images all lie at the far end of another sort key;
- several sort keys of which the first has one value in very many images (a name, a size).

A page that is not in memory costs a disk read for nearly each of its images, as long as the disk needs for that.`
