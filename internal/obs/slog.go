package obs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
)

// slogEvents writes outcomes as slog records: a short message and the fixed keys. Empty values are left out.
type slogEvents struct{ log *slog.Logger }

func (s slogEvents) Emit(e Event) {
	if often(e) && !s.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	level, msg, a := Describe(make([]slog.Attr, 0, 16), e) // most records fit
	s.log.LogAttrs(context.Background(), level, msg, a...)
}

// Describe puts an outcome into words: its name and the fixed keys of keys.go, which it appends to into. Empty values are left
// out.
func Describe(into []slog.Attr, e Event) (level slog.Level, name string, pairs []slog.Attr) {
	level, msg := slog.LevelInfo, ""
	if often(e) {
		level = slog.LevelDebug
	}
	a := attrs(into)
	switch e := e.(type) {
	case Connect:
		msg = "connect"
		a.peer(e.Peer)
	case Disconnect:
		msg = "disconnect"
		a.peer(e.Peer)
		a.seconds(KeyDuration, e.Duration)
		a.str(KeyReason, e.Reason)
	case Accepted:
		msg = "accepted"
		a.accepted(e)
	case Submitted:
		msg = "submitted"
		a.id(KeyQueueID, e.ID)
		a = append(a, slog.Uint64(KeyUID, uint64(e.UID)), slog.String("via", e.Via), slog.String(KeyFrom, e.From.String()))
		a.str(KeyMessageID, e.MessageID)
		a = append(a, slog.Int64(KeySize, e.Size), slog.Int(KeyNrcpt, e.Nrcpt))
	case Queued:
		msg = "queued " + e.Kind
		a.id(KeyQueueID, e.ID)
		a.id(KeyCause, e.Cause)
		a = append(a, slog.String(KeyFrom, e.From.String()), slog.Int64(KeySize, e.Size), slog.Int(KeyNrcpt, e.Nrcpt))
	case Delivery:
		msg = "delivery"
		a.delivery(e)
	case Attempt:
		msg = "attempt"
		a.attempt(e)
	case Judged:
		msg = "judged"
		a.judged(e)
	case Removed:
		msg = "removed"
		a.id(KeyQueueID, e.ID)
	case Rejected:
		msg = "rejected"
		a.rejected(e)
	case Screened:
		msg = "screened"
		a.screened(e)
	case AuthFailed:
		level, msg = slog.LevelWarn, "authentication failed"
		a.peer(e.Peer)
		a.str(KeyAccount, e.Account)
		a.str(KeyMech, e.Mech)
		if e.Error != nil {
			a.str(KeyError, e.Error.Error())
		}
	case Login:
		msg = "login"
		a.peer(e.Peer)
		a.str(KeyAccount, e.Account)
		a.str(KeyMaster, e.Master)
		a.str(KeyMech, e.Mech)
	case Logout:
		msg = "logout"
		a.peer(e.Peer)
		a.str(KeyAccount, e.Account)
		a.seconds(KeyDuration, e.Duration)
		a = append(a, slog.Int64(KeyBytesIn, e.In), slog.Int64(KeyBytesOut, e.Out))
		a = append(a, e.Maildrop.attrs()...)
		a.str(KeyReason, e.Reason)
	}
	return level, msg, a
}

// often tells what is only counted most of the time.
func often(e Event) bool {
	switch e := e.(type) {
	case Connect, Disconnect, Removed, Attempt, Judged:
		return true
	case Screened:
		return e.What == ScreenPassOld || e.What == ScreenAllowlisted
	}
	return false
}

// attrs collects the keys of a record.
type attrs []slog.Attr

func (a *attrs) str(key, value string) {
	if value != "" {
		*a = append(*a, slog.String(key, value))
	}
}

func (a *attrs) id(key string, id queueid.ID) {
	if !id.IsZero() {
		*a = append(*a, slog.String(key, id.String()))
	}
}

func (a *attrs) seconds(key string, d time.Duration) {
	*a = append(*a, slog.Float64(key, d.Round(time.Millisecond).Seconds()))
}

func (a *attrs) peer(p Peer) {
	a.str(KeyService, p.Service)
	a.str(KeySession, p.Session)
	if p.Addr.IsValid() {
		a.str(KeyClient, p.Addr.Addr().Unmap().String())
	}
	a.str(KeyName, p.Name)
	a.str(KeyTLS, p.TLS)
}

func (a *attrs) accepted(e Accepted) {
	a.id(KeyQueueID, e.ID)
	a.peer(e.Peer)
	a.str(KeyHelo, e.Helo)
	a.str(KeyAccount, e.Account)
	a.str(KeyMech, e.Mech)
	*a = append(*a, slog.String(KeyFrom, e.From.String()))
	a.str(KeyMessageID, e.MessageID)
	*a = append(*a, slog.Int64(KeySize, e.Size), slog.Int(KeyNrcpt, e.Nrcpt))
}

func (a *attrs) delivery(e Delivery) {
	a.id(KeyQueueID, e.ID)
	a.str(KeyTo, e.To.String())
	if !e.OrigTo.IsZero() {
		a.str(KeyOrigTo, e.OrigTo.String())
	}
	a.str(KeyTransport, e.Transport)
	a.str(KeyRelay, e.Relay)
	a.seconds(KeyDelay, e.Delay)
	a.str(KeyDelays, delays(e.Delays))
	a.str(KeyDSN, e.DSN.String())
	a.str(KeyStatus, string(e.Outcome))
	a.str(KeyClass, e.Class)
	a.str(KeyReply, e.Text)
}

func (a *attrs) rejected(e Rejected) {
	a.id(KeyQueueID, e.ID)
	a.peer(e.Peer)
	a.str(KeyHelo, e.Helo)
	a.str(KeyAccount, e.Account)
	a.str(KeyCommand, e.Command)
	a.str(KeyFrom, e.From)
	a.str(KeyTo, e.To)
	a.str(KeyReason, string(e.Reason))
	if e.Error == nil {
		return
	}
	*a = append(*a, slog.Int(KeyCode, e.Error.Code))
	a.str(KeyDSN, e.Error.Enhanced.String())
	a.str(KeyReply, e.Error.Public)
	if e.Error.Err != nil {
		a.str(KeyError, fmt.Sprintf("%s: %v", e.Error.Op, e.Error.Err))
	}
}
