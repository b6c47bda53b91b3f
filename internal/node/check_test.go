package node

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/postrider/postrider/internal/admin"
)

func TestCheckNamesAndMends(t *testing.T) {
	origin := newSample(t)
	if faults, notes, sum := origin.check(t, admin.CheckQuery{Deep: true}); len(faults)+len(notes) > 0 || !sum.Clean ||
		sum.Emails != sampleMessages+1 || sum.Jobs != 1 || sum.Accounts != 3 || sum.Records != sampleMessages+2 {
		t.Fatalf("the undamaged store: %+v\n%+v\n%+v", sum, faults, notes)
	}
	type test struct {
		name   string
		damage func(*testing.T, *sample)
		want   []string // kinds of faults, ascending
		lost   []string // messages that nobody can have any more
		light  bool     // a check that is not deep finds it too
		notes  []string // of the second check
	}
	one := func(sql ...string) func(*testing.T, *sample) {
		return func(t *testing.T, s *sample) { s.sql(t, sql...) }
	}
	const inbox = " WHERE mailbox_id = 1 AND account_id = (SELECT account_id FROM account WHERE account_key = 'alice@here.example')"
	tests := []test{
		{name: "pack removed", light: true, want: []string{"email-no-record", "pack-missing"}, lost: []string{"m5"},
			damage: func(t *testing.T, s *sample) { must(t, os.Remove(s.pack("m5"))) }},
		{name: "large message truncated", light: true, want: []string{"pack-truncated", "record-damaged"}, lost: []string{"m5"},
			damage: func(t *testing.T, s *sample) { must(t, os.Truncate(s.pack("m5"), 300_000)) }},
		{name: "pack truncated at a record", light: true, want: []string{"email-no-record", "pack-truncated"}, lost: origin.behind(origin.inner),
			damage: func(t *testing.T, s *sample) { must(t, os.Truncate(s.pack(s.inner), s.place[s.inner].Ref.Offset)) }},
		{name: "pack truncated in a record", light: true, want: []string{"email-no-record", "pack-truncated", "record-damaged"}, lost: origin.behind(origin.inner),
			damage: func(t *testing.T, s *sample) { must(t, os.Truncate(s.pack(s.inner), s.place[s.inner].Ref.Offset+100)) }},
		{name: "bit in a body", want: []string{"record-damaged"}, lost: []string{origin.inner}, notes: []string{"record-unused"},
			damage: func(t *testing.T, s *sample) { change(t, s.pack(s.inner), flip(s.place[s.inner].Ref.Offset+200)) }},
		{name: "bit in a record's header", light: true, want: []string{"record-damaged"}, lost: []string{origin.inner}, notes: []string{"record-unused"},
			damage: func(t *testing.T, s *sample) { change(t, s.pack(s.inner), flip(s.place[s.inner].Ref.Offset+20)) }},
		{name: "bit in the pack's header", light: true, want: []string{"pack-header"},
			damage: func(t *testing.T, s *sample) { change(t, s.pack("m3"), flip(30)) }},
		{name: "a pack's beginning", light: true, want: []string{"pack-unreadable", "record-damaged"}, lost: []string{"m5"},
			damage: func(t *testing.T, s *sample) {
				change(t, s.pack("m5"), func(b []byte) []byte { clear(b[:200]); return b })
			}},
		{name: "stranger in the folder", light: true, want: []string{"file-unknown"},
			damage: func(t *testing.T, s *sample) {
				must(t, os.WriteFile(filepath.Join(s.dir, "packs", "notes.txt"), []byte("x"), 0o600))
			}},
		{name: "a pack of garbage", light: true, want: []string{"pack-unreadable"},
			damage: func(t *testing.T, s *sample) {
				must(t, os.WriteFile(filepath.Join(s.dir, "packs", "0000000099.pack"), bytes.Repeat([]byte("x"), 5000), 0o600))
			}},
		{name: "the catalog forgot a pack", light: true, want: []string{"pack-unknown"},
			damage: func(t *testing.T, s *sample) {
				s.sql(t, fmt.Sprintf("DELETE FROM pack WHERE pack = %d", s.place["m3"].Ref.Pack))
			}},
		{name: "the catalog has too many", light: true, want: []string{"pack-missing"},
			damage: one("INSERT INTO pack (pack, state, node, epoch, created, size, settled, condemned) VALUES (77, 2, 1, 1, 1, 9000, 9000, 0)")},
		{name: "counters", light: true, want: []string{"mailbox-counters"},
			damage: one("UPDATE mailbox SET messages = messages + 3, unseen = 0, deleted = 9, bytes = 1" + inbox)},
		{name: "what the quota counts", light: true, want: []string{"account-counters"}, damage: one("UPDATE account_state SET bytes = bytes - 1")},
		{name: "uidnext", light: true, want: []string{"uidnext"}, damage: one("UPDATE mailbox SET uidnext = 2" + inbox)},
		{name: "modseq", light: true, want: []string{"modseq"}, damage: one("UPDATE mailbox SET modseq = 1" + inbox)},
		{name: "the account's modseq", light: true, want: []string{"modseq"}, damage: one("UPDATE account_state SET modseq = 2")},
		{name: "uidvalidity", light: true, want: []string{"uidvalidity"}, damage: one("UPDATE mailbox SET uidvalidity = 0" + inbox)},
		{name: "email numbers", light: true, want: []string{"account-numbers"}, damage: one("UPDATE account_state SET next_email = 1, next_mailbox = 1")},
		{name: "emails deleted", light: true, want: []string{"entry-no-email"}, lost: []string{"m0"},
			damage: func(t *testing.T, s *sample) {
				e := s.place["m0"]
				s.sql(t, fmt.Sprintf("DELETE FROM email WHERE account_id = %d AND email_id = %d", e.Account, e.ID))
			}},
		{name: "entries deleted", light: true, want: []string{"account-counters", "email-no-entry", "mailbox-counters"},
			damage: one("DELETE FROM entry" + inbox)},
		{name: "an INBOX deleted", light: true, want: []string{"account-no-inbox"}, damage: one("DELETE FROM mailbox" + inbox)},
		{name: "a mailbox deleted", light: true, want: []string{"entry-no-mailbox"},
			damage: one("DELETE FROM mailbox WHERE name = 'Archive'")},
		{name: "an account's row deleted", light: true, want: []string{"account-no-state"}, damage: one("DELETE FROM account_state WHERE messages > 5")},
		{name: "an account without mailboxes", light: true, want: []string{"account-no-state"},
			damage: one("DELETE FROM account_state WHERE messages = 0", "DELETE FROM mailbox WHERE account_id NOT IN (SELECT account_id FROM account_state)")},
		{name: "entry of another size", light: true, want: []string{"account-counters", "entry-size", "mailbox-counters"},
			damage: one("UPDATE entry SET size = size - 1 WHERE uid = 1 AND mailbox_id = 1")},
		{name: "present and expunged", light: true, want: []string{"entry-expunged"},
			damage: one("INSERT INTO expunged (account_id, mailbox_id, uid, email_id, modseq, at, by_session) SELECT account_id, mailbox_id, uid, email_id, modseq, 1, 'x' FROM entry WHERE uid = 1 AND mailbox_id = 1")},
		{name: "structure of another message", want: []string{"structure-differs"},
			damage: func(t *testing.T, s *sample) {
				e := s.place["m6"]
				s.sql(t, fmt.Sprintf("UPDATE email SET structure = (SELECT structure FROM email m WHERE m.account_id = %[1]d AND m.email_id <> %[2]d LIMIT 1) "+
					"WHERE account_id = %[1]d AND email_id = %[2]d", e.Account, e.ID))
			}},
		{name: "an email led astray", light: true, want: []string{"record-damaged"}, lost: []string{"m6"},
			damage: func(t *testing.T, s *sample) {
				e := s.place["m6"]
				s.sql(t, fmt.Sprintf("UPDATE email SET place = place + 8 WHERE account_id = %d AND email_id = %d", e.Account, e.ID))
			}},
		{name: "job without record", light: true, want: []string{"job-no-record", "pack-missing"}, notes: []string{"job-no-record"},
			damage: func(t *testing.T, s *sample) { must(t, os.Remove(s.jobPack(t))) }},
		{name: "job garbled", light: true, want: []string{"job-unreadable"}, notes: []string{"job-unreadable"}, damage: one("UPDATE job_body SET body = X'00010203'")},
		{name: "job's pack", light: true, want: []string{"job-pack"}, damage: one("UPDATE job SET pack = 1")},
		{name: "recipient without job", light: true, want: []string{"body-no-job", "recipient-no-job"}, damage: one("DELETE FROM job")},
		{name: "job without body", light: true, want: []string{"job-unreadable"}, notes: []string{"job-unreadable"}, damage: one("DELETE FROM job_body")},
		{name: "old ledger", light: true, want: []string{"ledger-unused"},
			damage: one("INSERT INTO delivered (queue_id, recipient_no) VALUES (X'00000000000000010000000000000001', 0)", "INSERT INTO delivered (queue_id, recipient_no) VALUES (X'00FFFFFFFFFFFFFF0000000000000001', 0)")},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := origin.copy(t)
			tc.damage(t, s)
			faults, _, sum := s.check(t, admin.CheckQuery{Deep: true})
			if got := kinds(faults); !slices.Equal(got, tc.want) || sum.Clean || sum.Mended > 0 {
				t.Fatalf("found %v, wanted %v\n%+v", got, tc.want, faults)
			}
			if light, _, _ := s.check(t, admin.CheckQuery{}); tc.light != (len(light) > 0) {
				t.Errorf("a light check found %v", kinds(light))
			}
			mended, _, sum := s.check(t, admin.CheckQuery{Deep: true, Repair: true})
			if !sum.Clean || sum.Faults == 0 {
				t.Errorf("the repair left faults: %+v", mended)
			}
			again, notes, sum := s.check(t, admin.CheckQuery{Deep: true})
			if !sum.Clean || len(again) > 0 {
				t.Fatalf("after the repair: %+v", again)
			}
			if !slices.Equal(kinds(notes), tc.notes) {
				t.Errorf("notes after the repair: %+v", notes)
			}
			s.reads(t, tc.lost)
		})
	}
}
