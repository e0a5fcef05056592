package main

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
)

func cacheCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "See and fill a server's cache of images, as an administrator",
		Long: "A server whose stores are far away may keep copies of images near. Vitrine has no such cache: it answers that there is none.\n" +
			"Glance has one where image_cache_dir is configured.",
	}
	cmd.AddCommand(cacheListCommand(a), cacheClearCommand(a),
		cacheImagesCommand(a, "queue", "Have a server bring images into its cache", (*client.Client).QueueForCache),
		cacheImagesCommand(a, "remove", "Take images out of a server's cache, and off its queue", (*client.Client).RemoveFromCache))
	return cmd
}

func cacheListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List what is in the cache, and what waits to get into it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := a.client()
			if err != nil {
				return err
			}
			cache, err := conn.Cache(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return writeJSON(cmd.OutOrStdout(), cache)
			}
			return printCache(cmd.OutOrStdout(), cache)
		},
	}
}

func printCache(w io.Writer, cache wire.Cache) error {
	rows := [][]string{{"IMAGE", "STATE", "SIZE", "HITS", "USED"}}
	for _, c := range cache.Cached {
		used := time.Unix(int64(c.LastAccessed), 0).UTC().Format(time.DateTime)
		rows = append(rows, []string{printable(string(c.ID)), "cached", bytesText(c.Size), strconv.FormatInt(c.Hits, 10), used})
	}
	for _, id := range cache.Queued {
		rows = append(rows, []string{printable(string(id)), "queued", "-", "-", "-"})
	}
	return writeTable(w, rows)
}

func cacheImagesCommand(a *app, verb, short string, do func(*client.Client, context.Context, image.ID) error) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " IMAGE...",
		Short:             short,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeImages(-1),
		RunE: func(cmd *cobra.Command, refs []string) error {
			for _, ref := range refs {
				img, err := a.find(cmd.Context(), ref)
				if err != nil {
					return err
				}
				if err := do(a.conn, cmd.Context(), img.ID); err != nil {
					return onImage(ref, err)
				}
			}
			return nil
		},
	}
}

func cacheClearCommand(a *app) *cobra.Command {
	var cached, queued bool
	cmd := &cobra.Command{
		Use:   "clear",
		Short: "Empty the cache and its queue",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := a.client()
			if err != nil {
				return err
			}
			target := client.WholeCache
			switch {
			case cached && !queued:
				target = client.CachedImages
			case queued && !cached:
				target = client.QueuedImages
			}
			return conn.ClearCache(cmd.Context(), target)
		},
	}
	cmd.Flags().BoolVar(&cached, "cached", false, "only what is in the cache")
	cmd.Flags().BoolVar(&queued, "queued", false, "only what waits to get into it")
	return cmd
}
