package servicetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// pins keeps an image for guests until the last one needs it no longer.
func pins(t *testing.T, as func(image.Caller) Sharing) {
	id := shared(t, as)
	owner := as(Owner)
	const slashed = "qemu:///system / web?"
	first, err := owner.Pin(t.Context(), id, "web-1")
	if err != nil || first.Guest != "web-1" || first.CreatedAt.IsZero() {
		t.Fatalf("Pin = %+v, %v", first, err)
	}
	if again, err := owner.Pin(t.Context(), id, "web-1"); err != nil || !again.CreatedAt.Equal(first.CreatedAt) {
		t.Errorf("pinning again = %+v, %v, want what it was, %+v", again, err, first)
	}
	if _, err := owner.Pin(t.Context(), id, slashed); err != nil {
		t.Fatal(err)
	}
	listed, err := owner.Pins(t.Context(), id)
	if names := guests(listed); err != nil || !slices.Equal(names, []string{slashed, "web-1"}) {
		t.Errorf("Pins = %q, %v", names, err)
	}
	for _, guest := range []string{slashed, "web-1"} {
		err := owner.Delete(t.Context(), id)
		if !errors.Is(err, image.ErrInUse) || !strings.Contains(err.Error(), "pinned for "+guest) {
			t.Errorf("deleting an image that is pinned for %s: %v", guest, err)
		}
		if err := owner.Unpin(t.Context(), id, guest); err != nil {
			t.Errorf("Unpin = %v", err)
		}
	}
	wantErr(t, "unpinning again", owner.Unpin(t.Context(), id, "web-1"), image.ErrNotFound)
	if listed, err := owner.Pins(t.Context(), id); err != nil || len(listed) > 0 {
		t.Errorf("Pins of an image without any = %+v, %v", listed, err)
	}
	if err := owner.Delete(t.Context(), id); err != nil {
		t.Errorf("deleting an image that is pinned no longer: %v", err)
	}
	_, err = owner.Pin(t.Context(), id, "web-1")
	wantErr(t, "pinning a deleted image", err, image.ErrNotFound)
	for _, guest := range []string{"", ".", "..", "a\nb", strings.Repeat("x", 256)} {
		_, err := owner.Pin(t.Context(), id, guest)
		wantErr(t, fmt.Sprintf("pinning for %.5q", guest), err, image.ErrInvalid)
	}
}

func guests(pins []image.Pin) (names []string) {
	for _, p := range pins {
		names = append(names, p.Guest)
	}
	return names
}

// pinsOfOthers has everybody try: who cannot delete an image cannot keep its owner from it either.
func pinsOfOthers(t *testing.T, as func(image.Caller) Sharing) {
	id := shared(t, as)
	for caller, want := range map[*image.Caller]error{&Admin: nil, &Owner: nil, &Member: image.ErrForbidden, &Other: image.ErrNotFound} {
		s := as(*caller)
		_, pin := s.Pin(t.Context(), id, "web-1")
		_, list := s.Pins(t.Context(), id)
		for what, err := range map[string]error{"Pin": pin, "Pins": list, "Unpin": s.Unpin(t.Context(), id, "web-1")} {
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%s by %s: %v, want %v", what, caller.ProjectID, err, want)
			}
		}
	}
}

// pinsAreBounded fills an image up, whose refusal to be deleted names the first guests only.
func pinsAreBounded(t *testing.T, as func(image.Caller) Sharing) {
	id := shared(t, as)
	for i := range image.MaxPins {
		if _, err := as(Owner).Pin(t.Context(), id, fmt.Sprintf("guest-%04d", i)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := as(Owner).Pin(t.Context(), id, "one too many")
	wantErr(t, "one pin too many", err, image.ErrTooLarge)
	if _, err := as(Owner).Pin(t.Context(), id, "guest-0000"); err != nil {
		t.Errorf("pinning again when there is no room: %v", err)
	}
	err = as(Owner).Delete(t.Context(), id)
	if err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf("pinned for guest-0009, pinned for %d more", image.MaxPins-10)) {
		t.Errorf("deleting it: %v", err)
	}
}
