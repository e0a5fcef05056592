package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
)

func storeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "See the stores that keep the data of images"}
	cmd.AddCommand(storeListCommand(a))
	return cmd
}

func storeListCommand(a *app) *cobra.Command {
	var detail bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the stores among which an upload can choose",
		Long:  "List the stores among which an upload or an import can choose. A server with a single store lists none.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := a.client(); err != nil {
				return err
			}
			if detail {
				return a.listStoreDetails(cmd)
			}
			return a.listStores(cmd)
		},
	}
	cmd.Flags().BoolVar(&detail, "detail", false, "show how they are configured, too, to administrators")
	return cmd
}

func (a *app) listStores(cmd *cobra.Command) error {
	stores, err := a.conn.Stores(cmd.Context())
	if err != nil {
		return err
	}
	if a.json {
		return writeJSON(cmd.OutOrStdout(), wire.Stores{Stores: append([]wire.Store{}, stores...)})
	}
	rows := [][]string{{"ID", "DEFAULT", "WRITABLE", "DESCRIPTION"}}
	for _, s := range stores {
		rows = append(rows, storeRow(s))
	}
	return a.writeStoreTable(cmd, rows)
}

func (a *app) listStoreDetails(cmd *cobra.Command) error {
	stores, err := a.conn.StoreDetails(cmd.Context())
	if err != nil {
		return err
	}
	if a.json {
		return writeJSON(cmd.OutOrStdout(), wire.StoreDetails{Stores: append([]wire.StoreDetail{}, stores...)})
	}
	rows := [][]string{{"ID", "DEFAULT", "WRITABLE", "DESCRIPTION", "TYPE", "WEIGHT", "PROPERTIES"}}
	for _, s := range stores {
		var properties []string
		for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
			properties = append(properties, fmt.Sprintf("%s=%v", key, s.Properties[key]))
		}
		rows = append(rows, append(storeRow(s.Store), printable(s.Type), strconv.Itoa(s.Weight), printable(strings.Join(properties, " "))))
	}
	return a.writeStoreTable(cmd, rows)
}

func storeRow(s wire.Store) []string {
	return []string{printable(s.ID), yesNo(s.Default), yesNo(!s.ReadOnly), printable(orDash(s.Description))}
}

// writeStoreTable says why there is nothing in a table without stores.
func (a *app) writeStoreTable(cmd *cobra.Command, rows [][]string) error {
	if len(rows) == 1 && !a.quiet {
		fmt.Fprintln(cmd.ErrOrStderr(), "The server has a single store.")
	}
	return writeTable(cmd.OutOrStdout(), rows)
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
