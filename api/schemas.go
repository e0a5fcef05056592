package api

import (
	"encoding/json"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// A document of a schema. Clients build their models from it, and their help from its descriptions.
type object = map[string]any

const uuidPattern = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"

// showSchema serves GET /v2/schemas/image and its like.
func (s *server) showSchema(w http.ResponseWriter, r *http.Request) error {
	path, _ := versionedPath(r) // the route matched, so there is a version
	writeJSON(w, http.StatusOK, s.schemas[path])
	return nil
}

// schemas returns the documents by path.
func schemas(multiStore bool, formats image.Formats) map[string][]byte {
	one := imageSchema(multiStore, formats)
	all := metadefSchemas()
	all[wire.ImageSchema] = marshal(one)
	all[wire.ImagesSchema] = marshal(listSchema("images", one))
	all[wire.MemberSchema] = marshal(memberSchema())
	all[wire.MembersSchema] = marshal(membersSchema())
	all[wire.TaskSchema] = marshal(taskSchema())
	all[wire.TasksSchema] = marshal(listSchema("tasks", taskSchema()))
	return all
}

func marshal(schema object) []byte {
	document, err := json.Marshal(schema)
	if err != nil {
		panic(err) // it is made of constants
	}
	return document
}

// listSchema describes the answer to a list.
func listSchema(name string, item object) object {
	text := object{"type": "string"}
	return object{
		"name": name,
		"properties": object{
			name:    object{"type": "array", "items": item},
			"first": text, "next": text, "schema": text,
		},
		"links": []object{
			{"rel": "first", "href": "{first}"},
			{"rel": "next", "href": "{next}"},
			{"rel": "describedby", "href": "{schema}"},
		},
	}
}

// imageSchema describes an image: base fields, the properties that everybody knows, and room for others. The glance
// command, without a token from Keystone, stumbles over a schema that has stores; so it has them only where there are.
func imageSchema(multiStore bool, formats image.Formats) object {
	properties := object{}
	if multiStore {
		properties["stores"] = readOnly(object{"type": "string"}, "Stores that have the data, separated by commas")
	}
	for name, schema := range baseSchema(formats) {
		properties[name] = schema
	}
	for name, schema := range wellKnownSchema() {
		schema["is_base"] = false
		properties[name] = schema
	}
	return object{
		"name":                 "image",
		"properties":           properties,
		"additionalProperties": object{"type": "string"},
		"links": []object{
			{"rel": "self", "href": "{self}"},
			{"rel": "enclosure", "href": "{file}"},
			{"rel": "describedby", "href": "{schema}"},
		},
	}
}

// nullable is the type of what may be absent.
func nullable(kind string) []string { return []string{"null", kind} }

func described(schema object, description string) object {
	schema["description"] = description
	return schema
}

// readOnly marks what only the server sets.
func readOnly(schema object, description string) object {
	schema["readOnly"] = true
	return described(schema, description)
}

// choice is a string out of a list, or null.
func choice(values []string) object {
	enum := []any{nil}
	for _, v := range values {
		enum = append(enum, v)
	}
	return object{"type": nullable("string"), "enum": enum}
}

func baseSchema(formats image.Formats) map[string]object {
	text := func(longest int) object { return object{"type": nullable("string"), "maxLength": longest} }
	plain := func() object { return object{"type": "string"} }
	return map[string]object{
		"id":               described(object{"type": "string", "pattern": uuidPattern}, "Identifier of the image, a UUID"),
		"name":             described(text(image.MaxNameLength), "Name of the image, for people"),
		"status":           readOnly(object{"type": "string", "enum": image.Statuses()}, "How far the image has come"),
		"visibility":       described(object{"type": "string", "enum": image.Visibilities()}, "Who may see the image"),
		"protected":        described(object{"type": "boolean"}, "Whether the image is safe from deletion"),
		"os_hidden":        described(object{"type": "boolean"}, "Whether lists leave the image out"),
		"owner":            described(text(image.MaxNameLength), "Project that owns the image"),
		"checksum":         readOnly(text(32), "MD5 of the data, in hex"),
		"os_hash_algo":     readOnly(text(64), "Algorithm of os_hash_value"),
		"os_hash_value":    readOnly(text(128), "Hash of the data by os_hash_algo, in hex"),
		"size":             readOnly(object{"type": nullable("integer")}, "Bytes of data"),
		"virtual_size":     readOnly(object{"type": nullable("integer")}, "Bytes of the disk that a guest sees"),
		"disk_format":      described(choice(formats.Disks()), "Format of the disk"),
		"container_format": described(choice(formats.Containers()), "Format of what the disk lies in"),
		"min_ram":          described(object{"type": "integer"}, "Memory needed to boot the image, in MB"),
		"min_disk":         described(object{"type": "integer"}, "Disk space needed to boot the image, in GB"),
		"tags": described(object{"type": "array", "items": object{"type": "string", "maxLength": image.MaxNameLength}},
			"Words by which the image can be found"),
		"created_at": readOnly(plain(), "When the image was registered"),
		"updated_at": readOnly(plain(), "When the image was changed last"),
		"self":       readOnly(plain(), "Path of the image"),
		"file":       readOnly(plain(), "Path of the image's data"),
		"schema":     readOnly(plain(), "Path of the image's schema"),
		"direct_url": readOnly(plain(), "URL of the data in its store"),
		"locations":  described(locationsSchema(), "URLs of the data in the stores"),
	}
}

func locationsSchema() object {
	return object{"type": "array", "items": object{
		"type":     "object",
		"required": []string{"url", "metadata"},
		"properties": object{
			"url":      object{"type": "string", "maxLength": 255},
			"metadata": object{"type": "object"},
			"validation_data": object{
				"type":                 "object",
				"writeOnly":            true,
				"required":             []string{"os_hash_algo", "os_hash_value"},
				"additionalProperties": false,
				"description":          "Sums that the data is known to have; only while the image is queued",
				"properties": object{
					"checksum":      object{"type": "string", "minLength": 32, "maxLength": 32},
					"os_hash_algo":  object{"type": "string", "maxLength": 64},
					"os_hash_value": object{"type": "string", "maxLength": 128},
				},
			},
		},
	}}
}

// wellKnownSchema describes properties that are no base fields, but mean the same everywhere.
func wellKnownSchema() map[string]object {
	plain := func(description string) object { return object{"type": "string", "description": description} }
	otherImage := func(description string) object {
		return object{"type": nullable("string"), "pattern": uuidPattern, "description": description}
	}
	return map[string]object{
		"kernel_id":                otherImage("Image of the kernel with which to boot this one"),
		"ramdisk_id":               otherImage("Image of the ramdisk with which to boot this one"),
		"instance_uuid":            plain("Server of which this image is a snapshot"),
		"architecture":             plain("Processor architecture that the guest needs"),
		"os_distro":                plain("Short name of the guest's distribution, in lower case"),
		"os_version":               plain("Version of the guest's distribution, in its own words"),
		"description":              plain("What the image is for"),
		"cinder_encryption_key_id": plain("Key in the key manager with which the data is encrypted"),
		"cinder_encryption_key_deletion_policy": {"type": "string", "enum": image.KeyPolicies,
			"description": "What becomes of the key when the image is deleted"},
	}
}
