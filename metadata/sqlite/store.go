package sqlite

import "database/sql/driver"

// DatabaseID implements metadata.Tx.
func (t *tx) DatabaseID() (id string, err error) {
	err = t.query(`SELECT value FROM meta WHERE key = 'database_id'`, nil, func(row []driver.Value) error {
		id = text(row[0])
		return nil
	})
	return id, err
}

// StoreIdentity implements metadata.Tx.
func (t *tx) StoreIdentity(store string) (uuid string, err error) {
	err = t.query(`SELECT uuid FROM stores WHERE store = ?`, []any{store}, func(row []driver.Value) error {
		uuid = text(row[0])
		return nil
	})
	return uuid, err
}

// SaveStoreIdentity implements metadata.WriteTx.
func (t *writeTx) SaveStoreIdentity(store, uuid string) error {
	_, err := t.exec(`INSERT INTO stores (store, uuid) VALUES (?, ?) ON CONFLICT (store) DO UPDATE SET uuid = excluded.uuid`, store, uuid)
	return err
}
