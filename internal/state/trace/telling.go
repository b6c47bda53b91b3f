package trace

import (
	"bytes"
	"slices"
)

// session is a connection of a run.
type session struct {
	run  uint64
	name string
}

// telling collects the records of stories: first those of the subjects, then of the connections that brought them and of the
// mail that they caused.
type telling struct {
	ids      map[string]*Story
	sessions map[session]*Story
	known    map[place]bool // records that are in
	total    int
	bytes    int // of their lines
	// What is looked for in the walk under way, and what it has found for the next one.
	wantIDs, nextIDs           map[string]bool
	wantSessions, nextSessions map[session]bool
	hashes                     []uint64
	seenBy                     map[*Story][]session // connections that brought a message
}

func newTelling() *telling {
	return &telling{ids: map[string]*Story{}, sessions: map[session]*Story{}, known: map[place]bool{},
		nextIDs: map[string]bool{}, nextSessions: map[session]bool{}, seenBy: map[*Story][]session{}}
}

// want makes what a record is about a subject. It returns false when there are limit of them already.
func (t *telling) want(r *Record, limit int) bool {
	if r.ID == "" && r.Session == "" {
		return true // it is about neither
	}
	if r.ID != "" && t.ids[r.ID] != nil || r.ID == "" && t.sessions[session{r.Run, r.Session}] != nil {
		return true
	}
	if len(t.ids)+len(t.sessions) >= limit {
		return false
	}
	t.add(r)
	return true
}

// add makes what a record is about something to look for.
func (t *telling) add(r *Record) {
	if r.ID == "" {
		t.addSession(session{r.Run, r.Session})
		return
	}
	if t.ids[r.ID] == nil {
		t.ids[r.ID] = &Story{ID: r.ID}
		t.nextIDs[r.ID] = true
	}
}

func (t *telling) addSession(s session) {
	if t.sessions[s] == nil {
		t.sessions[s] = &Story{}
		t.nextSessions[s] = true
	}
}

// begin makes what was found the thing to look for. It returns false when there is nothing new.
func (t *telling) begin() bool {
	t.wantIDs, t.nextIDs = t.nextIDs, map[string]bool{}
	t.wantSessions, t.nextSessions = t.nextSessions, map[session]bool{}
	t.hashes = t.hashes[:0]
	for id := range t.wantIDs {
		t.hashes = append(t.hashes, hash(id))
	}
	return len(t.wantIDs)+len(t.wantSessions) > 0
}

// mayBe tells whether a block may have what is looked for.
func (t *telling) mayBe(h *head) bool {
	if slices.ContainsFunc(t.hashes, h.filter.has) {
		return true
	}
	for s := range t.wantSessions {
		if s.run == h.run && h.filter.has(hash(s.name)) {
			return true
		}
	}
	return false
}

// mayHave tells whether a line may be of what is looked for, at a hundredth of the cost of reading it: of many stories, some
// hash is in most blocks.
func (t *telling) mayHave(run uint64, line []byte) bool {
	id := valueOf(line, `"queue_id":"`)
	if t.wantIDs[string(id)] || t.wantIDs[string(valueOf(line, `"cause":"`))] {
		return true
	}
	name := valueOf(line, `"session":"`)
	return len(id) == 0 && (t.wantSessions[session{run, string(name)}] || bytes.IndexByte(name, '\\') >= 0)
}

// valueOf is what stands behind a key of a line, as it is written. No value can look like a key: its quotes are escaped.
func valueOf(line []byte, key string) []byte {
	i := bytes.Index(line, []byte(key))
	if i < 0 {
		return nil
	}
	line = line[i+len(key):]
	return line[:max(0, bytes.IndexByte(line, '"'))]
}

// take puts a record into the story that it belongs to.
func (t *telling) take(r *Record) error {
	of := session{r.Run, r.Session}
	switch {
	case t.wantIDs[r.ID]:
		s := t.ids[r.ID]
		if r.Cause != "" {
			s.Cause = r.Cause
		}
		if r.Session != "" && !slices.Contains(t.seenBy[s], of) {
			t.seenBy[s] = append(t.seenBy[s], of)
			t.addSession(of)
		}
		t.put(s, r)
	case r.Cause != "" && t.wantIDs[r.Cause]:
		t.add(r)
	case r.ID == "" && t.wantSessions[of]:
		t.put(t.sessions[of], r)
	}
	return nil
}

func (t *telling) put(s *Story, r *Record) {
	if t.known[r.place] {
		return
	}
	if len(s.Records) >= maxRecords || t.total >= maxTotal || t.bytes >= maxBytes {
		s.More++
		return
	}
	t.known[r.place] = true
	t.total++
	t.bytes += len(r.Raw)
	s.Records = append(s.Records, *r)
}

// stories puts together what was collected.
func (t *telling) stories() []Story {
	brought := map[session]bool{}
	var list []Story
	for _, s := range t.ids {
		for _, of := range t.seenBy[s] {
			brought[of] = true
			s.Records = append(s.Records, t.sessions[of].Records...)
			s.More += t.sessions[of].More
		}
		list = append(list, *s)
	}
	for of, s := range t.sessions {
		if !brought[of] {
			list = append(list, *s)
		}
	}
	for i := range list {
		slices.SortFunc(list[i].Records, func(a, b Record) int { return a.place.compare(b.place) })
	}
	list = slices.DeleteFunc(list, func(s Story) bool { return len(s.Records) == 0 })
	slices.SortFunc(list, func(a, b Story) int { return a.Records[0].place.compare(b.Records[0].place) })
	return behindCauses(list)
}

// behindCauses puts each message behind the one that caused it.
func behindCauses(list []Story) []Story {
	told := map[string]bool{}
	for _, s := range list {
		told[s.ID] = true
	}
	effects := map[string][]Story{}
	var out []Story
	for _, s := range list {
		if s.Cause != "" && s.Cause != s.ID && told[s.Cause] {
			effects[s.Cause] = append(effects[s.Cause], s)
		}
	}
	done := map[string]bool{}
	var tell func(s Story)
	tell = func(s Story) {
		if s.ID != "" {
			if done[s.ID] {
				return
			}
			done[s.ID] = true
		}
		out = append(out, s)
		for _, e := range effects[s.ID] {
			if s.ID != "" {
				tell(e)
			}
		}
	}
	for _, s := range list {
		if s.Cause == "" || s.Cause == s.ID || !told[s.Cause] {
			tell(s)
		}
	}
	for _, s := range list { // of causes that go round, which no writer makes
		if s.ID != "" && !done[s.ID] {
			tell(s)
		}
	}
	return out
}
