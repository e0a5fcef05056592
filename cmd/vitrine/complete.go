package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
)

// completeWords completes a flag's value from a list.
func completeWords(cmd *cobra.Command, flag string, words ...string) {
	cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// Completion must not keep a person waiting who pressed a key.
const (
	completionTime   = 2 * time.Second
	completionImages = 200
)

// completeFrom completes with what the server says.
func (a *app) completeFrom(cmd *cobra.Command, ask func(context.Context, *client.Client) ([]cobra.Completion, error)) ([]cobra.Completion, cobra.ShellCompDirective) {
	conn, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	words, err := ask(ctx, conn)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completeImages completes up to n arguments (any number when n is below 0) with the names of the newest images, or with
// their ids where the name is missing or not unique.
func (a *app) completeImages(n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if n >= 0 && len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.completeFrom(cmd, func(ctx context.Context, conn *client.Client) ([]cobra.Completion, error) {
			images, _, err := conn.Page(ctx, image.Query{Limit: completionImages})
			if err != nil {
				return nil, err
			}
			named := make(map[string]int)
			for _, img := range images {
				named[nameOf(img)]++
			}
			var words []cobra.Completion
			for _, img := range images {
				word, about := nameOf(img), string(img.Status)
				if img.Name == nil || named[word] > 1 || printable(word) != word || word == "" {
					word, about = string(img.ID), printable(word)+", "+about
				}
				if strings.HasPrefix(word, begun) && !slices.Contains(args, word) {
					words = append(words, cobra.CompletionWithDesc(word, about))
				}
			}
			return words, nil
		})
	}
}

func (a *app) completeStores(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeFrom(cmd, func(ctx context.Context, conn *client.Client) ([]cobra.Completion, error) {
		stores, err := conn.Stores(ctx)
		var words []cobra.Completion
		for _, s := range stores {
			words = append(words, cobra.CompletionWithDesc(s.ID, s.Description))
		}
		return words, err
	})
}
