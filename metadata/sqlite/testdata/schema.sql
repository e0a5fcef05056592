CREATE TABLE changes (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  number   INTEGER NOT NULL,
  id       BLOB NOT NULL,
  time     INTEGER NOT NULL,
  before   TEXT,
  after    TEXT
) STRICT;

CREATE TABLE facets (
  list       INTEGER NOT NULL,
  facet      BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  id         BLOB NOT NULL,
  number     INTEGER NOT NULL,
  PRIMARY KEY (list, facet, created_at DESC, id DESC)
) STRICT, WITHOUT ROWID;

CREATE TABLE garbage (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  number   INTEGER NOT NULL,
  image_id BLOB NOT NULL,
  store    TEXT NOT NULL,
  url      TEXT NOT NULL,
  metadata TEXT NOT NULL, -- JSON: an object of strings
  since    INTEGER NOT NULL
) STRICT;

CREATE TABLE images (
  number           INTEGER PRIMARY KEY AUTOINCREMENT,
  id               BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  name             TEXT,
  owner            TEXT,
  status           TEXT NOT NULL,
  visibility       TEXT NOT NULL,
  protected        INTEGER NOT NULL CHECK (protected IN (0, 1)),
  hidden           INTEGER NOT NULL CHECK (hidden IN (0, 1)),
  disk_format      TEXT,
  container_format TEXT,
  min_disk         INTEGER NOT NULL,
  min_ram          INTEGER NOT NULL,
  size             INTEGER,
  virtual_size     INTEGER,
  checksum         TEXT,
  hash_algo        TEXT,
  hash_value       TEXT,
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL,
  tags             TEXT NOT NULL, -- JSON: a sorted array of strings
  properties       TEXT NOT NULL, -- JSON: an object of strings
  locations        TEXT NOT NULL  -- JSON: an array of {"store", "url", "metadata"}
) STRICT;

CREATE TABLE instances (
  instance TEXT NOT NULL PRIMARY KEY,
  beat     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE labels (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  kind   INTEGER NOT NULL,
  value  TEXT NOT NULL,
  entry  TEXT NOT NULL, -- image.EntryName(value)
  UNIQUE (kind, value),
  UNIQUE (kind, entry)
) STRICT;

CREATE TABLE listings (
  list             INTEGER NOT NULL,
  created_at       INTEGER NOT NULL,
  id               BLOB NOT NULL,
  number           INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL,
  name             TEXT NOT NULL,
  status           TEXT NOT NULL,
  container_format TEXT NOT NULL,
  disk_format      TEXT NOT NULL,
  size             INTEGER NOT NULL,
  PRIMARY KEY (list, created_at DESC, id DESC)
) STRICT, WITHOUT ROWID;

CREATE TABLE locations (
  store  TEXT NOT NULL,
  url    TEXT NOT NULL,
  number INTEGER NOT NULL,
  PRIMARY KEY (store, url, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
  number     INTEGER NOT NULL REFERENCES images,
  project    TEXT NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('pending', 'accepted', 'rejected')),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (number, project)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
  key   TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
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

CREATE TABLE metadef_entries (
  namespace  INTEGER NOT NULL REFERENCES metadef_namespaces ON DELETE CASCADE,
  kind       INTEGER NOT NULL,
  name       TEXT NOT NULL COLLATE NOCASE,
  body       TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (namespace, kind, name)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE pins (
  number     INTEGER NOT NULL REFERENCES images,
  guest      TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (number, guest)
) STRICT, WITHOUT ROWID;

CREATE TABLE sqlite_sequence(name,seq);

CREATE TABLE staged (
  number   INTEGER NOT NULL PRIMARY KEY REFERENCES images,
  store    TEXT NOT NULL,
  url      TEXT NOT NULL,
  metadata TEXT NOT NULL, -- JSON: an object of strings
  size     INTEGER NOT NULL,
  since    INTEGER NOT NULL
) STRICT;

CREATE TABLE stores (
  store TEXT NOT NULL PRIMARY KEY,
  uuid  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sums (
  number INTEGER NOT NULL REFERENCES images,
  of     TEXT NOT NULL,
  algo   TEXT NOT NULL,
  value  TEXT NOT NULL,
  size   INTEGER NOT NULL,
  PRIMARY KEY (number, of)
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
  id         BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  type       TEXT NOT NULL,
  status     TEXT NOT NULL,
  owner      TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  request_id TEXT NOT NULL,
  image_id   BLOB, -- NULL when it concerns none
  input      TEXT NOT NULL,
  result     TEXT,
  message    TEXT NOT NULL,
  state      TEXT,
  instance   TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  expires_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE tree (
  scope      INTEGER NOT NULL,
  kind       INTEGER NOT NULL,
  label      INTEGER NOT NULL,
  number     INTEGER NOT NULL,
  id         BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  owner      INTEGER NOT NULL, -- label, 0 for nobody
  public     INTEGER NOT NULL,
  hidden     INTEGER NOT NULL,
  PRIMARY KEY (scope, kind, label, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE uploads (
  id       TEXT NOT NULL PRIMARY KEY,
  number   INTEGER NOT NULL UNIQUE REFERENCES images,
  store    TEXT NOT NULL,
  object   TEXT NOT NULL,
  instance TEXT NOT NULL,
  bytes    INTEGER NOT NULL, -- -1 when not announced
  started  INTEGER NOT NULL
, reserved INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
  owner     TEXT NOT NULL PRIMARY KEY, -- '' for images of nobody
  images    INTEGER NOT NULL,
  bytes     INTEGER NOT NULL, -- the size of each, times its locations
  uploading INTEGER NOT NULL  -- saving, uploading or importing
) STRICT, WITHOUT ROWID;

CREATE INDEX garbage_url ON garbage (store, url);

CREATE INDEX listings_container_format ON listings (list, container_format, created_at DESC, id DESC, number);

CREATE INDEX listings_disk_format      ON listings (list, disk_format, created_at DESC, id DESC, number);

CREATE INDEX listings_id               ON listings (list, id, created_at, number);

CREATE INDEX listings_name             ON listings (list, name, created_at DESC, id DESC, number);

CREATE INDEX listings_size             ON listings (list, size, created_at DESC, id DESC, number);

CREATE INDEX listings_status           ON listings (list, status, created_at DESC, id DESC, number);

CREATE INDEX listings_updated_at       ON listings (list, updated_at DESC, created_at DESC, id DESC, number);

CREATE INDEX metadef_associations_resource_type ON metadef_associations (resource_type);

CREATE INDEX staged_url ON staged (store, url);

CREATE INDEX tasks_created_at ON tasks (created_at, id);

CREATE INDEX tasks_expires_at ON tasks (expires_at) WHERE expires_at IS NOT NULL;

CREATE INDEX tasks_image_id   ON tasks (image_id, created_at, id) WHERE image_id IS NOT NULL;

CREATE INDEX tasks_open       ON tasks (created_at, id) WHERE status IN ('pending', 'processing');

CREATE INDEX tree_latest ON tree (scope, label, created_at DESC, id DESC, number, updated_at, owner, public)
  WHERE kind = 1 AND hidden = 0;
