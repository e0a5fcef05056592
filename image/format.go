package image

import (
	"fmt"
	"regexp"
	"slices"
)

// DiskFormats and ContainerFormats are the values of the API.
var (
	DiskFormats      = []string{"ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"}
	ContainerFormats = []string{"ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"}
)

// Formats are what images may be declared to be. Lists that are empty stand for those of the API.
type Formats struct {
	Disk, Container []string
}

// Disks returns the disk formats.
func (f Formats) Disks() []string {
	if len(f.Disk) == 0 {
		return DiskFormats
	}
	return f.Disk
}

// Containers returns the container formats.
func (f Formats) Containers() []string {
	if len(f.Container) == 0 {
		return ContainerFormats
	}
	return f.Container
}

// formatName is what the databases of other installations hold, and what may be the end of a file's name.
var formatName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,19}$`)

// CheckFormats reports a list that is empty, or has something in it that is no name of a format or stands there twice.
func CheckFormats(names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("name at least one format")
	}
	for i, name := range names {
		if !formatName.MatchString(name) {
			return fmt.Errorf("%q is no name of a format: that is up to 20 lower-case letters, digits, - and _", name)
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("%q stands there twice", name)
		}
	}
	return nil
}
