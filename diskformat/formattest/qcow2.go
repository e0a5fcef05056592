package formattest

import (
	"bytes"
	"compress/flate"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// QCOW2Options say what QCOW2Disk makes.
type QCOW2Options struct {
	Version     int // 0 stands for 3
	ClusterBits int // 0 stands for the smallest ones
	Extended    bool
	Zstd        bool
}

// Where things stand in what QCOW2Disk makes, in clusters.
const (
	QCOW2L1       = 1
	QCOW2L2       = 2
	QCOW2Data     = 3
	QCOW2Clusters = 16 // of the disk
)

// QCOW2Disk returns an image, and the disk in it. Its clusters are: two of data that lie side by side, a compressed one, one
// that is marked as zero (but in version 2), one that lies before the others, another compressed one, and nothing. With
// Extended, of every other part of the clusters of data there is nothing. It has no reference counts, which QEMU would
// not like.
func QCOW2Disk(o QCOW2Options) (file, disk []byte) {
	version, clusterBits, entry := max(o.Version, 2), max(o.ClusterBits, 9), 8
	if o.Version == 0 {
		version = 3
	}
	if o.Extended {
		clusterBits, entry = max(clusterBits, 14), 16
	}
	size := 1 << clusterBits
	file = make([]byte, (QCOW2Data+3)*size)
	copy(file, QCOW2(uint64(QCOW2Clusters*size)))
	be.PutUint32(file[4:], uint32(version))
	be.PutUint32(file[20:], uint32(clusterBits))
	be.PutUint32(file[36:], 1)
	be.PutUint64(file[40:], uint64(QCOW2L1*size))
	if o.Extended {
		be.PutUint64(file[72:], 1<<4)
	}
	if o.Zstd {
		be.PutUint64(file[72:], be.Uint64(file[72:])|1<<3)
		file[104] = 1
	}
	be.PutUint64(file[QCOW2L1*size:], 1<<63|uint64(QCOW2L2*size))
	disk = make([]byte, QCOW2Clusters*size)
	put := func(cluster int, l2 uint64) { be.PutUint64(file[QCOW2L2*size+cluster*entry:], l2) }
	for cluster, at := range map[int]int{0: QCOW2Data + 1, 1: QCOW2Data + 2, 4: QCOW2Data} {
		put(cluster, 1<<63|uint64(at*size))
		text(file[at*size:][:size], cluster)
		copy(disk[cluster*size:], file[at*size:][:size])
		if o.Extended {
			be.PutUint32(file[QCOW2L2*size+cluster*entry+12:], 0x55555555)
			for part := 1; part < 32; part += 2 {
				clear(disk[cluster*size+part*size/32:][:size/32])
			}
		}
	}
	for _, cluster := range []int{2, 5} {
		text(disk[cluster*size:][:size], cluster)
		packed := pack(disk[cluster*size:][:size], o.Zstd)
		sectors := (len(file)%512+len(packed)+511)/512 - 1
		put(cluster, 1<<62|uint64(sectors)<<(62-(clusterBits-8))|uint64(len(file)))
		file = append(file, packed...)
	}
	if version > 2 {
		put(3, 1)
	}
	return file, disk
}

// text fills p with lines that a compressor likes.
func text(p []byte, seed int) {
	for n := 0; n < len(p); {
		n += copy(p[n:], fmt.Sprintf("line %d of cluster %d\n", n*n, seed))
	}
}

// pack compresses p to raw deflate or to a frame of zstd.
func pack(p []byte, asZstd bool) []byte {
	var b bytes.Buffer
	if asZstd {
		w, err := zstd.NewWriter(&b)
		if err != nil {
			panic(err) // there are no options
		}
		w.Write(p)
		w.Close()
		return b.Bytes()
	}
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		panic(err) // the level is one of theirs
	}
	w.Write(p)
	w.Close()
	return b.Bytes()
}
