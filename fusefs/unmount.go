package fusefs

import (
	"fmt"

	"github.com/vitrine-image/vitrine/internal/fusemount"
)

// unmount takes the mount out of the tree; busy tells that files are open, so that the kernel keeps on asking.
func (m *Mount) unmount() (busy bool, err error) {
	top, found, err := fusemount.Top(m.cfg.Path, m.mountOptions().Type())
	if err != nil || !found || top.Minor != m.device {
		return false, err // unmounted already
	}
	if err := fusemount.Release(m.cfg.Path, false); err == nil {
		return false, nil
	}
	if err := fusemount.Release(m.cfg.Path, true); err != nil {
		return false, fmt.Errorf("unmount %s: %w", m.cfg.Path, err)
	}
	return true, nil
}
