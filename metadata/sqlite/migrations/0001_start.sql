-- What is known of the images. Times are Unix microseconds, ids are UUIDs as 16 bytes, and what the API shows as null is NULL.

CREATE TABLE meta (
  key   TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES
  ('database_id', lower(hex(randomblob(16)))),
  ('changes_dropped_through', '0');

-- A number is never used twice and its row never goes: a deleted image leaves its number, its id and the status deleted.
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

CREATE TABLE members (
  number     INTEGER NOT NULL REFERENCES images,
  project    TEXT NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('pending', 'accepted', 'rejected')),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (number, project)
) STRICT, WITHOUT ROWID;

-- Names, tags and projects that became directories, with the numbers that those keep for ever. kind is a metadata.LabelKind.
CREATE TABLE labels (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  kind   INTEGER NOT NULL,
  value  TEXT NOT NULL,
  entry  TEXT NOT NULL, -- image.EntryName(value)
  UNIQUE (kind, value),
  UNIQUE (kind, entry)
) STRICT;

-- Reservations of uploads under way.
CREATE TABLE uploads (
  id       TEXT NOT NULL PRIMARY KEY,
  number   INTEGER NOT NULL UNIQUE REFERENCES images,
  store    TEXT NOT NULL,
  object   TEXT NOT NULL,
  instance TEXT NOT NULL,
  bytes    INTEGER NOT NULL, -- -1 when not announced
  started  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE instances (
  instance TEXT NOT NULL PRIMARY KEY,
  beat     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What makes a store the one that was used before: an unmounted disk must not look like an empty store.
CREATE TABLE stores (
  store TEXT NOT NULL PRIMARY KEY,
  uuid  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Data whose record is gone. number is 0 when no image ever named it.
CREATE TABLE garbage (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  number   INTEGER NOT NULL,
  image_id BLOB NOT NULL,
  store    TEXT NOT NULL,
  url      TEXT NOT NULL,
  metadata TEXT NOT NULL, -- JSON: an object of strings
  since    INTEGER NOT NULL
) STRICT;
CREATE INDEX garbage_url ON garbage (store, url);

-- The feed. before and after are JSON of an image.Listed.
CREATE TABLE changes (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  number   INTEGER NOT NULL,
  id       BLOB NOT NULL,
  time     INTEGER NOT NULL,
  before   TEXT,
  after    TEXT
) STRICT;

-- All that follows is derived from images and members, written in the same transaction, and exists to be read in order.

-- Where the locations of images are looked up by their URL.
CREATE TABLE locations (
  store  TEXT NOT NULL,
  url    TEXT NOT NULL,
  number INTEGER NOT NULL,
  PRIMARY KEY (store, url, number)
) STRICT, WITHOUT ROWID;

-- Every image that the API shows is on a few lists: that of everybody's images of its visibility, that of its owner's, and
-- those of the projects it is shared with. Whatever somebody may see is the union of some lists without repeats, and each
-- list is kept in the order of each sort key. A list's number holds whose it is, its kind, and whether the images are hidden.
-- Nulls are here as '' and 0.
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
CREATE INDEX listings_id               ON listings (list, id, created_at, number);
CREATE INDEX listings_updated_at       ON listings (list, updated_at DESC, created_at DESC, id DESC, number);
CREATE INDEX listings_name             ON listings (list, name, created_at DESC, id DESC, number);
CREATE INDEX listings_status           ON listings (list, status, created_at DESC, id DESC, number);
CREATE INDEX listings_container_format ON listings (list, container_format, created_at DESC, id DESC, number);
CREATE INDEX listings_disk_format      ON listings (list, disk_format, created_at DESC, id DESC, number);
CREATE INDEX listings_size             ON listings (list, size, created_at DESC, id DESC, number);

-- The same lists once more, by what filters ask for: a facet is a hash of a tag, of a property with its value, and the like.
CREATE TABLE facets (
  list       INTEGER NOT NULL,
  facet      BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  id         BLOB NOT NULL,
  number     INTEGER NOT NULL,
  PRIMARY KEY (list, facet, created_at DESC, id DESC)
) STRICT, WITHOUT ROWID;

-- The active images in the order in which directories of the mount are read. scope is 0 for all images, -1 for the public
-- ones, or the label of their owner; kind and label are 0 for all images of the scope.
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
CREATE INDEX tree_latest ON tree (scope, label, created_at DESC, id DESC, number, updated_at, owner, public)
  WHERE kind = 1 AND hidden = 0;
