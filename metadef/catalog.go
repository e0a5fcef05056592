package metadef

import "context"

// A Catalog is what can be done with definitions; a service and its clients have the same verbs. Errors are those of
// package image.
type Catalog interface {
	Namespaces(ctx context.Context, q Query) (page []Document, next string, err error)
	Namespace(ctx context.Context, name, resourceType string) (Document, error)
	CreateNamespace(ctx context.Context, d Document) (Document, error)
	SaveNamespace(ctx context.Context, name string, n Namespace) (Namespace, error)
	DeleteNamespace(ctx context.Context, name string) error

	ResourceTypes(ctx context.Context) ([]ResourceType, error)
	Associations(ctx context.Context, namespace string) ([]Association, error)
	AddAssociation(ctx context.Context, namespace string, a Association) (Association, error)
	RemoveAssociation(ctx context.Context, namespace, resourceType string) error

	Properties(ctx context.Context, namespace string) ([]Property, error)
	Property(ctx context.Context, namespace, name, resourceType string) (Property, error)
	CreateProperty(ctx context.Context, namespace string, p Property) (Property, error)
	SaveProperty(ctx context.Context, namespace, name string, p Property) (Property, error)
	DeleteProperty(ctx context.Context, namespace, name string) error
	DeleteProperties(ctx context.Context, namespace string) error

	Objects(ctx context.Context, namespace string) ([]Object, error)
	Object(ctx context.Context, namespace, name string) (Object, error)
	CreateObject(ctx context.Context, namespace string, o Object) (Object, error)
	SaveObject(ctx context.Context, namespace, name string, o Object) (Object, error)
	DeleteObject(ctx context.Context, namespace, name string) error
	DeleteObjects(ctx context.Context, namespace string) error

	Tags(ctx context.Context, namespace string, q TagQuery) ([]Tag, error)
	Tag(ctx context.Context, namespace, name string) (Tag, error)
	CreateTag(ctx context.Context, namespace, name string) (Tag, error)
	SetTags(ctx context.Context, namespace string, names []string, add bool) ([]Tag, error)
	SaveTag(ctx context.Context, namespace, name, newName string) (Tag, error)
	DeleteTag(ctx context.Context, namespace, name string) error
	DeleteTags(ctx context.Context, namespace string) error
}
