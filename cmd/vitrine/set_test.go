package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
)

// TestSetIsWhatShowGives sets anything in any combination and reads it back.
func TestSetIsWhatShowGives(t *testing.T) {
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir()})
	vitrine := func(t *rapid.T, args ...string) *image.Image {
		t.Helper()
		out := runJSON(t, d.Endpoint, args...)
		img, err := wire.ParseImage(out)
		if err != nil {
			t.Fatalf("vitrine image %q wrote %s: %v", args, out, err)
		}
		return img
	}
	text := rapid.StringOfN(rapid.RuneFrom(nil, unicode.L, unicode.P, unicode.Z, unicode.Cc).Filter(func(r rune) bool { return r < 0x10000 }), 0, 40, 255)
	word := text.Filter(func(s string) bool { return s != "" && !strings.Contains(s, "=") })

	rapid.Check(t, func(t *rapid.T) {
		img := vitrine(t, "create")
		id := string(img.ID)
		for range 2 {
			var args []string
			if rapid.Bool().Draw(t, "with name") {
				name := text.Draw(t, "name")
				args, img.Name = append(args, "--name", name), &name
			}
			for range rapid.IntRange(0, 3).Draw(t, "properties") {
				key, value := "x_"+word.Draw(t, "key"), text.Draw(t, "value")
				args = append(args, "--property", key+"="+value)
				if img.Properties == nil {
					img.Properties = make(map[string]string)
				}
				img.Properties[key] = value
			}
			for range rapid.IntRange(0, 2).Draw(t, "tags") {
				tag := word.Draw(t, "tag")
				args, img.Tags = append(args, "--tag", tag), append(img.Tags, tag)
			}
			if rapid.Bool().Draw(t, "with numbers") {
				img.MinDisk, img.MinRAM = rapid.Int64Range(0, image.MaxInteger).Draw(t, "min disk"), rapid.Int64Range(0, image.MaxInteger).Draw(t, "min ram")
				args = append(args, "--min-disk", strconv.FormatInt(img.MinDisk, 10), "--min-ram", strconv.FormatInt(img.MinRAM, 10))
			}
			img.Visibility = rapid.SampledFrom(image.Visibilities()).Draw(t, "visibility")
			args = append(args, rapid.SampledFrom([]string{"--visibility=" + string(img.Visibility), "--" + string(img.Visibility)}).Draw(t, "visibility flag"))
			img.Protected, img.Hidden = rapid.Bool().Draw(t, "protected"), rapid.Bool().Draw(t, "hidden")
			args = append(args, map[bool]string{true: "--protected", false: "--unprotected"}[img.Protected],
				map[bool]string{true: "--hidden", false: "--unhidden"}[img.Hidden])
			if rapid.Bool().Draw(t, "with formats") {
				img.DiskFormat, img.ContainerFormat = rapid.SampledFrom(image.DiskFormats).Draw(t, "disk"), rapid.SampledFrom(image.ContainerFormats).Draw(t, "container")
				args = append(args, "--disk-format", img.DiskFormat, "--container-format", img.ContainerFormat)
			}
			vitrine(t, append(append([]string{"set"}, args...), "--", id)...)
			slices.Sort(img.Tags)
			img.Tags = slices.Compact(img.Tags)
			got := vitrine(t, "show", id)
			img.UpdatedAt = got.UpdatedAt
			if !maps.Equal(got.Properties, img.Properties) || !sameJSON(got, img) {
				t.Fatalf("set %q\nshow gives %s\nwant %s", args, toJSON(got), toJSON(img))
			}
		}
	})
}

// runJSON returns what an image command writes as JSON.
func runJSON(t interface{ Fatalf(string, ...any) }, endpoint string, args ...string) []byte {
	var out, errs bytes.Buffer
	if code := run(context.Background(), append([]string{"--endpoint", endpoint, "--json", "image"}, args...), nil, &out, &errs); code != 0 {
		t.Fatalf("vitrine image %q: exit code %d, %s", args, code, errs.String())
	}
	return out.Bytes()
}

// TestJSONIsTheDocumentOfTheAPI compares what the commands write with what the server sends.
func TestJSONIsTheDocumentOfTheAPI(t *testing.T) {
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir()})
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	runJSON(t, d.Endpoint, "create", "-q", "--file", file, "--property", "p=<&>\u2028\"", "--tag", "a", "--tag", "b", "full")
	runJSON(t, d.Endpoint, "create", "--id", "11111111-1111-1111-1111-111111111111")
	for _, tt := range []struct {
		path string
		args []string
	}{
		{"/v2/images/11111111-1111-1111-1111-111111111111", []string{"show", "11111111-1111-1111-1111-111111111111"}},
		{"/v2/images?limit=100", []string{"list"}},
	} {
		resp, err := http.Get(d.Endpoint + tt.path)
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]any
		err = json.NewDecoder(resp.Body).Decode(&want)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(runJSON(t, d.Endpoint, tt.args...), &got); err != nil {
			t.Fatal(err)
		}
		if tt.args[0] == "list" { // of all pages
			delete(want, "first")
			delete(want, "schema")
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("vitrine image %q writes\n%v\nthe server sends\n%v", tt.args, got, want)
		}
	}
}

func toJSON(img *image.Image) string {
	b, err := json.Marshal(img)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func sameJSON(a, b *image.Image) bool { return toJSON(a) == toJSON(b) }
