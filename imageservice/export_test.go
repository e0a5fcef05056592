package imageservice

import "github.com/vitrine-image/vitrine/image"

// Cloning returns how many clone an image, remove its data, or wait for their turn.
func (s *Service) Cloning(id image.ID) int {
	s.cloning.mu.Lock()
	defer s.cloning.mu.Unlock()
	if t := s.cloning.images[id]; t != nil {
		return t.users
	}
	return 0
}
