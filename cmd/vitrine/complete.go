package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

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

// completeImages completes up to n arguments (any number when n is below 0) with the names of the newest images, or with
// their ids where the name is missing or not unique.
func (a *app) completeImages(n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if n >= 0 && len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		conn, err := a.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		images, _, err := conn.Page(ctx, image.Query{Limit: completionImages})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
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
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) completeStores(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	conn, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	stores, err := conn.Stores(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var words []cobra.Completion
	for _, s := range stores {
		words = append(words, cobra.CompletionWithDesc(s.ID, s.Description))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
