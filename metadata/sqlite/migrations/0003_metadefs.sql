-- Metadata definitions. Names differ in more than the case of ASCII letters.

CREATE TABLE metadef_namespaces (
  number       INTEGER PRIMARY KEY AUTOINCREMENT,
  name         TEXT NOT NULL COLLATE NOCASE UNIQUE,
  display_name TEXT,
  description  TEXT,
  visibility   TEXT NOT NULL,
  protected    INTEGER NOT NULL CHECK (protected IN (0, 1)),
  owner        TEXT,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE metadef_resource_types (
  name       TEXT NOT NULL COLLATE NOCASE PRIMARY KEY,
  protected  INTEGER NOT NULL CHECK (protected IN (0, 1)),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE metadef_associations (
  namespace         INTEGER NOT NULL REFERENCES metadef_namespaces ON DELETE CASCADE,
  resource_type     TEXT NOT NULL COLLATE NOCASE REFERENCES metadef_resource_types,
  prefix            TEXT NOT NULL,
  properties_target TEXT,
  created_at        INTEGER NOT NULL,
  updated_at        INTEGER NOT NULL,
  PRIMARY KEY (namespace, resource_type)
) STRICT, WITHOUT ROWID;
CREATE INDEX metadef_associations_resource_type ON metadef_associations (resource_type);

-- Properties, objects and tags: kind is a metadef.Kind, body the JSON of what there is beside the name.
CREATE TABLE metadef_entries (
  namespace  INTEGER NOT NULL REFERENCES metadef_namespaces ON DELETE CASCADE,
  kind       INTEGER NOT NULL,
  name       TEXT NOT NULL COLLATE NOCASE,
  body       TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (namespace, kind, name)
) STRICT, WITHOUT ROWID;
