package wire

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/vitrine-image/vitrine/image"
)

// A Store is what everybody may know of a store. The flags are texts, and only there when they are true.
type Store struct {
	ID          string `json:"id"`
	Description string `json:"description,omitempty"`
	Default     bool   `json:"default,string,omitempty"`
	ReadOnly    bool   `json:"read-only,string,omitempty"`
}

// A StoreDetail is what an operator may know besides.
type StoreDetail struct {
	Store
	Type       string         `json:"type"`
	Weight     int            `json:"weight"`
	Properties map[string]any `json:"properties"`
}

// Stores is the document of all stores.
type Stores struct {
	Stores []Store `json:"stores"`
}

// StoreDetails is the document of all stores with their details.
type StoreDetails struct {
	Stores []StoreDetail `json:"stores"`
}

// ImportInfo is the document that tells how images can be imported.
type ImportInfo struct {
	ImportMethods ImportMethods `json:"import-methods"`
}

// ImportMethods are the methods that are enabled.
type ImportMethods struct {
	Description string   `json:"description"`
	Type        string   `json:"type"`
	Value       []string `json:"value"`
}

// ImportInfoOf returns the document of the methods.
func ImportInfoOf(methods []string) ImportInfo {
	return ImportInfo{ImportMethods{Description: "Import methods available.", Type: "array", Value: append([]string{}, methods...)}}
}

// A Usage is the document of what a project uses of what it has limits for.
type Usage struct {
	Usage map[string]Use `json:"usage"`
}

// A Use is what is used of one resource. The limit is -1 if there is none.
type Use struct {
	Usage int64 `json:"usage"`
	Limit int64 `json:"limit"`
}

// UsageOf returns the document of the quotas.
func UsageOf(quotas []image.Quota) Usage {
	doc := Usage{Usage: make(map[string]Use)}
	for _, q := range quotas {
		doc.Usage[q.Resource] = Use{Usage: q.Used, Limit: max(q.Limit, -1)}
	}
	return doc
}

// ParseUsage reads the document, the resources in the order of their names.
func ParseUsage(data []byte) ([]image.Quota, error) {
	var doc Usage
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("parse a usage: %w", err)
	}
	var quotas []image.Quota
	for name, use := range maps.All(doc.Usage) {
		quotas = append(quotas, image.Quota{Resource: name, Used: use.Usage, Limit: use.Limit})
	}
	slices.SortFunc(quotas, func(a, b image.Quota) int { return cmp.Compare(a.Resource, b.Resource) })
	return quotas, nil
}
