package events

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// An Event is something that happened, ready to be told: it shares nothing with what it was made from. The functions
// named For... make events.
type Event struct {
	Name     Name
	Priority Priority
	At       time.Time
	payload  any
}

// timeLayout is how payloads write times, in UTC.
const timeLayout = "2006-01-02T15:04:05Z"

func timeText(t time.Time) string { return t.UTC().Format(timeLayout) }

// nullable returns nil, JSON's null, for an empty text.
func nullable[T ~string](s T) *T {
	if s == "" {
		return nil
	}
	return &s
}

// deletion ends the payloads of everything that can be deleted.
type deletion struct {
	Deleted   bool    `json:"deleted"`
	DeletedAt *string `json:"deleted_at"`
}

// deletedBy is what an event of that name says of the deletion.
func deletedBy(name Name, at time.Time) deletion {
	if !strings.HasSuffix(string(name), ".delete") {
		return deletion{}
	}
	text := timeText(at)
	return deletion{true, &text}
}

type imagePayload struct {
	ID              image.ID          `json:"id"`
	Name            *string           `json:"name"`
	Status          image.Status      `json:"status"`
	CreatedAt       string            `json:"created_at"`
	UpdatedAt       string            `json:"updated_at"`
	MinDisk         int64             `json:"min_disk"`
	MinRAM          int64             `json:"min_ram"`
	Protected       bool              `json:"protected"`
	Checksum        *string           `json:"checksum"`
	Owner           *string           `json:"owner"`
	DiskFormat      *string           `json:"disk_format"`
	ContainerFormat *string           `json:"container_format"`
	Size            *int64            `json:"size"`
	VirtualSize     *int64            `json:"virtual_size"`
	IsPublic        bool              `json:"is_public"`
	Visibility      image.Visibility  `json:"visibility"`
	Properties      map[string]string `json:"properties"`
	Tags            []string          `json:"tags"`
	deletion
	*importLists
	Backend string `json:"backend,omitempty"`
}

// importLists are the stores of an import that is under way.
type importLists struct {
	Importing []string `json:"os_glance_importing_to_stores"`
	Failed    []string `json:"os_glance_failed_import"`
}

// describe returns the payload of an image. Locations are not part of it: they may carry credentials.
func describe(name Name, img *image.Image, at time.Time) *imagePayload {
	c := img.Clone()
	return &imagePayload{ID: c.ID, Name: c.Name, Status: c.Status, CreatedAt: timeText(c.CreatedAt), UpdatedAt: timeText(c.UpdatedAt),
		MinDisk: c.MinDisk, MinRAM: c.MinRAM, Protected: c.Protected, Checksum: nullable(c.Checksum), Owner: nullable(c.Owner),
		DiskFormat: nullable(c.DiskFormat), ContainerFormat: nullable(c.ContainerFormat), Size: c.Size, VirtualSize: c.VirtualSize,
		IsPublic: c.Visibility == image.Public, Visibility: c.Visibility, Properties: redactProperties(c.Properties),
		Tags: append([]string{}, c.Tags...), deletion: deletedBy(name, at)}
}

// ForImage tells of an image as it is after the act: ImageCreate, ImageUpdate, ImageActivate, ImageDelete.
func ForImage(name Name, img *image.Image, at time.Time) Event {
	return Event{name, InfoPriority, at, describe(name, img, at)}
}

// ForData tells of data that comes in (ImagePrepare) or is stored (ImageUpload). The store is "" where nobody chose one.
func ForData(name Name, img *image.Image, store string, at time.Time) Event {
	p := describe(name, img, at)
	p.importLists = &importLists{storesIn(img, "os_glance_importing_to_stores"), storesIn(img, "os_glance_failed_import")}
	p.Backend = store
	return Event{name, InfoPriority, at, p}
}

// storesIn reads a property that lists stores.
func storesIn(img *image.Image, property string) []string {
	return slices.DeleteFunc(strings.Split(img.Properties[property], ","), func(store string) bool { return store == "" })
}

// ForFailedUpload tells that data was not taken. Of the error it says what the user is told.
func ForFailedUpload(id image.ID, err error, at time.Time) Event {
	return Event{ImageUpload, ErrorPriority, at, "Failed to upload the data of image " + string(id) + ": " + reason(err)}
}

type sendPayload struct {
	BytesSent      int64    `json:"bytes_sent"`
	ImageID        image.ID `json:"image_id"`
	DestinationIP  *string  `json:"destination_ip"`
	OwnerID        *string  `json:"owner_id"`
	ReceiverTenant *string  `json:"receiver_tenant_id"`
	ReceiverUser   *string  `json:"receiver_user_id"`
}

// ForSend tells that sent bytes of the image went to the caller, who wanted so many; fewer make it an ErrorPriority.
// An invalid destination is not known.
func ForSend(img *image.Image, caller image.Caller, destination netip.Addr, sent, wanted int64, at time.Time) Event {
	p := &sendPayload{sent, img.ID, nil, nullable(img.Owner), nullable(caller.ProjectID), nullable(caller.UserID)}
	if destination.IsValid() {
		p.DestinationIP = nullable(destination.Unmap().String())
	}
	priority := InfoPriority
	if sent != wanted {
		priority = ErrorPriority
	}
	return Event{ImageSend, priority, at, p}
}

type memberPayload struct {
	ImageID   image.ID `json:"image_id"`
	MemberID  string   `json:"member_id"`
	Status    string   `json:"status"`
	CreatedAt string   `json:"created_at"`
	UpdatedAt string   `json:"updated_at"`
	deletion
}

// ForMember tells of a project that an image is shared with.
func ForMember(name Name, m image.Member, at time.Time) Event {
	return Event{name, InfoPriority, at, &memberPayload{m.ImageID, m.Project, m.Status, timeText(m.CreatedAt), timeText(m.UpdatedAt), deletedBy(name, at)}}
}

type taskPayload struct {
	ID        image.ID         `json:"id"`
	Type      image.TaskType   `json:"type"`
	Status    image.TaskStatus `json:"status"`
	Result    *string          `json:"result"`
	Owner     string           `json:"owner"`
	Message   *string          `json:"message"`
	ExpiresAt *string          `json:"expires_at"`
	CreatedAt string           `json:"created_at"`
	UpdatedAt string           `json:"updated_at"`
	deletion
}

// ForTask tells of a task. Input, result and message are not told, since they may carry secrets; result and message are
// always null, as consumers know them.
func ForTask(name Name, t *image.Task, at time.Time) Event {
	p := &taskPayload{ID: t.ID, Type: t.Type, Status: t.Status, Owner: t.Owner,
		CreatedAt: timeText(t.CreatedAt), UpdatedAt: timeText(t.UpdatedAt), deletion: deletedBy(name, at)}
	if t.ExpiresAt != nil {
		p.ExpiresAt = nullable(timeText(*t.ExpiresAt))
	}
	return Event{name, InfoPriority, at, p}
}
