-- Tasks, the staging area, and what projects use.

-- Tasks end and expire; input, result and state are JSON objects.
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
CREATE INDEX tasks_created_at ON tasks (created_at, id);
CREATE INDEX tasks_image_id   ON tasks (image_id, created_at, id) WHERE image_id IS NOT NULL;
CREATE INDEX tasks_open       ON tasks (created_at, id) WHERE status IN ('pending', 'processing');
CREATE INDEX tasks_expires_at ON tasks (expires_at) WHERE expires_at IS NOT NULL;

-- Data that waits for its import.
CREATE TABLE staged (
  number   INTEGER NOT NULL PRIMARY KEY REFERENCES images,
  store    TEXT NOT NULL,
  url      TEXT NOT NULL,
  metadata TEXT NOT NULL, -- JSON: an object of strings
  size     INTEGER NOT NULL,
  since    INTEGER NOT NULL
) STRICT;
CREATE INDEX staged_url ON staged (store, url);

ALTER TABLE uploads ADD COLUMN reserved INTEGER NOT NULL DEFAULT 0;

-- Derived from images: sums of those that are not deleted.
CREATE TABLE usage (
  owner     TEXT NOT NULL PRIMARY KEY, -- '' for images of nobody
  images    INTEGER NOT NULL,
  bytes     INTEGER NOT NULL, -- the size of each, times its locations
  uploading INTEGER NOT NULL  -- saving, uploading or importing
) STRICT, WITHOUT ROWID;

INSERT INTO usage (owner, images, bytes, uploading)
  SELECT coalesce(owner, ''), count(*), sum(coalesce(size, 0) * json_array_length(locations)),
    sum(status IN ('saving', 'uploading', 'importing'))
  FROM images WHERE status <> 'deleted' GROUP BY 1;
