package daemon_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// hostileRSS is how much memory a daemon may have used after it has seen all of the hostile files: its caches and one file at a time.
const hostileRSS = 256 << 20

// TestHostileCorpus sends some files of every kind that was made to do harm to a daemon, which need not be of the format that they are
// declared to be. They are refused, or can be read like a damaged disk, through the mount and over the API; the log must be without
// faults of the daemon, as with any other test. Nobody opens a file that an image refers to.
func TestHostileCorpus(t *testing.T) {
	testservers.Require(t, "fuse")
	dir := t.TempDir()
	secret, checkUnopened := watchedFile(t, dir)
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: "[images]\nrequire_format_match = false\n"})
	tried, taken := make(map[string]int), 0
	try := func(f formattest.CorpusFile) {
		tried[f.Kind]++
		if id, ok := sendHostile(t, d.Client, f); ok {
			taken++
			readHostile(t, d, id, f.Name)
			deleteClosed(t, d.Client, id)
		}
	}
	for f := range formattest.Some(40) {
		try(f)
	}
	for _, path := range []string{secret, "file:" + secret, "file://" + secret, "raw:" + secret, "../../../../../.." + secret,
		fmt.Sprintf(`json:{"driver":"file","filename":%q}`, secret)} {
		for _, f := range formattest.References(path) {
			try(f)
		}
	}
	checkUnopened()
	if len(tried) < 11 || taken < 50 {
		t.Errorf("of %v files %d were taken", tried, taken)
	}
	if used := memoryOf(t, d.Pid()); used > hostileRSS {
		t.Errorf("the daemon took %d MiB of memory", used>>20)
	}
}

// sendHostile uploads a file, and reports whether it was taken.
func sendHostile(t *testing.T, c *client.Client, f formattest.CorpusFile) (id image.ID, taken bool) {
	t.Helper()
	format := f.Format
	if !slices.Contains(image.DiskFormats, format) { // what nobody can declare
		format = "raw"
	}
	id = newQueued(t, c, format)
	data := bytes.Clone(f.Data) // for what still reads ahead when the next one comes
	err := c.Upload(t.Context(), id, client.Upload{Body: bytes.NewReader(data), Size: int64(len(data))})
	switch {
	case err == nil && f.Refers:
		t.Errorf("%s is taken", f.Name)
	case err == nil:
		return id, true
	case !errors.Is(err, image.ErrUnsupportedContent):
		t.Errorf("%s: Upload = %v", f.Name, err)
	}
	checkRefused(t, c, id)
	return id, false
}

// readHostile reads a damaged image in every way.
func readHostile(t *testing.T, d *testdaemon.Daemon, id image.ID, name string) {
	t.Helper()
	path := filepath.Join(d.Mount, "by-id", string(id), "disk.raw")
	if _, err := os.Stat(path); err == nil {
		if err := readEnds(path); err != nil && !errors.Is(err, syscall.EMEDIUMTYPE) && !errors.Is(err, syscall.EBADMSG) {
			t.Errorf("%s: reading disk.raw gives %v", name, err)
		}
	}
	for _, query := range []string{"file?format=raw", "file?format=qcow2", "file"} {
		for _, part := range []string{"", "bytes=0-1048575", "bytes=-1048576"} {
			if err := fetchSome(fmt.Sprintf("%s/v2/images/%s/%s", d.Endpoint, id, query), part); err != nil {
				t.Errorf("%s: %s: %v", name, query, err)
			}
		}
	}
	_, err := d.Client.Extents(t.Context(), id, image.ExtentQuery{Format: "raw"})
	if err != nil && !errors.Is(err, image.ErrUnsupportedContent) && !errors.Is(err, image.ErrCorrupt) && !errors.Is(err, image.ErrInvalid) {
		t.Errorf("%s: Extents = %v", name, err)
	}
}

// readEnds reads up to a MiB at both ends of a file, and finds its first data.
func readEnds(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p := make([]byte, 1<<20)
	for _, off := range []int64{0, max(0, info.Size()-int64(len(p)))} {
		if _, err := f.ReadAt(p, off); err != nil && err != io.EOF {
			return err
		}
	}
	if _, err := f.Seek(0, unix.SEEK_DATA); err != nil && !errors.Is(err, syscall.ENXIO) {
		return err
	}
	return nil
}

// fetchSome begins with a download, and returns what should not be answered.
func fetchSome(url, part string) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if part != "" {
		req.Header.Set("Range", part)
	}
	resp, err := http.DefaultClient.Do(req)
	if errors.Is(err, io.EOF) { // it broke off within the first bytes
		return nil
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // it may break off, too
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusNoContent, http.StatusBadRequest, http.StatusUnsupportedMediaType,
		http.StatusRequestedRangeNotSatisfiable:
		return nil
	case http.StatusServiceUnavailable:
		if bytes.Contains(body, []byte("corrupt")) {
			return nil
		}
	}
	return fmt.Errorf("the answer is %s: %.200q", resp.Status, body)
}

// watchedFile makes a file to which images refer. In the end nobody must have opened it.
func watchedFile(t *testing.T, dir string) (path string, checkUnopened func()) {
	t.Helper()
	path = filepath.Join(dir, "secret")
	if err := os.WriteFile(path, bytes.Repeat([]byte("secret "), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_OPEN|unix.IN_ACCESS); err != nil {
		t.Fatal(err)
	}
	opened := func() bool {
		_, err := unix.Read(fd, make([]byte, 4096))
		return !errors.Is(err, unix.EAGAIN)
	}
	return path, func() {
		if opened() {
			t.Error("the file that images refer to was opened")
		}
		if _, err := os.ReadFile(path); err != nil || !opened() {
			t.Errorf("whoever opens the file is not seen: %v", err)
		}
	}
}

// memoryOf returns the most memory that a process had at any time, in bytes.
func memoryOf(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("there is no VmHWM in %s", status)
	return 0
}

// TestReferencesInTheStore replaces images in their store by such as refer to another file: they cannot be read as disks, the log says
// why, and nobody opens the file.
func TestReferencesInTheStore(t *testing.T) {
	testservers.Require(t, "fuse")
	dir := t.TempDir()
	secret, checkUnopened := watchedFile(t, dir)
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true})
	good := map[string][]byte{"qcow2": formattest.QCOW2(1 << 30), "vmdk": formattest.VMDK(formattest.Sparse),
		"vhd": formattest.DynamicVHD(3, nil), "vhdx": formattest.VHDX(formattest.VHDXOptions{Size: 1 << 30})}
	names := make(map[image.ID]string)
	for _, f := range formattest.References(secret) {
		before := good[f.Format]
		if before == nil { // nobody can declare it
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			size := max(len(before), len(f.Data))
			id := newQueued(t, d.Client, f.Format)
			if err := d.Client.Upload(t.Context(), id, client.Upload{Body: bytes.NewReader(filled(before, size)), Size: int64(size)}); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(d.Data, "images", string(id[:2]), string(id)), filled(f.Data, size), 0); err != nil {
				t.Fatal(err)
			}
			if err := readEnds(filepath.Join(d.Mount, "by-id", string(id), "disk.raw")); !errors.Is(err, syscall.EMEDIUMTYPE) {
				t.Errorf("reading disk.raw gives %v, want %v", err, syscall.EMEDIUMTYPE)
			}
			names[id] = f.Name
			_, err := d.Client.Download(t.Context(), id, client.DownloadOptions{Format: "raw"})
			if !errors.Is(err, image.ErrUnsupportedContent) {
				t.Errorf("Download as raw = %v, want %v", err, image.ErrUnsupportedContent)
			}
		})
	}
	if err := d.Stop(); err != nil { // the log is complete then
		t.Error(err)
	}
	for line := range strings.Lines(d.Log()) {
		for id := range names {
			if strings.Contains(line, "mount operation failed") && strings.Contains(line, string(id)) && strings.Contains(line, "content is not safe") {
				delete(names, id)
			}
		}
	}
	if len(names) > 0 {
		t.Errorf("the log does not say why %v cannot be read", names)
	}
	checkUnopened()
}

// filled returns p with zeros behind it.
func filled(p []byte, size int) []byte { return append(bytes.Clone(p), make([]byte, size-len(p))...) }
