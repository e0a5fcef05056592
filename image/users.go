package image

// Users is what uses an image.
type Users struct {
	Opens     int       // files that are open through the mount
	Processes []Process // that have them open, as far as they are known
	Downloads int       // under way
	Clones    []string
	Pins      []Pin
}

// A Process is one of the server's machine.
type Process struct {
	PID     int
	Command string // "" for one of which no more than its number is known
	Unit    string // of systemd, "" for none
	Guest   string // its domain in libvirt, "" for none
}
