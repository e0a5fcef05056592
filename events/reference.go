package events

import (
	"fmt"
	"strings"
)

// A field is a key of a payload.
type field struct {
	key     string
	meaning string
}

// A payload is what several events carry.
type payload struct {
	name   string // as in Definition
	fields []field
}

var (
	imageFields = []field{
		{"id", "of the image"}, {"name", "null for none"}, {"status", "of the image, after the act"},
		{"created_at", "time"}, {"updated_at", "time"},
		{"min_disk", "GiB"}, {"min_ram", "MiB"}, {"protected", "whether it refuses to be deleted"},
		{"checksum", "MD5, null while there is none"}, {"owner", "project id, null for nobody"},
		{"disk_format", "null for none"}, {"container_format", "null for none"},
		{"size", "bytes stored, null while it is not known"}, {"virtual_size", "bytes that a guest sees, null while it is not known"},
		{"is_public", "whether the visibility is public"}, {"visibility", "public, community, shared or private"},
		{"properties", "an object of texts: the image's custom properties"}, {"tags", "an array"},
	}
	deletionFields  = []field{{"deleted", "true in the event of the deletion"}, {"deleted_at", "time, null before the deletion"}}
	timeFields      = []field{{"created_at", "time"}, {"updated_at", "time"}}
	namespaceFields = []field{{"namespace", "its name"}, {"name", "new name"}, {"name_old", "before a renaming, or the same"}}
	schemaFields    = []field{
		{"type", "of the values"}, {"title", ""}, {"description", ""}, {"default", ""}, {"minimum", ""}, {"maximum", ""}, {"enum", ""},
		{"pattern", ""}, {"minLength", ""}, {"maxLength", ""}, {"confidential", ""}, {"items", ""}, {"uniqueItems", ""},
		{"minItems", ""}, {"maxItems", ""}, {"additionalItems", ""},
	}
)

func join(groups ...[]field) (list []field) {
	for _, g := range groups {
		list = append(list, g...)
	}
	return list
}

var payloads = []payload{
	{"image", join(imageFields, deletionFields)},
	{"image data", join(imageFields, deletionFields, []field{
		{"os_glance_importing_to_stores", "an array: stores that an import has still to reach"},
		{"os_glance_failed_import", "an array: stores that it failed for"},
		{"backend", "the store"},
	})},
	{"send", []field{{"bytes_sent", ""}, {"image_id", ""}, {"destination_ip", "of the client, null when it has none"},
		{"owner_id", "the image's project, null for nobody"}, {"receiver_tenant_id", "the caller's project, null for none"},
		{"receiver_user_id", "the caller, null for none"}}},
	{"member", join([]field{{"image_id", ""}, {"member_id", "the project"}, {"status", "pending, accepted or rejected"}}, timeFields, deletionFields)},
	{"task", join([]field{{"id", "of the task"}, {"type", ""}, {"status", "pending, processing, success or failure"},
		{"result", "always null"}, {"owner", "project id"}, {"message", "always null"}, {"expires_at", "time, null before the task's end"}}, timeFields, deletionFields)},
	{"namespace", join([]field{{"namespace", "its name"}, {"namespace_old", "before a renaming, or the same"}, {"display_name", "null for none"},
		{"protected", ""}, {"visibility", "public or private"}, {"owner", "project id, null for nobody"}, {"description", "null for none"}}, timeFields, deletionFields)},
	{"object", join(namespaceFields, []field{{"properties", "an array of objects: `name`, and the keys of a property's schema as below"},
		{"required", "an array of names of properties"}, {"description", "null for none"}}, timeFields, deletionFields)},
	{"property", join(namespaceFields, schemaFields, deletionFields)},
	{"tag", join(namespaceFields, timeFields, deletionFields)},
	{"resource type", join(namespaceFields, []field{{"prefix", "of the properties' names, null for none"}, {"properties_target", "null for none"}}, timeFields, deletionFields)},
}

// Reference returns the page docs/reference/events.md.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("\n| event | payload | when |\n|---|---|---|\n")
	for _, d := range definitions {
		when := d.When
		if d.Failure != "" {
			when += "; `" + string(ErrorPriority) + "` when " + d.Failure
		}
		fmt.Fprintf(&b, "| `%s` | [%s](#%s) | %s |\n", d.Name, d.Payload, strings.ReplaceAll(d.Payload, " ", "-"), when)
	}
	b.WriteString(referencePayloads)
	for _, p := range payloads {
		fmt.Fprintf(&b, "\n### %s\n\n| key | |\n|---|---|\n", p.name)
		for _, f := range p.fields {
			fmt.Fprintf(&b, "| `%s` | %s |\n", f.key, f.meaning)
		}
	}
	b.WriteString(referenceAudit)
	return b.String()
}

const referenceHead = `# Events

The names and payloads are Glance's, the envelope is that of oslo.messaging, so that programs that read Glance's
notifications can read these. [How to use them](../howto/events.md) is a page of its own. This one is written from the
tables in the program by ` + "`go test ./events -run TestReference -update`" + `; do not edit.

An event is a JSON object, one line in the event log and the body of one webhook:

| key | |
|---|---|
| ` + "`sequence`" + ` | a number that grows by one with each event; one that is left out was lost |
| ` + "`message_id`" + ` | UUID of the event |
| ` + "`publisher_id`" + ` | who tells: ` + "`image.`" + ` and the name of the host, unless configured otherwise |
| ` + "`event_type`" + ` | one of the names below |
| ` + "`priority`" + ` | ` + "`INFO` or `ERROR`" + ` |
| ` + "`timestamp`" + ` | when it happened: ` + "`2026-11-21 13:50:00.000000`" + `, UTC |
| ` + "`request_id`" + ` | of the request that caused it, empty when none did |
| ` + "`payload`" + ` | what happened to what |

` + "`sequence` and `request_id`" + ` are not in Glance's notifications. The numbers go on after a restart; after a crash some of the last may
be used again, with another ` + "`message_id`" + `.

## Names
`

const referencePayloads = `
## Payloads

Times are written ` + "`2026-11-21T13:50:00Z`" + `. Locations are never told. Passwords in URLs, and the values of properties whose
names speak of a password, a secret, a token, a credential or a private key, are replaced by ` + "`redacted`" + `. Property
protections do not apply: who reads the log sees all properties.
`

const referenceAudit = `
## The audit log

A file of its own, one JSON object a line:

| key | |
|---|---|
| ` + "`time`" + ` | ` + "`2026-11-21T13:50:00.000000Z`" + ` |
| ` + "`request_id`" + ` | the same as in the answer's header and in the daemon's log |
| ` + "`source`" + ` | the client's address, null when it has none (a unix socket) |
| ` + "`user_id`, `project_id`, `domain_id`" + ` | of the caller, null for none |
| ` + "`roles`, `service_roles`" + ` | arrays |
| ` + "`anonymous`" + ` | true for callers without credentials |
| ` + "`auth`" + ` | how the caller was recognised, null when nobody said |
| ` + "`action`" + ` | create, change, delete, upload, stage, import, download, share, answer, unshare, deactivate, reactivate, add_location, show_locations, delete_from_store, clone, pin, unpin; show, only when it was refused |
| ` + "`object`, `id`" + ` | what it was done to: an image, a task, a metadef_namespace (or what is in it), the cache, the stores; the id is null for a list, and for a task that was not created |
| ` + "`member`" + ` | the project that an image is or was shared with |
| ` + "`volume`" + ` | pool and name of a clone |
| ` + "`guest`" + ` | the guest that an image is or was pinned for |
| ` + "`changes`" + ` | what was or would have been changed: an array of ` + "`field`" + `, and for name, owner, visibility and protected of an image ` + "`old` and `new`" + `; of what is in a namespace its kind and name |
| ` + "`bytes`" + ` | of data that went in or out |
| ` + "`outcome`" + ` | done, refused (the caller may not do it), failed |
| ` + "`reason`" + ` | why not, as the caller was told |

` + "`member`, `volume`, `guest`, `changes`, `bytes` and `reason`" + ` are left out where there is nothing to say. A line with the action ` + "`resume`" + ` and the
object ` + "`audit_log`" + ` says how many records are ` + "`missed`" + ` before it: the file could not be written, and they are in the daemon's
log.
`
