-- Sums of an image's content beside that of its data as it is stored: as it was received, and of the disk in it.
CREATE TABLE sums (
  number INTEGER NOT NULL REFERENCES images,
  of     TEXT NOT NULL,
  algo   TEXT NOT NULL,
  value  TEXT NOT NULL,
  size   INTEGER NOT NULL,
  PRIMARY KEY (number, of)
) STRICT, WITHOUT ROWID;
