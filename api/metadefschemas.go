package api

import (
	"maps"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadef"
)

// metadefSchemas returns the documents of metadata definitions by path.
func metadefSchemas() map[string][]byte {
	resourceType := exactly("resource_type_association", []string{"name"}, associationFields())
	tag := exactly("tag", []string{"name"}, tagFields())
	property := exactly("property", []string{"type", "title", "name"}, propertyFields())
	object := exactly("object", []string{"name"}, objectFields())
	namespace := exactly("namespace", []string{"namespace"}, namespaceFields())
	nameless := maps.Clone(property)
	nameless["required"] = []string{"type", "title"}
	all := make(map[string][]byte)
	for name, schema := range map[string]map[string]any{
		"resource_type":  resourceType,
		"resource_types": listSchema("resource_type_associations", resourceType),
		"tag":            tag,
		"tags":           listSchema("tags", tag),
		"property":       defined(property),
		"properties":     defined(mapSchema("properties", nameless)),
		"object":         defined(object),
		"objects":        defined(listSchema("objects", object)),
		"namespace":      defined(namespace),
		"namespaces":     defined(listSchema("namespaces", namespace)),
	} {
		all[wire.MetadefSchemas+name] = marshal(schema)
	}
	return all
}

// exactly is the schema of an object that has no other fields.
func exactly(name string, required []string, fields object) object {
	return object{"name": name, "properties": fields, "required": required, "additionalProperties": false}
}

// defined adds what others refer to.
func defined(schema object) object {
	schema = maps.Clone(schema)
	count := ref("positiveInteger")
	schema["definitions"] = object{
		"positiveInteger":         object{"type": "integer", "minimum": 0},
		"positiveIntegerDefault0": object{"allOf": []object{count, {"default": 0}}},
		"stringArray":             object{"type": "array", "items": object{"type": "string"}, "uniqueItems": true},
		"property": object{"type": "object", "additionalProperties": object{
			"type": "object", "required": []string{"title", "type"}, "properties": propertyFields()}},
	}
	return schema
}

func ref(definition string) object { return object{"$ref": "#/definitions/" + definition} }

// mapSchema describes the answer to a list that is an object, by names.
func mapSchema(name string, item object) object {
	schema := listSchema(name, nil)
	schema["properties"].(object)[name] = object{"type": "object", "additionalProperties": item}
	return schema
}

// textField is text of at most so many characters; 0 for any number.
func textField(longest int, description string) object {
	schema := object{"type": "string"}
	if longest > 0 {
		schema["maxLength"] = longest
	}
	return described(schema, description)
}

func timeFields(of string, fields object) object {
	fields["created_at"] = readOnly(object{"type": "string", "format": "date-time"}, "When the "+of+" was made")
	fields["updated_at"] = readOnly(object{"type": "string", "format": "date-time"}, "When the "+of+" was changed last")
	return fields
}

func linkFields(of string, fields object) object {
	fields["self"] = readOnly(object{"type": "string"}, "Path of the "+of)
	fields["schema"] = readOnly(object{"type": "string"}, "Path of the schema of the "+of)
	return fields
}

func associationFields() object {
	return timeFields("association", object{
		"name":   textField(metadef.MaxName, "Resource type, named as in Heat where Heat has it"),
		"prefix": textField(metadef.MaxName, "What the names of the properties begin with on resources of this type, its separator included"),
		"properties_target": textField(metadef.MaxName,
			"Which of several sets of properties of the resource is meant: a volume has its own and those of its image"),
	})
}

func tagFields() object {
	return timeFields("tag", object{"name": textField(metadef.MaxName, "The tag")})
}

// propertyFields are the words of a property's schema, and its name.
func propertyFields() object {
	flag := func(description string) object { return described(object{"type": "boolean"}, description) }
	number := func(description string) object { return described(object{"type": "number"}, description) }
	texts := func(description string) object {
		return described(object{"type": "array", "items": object{"type": "string"}}, description)
	}
	kind := func() object { return object{"type": "string", "enum": metadef.Types} }
	return object{
		"name":            textField(metadef.MaxName, "Name of the property"),
		"title":           textField(0, "Name of the property, for people"),
		"type":            described(kind(), "What its values are"),
		"description":     textField(0, "What the property means"),
		"operators":       texts("Operators with which a value can be required"),
		"default":         described(object{}, "Value of a resource that does not have the property"),
		"readonly":        flag("Whether users only read the property"),
		"confidential":    flag("Whether the value is a secret"),
		"minimum":         number("Lowest value"),
		"maximum":         number("Highest value"),
		"minLength":       ref("positiveIntegerDefault0"),
		"maxLength":       ref("positiveInteger"),
		"pattern":         described(object{"type": "string", "format": "regex"}, "Regular expression that values match"),
		"enum":            texts("All values that there are"),
		"items":           object{"type": "object", "properties": object{"type": kind(), "enum": texts("All values that there are")}},
		"minItems":        ref("positiveIntegerDefault0"),
		"maxItems":        ref("positiveInteger"),
		"uniqueItems":     flag("Whether no element is there twice"),
		"additionalItems": flag("Whether there may be more elements than described"),
	}
}

func objectFields() object {
	return timeFields("object", linkFields("object", object{
		"name":        textField(metadef.MaxName, "Name of the object"),
		"description": textField(0, "What the object is for"),
		"required":    ref("stringArray"),
		"properties":  ref("property"),
	}))
}

func namespaceFields() object {
	part := func(fields object) object {
		return object{"type": "array", "items": object{"type": "object", "properties": fields}}
	}
	return timeFields("namespace", linkFields("namespace", object{
		"namespace":                  textField(metadef.MaxName, "Name of the namespace, which no other has"),
		"display_name":               textField(metadef.MaxName, "Name of the namespace, for people"),
		"description":                textField(metadef.MaxDescription, "What the namespace is for"),
		"visibility":                 described(object{"type": "string", "enum": []string{"public", "private"}}, "Who may see the namespace"),
		"protected":                  described(object{"type": "boolean"}, "Whether the namespace is safe from deletion"),
		"owner":                      textField(image.MaxNameLength, "Project that owns the namespace"),
		"resource_type_associations": part(associationFields()),
		"properties":                 ref("property"),
		"objects":                    part(objectFields()),
		"tags":                       part(tagFields()),
	}))
}
