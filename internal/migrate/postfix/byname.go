package postfix

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/table"
)

// named are the sections whose keys bear the names of Postfix's parameters.
var named = []string{"access", "edges", "filters", "mta", "notices", "rates", "routing", "screen", "bans"}

// nameOf returns the parameter that a key is named after.
func (m *move) nameOf(key string) (name string, ok bool) {
	section, _, _ := strings.Cut(key, ".")
	name = key[strings.LastIndexByte(key, '.')+1:]
	_, known := m.defaults[name]
	return name, known && slices.Contains(named, section)
}

// The sections that exist once for each service.
const (
	ofSMTP       = "access.smtp."
	ofSubmission = "access.submission."
)

// named gives a parameter's value to the keys of the same name. A key that exists for each service gets the value that the
// service has.
func (m *move) named(p *param, keys []string) verdict {
	var all verdict
	for _, key := range keys {
		q := *p
		q.doubts = nil
		var s *Service
		switch {
		case strings.HasPrefix(key, ofSMTP):
			if s = m.smtpd(); p.service != nil && p.service != s {
				continue
			}
		case strings.HasPrefix(key, ofSubmission):
			if s = m.submission(); s == nil || p.service != nil && p.service != s {
				continue
			}
		}
		if s != nil && p.service == nil {
			if _, own := s.override(p.name); own {
				continue // told with the service
			}
			q.value, _ = m.Value(p.name, s)
		}
		if strings.HasPrefix(key, ofSMTP) {
			auth, _ := m.Value("smtpd_sasl_auth_enable", s)
			q.noAuth = auth != "yes"
		}
		v := m.convert(&q, m.schema[key])
		for _, d := range q.doubts {
			if !slices.Contains(p.doubts, d) {
				p.doubts = append(p.doubts, d)
			}
		}
		all = merge(all, v)
	}
	if all.fate == "" {
		return meaningless("the services that it holds for have values of their own")
	}
	return all
}

// merge joins the verdicts of the keys of one parameter.
func merge(a, b verdict) verdict {
	rank := map[Fate]int{"": 0, Same: 1, Meaningless: 2, Translated: 3, Unsupported: 4}
	if rank[b.fate] < rank[a.fate] {
		a, b = b, a
	}
	for _, k := range a.keys {
		if !slices.Contains(b.keys, k) {
			b.keys = append([]string{k}, b.keys...)
		}
	}
	return b
}

// convert writes a parameter's value in the form of a key.
func (m *move) convert(p *param, k config.Key) verdict {
	value, err := m.formed(p, k)
	if err != nil {
		return unsupported("%v", err)
	}
	if word, ok := value.(string); ok && k.Enum != "" && !slices.Contains(strings.Split(k.Enum, ","), word) {
		return unsupported("%s knows only %s, not %q", k.Name, strings.ReplaceAll(k.Enum, ",", ", "), clip(word))
	}
	return m.put(p, k.Name, value)
}

func (m *move) formed(p *param, k config.Key) (any, error) {
	switch k.Kind {
	case config.KindBool:
		return parseBool(p.value)
	case config.KindInt:
		return parseInt(p.value)
	case config.KindSize:
		n, err := parseInt(p.value)
		return config.Size(n), err
	case config.KindDuration:
		return parseTime(p.value, unitOf(m.defaults[p.name]))
	case config.KindText:
		return m.item(p, p.value), nil
	case config.KindNetworks:
		return m.networks(p)
	case config.KindList:
		return m.list(p)
	}
	return nil, fmt.Errorf("%s has a form of its own: write it by hand", k.Name)
}

// list splits a list; restrictions keep their arguments. What names a file or a socket is made to fit.
func (m *move) list(p *param) ([]string, error) {
	split := table.Split
	if strings.HasSuffix(p.name, "_restrictions") || strings.HasSuffix(p.name, "_access_list") {
		split = splitRestrictions
	}
	items, err := split(p.value)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, item := range items {
		if p.noAuth && strings.HasSuffix(item, "_sender_login_mismatch") {
			continue
		}
		if item = m.item(p, item); item != "" {
			out = append(out, item)
		}
	}
	return out, nil
}
