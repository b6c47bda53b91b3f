package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/obs"
)

// traceRecord is a record of the trace, with the keys of the log.
type traceRecord struct {
	Time      time.Time  `json:"time"`
	Event     string     `json:"event"`
	QueueID   string     `json:"queue_id"`
	Cause     string     `json:"cause"`
	Session   string     `json:"session"`
	Service   string     `json:"service"`
	Client    string     `json:"client"`
	Name      string     `json:"name"`
	Helo      string     `json:"helo"`
	TLS       string     `json:"tls"`
	Trust     string     `json:"trust"`
	Account   string     `json:"account"`
	Master    string     `json:"master"`
	Mech      string     `json:"mech"`
	UID       *uint64    `json:"uid"`
	Via       string     `json:"via"`
	From      string     `json:"from"`
	To        listOrText `json:"to"`
	OrigTo    string     `json:"orig_to"`
	MessageID string     `json:"message_id"`
	Size      int64      `json:"size"`
	Nrcpt     int        `json:"nrcpt"`
	Transport string     `json:"transport"`
	Relay     string     `json:"relay"`
	Local     string     `json:"local"`
	Site      string     `json:"site"`
	Reused    bool       `json:"reused"`
	Phase     string     `json:"phase"`
	Replies   []string   `json:"replies"`
	Reply     string     `json:"reply"`
	Delay     float64    `json:"delay"`
	Delays    string     `json:"delays"`
	DSN       string     `json:"dsn"`
	Status    string     `json:"status"`
	Class     string     `json:"class"`
	Command   string     `json:"command"`
	Code      int        `json:"code"`
	Reason    string     `json:"reason"`
	Error     string     `json:"error"`
	Found     string     `json:"found"`
	Text      string     `json:"text"`
	Count     int        `json:"count"`
	Duration  float64    `json:"duration"`
	Lines     int        `json:"lines"`
	Rules     []obs.Rule `json:"rules"`
	Routes    []obs.Rule `json:"routes"`
}

// listOrText is one value or several.
type listOrText []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *listOrText) UnmarshalJSON(p []byte) error {
	if len(p) > 0 && p[0] == '[' {
		return json.Unmarshal(p, (*[]string)(t))
	}
	*t = listOrText{""}
	return json.Unmarshal(p, &(*t)[0])
}

func readRecord(raw json.RawMessage) (r traceRecord, err error) {
	if err = json.Unmarshal(raw, &r); err != nil {
		err = fmt.Errorf("a record of the trace: %w", err)
	}
	return r, err
}

// tellStory writes a message's story: who it is, then what happened to it.
func (a *app) tellStory(w io.Writer, s *admin.TraceStory) error {
	var records []traceRecord
	for _, raw := range s.Records {
		r, err := readRecord(raw)
		if err != nil {
			return err
		}
		records = append(records, r)
	}
	if len(records) == 0 {
		return nil
	}
	head := "message " + s.ID
	if s.ID == "" {
		head = "connection " + records[0].Session
	}
	if s.Cause != "" {
		head += ", caused by " + s.Cause
	}
	fmt.Fprintf(w, "%s  %s\n", a.bold(printable(head)), shortTime(records[0].Time))
	day := records[0].Time.Local().Format(time.DateOnly)
	for _, r := range records {
		if d := r.Time.Local().Format(time.DateOnly); d != day {
			day = d
			fmt.Fprintf(w, "  %s\n", d)
		}
		a.tellRecord(w, r)
	}
	if s.Omitted > 0 {
		fmt.Fprintf(w, "  and %d records more, which --json does not have either\n", s.Omitted)
	}
	return nil
}

// tellRecord writes one record: time, what it is, and what there is to know, on as many lines as it has.
func (a *app) tellRecord(w io.Writer, r traceRecord) {
	what, lines := r.words()
	if len(lines) == 0 {
		lines = []string{""}
	}
	at := r.Time.Local().Format("15:04:05.000000")
	for _, l := range lines {
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %-15s  %-10s  %s", at, printable(what), printable(l)), " "))
		at, what = "", ""
	}
}

// words puts a record into words, line by line.
func (r *traceRecord) words() (what string, lines []string) {
	switch what = r.Event; r.Event {
	case "connect":
		return what, []string{joined(r.client(), "to "+r.Service, "as "+r.Session)}
	case "disconnect":
		return what, []string{joined(r.client(), under(r.TLS), "after "+seconds(r.Duration), r.Reason)}
	case "login", "authentication failed":
		if r.Event != "login" {
			what = "no login"
		}
		return what, []string{joined(r.Account, "by "+r.Mech, under(r.TLS), also("as master ", r.Master), r.Error)}
	case "screened":
		return what, []string{joined(strings.TrimSpace(r.Found+" "+r.Text), also("count ", number(r.Count)), r.client())}
	case "judged":
		return what, r.judged()
	case "rejected":
		return what, r.rejected()
	case "accepted", "submitted":
		return what, r.accepted()
	case "attempt":
		return what, r.attempt()
	case "delivery":
		if r.Status != "" {
			what = r.Status
		}
		return what, r.delivery()
	case "lost":
		return what, []string{strconv.Itoa(r.Lines) + " records: the disk was too slow for them"}
	}
	if kind, ok := strings.CutPrefix(r.Event, "queued "); ok {
		return "queued", []string{joined(kind+" from <"+r.From+">", bytesOf(r.Size), recipients(r.Nrcpt))}
	}
	return what, nil
}

func (r *traceRecord) judged() (lines []string) {
	for _, rule := range r.Rules {
		lines = append(lines, strings.TrimSpace(rule.Stage+" "+rule.Rule)+": "+rule.Result)
	}
	for _, rule := range r.Routes {
		lines = append(lines, "route "+strings.TrimSpace(rule.Rule+" "+rule.Key)+": "+rule.Result)
	}
	if len(r.To) > 0 {
		lines = append(lines, "to "+addresses(r.To))
	}
	return lines
}

func (r *traceRecord) rejected() []string {
	answer := strings.TrimSpace(fmt.Sprintf("%d %s %s", r.Code, r.DSN, r.Reply))
	head := joined(r.Command+" of "+r.client(), also("HELO ", r.Helo), under(r.TLS))
	if r.From != "" {
		head = joined(head, "from <"+r.From+">")
	}
	if len(r.To) > 0 {
		head = joined(head, "to "+addresses(r.To))
	}
	return withText([]string{head, answer}, r.Error)
}

func (r *traceRecord) accepted() []string {
	by := r.client()
	if r.UID != nil {
		by = fmt.Sprintf("user id %d by %s", *r.UID, r.Via)
	}
	lines := []string{joined("from <"+r.From+">", bytesOf(r.Size), recipients(r.Nrcpt)), joined(by, also("HELO ", r.Helo), under(r.TLS), also("logged in as ", r.Account))}
	if r.MessageID != "" {
		lines = append(lines, "Message-ID <"+r.MessageID+">")
	}
	return lines
}

func (r *traceRecord) attempt() []string {
	reused := ""
	if r.Reused {
		reused = "connection used before"
	}
	lines := []string{joined("at "+r.Relay, under(strings.TrimSpace(r.TLS+" "+r.Trust)), also("from ", r.Local), also("as ", r.Helo), also("logged in as ", r.Account), reused,
		also("up to ", r.Phase), "in "+seconds(r.Duration)), "to " + addresses(r.To)}
	for _, reply := range r.Replies {
		lines = withText(lines, reply)
	}
	return withText(lines, r.Error)
}

func (r *traceRecord) delivery() []string {
	orig := ""
	if r.OrigTo != "" {
		orig = "which was <" + r.OrigTo + ">"
	}
	lines := []string{joined("<"+strings.Join(r.To, ",")+">", orig, "by "+strings.TrimSpace(r.Transport+" "+r.Relay), r.DSN, r.Class, "after "+seconds(r.Delay)+also(" ", r.delays()))}
	return withText(lines, r.Reply)
}

func (r *traceRecord) delays() string {
	if r.Delays == "" {
		return ""
	}
	return "(" + r.Delays + ")"
}

// client is the peer, by name and address.
func (r *traceRecord) client() string {
	if r.Name != "" {
		return r.Name + "[" + r.Client + "]"
	}
	return r.Client
}

// joined puts what there is behind one another.
func joined(parts ...string) string {
	var have []string
	for _, p := range parts {
		if p != "" {
			have = append(have, p)
		}
	}
	return strings.Join(have, ", ")
}

func also(word, value string) string {
	if value == "" {
		return ""
	}
	return word + value
}

func under(tls string) string { return also("under ", tls) }

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func bytesOf(n int64) string { return strconv.FormatInt(n, 10) + " bytes" }

func recipients(n int) string {
	if n == 1 {
		return "1 recipient"
	}
	return strconv.Itoa(n) + " recipients"
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) + " s" }

// addresses lists the first of many.
func addresses(list []string) string {
	const most = 20
	rest := ""
	if len(list) > most {
		rest = fmt.Sprintf(" and %d more", len(list)-most)
		list = list[:most]
	}
	return "<" + strings.Join(list, ">, <") + ">" + rest
}

// withText appends the lines of a text, if it has any.
func withText(lines []string, text string) []string {
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return lines
	}
	return append(lines, strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")...)
}
