package diskformat

import (
	"context"
	"encoding/binary"
)

// grains is the layout of a sparse VMDK. Its directory tells where the tables are that tell where the grains are.
type grains struct {
	*file
	directory *blockTable // what it has are tables, for so much of the disk
	table     blockTable  // any of them
	markers   bool        // a packed grain begins with one
}

const (
	vmdkEntries     = 512     // of a grain table
	vmdkMarker      = 12      // bytes of that of a packed grain: the sector of the disk, and how many bytes follow
	vmdkPackedGrain = 2 << 20 // bytes of the largest grain that is taken when it is packed; everybody writes 64 KiB
	vmdkMaxTables   = 32 << 20
)

// packed tells whether the grains are compressed.
func (v *vmdk) packed() bool { return binary.LittleEndian.Uint16(v.sparse[vmdkPacking:]) == 1 }

// open returns the layout that the header tells, or the footer. A descriptor alone has problems, so there is one.
func (v *vmdk) open(_ context.Context, f *file) (layout, error) {
	header := v.sparse[:]
	flags := binary.LittleEndian.Uint32(header[vmdkFlags:])
	grain := int64(binary.LittleEndian.Uint64(header[vmdkGrain:])) * 512
	directory := binary.LittleEndian.Uint64(header[vmdkDirectory:])
	if directory == 0 || directory > uint64(f.Size())/512 {
		return nil, corrupt("it is %d bytes long, and its grain directory would be in sector %d", f.Size(), directory)
	}
	g := &grains{file: f, markers: flags&vmdkMarkers != 0}
	g.table = blockTable{file: f, bytes: vmdkEntries * 4, block: grain, width: 4, entry: v.grain(f.Size(), grain, flags&vmdkZeroGrains != 0)}
	var err error
	g.directory, err = newBlockTable(f, blockTable{off: int64(directory) * 512, block: grain * vmdkEntries, width: 4, entry: grainTable}, v.size)
	return g, err
}

// grainTable reads an entry of a directory.
func grainTable(p []byte) (run, error) {
	sector := binary.LittleEndian.Uint32(p)
	if sector == 0 {
		return run{kind: runHole}, nil
	}
	return run{kind: runStored, at: int64(sector) * 512}, nil
}

// grain returns what reads an entry of a table of grains.
func (v *vmdk) grain(fileSize, grain int64, zeros bool) func(p []byte) (run, error) {
	kind := runStored
	if v.packed() {
		kind = runPacked
	}
	return func(p []byte) (run, error) {
		sector := binary.LittleEndian.Uint32(p)
		if sector == 0 || sector == 1 && zeros {
			return run{kind: runHole}, nil
		}
		at := int64(sector) * 512
		return run{kind: kind, at: at, length: int(max(0, min(vmdkMarker+2*grain, fileSize-at)))}, nil
	}
}

// find implements layout.
func (g *grains) find(ctx context.Context, off, n int64) (run, error) {
	r, err := g.directory.find(ctx, off, n)
	if err != nil || r.kind == runHole {
		return r, err
	}
	covered := g.directory.block
	return g.table.findIn(ctx, r.at-off%covered, off%covered, min(n, covered-off%covered))
}

// unpack implements unpacker. Of the last grain a part may be enough, so what is missing is zeros.
func (g *grains) unpack(ctx context.Context, r run, dst []byte) error {
	buf := buffers.get(r.length)
	defer buffers.put(buf)
	src := buf
	if err := g.fill(ctx, src, r.at); err != nil {
		return err
	}
	if g.markers {
		if len(src) < vmdkMarker {
			return corrupt("the grain at %d is cut short", r.at)
		}
		n := binary.LittleEndian.Uint32(src[8:])
		if src = src[vmdkMarker:]; n == 0 || uint64(n) > uint64(len(src)) {
			return corrupt("the grain at %d claims %d bytes, and there are %d for it", r.at, n, len(src))
		}
		src = src[:n]
	}
	n, err := unzlib(dst, src)
	if err != nil {
		return corrupt("the grain at %d: %v", r.at, err)
	}
	clear(dst[n:])
	return nil
}
