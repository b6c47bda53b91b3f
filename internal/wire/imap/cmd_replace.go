package imap

import "context"

// replaceExtension is REPLACE and UID REPLACE, RFC 8508: a new message comes and an old one goes, in one step.
func replaceExtension() extension {
	replacing := func(uid bool) command {
		return command{states: selected, parse: func(p *parser) runner { return parseReplace(p, uid) }, stream: true}
	}
	return extension{
		capabilities: afterLogin("REPLACE"),
		commands:     map[string]command{"REPLACE": replacing(false)},
		uid:          map[string]command{"REPLACE": replacing(true)},
	}
}

type replaceCommand struct {
	number uint32 // 0: "*"
	uid    bool
	name   string
	part   appendPart
}

func parseReplace(p *parser, uid bool) runner {
	p.sp()
	r := &replaceCommand{uid: uid}
	if uid {
		r.number = p.nzNumber()
	} else {
		r.number = p.seqNumber()
	}
	p.sp()
	r.name = p.mailbox()
	r.part.parse(p)
	return r
}

func (r *replaceCommand) run(ctx context.Context, c *conn) (done, error) {
	old, err := r.find(c)
	if err != nil {
		return done{}, (&appendInput{c: c, part: r.part}).refuse(err)
	}
	res, err := c.appendTo(ctx, r.name, &Replaced{Mailbox: c.sel.mailbox.ID(), UID: old}, r.part, false)
	if err != nil {
		return done{}, err
	}
	// RFC 8508 §3.3: first where the new message is, then EXISTS, then the EXPUNGE of the old one.
	c.untagged("OK", appendUID(res), "Replacement stored")
	_ = c.sync(false) // where the mailbox is gone the command's end finds it once more
	return c.expunged(done{text: "Replaced"}), nil
}

// find returns the UID of the message to replace. One that is not there is an error for UID REPLACE too (RFC 8508 §3.1):
// nothing would be replaced.
func (r *replaceCommand) find(c *conn) (uint32, error) {
	if err := c.sel.writable(); err != nil {
		return 0, err
	}
	uid, exists := r.number, uint32(c.sel.view.Exists())
	if !r.uid {
		seq := r.number
		if seq == 0 {
			seq = exists
		}
		if seq == 0 || seq > exists {
			return 0, bad("No such message sequence number")
		}
		uid = c.sel.view.UID(seq)
	}
	if !c.sel.has(uid) {
		return 0, no("EXPUNGEISSUED", "The message to replace no longer exists")
	}
	return uid, nil
}

// has tells whether the client knows the message and it still exists.
func (s *selection) has(uid uint32) bool {
	if _, known := s.view.Seq(uid); !known {
		return false
	}
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	_, there := s.shared.mailbox.Get(uid)
	return there
}
