package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// members returns the projects that an image is shared with and their member status.
func (t *tx) members(number int64) (map[string]string, error) {
	var members map[string]string
	err := t.query(`SELECT project, status FROM members WHERE number = ?`, []any{number}, func(row []driver.Value) error {
		if members == nil {
			members = map[string]string{}
		}
		members[text(row[0])] = text(row[1])
		return nil
	})
	return members, err
}

// Members implements metadata.Tx.
func (t *tx) Members(number int64) ([]image.Member, error) {
	return t.memberRows(` WHERE m.number = ? ORDER BY m.project`, number)
}

// Member implements metadata.Tx.
func (t *tx) Member(number int64, project string) (image.Member, error) {
	found, err := t.memberRows(` WHERE m.number = ? AND m.project = ?`, number, project)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("member %s of image number %d: %w", project, number, image.ErrNotFound)
	}
	if err != nil {
		return image.Member{}, err
	}
	return found[0], nil
}

func (t *tx) memberRows(rest string, args ...any) ([]image.Member, error) {
	var members []image.Member
	err := t.query(`SELECT i.id, m.project, m.status, m.created_at, m.updated_at FROM members m CROSS JOIN images i ON i.number = m.number`+rest,
		args, func(row []driver.Value) error {
			members = append(members, image.Member{ImageID: unpackID(row[0]), Project: text(row[1]), Status: text(row[2]),
				CreatedAt: moment(row[3]), UpdatedAt: moment(row[4])})
			return nil
		})
	return members, err
}

// SaveMember implements metadata.WriteTx.
func (t *writeTx) SaveMember(number int64, project, status string, now time.Time) error {
	if err := errors.Join(image.CheckProject(project), image.CheckMemberStatus(status)); err != nil {
		return err
	}
	return t.changeMembers(number, func(members map[string]string) error {
		members[project] = status
		_, err := t.exec(`INSERT INTO members (number, project, status, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)
			ON CONFLICT (number, project) DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at`,
			number, project, status, now.UnixMicro())
		return err
	})
}

// RemoveMember implements metadata.WriteTx.
func (t *writeTx) RemoveMember(number int64, project string) error {
	return t.changeMembers(number, func(members map[string]string) error {
		if _, ok := members[project]; !ok {
			return fmt.Errorf("member %s of image number %d: %w", project, number, image.ErrNotFound)
		}
		delete(members, project)
		_, err := t.exec(`DELETE FROM members WHERE number = ? AND project = ?`, number, project)
		return err
	})
}

func (t *writeTx) changeMembers(number int64, change func(map[string]string) error) error {
	img, err := t.ImageByNumber(number)
	if err != nil {
		return err
	}
	before, err := t.members(number)
	if err != nil {
		return err
	}
	after, err := t.members(number)
	if err != nil {
		return err
	}
	if after == nil {
		after = map[string]string{}
	}
	if err := change(after); err != nil {
		return err
	}
	return t.reindex(&record{img, before}, &record{img, after})
}
