-- Guests that need an image also while they are stopped: as long as there is one, it cannot be deleted.
CREATE TABLE pins (
  number     INTEGER NOT NULL REFERENCES images,
  guest      TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (number, guest)
) STRICT, WITHOUT ROWID;
