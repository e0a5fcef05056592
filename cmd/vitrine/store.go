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
	cmd.Flags().BoolVar(&detail, "detail", false, "show how they are configured and what space they have, too, to administrators")
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
	rows := [][]string{{"ID", "DEFAULT", "WRITABLE", "DESCRIPTION", "TYPE", "WEIGHT", "FREE", "TOTAL", "PROPERTIES"}}
	for _, s := range stores {
		var properties []string
		for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
			value := s.Properties[key]
			if n, ok := value.(float64); ok {
				value = int64(n)
			}
			if key != "free" && key != "total" {
				properties = append(properties, fmt.Sprintf("%s=%v", key, value))
			}
		}
		rows = append(rows, append(storeRow(s.Store), printable(s.Type), strconv.Itoa(s.Weight), spaceText(s, "free"), spaceText(s, "total"),
			printable(strings.Join(properties, " "))))
	}
	return a.writeStoreTable(cmd, rows)
}

// spaceText writes a number of bytes among the properties, if the server knows it.
func spaceText(s wire.StoreDetail, key string) string {
	if n, ok := s.Properties[key].(float64); ok {
		return bytesText(int64(n))
	}
	return "-"
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
