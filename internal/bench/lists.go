package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// sortKeys are those of the API.
var sortKeys = []string{"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"}

func prepareLists(ctx context.Context, b *bench, dir string) ([]row, error) {
	const few = 1000
	servers := map[int]*server{}
	for _, n := range []int{few, b.images} {
		seeded, err := b.seeded(ctx, n)
		if err != nil {
			return nil, err
		}
		if servers[n], err = b.daemon(ctx, seeded, false, ""); err != nil {
			return nil, err
		}
	}
	small, large := fmt.Sprintf("%d images", few), fmt.Sprintf("%d images", b.images)
	var rows []row
	compare := func(name, query string, compared bool, atMost float64) {
		r := row{name: name, unit: "ms", contestants: []contestant{{large, latency(servers[b.images].url + "/v2/images?limit=100" + query)}}}
		if compared {
			r.contestants = append(r.contestants, contestant{small, latency(servers[few].url + "/v2/images?limit=100" + query)})
			r.targets = append(r.targets, target{of: large, to: small, ratio: 1.3, atMost: true})
		} else {
			r.targets = append(r.targets, target{of: large, figure: 1, ratio: atMost, atMost: true, because: "1 ms"})
		}
		rows = append(rows, r)
	}
	compare("first page", "", true, 0)
	for _, key := range sortKeys {
		compare("first page by "+key, "&sort_key="+key, true, 0)
	}
	compare("first page of a common tag", "&tag=common", true, 0)
	compare("first page of a common property", "&os_distro=debian", true, 0)
	for _, key := range []string{"created_at", "size"} {
		marker, err := servers[b.images].middle(ctx, key, b.images)
		if err != nil {
			return nil, err
		}
		compare("a page in the middle by "+key, "&sort_key="+key+"&marker="+marker, false, 5)
	}
	compare("tag of 10 images", "&tag=rare-7", false, 5)
	compare("tag of 10,000 images", "&tag=spread-7", false, 5)
	compare("property of one image", "&build=777", false, 5)
	compare("name of one image", "&name=image-0000777", false, 5)
	compare("tag of 10,000 images by size", "&tag=spread-7&sort_key=size", false, 50)
	return rows, nil
}

// middle returns the id of an image far from both ends of a list.
func (s *server) middle(ctx context.Context, key string, images int) (string, error) {
	query := "/v2/images?limit=1&sort_key=" + key
	switch key {
	case "size":
		query += fmt.Sprintf("&size_min=%d", int64(32<<30))
	default:
		query = fmt.Sprintf("/v2/images?limit=1&name=image-%07d", images/2)
	}
	answer, err := s.call(ctx, http.MethodGet, query+"&sort_dir=asc", nil, http.StatusOK)
	if err != nil {
		return "", err
	}
	var list struct{ Images []struct{ ID string } }
	if err := json.Unmarshal(answer, &list); err != nil || len(list.Images) != 1 {
		return "", fmt.Errorf("%s gave %d images (%w)", query, len(list.Images), err)
	}
	return list.Images[0].ID, nil
}
