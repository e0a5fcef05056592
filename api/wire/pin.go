package wire

import (
	"encoding/json"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
)

// A Pin is the document of a guest that an image is pinned for.
type Pin struct {
	Guest     string `json:"guest"`
	CreatedAt string `json:"created_at"`
}

// Pins is the document of all pins of an image.
type Pins struct {
	Pins []Pin `json:"pins"`
}

// PinOf returns the document of a pin.
func PinOf(p image.Pin) Pin { return Pin{Guest: p.Guest, CreatedAt: formatTime(p.CreatedAt)} }

// PinsOf returns the document of several pins.
func PinsOf(pins []image.Pin) Pins {
	doc := Pins{Pins: make([]Pin, len(pins))}
	for i, p := range pins {
		doc.Pins[i] = PinOf(p)
	}
	return doc
}

// ParsePin reads the document of a pin.
func ParsePin(data []byte) (image.Pin, error) {
	var doc Pin
	if err := json.Unmarshal(data, &doc); err != nil {
		return image.Pin{}, fmt.Errorf("parse a pin: %w", err)
	}
	return doc.pin()
}

// ParsePins reads the document of several pins.
func ParsePins(data []byte) ([]image.Pin, error) {
	var doc Pins
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("parse a list of pins: %w", err)
	}
	return doc.pins()
}

func (doc Pins) pins() ([]image.Pin, error) {
	pins := make([]image.Pin, len(doc.Pins))
	for i, d := range doc.Pins {
		var err error
		if pins[i], err = d.pin(); err != nil {
			return nil, err
		}
	}
	return pins, nil
}

func (doc Pin) pin() (p image.Pin, err error) {
	p.Guest = doc.Guest
	p.CreatedAt, err = parseTime(doc.CreatedAt)
	return p, err
}
