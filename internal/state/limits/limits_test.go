package limits_test

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/limits"
)

func TestBans(t *testing.T) {
	d, now := dbtest.Open(t), time.Unix(1_800_000_000, 0).UTC()
	s := &limits.Store{DB: d}
	good := limits.Ban{Network: netip.MustParsePrefix("192.0.2.0/24"), Reason: "abuse, \"quoted\"", Origin: "operator", Since: now}
	brief := limits.Ban{Network: netip.MustParsePrefix("2001:db8::/64"), Origin: "automatic", Since: now, Until: now.Add(time.Hour)}
	if err := s.Change(t.Context(), []limits.Ban{brief, good}, nil); err != nil {
		t.Fatal(err)
	}
	longer := brief
	longer.Until = now.Add(2 * time.Hour)
	if err := s.Change(t.Context(), []limits.Ban{longer}, []netip.Prefix{good.Network, longer.Network}); err != nil {
		t.Fatal(err)
	}
	if err := s.Change(t.Context(), []limits.Ban{good}, nil); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO ban (network, reason, origin, since, until) VALUES ('rubbish', '', '', 0, 0)")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	list, bad, err := s.Bans(t.Context())
	if err != nil || bad != 1 || !reflect.DeepEqual(list, []limits.Ban{good, longer}) {
		t.Errorf("%+v, %d bad, %v", list, bad, err)
	}
}

func TestCounts(t *testing.T) {
	s, now := &limits.Store{DB: dbtest.Open(t)}, time.Unix(1_800_000_000, 0).UTC()
	first := []limits.Count{{Measure: "account_messages_per_day", Who: "7", Started: now, Now: 3, Before: 9}}
	for _, want := range [][]limits.Count{first, {{Measure: "tenant_messages_per_day", Who: "1", Started: now, Now: 1}}, nil} {
		if err := s.SetCounts(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Counts(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}
