package image

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestTaskStatus(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		from, to TaskStatus
		want     error
	}{
		{TaskPending, TaskProcessing, nil},
		{TaskPending, TaskFailure, nil},
		{TaskPending, TaskSuccess, ErrConflict},
		{TaskProcessing, TaskSuccess, nil},
		{TaskProcessing, TaskPending, ErrConflict},
		{TaskSuccess, TaskFailure, ErrConflict},
		{TaskFailure, TaskProcessing, ErrConflict},
	} {
		t.Run(fmt.Sprintf("%s to %s", tt.from, tt.to), func(t *testing.T) {
			task := &Task{Status: tt.from}
			if err := task.SetStatus(tt.to, now, time.Hour); !errors.Is(err, tt.want) {
				t.Errorf("SetStatus = %v, want %v", err, tt.want)
			}
			ended := tt.want == nil && tt.to.Ended()
			if (task.ExpiresAt != nil) != ended || ended && !task.ExpiresAt.Equal(now.Add(time.Hour)) {
				t.Errorf("it expires at %v", task.ExpiresAt)
			}
		})
	}
}

func TestMemberIsChecked(t *testing.T) {
	for _, status := range []string{"", "Accepted", "all"} {
		if err := CheckMemberStatus(status); !errors.Is(err, ErrInvalid) {
			t.Errorf("the status %q: %v", status, err)
		}
	}
	if err := CheckMemberStatus(MemberAccepted); err != nil {
		t.Error(err)
	}
	for _, project := range []string{"", "\xff", "\U0001F600"} {
		if err := CheckProject(project); !errors.Is(err, ErrInvalid) {
			t.Errorf("the project %q: %v", project, err)
		}
	}
}
