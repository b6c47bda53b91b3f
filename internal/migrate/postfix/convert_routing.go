package postfix

import (
	"slices"
	"strings"
)

func deliverTo(m *move, p *param) verdict {
	byDefault, _ := m.Default(p.name)
	if sameValue(p.value, byDefault) {
		return same("as Postfix's own default")
	}
	name, _, _ := strings.Cut(p.value, ":")
	if name == "error" || name == "discard" || name == "relay" || name == "smtp" {
		if keys := m.byName[p.name]; len(keys) > 0 {
			return m.named(p, keys)
		}
	}
	if m.opt.KeepMailboxes {
		if keys := m.byName[p.name]; len(keys) > 0 {
			return m.named(p, keys)
		}
		return unsupported("there is no key of its name")
	}
	return meaningless("mail is kept here; what %s leads to is replaced (--keep-mailboxes would keep it)", clip(p.value))
}

// mydestination tells of a host whose own name it leaves out: mail for that went on to the relay, and is local here.
func mydestination(m *move, p *param) verdict {
	v := m.named(p, m.byName[p.name])
	names, err := m.members(&param{}, p.value, 0)
	relay, _ := m.Value("relayhost", nil)
	host, _ := m.Value("myhostname", nil)
	if relay != "" && p.file != "" && err == nil && !slices.Contains(names, host) && m.localDomain() == host {
		p.doubt("mail for %s itself went to the relay, and is local here: an alias or routing.virtual_alias_maps can send it on", host)
	}
	return v
}

// noDomain stands for none: nobody's name, RFC 6761 §6.4.
const noDomain = "none.invalid"

func aliasDomains(m *move, p *param) verdict {
	if maps, _ := m.Value("virtual_alias_maps", nil); p.value == "" && maps != "" {
		return m.put(p, "routing.virtual_alias_domains", []string{noDomain}).with("no domain; empty would mean those that virtual_alias_maps have as keys")
	}
	return m.named(p, m.byName[p.name])
}

// localDomain is the domain of the host's own users: that of myorigin, if mail for it is local.
func (m *move) localDomain() string {
	origin, _ := m.Value("myorigin", nil)
	origin = m.firstLine(origin)
	list, _ := m.Value("mydestination", nil)
	names, err := m.members(&param{}, list, 0)
	if err == nil && slices.Contains(names, origin) && isOurs(origin) {
		return origin
	}
	host, _ := m.Value("myhostname", nil)
	return host
}

func myorigin(m *move, p *param) verdict {
	origin := m.firstLine(p.value)
	if origin == "" {
		return unsupported("the file %s is empty or not there", p.value)
	}
	host, _ := m.Value("myhostname", nil)
	if m.localDomain() == origin && origin != host {
		return m.put(p, "domain", origin)
	}
	if origin == host {
		return same("the host's own name")
	}
	return m.put(p, "routing.myorigin", origin)
}

// restrictionClasses writes each class with its list.
func restrictionClasses(m *move, p *param) verdict {
	var classes []string
	for _, name := range strings.FieldsFunc(p.value, listSeparator) {
		value, err := m.Value(name, nil)
		if err != nil || value == "" {
			p.doubt("the class %s has no value", name)
			continue
		}
		items, err := splitRestrictions(value)
		if err != nil {
			p.doubt("the class %s: %v", name, err)
			continue
		}
		for i := range items {
			items[i] = m.item(p, items[i])
		}
		classes = append(classes, name+" = "+strings.Join(items, ", "))
	}
	if len(classes) == 0 {
		return same("none")
	}
	return m.put(p, "access.restriction_classes", classes)
}

func aliasDatabase(m *move, p *param) verdict {
	maps, _ := m.Value("alias_maps", nil)
	if keys := m.byName[p.name]; len(keys) > 0 && !sameValue(p.value, maps) && p.value != "" {
		return m.named(p, keys)
	}
	return meaningless("the tables of alias_maps; their text is read, nothing is compiled")
}

func overrideOptions(m *move, p *param) verdict {
	if keys := m.byName[p.name]; len(keys) > 0 {
		return m.named(p, keys)
	}
	filter, _ := m.Value("content_filter", nil)
	switch {
	case p.value == "":
		return same("none")
	case filter != "" && p.value == "no_address_mappings":
		return meaningless("addresses are mapped once in any case, when the message comes back from the content filter")
	}
	return unsupported("checks, mappings and milters cannot be left out for a service")
}
