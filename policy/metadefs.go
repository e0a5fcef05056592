package policy

const (
	// namespaceReader sees a namespace: his project's, or a public one.
	namespaceReader = admin + " or (role:reader and (" + ofProject + " or 'public':%(visibility)s))"
	metadefAdmin    = "rule:" + MetadefAdmin

	metadefPath    = "/v2/metadefs"
	namespacesPath = metadefPath + "/namespaces"
	namespacePath  = namespacesPath + "/{namespace_name}"
)

var metadefs = []Definition{
	{Name: MetadefDefault, Expression: everybody, AnyScope: true,
		Text: "What the rules for reading definitions once were; old policy files set it."},
	{Name: MetadefAdmin, Expression: admin, AnyScope: true,
		Text: "Who may change definitions."},

	{Name: GetMetadefNamespace, Expression: namespaceReader, Anonymous: true,
		Operations: []string{"GET " + namespacePath}, Text: "Show a namespace."},
	{Name: GetMetadefNamespaces, Expression: adminOrReader, Anonymous: true,
		Operations: []string{"GET " + namespacesPath}, Text: "List namespaces."},
	{Name: AddMetadefNamespace, Expression: metadefAdmin,
		Operations: []string{"POST " + namespacesPath}, Text: "Create a namespace."},
	{Name: ModifyMetadefNamespace, Expression: metadefAdmin,
		Operations: []string{"PUT " + namespacePath}, Text: "Change a namespace."},
	{Name: DeleteMetadefNamespace, Expression: metadefAdmin,
		Operations: []string{"DELETE " + namespacePath}, Text: "Delete a namespace."},

	{Name: GetMetadefObject, Expression: namespaceReader, Anonymous: true,
		Operations: []string{"GET " + namespacePath + "/objects/{object_name}"}, Text: "Show an object."},
	{Name: GetMetadefObjects, Expression: namespaceReader, Anonymous: true,
		Operations: []string{"GET " + namespacePath + "/objects"}, Text: "List the objects of a namespace."},
	{Name: AddMetadefObject, Expression: metadefAdmin,
		Operations: []string{"POST " + namespacePath + "/objects"}, Text: "Create an object."},
	{Name: ModifyMetadefObject, Expression: metadefAdmin,
		Operations: []string{"PUT " + namespacePath + "/objects/{object_name}"}, Text: "Change an object."},
	{Name: DeleteMetadefObject, Expression: metadefAdmin,
		Operations: []string{"DELETE " + namespacePath + "/objects/{object_name}", "DELETE " + namespacePath + "/objects"}, Text: "Delete objects."},

	{Name: ListMetadefResourceTypes, Expression: namespaceReader, Anonymous: true,
		Operations: []string{"GET " + metadefPath + "/resource_types"}, Text: "List resource types."},
	{Name: GetMetadefResourceType, Expression: namespaceReader, Anonymous: true,
		Operations: []string{"GET " + namespacePath + "/resource_types"}, Text: "List the resource types of a namespace."},
	{Name: AddMetadefResourceTypeAssociation, Expression: metadefAdmin,
		Operations: []string{"POST " + namespacePath + "/resource_types"}, Text: "Associate a resource type with a namespace."},
	{Name: RemoveMetadefResourceTypeAssociation, Expression: metadefAdmin,
		Operations: []string{"DELETE " + namespacePath + "/resource_types/{name}"}, Text: "Remove the association of a resource type."},

	{Name: GetMetadefProperty, Expression: namespaceReader, Anonymous: true,
		Operations: []string{"GET " + namespacePath + "/properties/{property_name}"}, Text: "Show a property."},
	{Name: GetMetadefProperties, Expression: namespaceReader, Anonymous: true,
		Operations: []string{"GET " + namespacePath + "/properties"}, Text: "List the properties of a namespace."},
	{Name: AddMetadefProperty, Expression: metadefAdmin,
		Operations: []string{"POST " + namespacePath + "/properties"}, Text: "Create a property."},
	{Name: ModifyMetadefProperty, Expression: metadefAdmin,
		Operations: []string{"PUT " + namespacePath + "/properties/{property_name}"}, Text: "Change a property."},
	{Name: RemoveMetadefProperty, Expression: metadefAdmin,
		Operations: []string{"DELETE " + namespacePath + "/properties/{property_name}", "DELETE " + namespacePath + "/properties"}, Text: "Delete properties."},

	{Name: GetMetadefTag, Expression: namespaceReader, Anonymous: true,
		Operations: []string{"GET " + namespacePath + "/tags/{tag_name}"}, Text: "Show a tag."},
	{Name: GetMetadefTags, Expression: namespaceReader, Anonymous: true,
		Operations: []string{"GET " + namespacePath + "/tags"}, Text: "List the tags of a namespace."},
	{Name: AddMetadefTag, Expression: metadefAdmin,
		Operations: []string{"POST " + namespacePath + "/tags/{tag_name}"}, Text: "Create a tag."},
	{Name: AddMetadefTags, Expression: metadefAdmin,
		Operations: []string{"POST " + namespacePath + "/tags"}, Text: "Create several tags at once."},
	{Name: ModifyMetadefTag, Expression: metadefAdmin,
		Operations: []string{"PUT " + namespacePath + "/tags/{tag_name}"}, Text: "Change a tag."},
	{Name: DeleteMetadefTag, Expression: metadefAdmin,
		Operations: []string{"DELETE " + namespacePath + "/tags/{tag_name}"}, Text: "Delete a tag."},
	{Name: DeleteMetadefTags, Expression: metadefAdmin,
		Operations: []string{"DELETE " + namespacePath + "/tags"}, Text: "Delete all tags of a namespace."},
}
