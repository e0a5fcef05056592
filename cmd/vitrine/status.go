package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
)

// A status is what status shows.
type status struct {
	Endpoint string         `json:"endpoint"`
	Ready    bool           `json:"ready"`
	Reason   string         `json:"reason,omitempty"` // why it is not ready
	Versions []wire.Version `json:"versions"`
	Stores   []client.Store `json:"stores"` // empty when there is but one
}

func statusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show whether the server is ready, its versions of the API and its stores",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := a.client()
			if err != nil {
				return err
			}
			s := status{Endpoint: conn.Endpoint()}
			if s.Versions, err = conn.Versions(cmd.Context()); err != nil {
				return err
			}
			notReady := conn.Health(cmd.Context())
			if s.Ready = notReady == nil; !s.Ready {
				s.Reason = notReady.Error()
			} else if s.Stores, err = conn.Stores(cmd.Context()); err != nil && (a.known || !errors.Is(err, image.ErrUnauthorized)) {
				return err // stores are nothing for who does not say who he is
			}
			if err := a.writeStatus(cmd.OutOrStdout(), s); err != nil {
				return err
			}
			return notReady
		},
	}
}

func (a *app) writeStatus(w io.Writer, s status) error {
	if a.json {
		if s.Stores == nil {
			s.Stores = []client.Store{}
		}
		return writeJSON(w, s)
	}
	state := "ready"
	if !s.Ready {
		state = "not ready: " + s.Reason
	}
	rows := [][]string{{"server", s.Endpoint}, {"state", printable(state)}, {"API", printable(versionsText(s.Versions))}}
	for _, store := range s.Stores {
		text := store.ID
		if store.Default {
			text += " (default)"
		}
		if store.ReadOnly {
			text += " (takes no new data)"
		}
		if store.Description != "" {
			text += ": " + store.Description
		}
		rows = append(rows, []string{"store", printable(text)})
	}
	return writeTable(w, rows)
}

// versionsText names the current version and the oldest one.
func versionsText(versions []wire.Version) string {
	current, oldest := versions[0].ID, versions[len(versions)-1].ID
	for _, v := range versions {
		if strings.EqualFold(v.Status, "CURRENT") {
			current = v.ID
		}
	}
	return fmt.Sprintf("%s (and older ones down to %s)", current, oldest)
}
