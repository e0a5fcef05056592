package imageservice

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// CreateTask makes an image and asks for its data from a URL, in one: the oldest way to import, which administrators have. The
// input names the URL in import_from, the disk format of what is there in import_from_format, and the fields of the image in
// image_properties. The data goes into the default store; if it does not get there, the image is deleted again.
// Errors: image.ErrForbidden, image.ErrInvalid for another type, for a wrong input, and for a URL that is refused; those of Create.
func (s *Session) CreateTask(ctx context.Context, kind image.TaskType, input map[string]any) (task *image.Task, err error) {
	act := &events.Act{Action: events.Create, Kind: events.TaskObject}
	defer s.record(ctx, act, &err)
	if err := s.mayUseTasks(ctx, policy.AddTask); err != nil {
		return nil, err
	}
	if kind != image.TaskImport {
		return nil, image.Errorf(image.ErrInvalid, "Tasks of the type %q cannot be created: the type must be %q", kind, image.TaskImport)
	}
	imp, fields, err := readImportInput(input)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(s.svc.imports.Methods, imp.Method) {
		return nil, image.Errorf(image.ErrInvalid, "This server fetches no URLs: the import method %s is not enabled.", imp.Method)
	}
	from, err := s.sourceOf(ctx, imp)
	if err != nil {
		return nil, err
	}
	id, edits, err := image.Creation(fields)
	if err != nil {
		return nil, err
	}
	made, quota, err := s.newImage(ctx, cmp.Or(id, image.NewID()), edits)
	if err != nil {
		return nil, err
	}
	stores, err := s.svc.storesFor(imp, made)
	if err != nil {
		return nil, err
	}
	check, err := s.signatureOf(ctx, made, imp)
	if err != nil {
		return nil, err
	}
	if task, err = s.newImport(ctx, made, imp, from, stores, check); err != nil {
		return nil, err
	}
	task.Type, act.ID = kind, string(task.ID)
	if task.Input, err = json.Marshal(input); err != nil {
		return nil, err
	}
	var img *image.Image
	err = s.svc.withRoom(ctx, made.Owner, func() error {
		return s.svc.db.Update(ctx, func(tx metadata.WriteTx) error {
			img = made.Clone()
			if err := quota.admit(tx, img.Owner, image.Usage{Images: 1, Uploading: 1}); err != nil {
				return err
			}
			if err := tx.CreateImage(img); err != nil {
				return err
			}
			return s.svc.begin(tx, img, task, imp, stores)
		})
	})
	if err != nil {
		return nil, err
	}
	s.svc.tellImage(ctx, events.ImageCreate, img)
	s.svc.tellTask(ctx, events.TaskCreate, task)
	s.svc.wakeImporter()
	return task, nil
}

// readImportInput returns what the input of a task asks for, and the fields of the image to be made. Error: image.ErrInvalid.
func readImportInput(input map[string]any) (imp image.Import, fields map[string]any, err error) {
	for _, name := range []string{"import_from", "import_from_format", "image_properties"} {
		if _, ok := input[name]; !ok {
			return imp, nil, image.Errorf(image.ErrInvalid, "Input does not contain '%s' field", name)
		}
	}
	from, isText := input["import_from"].(string)
	format, isFormat := input["import_from_format"].(string)
	properties, isObject := input["image_properties"].(map[string]any)
	if !isText || !isFormat || !isObject {
		return imp, nil, image.Errorf(image.ErrInvalid, "In the input of a task import_from and import_from_format must be strings, and image_properties an object.")
	}
	fields = map[string]any{"disk_format": format, "container_format": "bare"}
	maps.Copy(fields, properties)
	if fields["disk_format"] != format {
		return imp, nil, image.Errorf(image.ErrInvalid, "The data is said to be %s, and the image %v. Leave the disk_format out of the image_properties, or give the same one.",
			format, fields["disk_format"])
	}
	return image.Import{Method: image.ImportURL, URL: from}, fields, nil
}
