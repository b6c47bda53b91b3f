package privhelper

import (
	"errors"
	"log/slog"
)

// Operations.
const (
	opPing     = "ping"
	opReadFile = "read-file" // path → data
	opVerify   = "verify"    // user, password
	opForward  = "forward"   // user, extension → data, notes
	opHave     = "have"      // users, one a line → data: those of them that seem to have a .forward, one a line
	// Who asks is source ("alias", "forward", "mailbox", "program"), path (of the alias file), user, extension; text is what stands
	// there. Of a program path is the name of [pipes.NAME], text the next hop, recipients and macros are as program.go has them.
	opInclude = "include" // text ":include:/path" → data
	opDeliver = "deliver" // text "|command", "/file", "/folder/"; size, sender, recipient, original; the message's descriptor
)

// Replies. All but ok and no carry a text for the log of who asked.
const (
	replyOK      = "ok"
	replyNo      = "no" // the password is wrong, or nobody logs in so
	replyRefused = "refused"
	// replyUndelivered has status, RFC 3463, and text for the sender.
	replyUndelivered = "undelivered"
	replyMissing     = "missing"
	replyBusy        = "busy"
	replyFailed      = "failed"
)

// Helper answers requests, with the rights that its process has.
type Helper struct {
	Config string // the configuration file, an absolute path
	Shadow Shadow
	Log    *slog.Logger
}

// Answer does what one request asks for. After it the process may have become another user: one process, one request.
func (h *Helper) Answer(m Message) Message {
	switch m.Op {
	case opPing:
		return message(replyOK)
	case opReadFile:
		return h.readFile(m)
	case opVerify:
		return h.verify(m)
	case opForward:
		return h.forward(m)
	case opHave:
		return h.have(m)
	case opInclude:
		return h.include(m)
	case opDeliver:
		return h.deliver(m)
	}
	return refused("unknown operation " + m.Op)
}

// verify checks a system user's password. Why it was refused is for the helper's log; the peer learns no more than its
// client may.
func (h *Helper) verify(m Message) Message {
	user := string(m.Get("user"))
	why, err := h.Shadow.Verify(user, string(m.Get("password")))
	switch {
	case err != nil:
		h.Log.Error("password check failed", "user", user, "err", err)
		return failed(errors.New("the system's password files cannot be used; the helper's log has the reason"))
	case why != "":
		h.Log.Info("password refused", "user", user, "reason", why)
		return message(replyNo)
	}
	h.Log.Debug("password accepted", "user", user)
	return message(replyOK)
}

func refused(text string) Message { return message(replyRefused, "text", text) }
func failed(err error) Message    { return message(replyFailed, "text", err.Error()) }
