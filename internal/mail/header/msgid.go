package header

import "strings"

// maxID is the longest message id that is read, RFC 5322 §2.1.1.
const maxID = maxLine

// MessageIDs returns the message ids of an unfolded Message-ID, In-Reply-To or References, without angle brackets: the
// last ones where there are more than limit. Text around them (RFC 5322 §4.5.4) is skipped; where nothing stands in
// angle brackets, words with an '@' are taken. Blanks inside an id, left by bad folding, are removed.
func MessageIDs(value string, limit int) []string {
	var ids []string
	add := func(id string) {
		if strings.ContainsAny(id, " \t") {
			id = strings.Join(strings.Fields(id), "")
		}
		if id == "" || len(id) > maxID {
			return
		}
		if ids = append(ids, id); len(ids) > limit {
			ids = ids[1:]
		}
	}
	for rest := value; ; {
		_, after, found := strings.Cut(rest, "<")
		if !found {
			break
		}
		id, next, closed := strings.Cut(after, ">")
		if i := strings.LastIndexByte(id, '<'); i >= 0 {
			id = id[i+1:]
		}
		if !closed {
			break
		}
		add(id)
		rest = next
	}
	if len(ids) == 0 {
		for word := range strings.FieldsSeq(value) {
			if word = strings.Trim(word, "<>,;\""); strings.Contains(word, "@") {
				add(word)
			}
		}
	}
	return ids
}
