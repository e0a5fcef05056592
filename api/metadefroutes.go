package api

import (
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
)

const namespacePath = wire.NamespacesPath + "/:namespace"

// metadefRoutes are the operations on metadata definitions.
var metadefRoutes = []route{
	{"GET", wire.ResourceTypesPath, showMetadef(loadResourceTypes), false},
	{"GET", wire.NamespacesPath, showMetadef(loadNamespaces), false},
	{"POST", wire.NamespacesPath, changeMetadef(http.StatusCreated, wire.MetadefParser.Namespace, createNamespace), true},
	{"GET", namespacePath, showMetadef(loadNamespace), false},
	{"PUT", namespacePath, changeMetadef(http.StatusOK, wire.MetadefParser.Namespace, saveNamespace), true},
	{"DELETE", namespacePath, deleteMetadef(deleteNamespace), false},

	{"GET", namespacePath + "/resource_types", showMetadef(loadAssociations), false},
	{"POST", namespacePath + "/resource_types", changeMetadef(http.StatusCreated, wire.MetadefParser.Association, addAssociation), true},
	{"DELETE", namespacePath + "/resource_types/:name", deleteMetadef(removeAssociation), false},

	{"GET", namespacePath + "/properties", showMetadef(loadProperties), false},
	{"POST", namespacePath + "/properties", changeMetadef(http.StatusCreated, wire.MetadefParser.Property, createProperty), true},
	{"DELETE", namespacePath + "/properties", deleteMetadef(deleteProperties), false},
	{"GET", namespacePath + "/properties/:name", showMetadef(loadProperty), false},
	{"PUT", namespacePath + "/properties/:name", changeMetadef(http.StatusOK, wire.MetadefParser.Property, saveProperty), true},
	{"DELETE", namespacePath + "/properties/:name", deleteMetadef(deleteProperty), false},

	{"GET", namespacePath + "/objects", showMetadef(loadObjects), false},
	{"POST", namespacePath + "/objects", changeMetadef(http.StatusCreated, wire.MetadefParser.Object, createObject), true},
	{"DELETE", namespacePath + "/objects", deleteMetadef(deleteObjects), false},
	{"GET", namespacePath + "/objects/:name", showMetadef(loadObject), false},
	{"PUT", namespacePath + "/objects/:name", changeMetadef(http.StatusOK, wire.MetadefParser.Object, saveObject), true},
	{"DELETE", namespacePath + "/objects/:name", deleteMetadef(deleteObject), false},

	{"GET", namespacePath + "/tags", showMetadef(loadTags), false},
	{"POST", namespacePath + "/tags", changeMetadef(http.StatusCreated, wire.MetadefParser.Tags, setTags), true},
	{"DELETE", namespacePath + "/tags", deleteMetadef(deleteTags), false},
	{"GET", namespacePath + "/tags/:name", showMetadef(loadTag), false},
	{"POST", namespacePath + "/tags/:name", (*server).createTag, false},
	{"PUT", namespacePath + "/tags/:name", changeMetadef(http.StatusOK, wire.MetadefParser.Tag, saveTag), true},
	{"DELETE", namespacePath + "/tags/:name", deleteMetadef(deleteTag), false},

	{"GET", wire.MetadefSchemas + "namespace", (*server).showSchema, false},
	{"GET", wire.MetadefSchemas + "namespaces", (*server).showSchema, false},
	{"GET", wire.MetadefSchemas + "resource_type", (*server).showSchema, false},
	{"GET", wire.MetadefSchemas + "resource_types", (*server).showSchema, false},
	{"GET", wire.MetadefSchemas + "property", (*server).showSchema, false},
	{"GET", wire.MetadefSchemas + "properties", (*server).showSchema, false},
	{"GET", wire.MetadefSchemas + "object", (*server).showSchema, false},
	{"GET", wire.MetadefSchemas + "objects", (*server).showSchema, false},
	{"GET", wire.MetadefSchemas + "tag", (*server).showSchema, false},
	{"GET", wire.MetadefSchemas + "tags", (*server).showSchema, false},
}
