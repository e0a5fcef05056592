// Package version tells which build of Vitrine this is.
package version

import "runtime/debug"

// version is set by the linker.
var version string

// String returns the version that the build was given, or else the revision that it was made from.
func String() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "0.0.0+" + s.Value[:12]
			}
		}
	}
	return "0.0.0"
}
