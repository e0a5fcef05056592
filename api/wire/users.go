package wire

import (
	"encoding/json"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
)

// Users is the document of what uses an image.
type Users struct {
	Opens     int       `json:"opens"`
	Processes []Process `json:"processes"`
	Downloads int       `json:"downloads"`
	Clones    []string  `json:"clones"`
	Pins      []Pin     `json:"pins"`
}

// A Process is the document of one that has an image open.
type Process struct {
	PID     int    `json:"pid"`
	Command string `json:"command,omitempty"`
	Unit    string `json:"unit,omitempty"`
	Guest   string `json:"guest,omitempty"`
}

// UsersOf returns the document, whose lists are never null.
func UsersOf(u image.Users) Users {
	doc := Users{Opens: u.Opens, Processes: make([]Process, len(u.Processes)), Downloads: u.Downloads,
		Clones: append([]string{}, u.Clones...), Pins: PinsOf(u.Pins).Pins}
	for i, p := range u.Processes {
		doc.Processes[i] = Process(p)
	}
	return doc
}

// ParseUsers reads the document.
func ParseUsers(data []byte) (u image.Users, err error) {
	var doc Users
	if err := json.Unmarshal(data, &doc); err != nil {
		return u, fmt.Errorf("parse users: %w", err)
	}
	u = image.Users{Opens: doc.Opens, Downloads: doc.Downloads, Clones: doc.Clones}
	for _, p := range doc.Processes {
		u.Processes = append(u.Processes, image.Process(p))
	}
	u.Pins, err = Pins{doc.Pins}.pins()
	return u, err
}
